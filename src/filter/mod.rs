//! Programs that watch or change the bytes between descriptors. They know no network and use no runtime: each running
//! copy costs little more than its system calls.
#![forbid(unsafe_code)]

mod pump;
mod record;
mod wrap;

pub use record::Recorder;
pub use wrap::wrap;
