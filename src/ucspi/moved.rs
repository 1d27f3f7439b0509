//! A connection on its way from one version of the program to the next, as plain data and descriptors.

use std::os::fd::{AsRawFd, OwnedFd};

use super::children::{Child, Children};
use super::record::Record;
use crate::service::{Packer, Unpacker};
use crate::sys::fd;

/// A connection that was let go of.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) record: Record,
    /// It counts for its source.
    pub(super) counts: bool,
    pub(super) at: Place,
}

/// Where a connection was let go of.
#[derive(Debug)]
pub(super) enum Place {
    /// It waits at the gate.
    Gate(OwnedFd),
    /// Its program runs.
    Program(Child),
    /// Its program has ended, which was told, but not all that it has started.
    Rest(Child),
}

impl Moved {
    /// All that the next version of this program has to know of it.
    pub(super) fn pack(&mut self, to: &mut Packer) {
        let (kind, end) = match &mut self.at {
            Place::Gate(_) => (0_u8, None),
            Place::Program(child) => (1, child.has_ended()),
            Place::Rest(_) => (2, None),
        };
        self.record.end = self.record.end.or(end);
        to.number(kind);
        self.record.pack(to);
        to.number(self.counts);
        match &self.at {
            Place::Gate(connection) => to.text(connection.as_raw_fd()),
            Place::Program(child) | Place::Rest(child) => child.pack(to),
        }
    }

    /// One that was packed; its child is one of `children`.
    pub(super) fn unpack(from: &mut Unpacker<'_>, children: &Children) -> Option<Self> {
        let kind = from.number::<u8>()?;
        let record = Record::unpack(from)?;
        let counts = from.number::<u8>()? != 0;
        let at = match kind {
            0 => Place::Gate(fd::take_inherited(from.text()?).ok()?),
            1 => Place::Program(children.unpack(from, record.end)?),
            _ => Place::Rest(children.unpack(from, record.end)?),
        };
        Some(Self { record, counts, at })
    }
}
