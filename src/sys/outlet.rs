//! Writing without waiting, whatever the descriptor is and whoever shares it.
//!
//! A flag of the open file description would make it non-blocking for those others too, who would notice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::fd::{self, PollFd, PollFlags};
use super::socket;

/// What a pipe or terminal that poll(2) calls writable takes without blocking. PIPE_BUF, pipe(7).
const SAFE_WRITE_BYTES: usize = 4096;

/// A descriptor to write to.
#[derive(Debug)]
pub struct Outlet<F> {
    fd: F,
    way: Way,
}

/// How not to block on a descriptor that poll(2) called writable.
#[derive(Debug)]
enum Way {
    /// A socket: by a flag for each send.
    Send,
    /// A file, or a pipe end that only we use and that is non-blocking: any amount.
    Whole,
    /// A pipe, a terminal, a device: little at a time.
    Little,
}

impl<F: AsFd> Outlet<F> {
    /// An outlet to `fd`, which may be shared. fstat(2).
    ///
    /// # Errors
    /// `fd` is not open.
    pub fn new(fd: F) -> io::Result<Self> {
        use nix::sys::stat::{SFlag, fstat};
        let mode = SFlag::from_bits_truncate(fstat(&fd)?.st_mode);
        let way = match mode & SFlag::S_IFMT {
            SFlag::S_IFSOCK => Way::Send,
            SFlag::S_IFREG => Way::Whole,
            _ => Way::Little,
        };
        Ok(Self { fd, way })
    }

    /// An outlet to a pipe whose write end nobody else has.
    ///
    /// # Errors
    /// `fd` is not open.
    pub fn to_own_pipe(fd: F) -> io::Result<Self> {
        fd::set_nonblocking(&fd)?;
        let way = Way::Whole;
        Ok(Self { fd, way })
    }

    /// Writes some of `bytes`, once poll(2) has called the outlet writable; 0 when it has no room after all.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.way {
            Way::Send => socket::send_now(&self.fd, bytes),
            Way::Whole => fd::write(&self.fd, bytes),
            Way::Little => fd::write(&self.fd, &bytes[..bytes.len().min(SAFE_WRITE_BYTES)]),
        };
        match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            taken => taken,
        }
    }

    /// Writes all of `bytes`, waiting for room until `deadline`.
    ///
    /// # Errors
    /// What the system says, or ETIMEDOUT.
    pub fn write_all_until(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
            if left.is_zero() || !fd::poll_within(&mut fds, left)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            bytes = &bytes[self.write(bytes)?..];
        }
        Ok(())
    }
}

impl<F: AsFd> AsFd for Outlet<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
