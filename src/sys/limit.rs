//! The number of descriptors that this process may have.

use std::io;
use std::os::fd::RawFd;

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

    /// How many more descriptors may be opened; `most` when there are so many or more. fcntl(2).
    pub fn left(self, most: u64) -> u64 {
        // SAFETY: F_GETFD takes no pointer; a closed descriptor gives -1.
        let is_free = |fd: &RawFd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } == -1;
        let numbers = 0..RawFd::try_from(self.soft).unwrap_or(RawFd::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        numbers.filter(is_free).take(most).count() as u64
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
