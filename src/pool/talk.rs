//! One query on its way: what its connection and its worker have in common.
//!
//! Bytes go through it in both directions. What is within the limits is in it whole; without a limit it holds at most
//! [`PART`] bytes and a little, and who is faster waits. The worker's side never waits here: it is told by its `news`.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;

use super::queue::Reason;
use crate::service::{Packer, Unpacker};
use crate::sys::process::Pid;

/// So much of a query or a reply without a limit is held at a time, in bytes.
pub(super) const PART: usize = 64 * 1024;

/// A query, and what becomes of it.
#[derive(Debug)]
pub(super) struct Talk {
    /// The query; of a streamed one what no worker has taken.
    query: RefCell<Vec<u8>>,
    /// It comes in parts, which are not kept.
    pub(super) is_streamed: bool,
    /// Nothing is to be added to the query.
    is_whole: Cell<bool>,
    /// What the worker has answered and the client has not been sent.
    reply: RefCell<Vec<u8>>,
    end: Cell<Option<End>>,
    /// For the connection: there is something of the reply, or its end.
    news: Notify,
    /// For the connection: there is room for more of the query.
    room: Notify,
    /// Who has the query.
    worker: RefCell<Option<(Pid, Rc<Notify>)>>,
    /// When the query was whole, or had its first part.
    pub(super) since: Instant,
}

/// How a query has ended: its reply is whole, or there is none, or no more of it.
pub(super) type End = Result<(), Reason>;

impl Talk {
    /// A whole query.
    pub(super) fn whole(query: Vec<u8>) -> Rc<Self> {
        Self::new(query, false)
    }

    /// The beginning of a query that is passed on as it comes.
    pub(super) fn streamed(part: Vec<u8>) -> Rc<Self> {
        Self::new(part, true)
    }

    fn new(query: Vec<u8>, is_streamed: bool) -> Rc<Self> {
        Rc::new(Self {
            query: RefCell::new(query),
            is_streamed,
            is_whole: Cell::new(!is_streamed),
            reply: RefCell::default(),
            end: Cell::default(),
            news: Notify::new(),
            room: Notify::new(),
            worker: RefCell::default(),
            since: Instant::now(),
        })
    }

    /// All of it, but who waits for it.
    pub(super) fn pack(&self, to: &mut Packer) {
        to.bytes(&self.query.borrow());
        to.number(self.is_streamed);
        to.number(self.is_whole.get());
        to.bytes(&self.reply.borrow());
        to.maybe(self.end.get(), |to, end| {
            to.maybe(end.err(), |to, reason| to.number(reason.number()));
        });
        to.maybe(self.pid(), |to, pid| to.number(pid.unsigned_abs()));
        to.past(self.since);
    }

    /// One that was packed. A worker that goes on with it begins anew.
    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Rc<Self>> {
        let query = from.bytes()?.to_vec();
        let is_streamed = from.flag()?;
        let is_whole = Cell::new(from.flag()?);
        let reply = RefCell::new(from.bytes()?.to_vec());
        let end = from.maybe(|from| {
            let failure = from.maybe(|from| Reason::of(from.number()?))?;
            Some(failure.map_or(Ok(()), Err))
        })?;
        let pid = from.maybe(|from| from.number::<u32>()?.try_into().ok())?;
        let since = from.past()?;
        Some(Rc::new(Self {
            query: RefCell::new(query),
            is_streamed,
            is_whole,
            reply,
            end: Cell::new(end),
            news: Notify::new(),
            room: Notify::new(),
            worker: RefCell::new(pid.map(|pid| (pid, Rc::default()))),
            since,
        }))
    }

    // For the worker.

    /// A worker takes the query on; `news` wakes it.
    pub(super) fn begin(&self, pid: Pid, news: &Rc<Notify>) {
        *self.worker.borrow_mut() = Some((pid, Rc::clone(news)));
        self.room.notify_one();
    }

    /// Looks at the query, which stays as it is.
    pub(super) fn with_query<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.query.borrow())
    }

    /// Lets `write` take from the front of a streamed query; it says how much that was.
    pub(super) fn pass_on(&self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut query = self.query.borrow_mut();
        let length = write(&query)?;
        query.drain(..length);
        if query.is_empty() {
            self.room.notify_one();
        }
        Ok(())
    }

    /// True when there is something of a streamed query for its worker to take.
    pub(super) fn has_more(&self) -> bool {
        self.is_streamed && !self.query.borrow().is_empty()
    }

    /// True when nothing will be added to the query.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.get()
    }

    /// Adds to the reply. A reply that has a limit comes whole.
    pub(super) fn reply(&self, bytes: &[u8]) {
        self.reply.borrow_mut().extend_from_slice(bytes);
        self.news.notify_one();
    }

    /// True when the client is to read before the worker writes more.
    pub(super) fn is_full(&self) -> bool {
        self.reply.borrow().len() >= PART
    }

    /// The reply is whole, or does not come. Only the first time counts.
    pub(super) fn finish(&self, end: End) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
        }
        self.news.notify_one();
    }

    // For the connection.

    /// Waits for something of the reply, or its end. One connection waits for one query.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }

    /// How it has ended; the last bytes of a reply may still be here.
    pub(super) fn end(&self) -> Option<End> {
        self.end.get()
    }

    /// Takes what there is of the reply.
    pub(super) fn take_reply(&self) -> Vec<u8> {
        let reply = self.reply.take();
        if self.end.get().is_none() && !reply.is_empty() {
            self.wake_worker();
        }
        reply
    }

    /// Waits until a worker has the query and has taken all that came of it.
    pub(super) async fn has_room(&self) {
        while self.worker.borrow().is_none() || !self.query.borrow().is_empty() {
            self.room.notified().await;
        }
    }

    /// Adds to the query; with `is_whole` nothing follows.
    pub(super) fn ask_more(&self, bytes: &[u8], is_whole: bool) {
        self.query.borrow_mut().extend_from_slice(bytes);
        self.is_whole.set(is_whole);
        self.wake_worker();
    }

    /// The worker that has the query, or had it last.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.worker.borrow().as_ref().map(|(pid, _)| *pid)
    }

    fn wake_worker(&self) {
        if let Some((_, news)) = &*self.worker.borrow() {
            news.notify_one();
        }
    }
}
