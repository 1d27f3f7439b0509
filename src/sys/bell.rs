//! A bell that another thread rings. eventfd(2)

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Its descriptor can be read from the first ring on; each further ring is news to a [`super::epoll::Set`].
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    /// A bell that was not rung yet.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(EventFd::from_value_and_flags(0, flags)?))
    }

    /// Rings it. A bell that nobody hears any more makes no difference.
    pub fn ring(&self) {
        let _ = self.0.write(1);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
