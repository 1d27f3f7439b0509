//! Both directions of a session of which one side or both speak TLS.
//!
//! Bytes are read into the room of the thread, become plain or are encrypted there, and are sent from there; only what a
//! side does not take at once is kept, and then nothing more is read for it. So a session that rests has no buffer.
//!
//! The end of a side is passed on as what it was: close_notify and FIN after close_notify, and after an end that nobody
//! announced, which may be the work of somebody in between, FIN alone. RFC 8446 section 6.1

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use super::way::Way;
use super::{Side, Wire};
use crate::sys::socket;
use crate::tls::carry::{End, Left, READ_BYTES, Room, Shaken, with_room};
use crate::tls::session::{Gathered, Session, why};

/// How often a session may read from each side before the others get their turn.
const ROUNDS_MAX: usize = 2;

/// From a side that leaves more bytes untaken, no more is read: what it says may give answers to itself, as TLS has them.
/// There may be what is read at once from the other side, as TLS, and some 60 KiB of answers.
const LEFT_MAX: usize = READ_BYTES + (64 << 10);

/// What there is of TLS in a session.
#[derive(Debug, Default)]
pub(super) struct Secured {
    /// The client, and the remote.
    parties: [Party; 2],
    /// Bytes that were sent to either.
    pub(super) sent: u64,
    /// What there is to say.
    pub(super) remarks: Vec<(Side, String)>,
    /// Who does not keep to TLS.
    pub(super) offender: Option<Side>,
}

#[derive(Debug, Default)]
struct Party {
    tls: Option<Box<Session>>,
    /// What it has not taken yet.
    left: Left,
}

impl Party {
    /// What it is to be sent so that it gets `plain`; `out` is room for that.
    fn dressed<'a>(&mut self, plain: &'a [u8], out: &'a mut Gathered) -> Result<&'a [u8], String> {
        let Some(tls) = &mut self.tls else {
            return Ok(plain);
        };
        out.clear();
        tls.send(plain, out).map_err(|error| why(&error))?;
        Ok(out.bytes())
    }
}

impl Secured {
    /// The sockets of the two sides, and what there is of TLS, if any of them speaks it: it goes on after the handshakes,
    /// with what came with them.
    pub(super) fn of(wires: [Wire; 2], ways: &mut [Way; 2]) -> ([OwnedFd; 2], Option<Box<Self>>) {
        let mut secured = Box::<Self>::default();
        let mut said: [(Vec<u8>, Option<End>); 2] = Default::default();
        let mut take = |side: Side, wire| match wire {
            Wire::Plain(socket) => socket,
            Wire::Tls(shaken) => {
                let Shaken {
                    connection,
                    session,
                    unsent,
                    said: plain,
                    end,
                } = *shaken;
                secured.parties[side as usize] = Party {
                    tls: Some(Box::new(session)),
                    left: unsent,
                };
                said[side as usize] = (plain, end);
                connection
            }
        };
        let [client, remote] = wires;
        let sockets = [take(Side::Client, client), take(Side::Remote, remote)];
        if secured.parties.iter().all(|party| party.tls.is_none()) {
            return (sockets, None);
        }
        with_room(|room| {
            for (side, (plain, end)) in Side::BOTH.into_iter().zip(said) {
                let other = &mut secured.parties[side.other() as usize];
                if !plain.is_empty()
                    && let Ok(bytes) = other.dressed(&plain, &mut room.out)
                {
                    other.left.keep(bytes);
                    ways[side as usize].moved += plain.len() as u64;
                }
                if let Some(end) = end {
                    secured.end(side, end, ways, &mut room.out);
                }
            }
        });
        (sockets, Some(secured))
    }

    /// Moves what can be moved both ways; true when there is more.
    ///
    /// # Errors
    /// One of the two is lost, or does not keep to TLS.
    pub(super) fn carry(
        &mut self,
        sockets: &[OwnedFd; 2],
        ways: &mut [Way; 2],
    ) -> io::Result<bool> {
        with_room(|room| {
            for _ in 0..ROUNDS_MAX {
                let mut has_moved = false;
                for side in Side::BOTH {
                    has_moved |= self.carry_from(side, sockets, ways, room)?;
                }
                if !has_moved {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Sends what is left for the other one than `side`; when nothing is, passes on the end of `side`, or reads from it
    /// once. False when nothing could be done.
    fn carry_from(
        &mut self,
        side: Side,
        sockets: &[OwnedFd; 2],
        ways: &mut [Way; 2],
        room: &mut Room,
    ) -> io::Result<bool> {
        let (here, there) = (side as usize, side.other() as usize);
        let has_flushed = self.flush(side.other(), &sockets[there], &mut ways[here])?;
        if !self.parties[there].left.is_empty() {
            return Ok(has_flushed);
        }
        if ways[here].is_over {
            if ways[here].is_closed {
                return Ok(has_flushed);
            }
            // Closing will do, when it comes at once and nothing is left unread.
            if !ways[there].is_closed || !self.parties[here].left.is_empty() {
                socket::send_no_more(&sockets[there])?;
            }
            ways[here].is_closed = true;
            return Ok(true);
        }
        if !ways[here].can_read || self.parties[here].left.rest().len() > LEFT_MAX {
            return Ok(has_flushed);
        }
        self.read(side, sockets, ways, room)?;
        Ok(true)
    }

    fn read(
        &mut self,
        side: Side,
        sockets: &[OwnedFd; 2],
        ways: &mut [Way; 2],
        room: &mut Room,
    ) -> io::Result<()> {
        let (here, there) = (side as usize, side.other() as usize);
        let Room { input, plain, out } = room;
        let held = match &self.parties[here].tls {
            Some(tls) => tls.put_held(input),
            None => 0,
        };
        let input = &mut input[..held + READ_BYTES];
        let way = &mut ways[here];
        let length = match socket::receive_now(&sockets[here], &mut input[held..]) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                way.can_read = false;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if length == 0 {
            let end = match self.parties[here].tls {
                Some(_) => End::Cut,
                None => End::Said,
            };
            self.end(side, end, ways, out);
            return Ok(());
        }
        // As in a way without TLS: a stream that gives less than was asked for has no more.
        way.can_read = length == READ_BYTES || way.is_last || way.is_urgent;
        let mut received = Ok(false);
        let bytes = match &mut self.parties[here].tls {
            None => &input[..length],
            Some(tls) => {
                plain.clear();
                out.clear();
                received = tls.receive(&mut input[..held + length], plain, out);
                // Answers to what is not the other one's: they stand in the way of what it says, which is right.
                let answers = out.bytes();
                self.send(side, answers, &sockets[here], &mut ways[there])?;
                plain.bytes()
            }
        };
        let way = &mut ways[here];
        if !bytes.is_empty() {
            way.moved += bytes.len() as u64;
            match self.parties[there].dressed(bytes, out) {
                Ok(bytes) => self.send(side.other(), bytes, &sockets[there], way)?,
                Err(why) => return self.fail(side.other(), why),
            }
        }
        match received {
            Ok(false) => {}
            Ok(true) => self.end(side, End::Said, ways, out),
            Err(error) => return self.fail(side, why(&error)),
        }
        Ok(())
    }

    /// Sends `bytes` to `side`, and keeps what it does not take; `way` is the one to it.
    fn send(
        &mut self,
        side: Side,
        bytes: &[u8],
        socket: &OwnedFd,
        way: &mut Way,
    ) -> io::Result<()> {
        if way.is_closed {
            // An answer to who was told that nothing more comes.
            return Ok(());
        }
        let left = &mut self.parties[side as usize].left;
        let mut sent = 0;
        if left.is_empty() && way.can_write && !bytes.is_empty() {
            sent = sent_now(socket, bytes, way)?;
            self.sent += sent as u64;
        }
        left.keep(&bytes[sent..]);
        Ok(())
    }

    /// Sends what is left for `side`, as far as it is taken; true when something was. `way` is the one to it.
    fn flush(&mut self, side: Side, socket: &OwnedFd, way: &mut Way) -> io::Result<bool> {
        let left = &mut self.parties[side as usize].left;
        let mut has_moved = false;
        while !left.is_empty() && way.can_write {
            let sent = sent_now(socket, left.rest(), way)?;
            left.advance(sent);
            self.sent += sent as u64;
            has_moved |= sent > 0;
        }
        Ok(has_moved)
    }

    /// `side` has ended so, and its way with it.
    fn end(&mut self, side: Side, end: End, ways: &mut [Way; 2], out: &mut Gathered) {
        ways[side as usize].is_over = true;
        if end == End::Cut {
            // Who has sent everything does not mind how the other one leaves.
            if !ways[side.other() as usize].is_over {
                self.remarks.push((side, "truncated".to_owned()));
            }
            return;
        }
        let other = &mut self.parties[side.other() as usize];
        if let Some(tls) = &mut other.tls {
            out.clear();
            // One that is of no use any more gets FIN alone.
            let _ = tls.close(out);
            other.left.keep(out.bytes());
        }
    }

    fn fail(&mut self, side: Side, why: String) -> io::Result<()> {
        self.remarks.push((side, format!("failed {why}")));
        self.offender = Some(side);
        Err(ErrorKind::InvalidData.into())
    }
}

/// Sends what is taken of `bytes`, and notes in `way` when that is nothing for now.
fn sent_now(socket: &OwnedFd, bytes: &[u8], way: &mut Way) -> io::Result<usize> {
    match socket::send_now(socket, bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            way.can_write = false;
            Ok(0)
        }
        sent => sent,
    }
}
