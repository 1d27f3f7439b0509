//! Memory for one more connection: a server that has none accepts nobody, and does not end.
//!
//! Run scripts limit what a server may have, and an allocation that fails ends a process. So before each accept there must
//! be as much as the new connection and all that are undecided may still take, and a reserve for what nobody counted.

use std::io;

use crate::cli::{During, Error};
use crate::sys::{limit, memory};

/// What connections may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appetite {
    /// One, from accept until it is decided.
    pub(crate) arrival: usize,
    /// One that is undecided, beyond what it has.
    pub(crate) undecided: usize,
    /// All, in a moment that nobody expects.
    pub(crate) reserve: usize,
}

/// The memory that is left.
pub(crate) struct Room {
    appetite: Appetite,
    /// There is a limit that can be met. Where there is none, nobody pays for looking.
    is_limited: bool,
    /// Lets go of what is only kept to save time.
    forget: Box<dyn Fn()>,
}

impl Room {
    /// Looks how much there may be. `forget` is called when it is not enough.
    ///
    /// # Errors
    /// 111: not enough for one connection.
    pub(crate) fn new(appetite: Appetite, forget: impl Fn() + 'static) -> Result<Self, Error> {
        let is_limited = limit::memory() != u64::MAX;
        if is_limited {
            memory::be_frugal();
        }
        let room = Self {
            appetite,
            is_limited,
            forget: Box::new(forget),
        };
        if room.is_enough(0) {
            Ok(room)
        } else {
            Err(io::ErrorKind::OutOfMemory.into()).during("get memory")
        }
    }

    /// True when one more connection may be accepted beside so many that are undecided.
    pub(super) fn is_there(&self, undecided: u32) -> bool {
        self.is_enough(undecided) || {
            (self.forget)();
            self.is_enough(undecided)
        }
    }

    fn is_enough(&self, undecided: u32) -> bool {
        let others = usize::try_from(undecided).unwrap_or(usize::MAX);
        let others = others.saturating_mul(self.appetite.undecided);
        let wanted = self.appetite.arrival.saturating_add(others);
        memory::lay_by(self.appetite.reserve) && (!self.is_limited || memory::has_room(wanted))
    }
}
