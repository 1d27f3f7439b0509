//! Programs that watch or change the bytes between descriptors. They use no runtime: each running copy costs little
//! more than its system calls.
#![forbid(unsafe_code)]

pub mod carriage_return;
mod io;
mod pump;
mod record;
mod stream;
mod wrap;

pub use io::io;
pub use pump::{Flow, Observer, pump};
pub use record::Recorder;
pub use stream::stream;
pub use wrap::wrap;
