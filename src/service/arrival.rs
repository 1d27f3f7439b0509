//! A connection that was accepted, and what hangs on the decision about it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::pace::Paid;
use super::slots::{Counted, Slot};

/// A connection that was accepted.
pub(crate) struct Arrival {
    pub(crate) connection: OwnedFd,
    pub(crate) remote: SocketAddr,
    /// To let go of when the connection has ended, and not before.
    pub(crate) slot: Slot,
    /// To let go of as soon as it is decided what becomes of the connection: a server that ends waits for that.
    pub(crate) undecided: Undecided,
}

/// A connection of which it is not decided what becomes of it. It is refused when this is dropped.
#[derive(Debug)]
pub(crate) struct Undecided {
    _counted: Counted,
    paid: Option<Paid>,
}

impl Undecided {
    /// One that is counted as such, and has paid if there is a rate.
    pub(super) fn new(counted: Counted, paid: Option<Paid>) -> Self {
        Self {
            _counted: counted,
            paid,
        }
    }

    /// It is served: what it has paid is spent.
    pub(crate) fn served(self) {
        if let Some(paid) = self.paid {
            paid.spend();
        }
    }
}
