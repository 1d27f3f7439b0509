//! Bytes both ways at once between four descriptors, past an observer.
//!
//! One process, one poll(2), no thread. A direction either waits for bytes or for room, never both, so neither side can
//! make it hold more than one packet; and one direction that is stuck never stops the other. Descriptors that others
//! share are not made non-blocking, which those others would notice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::fd::{self, Kind, PollFd, PollFlags};
use crate::sys::socket;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;
/// What a pipe or terminal that poll(2) calls writable takes without blocking. PIPE_BUF, pipe(7).
const SAFE_WRITE_BYTES: usize = 4096;

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
    to: Option<OwnedFd>,
    writing: Writing,
    /// The end of this flow, or a failed write, ends the other one too.
    is_last: bool,
    /// A failed write loses its bytes, and nothing else.
    may_lose: bool,
    /// What was read and not yet written starts at `written`.
    packet: Vec<u8>,
    written: usize,
}

/// How not to block on a descriptor that poll(2) called writable.
#[derive(Debug)]
enum Writing {
    /// A socket: by a flag for each send.
    Send,
    /// A file, or a pipe end that only we use and that is non-blocking: any amount.
    Whole,
    /// Anything else: little at a time.
    Little,
}

impl<'fd> Flow<'fd> {
    /// A flow from `from` to `to`, which is closed at its end; `is_last` says that this ends the other flow too.
    ///
    /// # Errors
    /// `to` is not open.
    pub fn new(from: BorrowedFd<'fd>, to: OwnedFd, is_last: bool) -> io::Result<Self> {
        let writing = match fd::kind(&to)? {
            Kind::Socket => Writing::Send,
            Kind::File => Writing::Whole,
            Kind::Other => Writing::Little,
        };
        Ok(Self {
            from,
            to: Some(to),
            writing,
            is_last,
            may_lose: false,
            packet: Vec::new(),
            written: 0,
        })
    }

    /// A flow into a pipe whose write end nobody else has.
    ///
    /// # Errors
    /// `to` is not open.
    pub fn into_own_pipe(from: BorrowedFd<'fd>, to: OwnedFd) -> io::Result<Self> {
        fd::set_nonblocking(&to)?;
        Ok(Self {
            writing: Writing::Whole,
            ..Self::new(from, to, false)?
        })
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
    fn step(&mut self, way: usize, observer: &mut impl Observer, room: &mut [u8]) -> bool {
        let Some(to) = &self.to else { return false };
        if self.written < self.packet.len() {
            match self.write(to.as_fd()) {
                Ok(written) => self.written += written,
                Err(_) if self.may_lose => self.written = self.packet.len(),
                Err(_) => return false,
            }
            return true;
        }
        self.written = 0;
        self.packet.clear();
        match fd::read(self.from, room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Ok(0) | Err(_) => {
                observer.end(way);
                false
            }
            Ok(length) => {
                self.packet.extend_from_slice(&room[..length]);
                observer.packet(way, &mut self.packet);
                true
            }
        }
    }

    fn write(&self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let bytes = &self.packet[self.written..];
        let taken = match self.writing {
            Writing::Send => socket::send_now(to, bytes),
            Writing::Whole => fd::write(to, bytes),
            Writing::Little => fd::write(to, &bytes[..bytes.len().min(SAFE_WRITE_BYTES)]),
        };
        match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            taken => taken,
        }
    }
}

/// Moves bytes until a last flow has ended, or both.
///
/// # Errors
/// poll(2) failed.
pub fn pump(flows: &mut [Flow<'_>; 2], observer: &mut impl Observer) -> io::Result<()> {
    let mut room = vec![0; READ_BYTES];
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
            if !flow.step(way, observer, &mut room) {
                if flow.is_last {
                    return Ok(());
                }
                flow.to = None;
            }
        }
    }
}
