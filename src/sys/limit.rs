//! What this process may have: descriptors, memory.

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

    /// Makes these the limits of this process, whose hard limit was not lower. setrlimit(2).
    pub fn apply(self) -> io::Result<()> {
        Ok(setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard)?)
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

/// How much memory this process may have, in bytes; the largest number where there is no limit. RLIMIT_AS and RLIMIT_DATA,
/// getrlimit(2).
pub fn memory() -> u64 {
    let limits = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA].map(getrlimit);
    let soft = limits.into_iter().flatten().map(|(soft, _)| soft);
    soft.min().unwrap_or(u64::MAX)
}
