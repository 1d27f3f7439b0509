//! Bytes both ways at once between four descriptors, past an observer.
//!
//! One process, one poll(2), no thread. A direction either waits for bytes or for room, never both, so neither side can
//! make it hold more than one packet; and one direction that is stuck never stops the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::fd::{self, PollFd, PollFlags};
use crate::sys::outlet::Outlet;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;

/// Sees all bytes, packet by packet, before they go on.
pub trait Observer {
    /// One read's bytes of direction `way`, to look at or change.
    fn packet(&mut self, way: usize, bytes: &mut Vec<u8>);

    /// No more bytes come in direction `way`: end of file, or a read error.
    fn end(&mut self, way: usize);
}

/// One direction.
#[derive(Debug)]
pub struct Flow<'fd> {
    from: BorrowedFd<'fd>,
    /// Closed at the end of the flow.
    to: Option<Outlet<OwnedFd>>,
    /// The end of this flow, or a failed write, ends the other one too.
    is_last: bool,
    /// A failed write loses its bytes, and nothing else.
    may_lose: bool,
    /// What was read and not yet written starts at `written`.
    packet: Vec<u8>,
    written: usize,
}

impl<'fd> Flow<'fd> {
    /// A flow from `from` to `to`, which is closed at its end; `is_last` says that this ends the other flow too.
    ///
    /// # Errors
    /// `to` is not open.
    pub fn new(from: BorrowedFd<'fd>, to: OwnedFd, is_last: bool) -> io::Result<Self> {
        Ok(Self::through(from, Outlet::new(to)?, is_last))
    }

    /// A flow into a pipe whose write end nobody else has.
    ///
    /// # Errors
    /// `to` is not open.
    pub fn into_own_pipe(from: BorrowedFd<'fd>, to: OwnedFd) -> io::Result<Self> {
        Ok(Self::through(from, Outlet::to_own_pipe(to)?, false))
    }

    fn through(from: BorrowedFd<'fd>, to: Outlet<OwnedFd>, is_last: bool) -> Self {
        Self {
            from,
            to: Some(to),
            is_last,
            may_lose: false,
            packet: Vec::new(),
            written: 0,
        }
    }

    /// The same flow, which goes on when nobody takes what it brings.
    pub fn lossy(self) -> Self {
        Self {
            may_lose: true,
            ..self
        }
    }

    /// What has to happen next, or `None` at the end.
    fn interest(&self) -> Option<PollFd<'_>> {
        let to = self.to.as_ref()?;
        Some(if self.written < self.packet.len() {
            PollFd::new(to.as_fd(), PollFlags::POLLOUT)
        } else {
            PollFd::new(self.from, PollFlags::POLLIN)
        })
    }

    /// Reads or writes once. Gives false when the flow has ended.
    fn step(&mut self, way: usize, observer: &mut impl Observer) -> bool {
        let Some(to) = &self.to else { return false };
        if self.written < self.packet.len() {
            match to.write(&self.packet[self.written..]) {
                Ok(written) => self.written += written,
                Err(_) if self.may_lose => self.written = self.packet.len(),
                Err(_) => return false,
            }
            return true;
        }
        self.written = 0;
        self.packet.clear();
        match fd::read_behind(self.from, &mut self.packet, READ_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Ok(0) | Err(_) => {
                observer.end(way);
                false
            }
            Ok(_) => {
                observer.packet(way, &mut self.packet);
                true
            }
        }
    }
}

/// Moves bytes until a last flow has ended, or both.
///
/// # Errors
/// poll(2) failed.
pub fn pump(flows: &mut [Flow<'_>; 2], observer: &mut impl Observer) -> io::Result<()> {
    loop {
        let mut ready = [false; 2];
        let mut waiting = Vec::with_capacity(2);
        let mut ways = Vec::with_capacity(2);
        for (way, flow) in flows.iter().enumerate() {
            if let Some(interest) = flow.interest() {
                waiting.push(interest);
                ways.push(way);
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        fd::poll(&mut waiting)?;
        for (way, fd) in ways.iter().zip(&waiting) {
            ready[*way] = fd.any().unwrap_or(true);
        }
        for (way, flow) in flows.iter_mut().enumerate().filter(|(way, _)| ready[*way]) {
            if !flow.step(way, observer) {
                if flow.is_last {
                    return Ok(());
                }
                flow.to = None;
            }
        }
    }
}
