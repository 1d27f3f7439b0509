//! Descriptors that the runtime waits for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::epoll::Set;
use super::signal::Events;

/// Types that hold one open descriptor, the same from beginning to end.
pub trait Descriptor: AsRawFd + sealed::Sealed {}

impl Descriptor for OwnedFd {}
impl Descriptor for BorrowedFd<'_> {}
impl Descriptor for Events {}
impl Descriptor for Set {}

/// `fd`, waited for when it can be read. Must be called inside the runtime.
///
/// # Errors
/// The runtime cannot watch it: a regular file, or no memory.
pub fn readable<T: Descriptor>(fd: T) -> io::Result<AsyncFd<T>> {
    register(fd, Interest::READABLE)
}

/// `fd`, waited for when it can be written. Must be called inside the runtime.
///
/// # Errors
/// The runtime cannot watch it: a regular file, or no memory.
pub fn writable<T: Descriptor>(fd: T) -> io::Result<AsyncFd<T>> {
    register(fd, Interest::WRITABLE)
}

/// `fd`, of which only the end is waited for: that nobody holds its other end any more. What comes from there wakes nobody.
/// Must be called inside the runtime.
///
/// # Errors
/// The runtime cannot watch it: a regular file, or no memory.
pub fn end<T: Descriptor>(fd: T) -> io::Result<AsyncFd<T>> {
    register(fd, Interest::PRIORITY)
}

/// `fd`, waited for in both directions. Must be called inside the runtime.
///
/// # Errors
/// The runtime cannot watch it: a regular file, or no memory.
pub fn both<T: Descriptor>(fd: T) -> io::Result<AsyncFd<T>> {
    register(fd, Interest::READABLE | Interest::WRITABLE)
}

fn register<T: Descriptor>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor must stay open and the same as long as it is registered: `Descriptor` is sealed, and its
    // types own or borrow one descriptor that their `as_raw_fd` always gives.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(|error| error.into_parts().1)
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::OwnedFd {}
    impl Sealed for super::BorrowedFd<'_> {}
    impl Sealed for super::Events {}
    impl Sealed for super::Set {}
}
