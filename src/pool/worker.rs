//! One worker: its two pipes, what it is given, and what it says.
//!
//! All that it prints is read here, by its own task, and belongs to the query that it has, or to nobody. What is found is
//! told as [`News`]; what follows from it is the queue's.

mod pack;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::sleep_until;

pub(super) use pack::Pipes;

use super::frame::{self, Found, Frame, Scanner};
use super::queue::{End, Fault, Reason, WorkerId};
use super::ready::LineMatch;
use super::talk::Talk;
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Signal;
use crate::sys::{fd, watch};
use crate::ucspi::children::Child;

/// How queries and replies are told apart.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    pub(super) query: Frame,
    pub(super) reply: Frame,
    /// The longest reply, in bytes, its end included; 0 is no limit, and then it is passed on as it comes.
    pub(super) max_reply: u64,
    /// Queries and replies have numbers.
    pub(super) is_numbered: bool,
    /// The line with which a worker says that it is ready, without its end.
    pub(super) ready: Option<Vec<u8>>,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has printed its ready line.
    Ready,
    /// Something of the reply to its query of this number was passed on.
    Begun(u64),
    /// The reply to its query of this number was taken exactly to its end.
    Answered(u64),
    /// Nothing is left over of what it has printed.
    Clean,
    /// It is not to be used any more.
    Spoiled(Fault),
    /// It ends, and has read nothing of its query of this number.
    Unread(u64),
    /// Its process has ended, with this wait status.
    Gone(i32),
}

/// Room that all workers read into, in turn.
pub(super) type Room = Rc<RefCell<Vec<u8>>>;

/// A worker that was started.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: Pid,
    /// What the queue calls it.
    pub(super) id: Cell<WorkerId>,
    pub(super) started: Instant,
    /// Queries that it was given.
    pub(super) given: Cell<u64>,
    protocol: Rc<Protocol>,
    child: RefCell<Child>,
    /// How its process has ended, once that was asked for.
    ended: Cell<Option<Ended>>,
    stdin: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    stdout: AsyncFd<OwnedFd>,
    /// For its task: there is something to do.
    news: Rc<Notify>,
    /// A way to end it that its task has not taken yet.
    order: Cell<Option<End>>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    /// How much of the ready line has been seen; `None` when it has been seen whole.
    ready: Option<LineMatch>,
    /// What did not go into its stdin yet.
    unsent: Vec<u8>,
    /// What it is to answer, with their numbers.
    talks: Vec<(u64, Rc<Talk>)>,
    scanner: Scanner,
    /// The reply that has begun.
    reply: Vec<u8>,
    /// When silence ends the reply.
    silence: Option<Instant>,
    /// Its stdout has ended.
    has_ended: bool,
    /// It is being ended: what it says does not count.
    is_over: bool,
}

impl Worker {
    /// The worker whose process is `child`, with our ends of its pipes.
    ///
    /// # Errors
    /// The runtime cannot watch them.
    pub(super) fn new(
        child: Child,
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        protocol: &Rc<Protocol>,
    ) -> io::Result<Self> {
        for descriptor in stdin.iter().chain([&stdout]) {
            fd::set_nonblocking(descriptor)?;
        }
        let stdin = stdin.map(watch::writable).transpose()?;
        Ok(Self {
            pid: child.pid,
            id: Cell::default(),
            started: Instant::now(),
            given: Cell::new(0),
            protocol: Rc::clone(protocol),
            child: RefCell::new(child),
            ended: Cell::default(),
            stdin: RefCell::new(stdin.map(Rc::new)),
            stdout: watch::readable(stdout)?,
            news: Rc::default(),
            order: Cell::default(),
            state: RefCell::new(State {
                ready: protocol.ready.is_some().then(LineMatch::default),
                unsent: Vec::new(),
                talks: Vec::new(),
                scanner: Scanner::new(protocol.reply, protocol.max_reply),
                reply: Vec::new(),
                silence: None,
                has_ended: false,
                is_over: false,
            }),
        })
    }

    /// The numbers of its stdin, -1 when that is closed, and of its stdout; of our ends.
    pub(super) fn descriptors(&self) -> (i32, i32) {
        let stdin = self.stdin.borrow();
        let stdin = stdin.as_ref().map_or(-1, |stdin| stdin.as_raw_fd());
        (stdin, self.stdout.as_raw_fd())
    }

    /// Since when it has had its oldest query.
    pub(super) fn busy_since(&self) -> Option<Instant> {
        let state = self.state.borrow();
        state.talks.first().map(|(_, talk)| talk.since)
    }

    /// Gives it a query.
    ///
    /// # Errors
    /// It is not fit for one: no byte of the query was written.
    pub(super) fn give(&self, number: u64, talk: &Rc<Talk>) -> Result<(), Fault> {
        let mut state = self.state.borrow_mut();
        if state.talks.is_empty() {
            self.must_be_quiet()?;
        }
        let sent = if talk.is_streamed {
            talk.pass_on(|part| self.write(part))
        } else {
            talk.with_query(|query| self.send_query(&mut state.unsent, number, query))
        };
        sent.map_err(|_| Fault::Quit)?;
        talk.begin(self.pid, &self.news);
        state.talks.push((number, Rc::clone(talk)));
        self.given.set(self.given.get() + 1);
        self.end_query(&state);
        if state.has_unsent() {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Nothing of the query before is left: no byte that it has printed, and none that it has not read.
    fn must_be_quiet(&self) -> Result<(), Fault> {
        let mut byte = [0];
        match fd::read(self.stdout.get_ref(), &mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Err(Fault::Quit),
            Ok(_) => return Err(Fault::Output),
        }
        match &*self.stdin.borrow() {
            None => Err(Fault::Quit),
            Some(stdin) => match fd::unread(stdin.get_ref()) {
                Ok(0) => Ok(()),
                Ok(_) | Err(_) => Err(Fault::Output),
            },
        }
    }

    /// Writes as much of a query as goes at once, and keeps the rest.
    fn send_query(&self, unsent: &mut Vec<u8>, number: u64, query: &[u8]) -> io::Result<()> {
        let numbered = self.protocol.is_numbered.then(|| {
            let number = format!("{number} ");
            let numbered = self
                .protocol
                .query
                .replace_front(query, 0, number.as_bytes());
            // A query has a limit here, far below what a length can say.
            numbered.unwrap_or_default()
        });
        let query = numbered.as_deref().unwrap_or(query);
        let length = if unsent.is_empty() {
            self.write(query)?
        } else {
            0
        };
        unsent.extend_from_slice(&query[length..]);
        Ok(())
    }

    /// Writes what goes at once, perhaps nothing, and says how much that was.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let stdin = self.stdin.borrow();
        let stdin = stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        match fd::write(stdin.get_ref(), bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            answer => answer,
        }
    }

    /// Closes its stdin after a query that ends so, when all of it is written.
    fn end_query(&self, state: &State) {
        let is_asked = state.talks.last().is_some_and(|(_, talk)| talk.is_whole());
        if self.protocol.query == Frame::Eof && is_asked && !state.has_unsent() {
            self.stdin.take();
        }
    }

    /// Ends it, in this way. What it says from now on does not count.
    pub(super) fn end(&self, how: End) {
        let mut state = self.state.borrow_mut();
        state.is_over = true;
        state.talks.clear();
        state.unsent = Vec::new();
        self.stdin.take();
        // Its task sends the signal: it knows whether the process is still there.
        self.order.set(Some(how));
        self.news.notify_one();
    }

    /// Its task: reads what it prints, writes what it did not take at once, and ends with its process.
    pub(super) async fn live(self: Rc<Self>, room: Room, tell: impl Fn(News)) {
        loop {
            let (may_read, blocked, silence) = self.outlook();
            tokio::select! {
                // First: a process that was reaped must not be sent a signal, which might be another's.
                biased;
                ended = poll_fn(|context| self.poll_gone(context)) => {
                    self.read_the_rest(ended.status, &room, &tell);
                    return tell(News::Gone(ended.status));
                }
                () = self.news.notified() => {
                    self.obey();
                    self.send_more(&tell);
                }
                ready = self.stdout.readable(), if may_read => {
                    if let Ok(mut ready) = ready && self.read(&room, &tell) {
                        ready.clear_ready();
                    }
                }
                () = can_write(blocked.as_deref()), if blocked.is_some() => self.send_more(&tell),
                () = sleep_until(silence.unwrap_or(self.started).into()), if silence.is_some() => {
                    self.fall_silent(&tell);
                }
            }
        }
    }

    fn poll_gone(&self, context: &mut Context<'_>) -> Poll<Ended> {
        match self.ended.get() {
            Some(ended) => Poll::Ready(ended),
            None => self.child.borrow_mut().poll_gone(context),
        }
    }

    /// Whether it may be read from; its stdin, where that is waited for; and when silence ends a reply.
    fn outlook(&self) -> (bool, Option<Rc<AsyncFd<OwnedFd>>>, Option<Instant>) {
        let state = self.state.borrow();
        let is_full = state.talks.first().is_some_and(|(_, talk)| talk.is_full());
        let may_read = !state.has_ended && !state.is_over && !is_full;
        let stdin = self.stdin.borrow();
        let blocked = stdin.as_ref().filter(|_| state.has_unsent());
        (may_read, blocked.map(Rc::clone), state.silence)
    }

    fn obey(&self) {
        let signal = match self.order.take() {
            None | Some(End::Close) => return,
            Some(End::Term) => Signal::SIGTERM,
            Some(End::Kill) => Signal::SIGKILL,
        };
        let _ = process::send(self.pid, signal);
    }

    /// Writes more of what it was given.
    fn send_more(&self, tell: &impl Fn(News)) {
        let mut state = self.state.borrow_mut();
        let sent = if state.unsent.is_empty() {
            match state.talks.last() {
                Some((_, talk)) if talk.has_more() => talk.pass_on(|part| self.write(part)),
                _ => Ok(()),
            }
        } else {
            self.write(&state.unsent).map(|length| {
                state.unsent.drain(..length);
            })
        };
        self.end_query(&state);
        drop(state);
        if sent.is_err() {
            tell(News::Spoiled(Fault::Quit));
        }
    }

    /// Reads once; true when there was no more to read.
    fn read(&self, room: &Room, tell: &impl Fn(News)) -> bool {
        // Held while it is told what was read: nothing that follows from that reads.
        let mut room = room.borrow_mut();
        match fd::read(self.stdout.get_ref(), &mut room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Ok(0) | Err(_) => {
                self.end_of_output(tell);
                true
            }
            Ok(length) => {
                self.hear(&room[..length], tell);
                length < room.len()
            }
        }
    }

    /// Its process has ended: takes what is still in the pipe.
    fn read_the_rest(&self, status: i32, room: &Room, tell: &impl Fn(News)) {
        for _ in 0..RESTS_MAX {
            if self.state.borrow().has_ended || self.read(room, tell) {
                break;
            }
        }
        let replied = {
            let mut state = self.state.borrow_mut();
            let may_end = state.scanner.ends_with_the_stream() && !process::was_killed(status);
            may_end.then(|| self.finish(&mut state)).flatten()
        };
        if let Some(number) = self.unread() {
            return tell(News::Unread(number));
        }
        // One that ends need not have read all.
        if let Some(Heard::Reply(number) | Heard::Early(number)) = replied {
            tell(News::Answered(number));
            if self.protocol.reply == Frame::Eof {
                tell(News::Clean);
            }
        }
    }

    fn end_of_output(&self, tell: &impl Fn(News)) {
        let mut state = self.state.borrow_mut();
        state.has_ended = true;
        // How its process ends tells whether such a reply is whole.
        let waits = self.protocol.reply == Frame::Eof && !state.talks.is_empty();
        if state.is_over || waits {
            return;
        }
        let replied = if state.scanner.ends_with_the_stream() {
            self.finish(&mut state)
        } else {
            None
        };
        drop(state);
        if let Some(Heard::Reply(number)) = replied {
            tell(News::Answered(number));
        }
        tell(match self.unread() {
            Some(number) => News::Unread(number),
            None => News::Spoiled(Fault::Quit),
        });
    }

    /// Its query, when it has read nothing of that, and so cannot have done anything with it.
    fn unread(&self) -> Option<u64> {
        let state = self.state.borrow();
        let [(number, talk)] = &state.talks[..] else {
            return None;
        };
        if self.protocol.is_numbered || talk.is_streamed || state.scanner.has_begun() {
            return None;
        }
        let stdin = self.stdin.borrow();
        let unread = fd::unread(stdin.as_ref()?.get_ref()).ok()?;
        let length = talk.with_query(<[u8]>::len);
        (unread + state.unsent.len() == length).then_some(*number)
    }

    fn fall_silent(&self, tell: &impl Fn(News)) {
        let replied = self.finish(&mut self.state.borrow_mut());
        match replied {
            Some(Heard::Reply(number)) => {
                tell(News::Answered(number));
                tell(News::Clean);
            }
            Some(Heard::Early(number)) => {
                tell(News::Answered(number));
                tell(News::Spoiled(Fault::Output));
            }
            _ => {}
        }
    }

    /// Takes what it has printed. It is clean only when all of that was taken.
    fn hear(&self, mut piece: &[u8], tell: &impl Fn(News)) {
        let mut has_answered = false;
        loop {
            match self.hear_one(&mut piece) {
                Heard::All => break,
                Heard::Ready => tell(News::Ready),
                Heard::Begun(number) => tell(News::Begun(number)),
                Heard::Reply(number) => {
                    has_answered = true;
                    tell(News::Answered(number));
                }
                Heard::Early(number) => {
                    tell(News::Answered(number));
                    return tell(News::Spoiled(Fault::Output));
                }
                Heard::Wrong(fault) => return tell(News::Spoiled(fault)),
            }
        }
        if has_answered {
            tell(News::Clean);
        }
    }

    /// Takes what belongs together from the front of `piece`.
    fn hear_one(&self, piece: &mut &[u8]) -> Heard {
        let mut state = self.state.borrow_mut();
        if state.is_over || piece.is_empty() {
            return Heard::All;
        }
        if let (Some(matched), Some(line)) = (&mut state.ready, &self.protocol.ready) {
            let Some(end) = matched.find(line, piece) else {
                return Heard::All;
            };
            state.ready = None;
            let is_all = end == piece.len();
            *piece = &[];
            // Who is ready has nothing more to say.
            return if is_all {
                Heard::Ready
            } else {
                Heard::Wrong(Fault::Output)
            };
        }
        let Some(&(number, _)) = state.talks.first() else {
            return Heard::Wrong(Fault::Output);
        };
        let is_new = !state.scanner.has_begun();
        let found = state.scanner.scan(piece);
        let found = match found {
            Ok(found) => found,
            // Whose reply it would be, its number says, and that is not known.
            Err(_) if self.protocol.is_numbered => return Heard::Wrong(Fault::Output),
            Err(frame::Fault::Long) => return Heard::Wrong(Fault::TooLong(number)),
            Err(frame::Fault::Broken) => return Heard::Wrong(Fault::Query(number, Reason::Died)),
        };
        let length = match found {
            Found::End(end) => end,
            Found::More => piece.len(),
        };
        let (taken, rest) = piece.split_at(length);
        *piece = rest;
        if self.streams_replies() {
            state.talks[0].1.reply(taken);
        } else {
            state.reply.extend_from_slice(taken);
        }
        if let Frame::Idle(silence) = self.protocol.reply {
            state.silence = Some(Instant::now() + silence);
        }
        match found {
            Found::More if is_new && self.streams_replies() => Heard::Begun(number),
            Found::More => Heard::All,
            Found::End(_) => self.finish(&mut state).unwrap_or(Heard::All),
        }
    }

    /// The reply that has come is whole: gives it to its query. `None` when there is no query.
    fn finish(&self, state: &mut State) -> Option<Heard> {
        state.scanner = Scanner::new(self.protocol.reply, self.protocol.max_reply);
        state.silence = None;
        let mut reply = std::mem::take(&mut state.reply);
        let mut at = 0;
        if self.protocol.is_numbered {
            let Some((number, rest)) = self.protocol.reply.take_number(&reply) else {
                return Some(Heard::Wrong(Fault::Output));
            };
            let asked = state.talks.iter().position(|(asked, _)| *asked == number);
            let Some(found) = asked else {
                return Some(Heard::Wrong(Fault::Output));
            };
            (at, reply) = (found, rest);
        }
        if state.talks.is_empty() {
            return None;
        }
        let has_unsent = state.has_unsent();
        let (number, talk) = state.talks.remove(at);
        talk.reply(&reply);
        talk.finish(Ok(()));
        // It answers what it has not read yet.
        if !self.protocol.is_numbered && (has_unsent || !talk.is_whole()) {
            return Some(Heard::Early(number));
        }
        Some(Heard::Reply(number))
    }

    fn streams_replies(&self) -> bool {
        self.protocol.max_reply == 0 && !self.protocol.is_numbered
    }
}

/// What a piece of a worker's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Nothing is left of it.
    All,
    /// The ready line.
    Ready,
    /// The beginning of the reply to this query, which was passed on.
    Begun(u64),
    /// The end of the reply to this query.
    Reply(u64),
    /// The same, before all of the query was written.
    Early(u64),
    /// Not what it should print.
    Wrong(Fault),
}

/// How often the pipe of a process that has ended is read at most: descendants may go on writing.
const RESTS_MAX: usize = 64;

/// Waits until `stdin` takes more.
async fn can_write(stdin: Option<&AsyncFd<OwnedFd>>) {
    if let Some(stdin) = stdin
        && let Ok(mut ready) = stdin.writable().await
    {
        // Looked at before the next try: a pipe says again when it has room.
        ready.clear_ready();
    }
}

impl State {
    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.talks.last().is_some_and(|(_, talk)| talk.has_more())
    }
}
