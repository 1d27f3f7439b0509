//! One direction of a session: from a socket to another, by a copy or through a pipe.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use crate::sys::splice::Pipe;
use crate::sys::{fd, socket};

/// What is copied at once, in bytes. Up to this size a copy costs less than two splices; measured in docs/decisions.md.
const BUFFER_BYTES: usize = 16 << 10;

/// How much a pipe holds, in bytes. More brought nothing (docs/decisions.md).
const PIPE_BYTES: usize = 256 << 10;

/// How often a session may move bytes before the others get their turn.
const ROUNDS_MAX: usize = 8;
/// One direction of a session.
#[derive(Debug)]
pub(super) struct Way {
    /// What was read and not written yet.
    pub(super) held: Held,
    /// Bytes that were written.
    pub(super) moved: u64,
    /// Reading may give something.
    pub(super) can_read: bool,
    /// Writing may take something.
    pub(super) can_write: bool,
    /// What there is to read is followed by the end.
    pub(super) is_last: bool,
    /// One byte or more was urgent: a read ends before such a byte, and a splice gets no further.
    pub(super) is_urgent: bool,
    /// It goes by splice.
    is_long: bool,
    /// The source takes no splice.
    is_copied: bool,
    /// The end of the source was read.
    pub(super) is_over: bool,
    /// The end was passed on.
    pub(super) is_closed: bool,
}

impl Way {
    pub(super) fn with(can_read: bool) -> Self {
        Self {
            held: Held::Nothing,
            moved: 0,
            can_read,
            can_write: true,
            is_last: false,
            is_urgent: false,
            is_long: false,
            is_copied: false,
            is_over: false,
            is_closed: false,
        }
    }
}

#[derive(Debug)]
pub(super) enum Held {
    Nothing,
    /// From the second number on.
    Bytes(Box<(Vec<u8>, usize)>),
    /// So many bytes in a pipe.
    Pipe(Box<(Pipe, usize)>),
}

impl Way {
    /// Moves what can be moved, in at most [`ROUNDS_MAX`] rounds; true when there may be more. The other direction may be
    /// closed already.
    ///
    /// # Errors
    /// One of the two is lost.
    pub(super) fn carry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        is_other_closed: bool,
        tools: &mut Tools,
    ) -> io::Result<bool> {
        let mut spliced = 0;
        for _ in 0..ROUNDS_MAX {
            if !self.flush(to, tools)? {
                return Ok(false);
            }
            if self.is_over {
                if !self.is_closed {
                    // Closing will do, when it comes at once and nothing is left unread.
                    if !is_other_closed {
                        socket::send_no_more(to)?;
                    }
                    self.is_closed = true;
                }
                return Ok(false);
            }
            if !self.can_read {
                return Ok(false);
            }
            let is_spliced = self.is_long && !self.is_urgent;
            match is_spliced.then(|| tools.take_pipe()).flatten() {
                Some(pipe) => spliced += self.splice(pipe, from, tools)?,
                None => self.copy(from, to, tools)?,
            }
            // It has paused: what comes next may be small.
            if !self.can_read && spliced < BUFFER_BYTES {
                self.is_long = false;
            }
        }
        Ok(true)
    }

    /// Writes what is held; false when that is not all.
    fn flush(&mut self, to: BorrowedFd<'_>, tools: &mut Tools) -> io::Result<bool> {
        loop {
            if !self.can_write {
                return Ok(matches!(self.held, Held::Nothing));
            }
            let (written, is_all) = match &mut self.held {
                Held::Nothing => return Ok(true),
                Held::Bytes(held) => {
                    let (bytes, from) = &mut **held;
                    let written = socket::send_now(to, &bytes[*from..]);
                    *from += *written.as_ref().unwrap_or(&0);
                    (written, *from == bytes.len())
                }
                Held::Pipe(held) => {
                    let (pipe, left) = &mut **held;
                    let written = pipe.drain(to, *left);
                    *left -= *written.as_ref().unwrap_or(&0);
                    (written, *left == 0)
                }
            };
            self.count(written)?;
            if is_all {
                tools.put_back(std::mem::replace(&mut self.held, Held::Nothing));
            }
        }
    }

    /// Counts what was written, and learns that nothing more is taken for now.
    fn count(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        match written {
            Ok(bytes) => {
                self.moved += bytes as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.can_write = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads at most a buffer, and writes it as far as it is taken.
    fn copy(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        tools: &mut Tools,
    ) -> io::Result<()> {
        let buffer = &mut tools.buffer;
        match socket::receive_now(from, buffer) {
            Ok(0) => self.is_over = true,
            Ok(length) => {
                let written = self.count(socket::send_now(to, &buffer[..length]))?;
                if written < length {
                    self.held = Held::Bytes(Box::new((buffer[written..length].to_vec(), 0)));
                }
                if length == buffer.len() && !self.is_copied {
                    // splice(2) goes by the descriptor's own mode.
                    fd::set_nonblocking(from)?;
                    fd::set_nonblocking(to)?;
                    self.is_long = true;
                }
                // A stream that gives less than was asked for has no more, epoll(7), "Questions and answers", 9; unless it
                // stopped before an urgent byte.
                self.can_read = length == buffer.len() || self.is_last || self.is_urgent;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_read = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Fills `pipe` and holds it; returns how much is in it.
    fn splice(&mut self, pipe: Pipe, from: BorrowedFd<'_>, tools: &mut Tools) -> io::Result<usize> {
        let filled = pipe.fill(from, PIPE_BYTES);
        let length = *filled.as_ref().unwrap_or(&0);
        self.held = Held::Pipe(Box::new((pipe, length)));
        if length == 0 {
            tools.put_back(std::mem::replace(&mut self.held, Held::Nothing));
        }
        match filled {
            Ok(0) => self.is_over = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_read = false,
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.is_copied = true;
                self.is_long = false;
            }
            Err(error) => return Err(error),
        }
        Ok(length)
    }
}

/// What the sessions of a carrier share: a buffer, and pipes.
#[derive(Debug)]
pub(super) struct Tools {
    buffer: Box<[u8]>,
    /// Empty ones.
    pub(super) pipes: Vec<Pipe>,
    /// How many more there may be.
    pub(super) may_make: usize,
}

impl Tools {
    /// A buffer, and no pipe yet, of at most so many.
    pub(super) fn new(pipes: usize) -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES].into(),
            pipes: Vec::new(),
            may_make: pipes,
        }
    }

    /// An empty pipe; `None` when all are in use, or there are no descriptors for one.
    fn take_pipe(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.pipes.pop() {
            return Some(pipe);
        }
        self.may_make = self.may_make.checked_sub(1)?;
        let pipe = Pipe::with_room(PIPE_BYTES).ok();
        if pipe.is_none() {
            self.may_make += 1;
        }
        pipe
    }

    /// Keeps the pipe of what was held if it is empty.
    pub(super) fn put_back(&mut self, held: Held) {
        match held {
            Held::Pipe(pipe) if pipe.1 == 0 => self.pipes.push(pipe.0),
            Held::Pipe(_) => self.may_make += 1,
            Held::Nothing | Held::Bytes(_) => {}
        }
    }
}
