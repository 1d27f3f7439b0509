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
//! * No session makes another one wait for more than [`way::ROUNDS_MAX`] moves.
//!
//! Where a side speaks TLS, `secured` carries instead, without pipes, and the same is promised.
//!
//! What it leaves out: that a byte of TCP was urgent, which is passed on as any other (RFC 6093 section 6); who may be carried
//! where, and what is said of it.

mod secured;
mod table;
#[cfg(test)]
mod tests;
mod way;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use secured::Secured;
pub(super) use table::Place;
use table::Table;
use way::{Tools, Way};

use crate::sys::epoll::{News, Room, Set};
use crate::sys::socket;
use crate::tls::carry::Shaken;

/// How many pipes all carriers of a process may have together. Without privileges a user may have 64 MiB in pipes before
/// the kernel makes new ones small: pipe-user-pages-soft, pipe(7).
pub(super) const PIPES_MAX: usize = 64;

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

    fn other(self) -> Self {
        match self {
            Self::Client => Self::Remote,
            Self::Remote => Self::Client,
        }
    }
}

/// One side of a session, as it comes to a carrier.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(OwnedFd),
    /// After the handshake.
    Tls(Box<Shaken>),
}

impl Wire {
    /// Ends it by a reset.
    pub(super) fn reset(self) {
        match self {
            Self::Plain(socket) => socket::reset(socket),
            Self::Tls(shaken) => socket::reset(shaken.connection),
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Both directions ended, and all bytes have been passed on.
    InOrder,
    /// One side reset the connection, was lost, or broke TLS, and the other one was reset.
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
    /// What there is to say about the TLS of a side.
    pub(super) remarks: Vec<(Side, String)>,
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
            tools: Tools::new(pipes),
        })
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The sessions: what was given with each, and the bytes passed on so far.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (&T, [u64; 2])> {
        let sessions = self.sessions.iter();
        sessions.map(|session| (&session.cargo, session.moved()))
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
        client: Wire,
        remote: Wire,
        idle: Option<Duration>,
        cargo: T,
        ended: &mut impl FnMut(Ended<T>),
    ) -> Result<(), (io::Error, T)> {
        let mut ways = [Way::with(true), Way::with(false)];
        let (sockets, secured) = Secured::of([client, remote], &mut ways);
        self.adopt(
            Session {
                sockets,
                secured,
                ways,
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
        for index in self.sessions.places() {
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
        from.is_urgent |= news.is_urgent;
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
        let before = session.progress();
        let more = session.carry(&mut self.tools);
        let watched = session.watch(&self.set, index);
        if session.progress() != before {
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
        let secured = session.secured.map(|secured| *secured).unwrap_or_default();
        if matches!(how, How::Reset | How::Asked) {
            for (side, socket) in Side::BOTH.into_iter().zip(session.sockets) {
                // Who does not keep to TLS was told so, and may read it.
                if secured.offender != Some(side) {
                    socket::reset(socket);
                }
            }
        }
        ended(Ended {
            cargo: session.cargo,
            moved,
            how,
            remarks: secured.remarks,
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
    /// Where there is TLS.
    secured: Option<Box<Secured>>,
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

    /// A number that grows with every byte that is passed on.
    fn progress(&self) -> u64 {
        let sent = self.secured.as_ref().map_or(0, |secured| secured.sent);
        self.moved().iter().sum::<u64>() + sent
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
        if let Some(secured) = &mut self.secured {
            return secured.carry(&self.sockets, &mut self.ways);
        }
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
