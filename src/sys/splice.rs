//! Moving bytes from one descriptor to another through a pipe, without looking at them. splice(2), pipe(7)

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};

use super::fd;

/// A pipe that bytes go through.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// An empty pipe that never waits, with room for `bytes` if the system allows it: what an unprivileged user may have
    /// in pipes is limited, and then the kernel's own size stays. F_SETPIPE_SZ, fcntl(2)
    ///
    /// # Errors
    /// No descriptors.
    pub fn with_room(bytes: usize) -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(bytes));
        Ok(Self { read, write })
    }

    /// Moves at most `max` bytes from `source` into the pipe; 0 is the end of `source`. Never waits: `WouldBlock` is
    /// either of the two.
    ///
    /// # Errors
    /// `InvalidInput` when `source` cannot be spliced; those of reading it.
    pub fn fill(&self, source: impl AsFd, max: usize) -> io::Result<usize> {
        moved(source, &self.write, max)
    }

    /// Moves at most `max` bytes from the pipe to `sink`. Never waits, as [`Self::fill`].
    ///
    /// # Errors
    /// Those of writing to `sink`. With SIGPIPE neither blocked nor ignored, that.
    pub fn drain(&self, sink: impl AsFd, max: usize) -> io::Result<usize> {
        moved(&self.read, sink, max)
    }
}

fn moved(from: impl AsFd, to: impl AsFd, max: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    fd::retry(|| Ok(splice(&from, None, &to, None, max, flags)?))
}
