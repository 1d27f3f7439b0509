//! The number of descriptors that this process may have.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft and the hard limit of descriptors.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors {
    /// What counts.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

impl Descriptors {
    /// The limits of this process. getrlimit(2).
    pub fn now() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { soft, hard })
    }

    /// Makes the hard limit count. setrlimit(2).
    pub fn raise(self) -> io::Result<()> {
        Ok(setrlimit(Resource::RLIMIT_NOFILE, self.hard, self.hard)?)
    }

    /// The form in which the child puts them back.
    pub(super) fn raw(self) -> libc::rlimit {
        libc::rlimit {
            rlim_cur: self.soft,
            rlim_max: self.hard,
        }
    }
}
