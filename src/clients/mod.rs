//! Programs that ask a server something and show what it answers: who@, date@, finger@, http@, tcpcat, time@, mconnect.
//!
//! They connect as tcpclient does. None of them listens, and none runs another program.
#![forbid(unsafe_code)]

pub mod clocks;
mod converse;
mod mconnect;

pub use converse::{Answer, Body, Raw, Show, converse, converse_privately, page_request};
pub use mconnect::mconnect;
