//! Asking a server that runs: tcpctl, on a shell's line or as the web page of a UCSPI server.
#![forbid(unsafe_code)]

mod ask;
mod http;

pub use ask::{Answer, ask};
pub use http::serve;
