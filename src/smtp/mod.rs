//! Mail that nobody wants: whether a client is on a block list, and what an SMTP server says to one that is.
//!
//! Source: rblsmtpd(1) of the originals, and observed runs.
#![forbid(unsafe_code)]

mod lists;
mod refuse;

pub use lists::{BlockList, Lists, Verdict};
pub use refuse::refuse;
