//! A set of descriptors to wait for, for who keeps thousands of them and has a few bytes for each.
//!
//! Each change of a descriptor is told once (EPOLLET): who hears of it reads or writes until the call would block. The
//! set is itself a descriptor that is readable while something is to be told, so that a runtime can wait for it.
//! epoll(7)

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::fd;

/// The descriptors, each with a number of its owner's.
#[derive(Debug)]
pub struct Set(Epoll);

/// What has become of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The number under which it was added.
    pub key: u64,
    /// It has bytes, or its end.
    pub is_readable: bool,
    /// A byte among them is urgent: reading stops before it, though there may be more. EPOLLPRI
    pub is_urgent: bool,
    /// It takes bytes.
    pub is_writable: bool,
    /// The other side sends no more: what is there to read ends. EPOLLRDHUP
    pub is_ending: bool,
    /// It has failed, or was reset.
    pub has_failed: bool,
}

/// How much is told at once.
pub const NEWS_MAX: usize = 128;

/// Room for what is told.
#[derive(Debug)]
pub struct Room([EpollEvent; NEWS_MAX]);

impl Default for Room {
    fn default() -> Self {
        Self([EpollEvent::empty(); NEWS_MAX])
    }
}

impl Set {
    /// An empty set. epoll_create1(2)
    pub fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Adds `fd`, to be told of under `key` when it can be read; first of all when it can already. Closing its last copy
    /// removes it. epoll_ctl(2)
    ///
    /// # Errors
    /// No memory, or no more descriptors may be waited for (/proc/sys/fs/epoll/max_user_watches).
    pub fn add(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(readable(), key))?)
    }

    /// From now on also tells when `fd` can be written; first of all when it can already. epoll_ctl(2)
    ///
    /// # Errors
    /// No memory.
    pub fn also_when_writable(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        let mut event = EpollEvent::new(readable() | EpollFlags::EPOLLOUT, key);
        Ok(self.0.modify(fd, &mut event)?)
    }

    /// Tells of `fd` no more. epoll_ctl(2)
    ///
    /// # Errors
    /// It is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Waits until there is something to tell, at most for `limit` (rounded up to milliseconds; without one, for ever),
    /// and gives it; nothing when nothing came. epoll_wait(2)
    pub fn wait<'room>(
        &self,
        room: &'room mut Room,
        limit: Option<Duration>,
    ) -> io::Result<impl ExactSizeIterator<Item = News> + use<'room>> {
        let limit = match limit {
            None => EpollTimeout::NONE,
            Some(limit) => {
                let limit = limit.saturating_add(Duration::from_micros(999));
                EpollTimeout::try_from(limit).unwrap_or(EpollTimeout::MAX)
            }
        };
        let found = fd::retry(|| Ok(self.0.wait(&mut room.0, limit)?))?;
        Ok(room.0[..found].iter().map(news))
    }
}

fn readable() -> EpollFlags {
    EpollFlags::EPOLLIN | EpollFlags::EPOLLPRI | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET
}

fn news(event: &EpollEvent) -> News {
    let flags = event.events();
    News {
        key: event.data(),
        is_readable: flags.contains(EpollFlags::EPOLLIN),
        is_urgent: flags.contains(EpollFlags::EPOLLPRI),
        is_writable: flags.contains(EpollFlags::EPOLLOUT),
        is_ending: flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP),
        has_failed: flags.contains(EpollFlags::EPOLLERR),
    }
}

impl AsFd for Set {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl AsRawFd for Set {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}
