//! What is known of one connection, as plain data: the lines of the log are one printing of it.

use std::net::SocketAddr;

use super::facts::canonical;
use crate::sys::process::Pid;

/// One connection, from accept to its end.
#[derive(Debug)]
pub(crate) struct Record {
    /// Whence it comes; an IPv4 address as IPv4, also where a socket for both families gave it.
    pub(crate) remote: SocketAddr,
    /// The pid of the process that serves it; or a number above all pids, once it needs one.
    pub(crate) number: Option<Pid>,
    /// The raw wait status with which it ended, or that a process would have had.
    pub(crate) status: Option<i32>,
}

impl Record {
    /// A connection from `remote` that was just accepted.
    pub(crate) fn new(remote: SocketAddr) -> Self {
        Self {
            remote: canonical(remote),
            number: None,
            status: None,
        }
    }
}
