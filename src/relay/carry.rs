//! The bytes of sessions: each session is two sockets, and what one side sends, the other side gets.
//!
//! A [`Carrier`] keeps any number of sessions in one set of descriptors; an idle session is some hundred bytes of a table
//! and its two sockets. Bytes are copied through one small buffer, which all sessions of a carrier share; a session that
//! fills it goes on through a pipe by splice(2), which moves pages instead of bytes, until it pauses. Pipes come from a
//! pool and go back as soon as they are empty.
//!
//! The promises, each with its test below or in `tests/relay`:
//! * Every byte arrives, in order, and the end of each direction after its last byte (RFC 9293 section 3.6): a side that has
//!   ended goes on to receive.
//! * A reset is passed on as a reset (RFC 9293 section 3.5).
//! * Nothing more is read from a side while the other one does not take what was read: a stalled session holds at most
//!   one buffer or one pipe for each direction.
//! * No session makes another one wait for more than [`ROUNDS_MAX`] moves.
//!
//! What it leaves out: who may be carried where, and what is said of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::sys::epoll::{News, Room, Set};
use crate::sys::splice::Pipe;
use crate::sys::{fd, socket};

/// What is copied at once, in bytes. Up to this size a copy costs less than two splices; measured in docs/decisions.md.
const BUFFER_BYTES: usize = 16 << 10;

/// How much a pipe holds, in bytes. More brought nothing (docs/decisions.md).
const PIPE_BYTES: usize = 256 << 10;

/// How many pipes all carriers of a process may have together. Without privileges a user may have 64 MiB in pipes before
/// the kernel makes new ones small: pipe-user-pages-soft, pipe(7).
pub(super) const PIPES_MAX: usize = 64;

/// How often a session may move bytes before the others get their turn.
const ROUNDS_MAX: usize = 8;

/// From so many times that something was heard of it on, a session is taken for one that lasts. A request with its answer,
/// and the end of both sides, are four.
const SETTLED: u8 = 8;

/// The two sides of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who connected to us.
    Client,
    /// Whom we connected to.
    Remote,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Client, Self::Remote];
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Both directions ended, and all bytes have been passed on.
    InOrder,
    /// One side reset the connection or was lost, and the other one was reset.
    Reset,
    /// Nothing was moved for as long as was allowed.
    Idle,
    /// We were asked to end it.
    Asked,
}

/// A session that has ended.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// What was given with it.
    pub(super) cargo: T,
    /// Bytes that were passed on, from the client and from the remote.
    pub(super) moved: [u64; 2],
    pub(super) how: How,
}

/// All sessions of one loop, each with something of its owner's.
#[derive(Debug)]
pub(super) struct Carrier<T> {
    set: Set,
    room: Box<Room>,
    sessions: Table<Session<T>>,
    /// Sessions that have more to move.
    unfinished: Vec<u32>,
    /// Sessions that will last, in all likelihood, since the last time that somebody asked.
    settled: Vec<Place>,
    /// When to look whether a session is idle: milliseconds of `self.clock`, its place, and whose place it is.
    watches: BinaryHeap<Reverse<(u64, Place)>>,
    clock: Instant,
    tools: Tools,
}

impl<T> Carrier<T> {
    /// A carrier without sessions, with at most `pipes` pipes.
    ///
    /// # Errors
    /// No descriptor for its set.
    pub(super) fn new(pipes: usize) -> io::Result<Self> {
        Ok(Self {
            set: Set::new()?,
            room: Box::default(),
            sessions: Table::default(),
            unfinished: Vec::new(),
            settled: Vec::new(),
            watches: BinaryHeap::new(),
            clock: Instant::now(),
            tools: Tools {
                buffer: vec![0; BUFFER_BYTES].into(),
                pipes: Vec::new(),
                may_make: pipes,
            },
        })
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.sessions.taken
    }

    /// The sessions: what was given with each, and the bytes passed on so far.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (&T, [u64; 2])> {
        let sessions = self.sessions.rows.iter();
        sessions.filter_map(|row| {
            let session = row.item.as_ref()?;
            Some((&session.cargo, session.moved()))
        })
    }

    /// True when a session has more to move: the set need not tell of it.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// The set that is readable while [`Self::turn`] has something to do. A key that was added to it by others is at least
    /// [`FOREIGN`], and nothing is done about it.
    pub(super) fn set(&self) -> &Set {
        &self.set
    }

    /// Carries what `client` and `remote` send to each other from now on; ends it when nothing was
    /// moved for `idle`. What the client has sent already is passed on at once.
    ///
    /// # Errors
    /// The set takes no more descriptors. The connections are closed.
    pub(super) fn add(
        &mut self,
        client: OwnedFd,
        remote: OwnedFd,
        idle: Option<Duration>,
        cargo: T,
        ended: &mut impl FnMut(Ended<T>),
    ) -> Result<(), (io::Error, T)> {
        self.adopt(
            Session {
                sockets: [client, remote],
                ways: [Way::with(true), Way::with(false)],
                watched: [Watched::Not; 2],
                is_unfinished: false,
                visits: 0,
                moved_last: 0,
                idle: idle.map_or(0, milliseconds),
                cargo,
            },
            ended,
        )
    }

    /// Goes on with a session that another carrier has released.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn adopt(
        &mut self,
        mut session: Session<T>,
        ended: &mut impl FnMut(Ended<T>),
    ) -> Result<(), (io::Error, T)> {
        let place = self.sessions.next();
        let now = self.now();
        session.moved_last = now;
        let idle = session.idle;
        // What the client has sent already is passed on before anybody is waited for: a request is there most of the time.
        let more = session.carry(&mut self.tools);
        if let Err(error) = session.watch(&self.set, place.index) {
            return Err((error, session.cargo));
        }
        if idle != 0 {
            self.watches.push(Reverse((now + idle, place)));
        }
        self.sessions.put(session);
        self.conclude(place.index, more, ended);
        Ok(())
    }

    /// The next session that has been busy for so long that it will last, in all likelihood: one that may be released.
    pub(super) fn next_settled(&mut self) -> Option<Place> {
        self.settled.pop()
    }

    /// Lets go of the session at `place`, for another carrier to adopt; `None` when it has ended.
    pub(super) fn release(&mut self, place: Place) -> Option<Session<T>> {
        self.sessions.still(place)?;
        let mut session = self.sessions.take(place.index)?;
        for socket in &session.sockets {
            // It was added, so it can be removed.
            let _ = self.set.remove(socket);
        }
        session.watched = [Watched::Not; 2];
        session.is_unfinished = false;
        Some(session)
    }

    /// Does what there is to do, and returns how much there was of it; 0 is nothing. Waits for something at most for
    /// `limit` (for ever without one), and not beyond the moment when a session has been idle for too long. Each session
    /// that ends is given to `ended`.
    ///
    /// # Errors
    /// The set cannot be waited for.
    pub(super) fn turn(
        &mut self,
        limit: Option<Duration>,
        ended: &mut impl FnMut(Ended<T>),
    ) -> io::Result<usize> {
        let unfinished = std::mem::take(&mut self.unfinished);
        let limit = if unfinished.is_empty() {
            [limit, self.until_watch()].into_iter().flatten().min()
        } else {
            Some(Duration::ZERO)
        };
        let mut room = std::mem::take(&mut self.room);
        let news = self.set.wait(&mut room, limit);
        let now = self.now();
        let mut done = unfinished.len();
        let result = news.map(|news| {
            done += news.len();
            for news in news {
                self.hear(news, now, ended);
            }
        });
        self.room = room;
        for index in unfinished {
            if let Some(session) = self.sessions.at(index) {
                session.is_unfinished = false;
                self.advance(index, now, ended);
            }
        }
        self.end_idle(now, ended);
        result.map(|()| done)
    }

    /// How long until a session may have been idle for too long, if any is watched.
    pub(super) fn until_watch(&self) -> Option<Duration> {
        let Reverse((at, _)) = self.watches.peek()?;
        Some(Duration::from_millis(at.saturating_sub(self.now())))
    }

    /// Ends all sessions at once, by a reset.
    pub(super) fn end_all(&mut self, ended: &mut impl FnMut(Ended<T>)) {
        for index in 0..u32::try_from(self.sessions.rows.len()).unwrap_or(u32::MAX) {
            self.end(index, How::Asked, ended);
        }
    }

    fn now(&self) -> u64 {
        milliseconds(self.clock.elapsed())
    }

    fn hear(&mut self, news: News, now: u64, ended: &mut impl FnMut(Ended<T>)) {
        let Some((index, side)) = place(news.key) else {
            return;
        };
        let Some(session) = self.sessions.at(index) else {
            return;
        };
        let [from, to] = session.ways_of(side);
        from.can_read |= news.is_readable || news.is_ending;
        from.is_last |= news.is_ending;
        to.can_write |= news.is_writable;
        self.advance(index, now, ended);
        // What came before the reset has been passed on as far as it was taken.
        if news.has_failed {
            self.end(index, How::Reset, ended);
        }
    }

    /// Moves what can be moved for the session at `index`.
    fn advance(&mut self, index: u32, now: u64, ended: &mut impl FnMut(Ended<T>)) {
        let Some(session) = self.sessions.at(index) else {
            return;
        };
        session.visits = session.visits.saturating_add(1);
        if session.visits == SETTLED {
            self.settled.extend(self.sessions.place(index));
        }
        let Some(session) = self.sessions.at(index) else {
            return;
        };
        let before = session.moved();
        let more = session.carry(&mut self.tools);
        let watched = session.watch(&self.set, index);
        if session.moved() != before {
            session.moved_last = now;
        }
        self.conclude(index, more.and_then(|more| watched.map(|()| more)), ended);
    }

    /// Goes on with the session at `index`, of which [`Session::carry`] said `more`.
    fn conclude(&mut self, index: u32, more: io::Result<bool>, ended: &mut impl FnMut(Ended<T>)) {
        let Some(session) = self.sessions.at(index) else {
            return;
        };
        match more {
            Err(_) => self.end(index, How::Reset, ended),
            Ok(_) if session.ways.iter().all(|way| way.is_closed) => {
                self.end(index, How::InOrder, ended);
            }
            Ok(true) if !session.is_unfinished => {
                session.is_unfinished = true;
                self.unfinished.push(index);
            }
            Ok(_) => {}
        }
    }

    fn end_idle(&mut self, now: u64, ended: &mut impl FnMut(Ended<T>)) {
        while let Some(&Reverse((at, place))) = self.watches.peek()
            && at <= now
        {
            self.watches.pop();
            let Some(session) = self.sessions.still(place) else {
                continue;
            };
            let at = session.moved_last + session.idle;
            if at <= now {
                self.end(place.index, How::Idle, ended);
            } else {
                self.watches.push(Reverse((at, place)));
            }
        }
    }

    fn end(&mut self, index: u32, how: How, ended: &mut impl FnMut(Ended<T>)) {
        let Some(session) = self.sessions.take(index) else {
            return;
        };
        let moved = session.moved();
        for way in session.ways {
            self.tools.put_back(way.held);
        }
        if matches!(how, How::Reset | How::Asked) {
            session.sockets.into_iter().for_each(socket::reset);
        }
        ended(Ended {
            cargo: session.cargo,
            moved,
            how,
        });
    }
}

/// Keys of a carrier's set from here on are not a session's.
pub(super) const FOREIGN: u64 = 1 << 33;

fn key(index: u32, side: Side) -> u64 {
    u64::from(index) << 1 | side as u64
}

fn place(key: u64) -> Option<(u32, Side)> {
    let side = Side::BOTH[usize::from(key & 1 == 1)];
    Some((u32::try_from(key >> 1).ok()?, side))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A session, as it is handed from one carrier to another.
#[derive(Debug)]
pub(super) struct Session<T> {
    /// The client's and the remote's.
    sockets: [OwnedFd; 2],
    /// From the client to the remote, and back.
    ways: [Way; 2],
    /// What the set tells of each socket.
    watched: [Watched; 2],
    /// It is in the list of those that have more to move.
    is_unfinished: bool,
    /// How often something was heard of it, up to [`SETTLED`] and somewhat more.
    visits: u8,
    /// When it moved something last, and how long it may not, in milliseconds; 0 is for ever.
    moved_last: u64,
    idle: u64,
    cargo: T,
}

impl<T> Session<T> {
    fn moved(&self) -> [u64; 2] {
        [self.ways[0].moved, self.ways[1].moved]
    }

    /// The way from `side` and the way to it.
    fn ways_of(&mut self, side: Side) -> [&mut Way; 2] {
        let [client, remote] = &mut self.ways;
        match side {
            Side::Client => [client, remote],
            Side::Remote => [remote, client],
        }
    }

    /// Moves what can be moved both ways; true when there is more.
    ///
    /// # Errors
    /// One of the two is lost.
    fn carry(&mut self, tools: &mut Tools) -> io::Result<bool> {
        let [client, remote] = &self.sockets;
        let [out, back] = &mut self.ways;
        let (client, remote) = (client.as_fd(), remote.as_fd());
        let more = out.carry(client, remote, back.is_closed, tools)?;
        Ok(back.carry(remote, client, out.is_closed, tools)? || more)
    }

    /// Has `set` tell what has to be waited for; `index` is the session's place.
    fn watch(&mut self, set: &Set, index: u32) -> io::Result<()> {
        for side in Side::BOTH {
            let [_, to] = self.ways_of(side);
            let is_full = !to.can_write;
            let socket = &self.sockets[side as usize];
            let watched = &mut self.watched[side as usize];
            if *watched == Watched::Not {
                set.add(socket, key(index, side))?;
                *watched = Watched::Readable;
            }
            // Only where it was needed once: most sessions are spared the call, and the wake-ups.
            if is_full && *watched == Watched::Readable {
                set.also_when_writable(socket, key(index, side))?;
                *watched = Watched::Both;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Not,
    Readable,
    Both,
}

/// One direction of a session.
#[derive(Debug)]
struct Way {
    /// What was read and not written yet.
    held: Held,
    /// Bytes that were written.
    moved: u64,
    /// Reading may give something.
    can_read: bool,
    /// Writing may take something.
    can_write: bool,
    /// What there is to read is followed by the end.
    is_last: bool,
    /// It goes by splice.
    is_long: bool,
    /// The source takes no splice.
    is_copied: bool,
    /// The end of the source was read.
    is_over: bool,
    /// The end was passed on.
    is_closed: bool,
}

impl Way {
    fn with(can_read: bool) -> Self {
        Self {
            held: Held::Nothing,
            moved: 0,
            can_read,
            can_write: true,
            is_last: false,
            is_long: false,
            is_copied: false,
            is_over: false,
            is_closed: false,
        }
    }
}

#[derive(Debug)]
enum Held {
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
    fn carry(
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
            match self.is_long.then(|| tools.take_pipe()).flatten() {
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
                // A stream that gives less than was asked for has no more. epoll(7), "Questions and answers", 9
                self.can_read = length == buffer.len() || self.is_last;
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

/// What the sessions of a carrier share.
#[derive(Debug)]
struct Tools {
    buffer: Box<[u8]>,
    /// Empty ones.
    pipes: Vec<Pipe>,
    /// How many more there may be.
    may_make: usize,
}

impl Tools {
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
    fn put_back(&mut self, held: Held) {
        match held {
            Held::Pipe(pipe) if pipe.1 == 0 => self.pipes.push(pipe.0),
            Held::Pipe(_) => self.may_make += 1,
            Held::Nothing | Held::Bytes(_) => {}
        }
    }
}

/// A place in a table, and who of those that had it one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    index: u32,
    tenant: u32,
}

/// Things at numbered places, which are used again.
#[derive(Debug)]
struct Table<T> {
    rows: Vec<Row<T>>,
    free: Vec<u32>,
    taken: usize,
}

#[derive(Debug)]
struct Row<T> {
    tenant: u32,
    item: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            taken: 0,
        }
    }
}

impl<T> Table<T> {
    /// Where the next thing will be put.
    fn next(&mut self) -> Place {
        if self.free.is_empty() {
            // There are fewer descriptors than that.
            self.free
                .push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
            self.rows.push(Row {
                tenant: 0,
                item: None,
            });
        }
        let index = self.free[self.free.len() - 1];
        let tenant = self.rows[index as usize].tenant;
        Place { index, tenant }
    }

    fn put(&mut self, item: T) {
        let Place { index, .. } = self.next();
        self.free.pop();
        self.taken += 1;
        self.rows[index as usize].item = Some(item);
    }

    /// Who has the place `index` now.
    fn place(&self, index: u32) -> Option<Place> {
        let tenant = self.rows.get(index as usize)?.tenant;
        Some(Place { index, tenant })
    }

    fn at(&mut self, index: u32) -> Option<&mut T> {
        self.rows.get_mut(index as usize)?.item.as_mut()
    }

    /// What is at `place`, if it is still the same.
    fn still(&mut self, place: Place) -> Option<&mut T> {
        let row = self.rows.get_mut(place.index as usize)?;
        row.item.as_mut().filter(|_| row.tenant == place.tenant)
    }

    fn take(&mut self, index: u32) -> Option<T> {
        let row = self.rows.get_mut(index as usize)?;
        let item = row.item.take()?;
        row.tenant = row.tenant.wrapping_add(1);
        self.free.push(index);
        self.taken -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::{Carrier, Ended, How, PIPES_MAX};

    /// A client and a remote, with a carrier between them.
    struct World {
        carrier: Carrier<u32>,
        ended: Vec<Ended<u32>>,
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        (one, other)
    }

    impl World {
        fn new() -> Self {
            Self {
                carrier: Carrier::new(PIPES_MAX).unwrap(),
                ended: Vec::new(),
            }
        }

        /// A session: its outer ends, the client's and the remote's, non-blocking.
        fn session(&mut self, idle: Option<Duration>) -> (TcpStream, TcpStream) {
            let ((client, ours), (remote, theirs)) = (pair(), pair());
            for socket in [&client, &ours, &remote, &theirs] {
                socket.set_nonblocking(true).unwrap();
            }
            let number = u32::try_from(self.carrier.len()).unwrap();
            let ended = &mut self.ended;
            let added = self
                .carrier
                .add(ours.into(), theirs.into(), idle, number, &mut |it| {
                    ended.push(it);
                });
            added.unwrap();
            (client, remote)
        }

        /// Lets the carrier work until `done`.
        fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
            let deadline = Instant::now() + Duration::from_secs(20);
            while !done(self) {
                assert!(Instant::now() < deadline, "it does not happen");
                let ended = &mut self.ended;
                let turn = self
                    .carrier
                    .turn(Some(Duration::from_millis(5)), &mut |it| ended.push(it));
                turn.unwrap();
            }
        }

        /// What `socket` receives, until its end or error.
        fn receive(&mut self, socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
            let mut received = Vec::new();
            let mut error = None;
            self.until(|_| {
                let mut buffer = vec![0; 1 << 16];
                match socket.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(length) => received.extend_from_slice(&buffer[..length]),
                    Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                    Err(why) => {
                        error = Some(why.kind());
                        return true;
                    }
                }
                false
            });
            (received, error)
        }

        /// Sends all of `bytes`.
        fn send(&mut self, socket: &mut TcpStream, mut bytes: &[u8]) {
            self.until(|_| {
                if let Ok(length) = socket.write(bytes) {
                    bytes = &bytes[length..];
                }
                bytes.is_empty()
            });
        }
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from((at * 7 + at / 251) % 256).unwrap())
            .collect()
    }

    #[test]
    fn request_and_late_answer_arrive_after_a_half_close() {
        let mut world = World::new();
        let (mut client, mut remote) = world.session(None);
        client.write_all(b"request").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(world.receive(&mut remote), (b"request".to_vec(), None));
        let answer = pattern(10 << 20);
        let sender = answer.clone();
        let sending = std::thread::spawn(move || {
            remote.set_nonblocking(false).unwrap();
            remote.write_all(&sender).unwrap();
        });
        let (received, error) = world.receive(&mut client);
        assert!(received == answer && error.is_none());
        sending.join().unwrap();
        world.until(|world| !world.ended.is_empty());
        let ended = &world.ended[0];
        assert_eq!((ended.how, ended.moved), (How::InOrder, [7, 10 << 20]));
        assert_eq!(world.carrier.len(), 0);
    }

    #[test]
    fn sizes_around_the_buffer_and_the_pipe_arrive_whole() {
        for length in [
            1, 4095, 16383, 16384, 16385, 65536, 262_143, 262_145, 3_000_001,
        ] {
            let mut world = World::new();
            let (client, mut remote) = world.session(None);
            let bytes = pattern(length);
            let sender = bytes.clone();
            let sending = std::thread::spawn(move || {
                let mut client = client;
                client.set_nonblocking(false).unwrap();
                client.write_all(&sender).unwrap();
            });
            let (received, error) = world.receive(&mut remote);
            assert!(received == bytes && error.is_none(), "{length}");
            sending.join().unwrap();
        }
    }

    #[test]
    fn reset_is_passed_on_from_either_side() {
        for from_client in [true, false] {
            let mut world = World::new();
            let (client, remote) = world.session(None);
            let (gone, mut left) = if from_client {
                (client, remote)
            } else {
                (remote, client)
            };
            crate::sys::socket::reset(gone.into());
            let (_, error) = world.receive(&mut left);
            assert_eq!(error, Some(ErrorKind::ConnectionReset), "{from_client}");
            world.until(|world| !world.ended.is_empty());
            assert_eq!(world.ended[0].how, How::Reset);
        }
    }

    #[test]
    fn reset_is_passed_on_while_the_other_side_does_not_read() {
        let mut world = World::new();
        let (mut client, mut remote) = world.session(None);
        let bytes = pattern(1 << 20);
        for _ in 0..64 {
            let _ = client.write(&bytes);
            world
                .carrier
                .turn(Some(Duration::ZERO), &mut |_| panic!("it goes on"))
                .unwrap();
        }
        crate::sys::socket::reset(client.into());
        world.until(|world| !world.ended.is_empty());
        assert_eq!(world.ended[0].how, How::Reset);
        assert_eq!(
            world.receive(&mut remote).1,
            Some(ErrorKind::ConnectionReset)
        );
    }

    #[test]
    fn stalled_reader_stops_the_sender_and_gets_everything_later() {
        let mut world = World::new();
        let (mut client, mut remote) = world.session(None);
        let bytes = pattern(1 << 20);
        let mut sent = 0;
        let mut refused = 0;
        // 64 MiB is far more than both connections' queues hold.
        while refused < 200 && sent < 64 << 20 {
            match client.write(&bytes[sent % (1 << 20)..]) {
                Ok(length) => sent += length,
                Err(_) => refused += 1,
            }
            let none = &mut |_| panic!("it goes on");
            world
                .carrier
                .turn(Some(Duration::from_millis(1)), none)
                .unwrap();
        }
        assert!(sent < 64 << 20, "nothing ever stopped the sender");
        client.shutdown(Shutdown::Write).unwrap();
        let (received, error) = world.receive(&mut remote);
        assert_eq!((received.len(), error), (sent, None));
        let same = received
            .chunks(1 << 20)
            .all(|part| part == &bytes[..part.len()]);
        assert!(same);
    }

    #[test]
    fn pipes_go_back_to_the_pool_and_are_not_needed() {
        for pipes in [0, 1] {
            let mut world = World::new();
            world.carrier = Carrier::new(pipes).unwrap();
            let mut sessions: Vec<_> = (0..5).map(|_| world.session(None)).collect();
            let bytes = pattern(100_000);
            for (client, _) in &mut sessions {
                world.send(client, &bytes);
            }
            for (client, remote) in &mut sessions {
                client.shutdown(Shutdown::Write).unwrap();
                assert!(world.receive(remote).0 == bytes);
            }
            assert_eq!(world.carrier.tools.pipes.len(), pipes);
            assert_eq!(world.carrier.tools.may_make, 0);
        }
    }

    #[test]
    fn idle_session_ends_and_a_busy_one_goes_on() {
        let mut world = World::new();
        let idle = Some(Duration::from_millis(200));
        let (mut quiet, _remote) = world.session(idle);
        let (mut busy, mut other) = world.session(idle);
        let mut said = 0;
        world.until(|world| {
            said += busy.write(b"x").unwrap();
            !world.ended.is_empty()
        });
        assert_eq!((world.ended[0].cargo, world.ended[0].how), (0, How::Idle));
        assert_eq!(world.receive(&mut quiet), (Vec::new(), None));
        assert_eq!(world.carrier.len(), 1);
        world.send(&mut busy, b"y");
        busy.shutdown(Shutdown::Write).unwrap();
        assert_eq!(world.receive(&mut other).0.len(), said + 1);
    }

    #[test]
    fn all_sessions_can_be_ended() {
        let mut world = World::new();
        let sessions: Vec<_> = (0..3).map(|_| world.session(None)).collect();
        let ended = &mut world.ended;
        world.carrier.end_all(&mut |it| ended.push(it));
        assert!(world.ended.iter().all(|it| it.how == How::Asked));
        assert_eq!((world.ended.len(), world.carrier.len()), (3, 0));
        drop(sessions);
    }
}
