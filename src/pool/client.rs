//! Our end of a client's connection: reading queries, writing replies, parting.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::error::Elapsed;
use tokio::time::timeout_at;

use super::frame::{Fault, Found, Frame, Scanner};
use super::queue::Reason;
use super::talk::{PART, Talk};
use crate::service::{Packer, Stage, Stages, Unpacker};
use crate::sys::process::Pid;
use crate::sys::{fd, socket, watch};

/// What a connection may expect.
#[derive(Debug)]
pub(super) struct Manners {
    pub(super) query: Frame,
    pub(super) reply: Frame,
    /// The longest query, in bytes, its end included; 0 is no limit, and then long ones are passed on as they come.
    pub(super) max_query: u64,
    /// How many queries; 0 is no limit.
    pub(super) queries: u32,
    /// How long it may take to ask a query, and to read a reply.
    pub(super) idle: Duration,
    /// What a query that failed is answered, `%r` being the reason; nothing: the connection is closed.
    pub(super) error: Vec<u8>,
    /// Workers are told the peer's address.
    pub(super) tells_address: bool,
}

/// What a client has asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// Nothing, and it will not.
    Nothing,
    Query(Vec<u8>),
    /// The beginning of a query that has no limit.
    Part(Vec<u8>, Box<Scanner>),
    /// What is no query.
    Wrong(Reason),
}

/// A query that comes in parts.
pub(super) struct Parts {
    /// Looks for its end.
    pub(super) scanner: Scanner,
    /// Since when the next part is waited for.
    pub(super) since: Instant,
}

/// Room for one read, used in turn and never over a wait.
pub(super) type Room = RefCell<Vec<u8>>;

/// A client. Whatever is waited for here may be dropped and asked for again: nothing is lost.
#[derive(Debug)]
pub(super) struct Client {
    socket: AsyncFd<OwnedFd>,
    /// For the log.
    pub(super) number: Pid,
    /// What workers are told before each query.
    pub(super) address: Option<Vec<u8>>,
    /// What was read and not looked at, from `at` on.
    rest: Vec<u8>,
    at: usize,
    /// What has come of its query.
    query: Vec<u8>,
    /// What is still to be sent to it.
    unsent: RefCell<Vec<u8>>,
    /// Since when it does not take that.
    slow: Cell<Option<Instant>>,
    /// Nothing was read yet.
    is_new: Cell<bool>,
    /// Bytes that were sent since it has asked.
    pub(super) sent: Cell<u64>,
}

/// How long a client that has more to say may go on after its last answer: closing before would take that from it.
const LINGER: Duration = Duration::from_secs(2);

impl Client {
    /// The client at the other end of `connection`.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub(super) fn new(
        connection: OwnedFd,
        number: Pid,
        address: Option<Vec<u8>>,
    ) -> io::Result<Self> {
        Ok(Self {
            socket: watch::readable(connection)?,
            number,
            address,
            rest: Vec::new(),
            at: 0,
            query: Vec::new(),
            unsent: RefCell::default(),
            slow: Cell::default(),
            is_new: Cell::new(true),
            sent: Cell::new(0),
        })
    }

    /// All of it, but what its record says.
    pub(super) fn pack(&self, to: &mut Packer) {
        to.text(self.socket.as_raw_fd());
        to.maybe(self.address.as_ref(), |to, address| to.bytes(address));
        to.bytes(&[&self.query, &self.rest[self.at..]].concat());
        to.bytes(&self.unsent.borrow());
        to.maybe(self.slow.get(), Packer::past);
        to.number(self.is_new.get());
        to.number(self.sent.get());
    }

    /// One that was packed.
    pub(super) fn unpack(from: &mut Unpacker<'_>, number: Pid) -> Option<Self> {
        let connection = fd::take_inherited(from.text()?).ok()?;
        let bytes = |from: &mut Unpacker<'_>| from.bytes().map(<[u8]>::to_vec);
        let mut client = Self::new(connection, number, from.maybe(bytes)?).ok()?;
        client.rest = bytes(from)?;
        client.unsent = RefCell::new(bytes(from)?);
        client.slow = Cell::new(from.maybe(Unpacker::past)?);
        client.is_new = Cell::new(from.flag()?);
        client.sent = Cell::new(from.number()?);
        Some(client)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }

    /// The query that it has begun to ask at `since`, or will. With `stages`, one that has not begun at the end of the
    /// service does not come.
    pub(super) async fn query(
        &mut self,
        manners: &Manners,
        room: &Room,
        since: Instant,
        stages: Option<&Stages>,
    ) -> Asked {
        let deadline = since + manners.idle;
        let mut scanner = Scanner::new(manners.query, manners.max_query);
        if !self.query.is_empty() {
            // It was let go of in the middle of its query.
            let begun = std::mem::take(&mut self.query);
            self.put_back([&begun, &self.rest[self.at..]].concat());
        }
        loop {
            if let Some(asked) = self.scan(&mut scanner) {
                return asked;
            }
            if manners.max_query == 0 && self.query.len() >= PART {
                return Asked::Part(std::mem::take(&mut self.query), Box::new(scanner));
            }
            let read = match self.first_read(room) {
                Some(read) => Ok(read),
                None => {
                    let stages = stages.filter(|_| !scanner.has_begun());
                    // In a box: who waits for an answer does not pay for its room.
                    Box::pin(self.next_read(deadline, room, stages)).await
                }
            };
            let length = match read {
                Ok(Ok(piece)) => {
                    self.rest = piece;
                    self.at = 0;
                    self.rest.len()
                }
                // A query of which only the end of the stream is the end has not ended.
                Ok(Err(_)) | Err(_) if scanner.has_begun() => return Asked::Wrong(Reason::Bad),
                Ok(Err(_)) | Err(_) => return Asked::Nothing,
            };
            if length == 0 {
                return match scanner.has_begun() {
                    false => Asked::Nothing,
                    true if scanner.ends_with_the_stream() => {
                        Asked::Query(std::mem::take(&mut self.query))
                    }
                    true => Asked::Wrong(Reason::Bad),
                };
            }
        }
    }

    /// Looks for the end of its query in what was read.
    fn scan(&mut self, scanner: &mut Scanner) -> Option<Asked> {
        let piece = &self.rest[self.at..];
        if piece.is_empty() {
            return None;
        }
        match scanner.scan(piece) {
            Err(Fault::Long) => Some(Asked::Wrong(Reason::Long)),
            Err(Fault::Broken) => Some(Asked::Wrong(Reason::Bad)),
            Ok(Found::More) => {
                self.take(piece.len());
                None
            }
            Ok(Found::End(length)) => {
                self.take(length);
                Some(Asked::Query(std::mem::take(&mut self.query)))
            }
        }
    }

    /// Moves the next `length` bytes of what was read to the end of its query.
    fn take(&mut self, length: usize) {
        let end = self.at + length;
        let is_all = end == self.rest.len();
        if is_all && self.at == 0 && self.query.is_empty() {
            self.query = std::mem::take(&mut self.rest);
        } else {
            self.query.extend_from_slice(&self.rest[self.at..end]);
            self.at = end;
        }
        if is_all {
            self.rest = Vec::new();
            self.at = 0;
        }
    }

    /// What a new client has sent by now, if it has: most have, and are not waited for.
    fn first_read(&self, room: &Room) -> Option<io::Result<Vec<u8>>> {
        let read = self.is_new.replace(false).then(|| self.read_now(room))?;
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        (!read.as_ref().is_err_and(is_missing)).then_some(read)
    }

    /// Waits for bytes until `deadline`, or until the service ends: what has come by then is still answered.
    async fn next_read(
        &self,
        deadline: Instant,
        room: &Room,
        stages: Option<&Stages>,
    ) -> Result<io::Result<Vec<u8>>, Elapsed> {
        tokio::select! {
            biased;
            read = timeout_at(deadline.into(), self.read(room)) => read,
            () = end_of_service(stages) => Ok(self.read_now(room)),
        }
    }

    /// Waits for bytes and takes what there is, nothing at the end. Loses nothing when it is dropped.
    async fn read(&self, room: &Room) -> io::Result<Vec<u8>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let read = self.read_now(room);
            let is_all = read.as_ref().is_ok_and(|piece| piece.len() < READ);
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                read => {
                    if is_all {
                        ready.clear_ready();
                    }
                    return read;
                }
            }
        }
    }

    fn read_now(&self, room: &Room) -> io::Result<Vec<u8>> {
        let mut room = room.borrow_mut();
        let length = socket::receive_now(self.socket.get_ref(), &mut room[..READ])?;
        Ok(room[..length].to_vec())
    }

    /// Passes the rest of a query on, as its worker takes it, and adds to its `length`; gives what has come behind it.
    ///
    /// # Errors
    /// It is none, or does not come in time: so long for each [`PART`].
    pub(super) async fn pass_query(
        &self,
        talk: &Talk,
        parts: &mut Parts,
        room: &Room,
        idle: Duration,
        length: &mut u64,
    ) -> Result<Vec<u8>, Reason> {
        let Parts { scanner, since } = parts;
        let whole = |length: u64| length / PART as u64;
        loop {
            talk.has_room().await;
            let deadline = *since + idle;
            let read = timeout_at(deadline.into(), self.read(room)).await;
            let Ok(Ok(piece)) = read else {
                return Err(Reason::Bad);
            };
            if piece.is_empty() {
                if !scanner.ends_with_the_stream() {
                    return Err(Reason::Bad);
                }
                talk.ask_more(b"", true);
                return Ok(Vec::new());
            }
            match scanner.scan(&piece) {
                Err(_) => return Err(Reason::Bad),
                Ok(Found::More) => talk.ask_more(&piece, false),
                Ok(Found::End(end)) => {
                    talk.ask_more(&piece[..end], true);
                    *length += end as u64;
                    return Ok(piece[end..].to_vec());
                }
            }
            let before = *length;
            *length += piece.len() as u64;
            if whole(*length) > whole(before) {
                *since = Instant::now();
            }
        }
    }

    /// What was read belongs to the next query.
    pub(super) fn put_back(&mut self, rest: Vec<u8>) {
        self.rest = rest;
        self.at = 0;
    }

    /// Sends the reply as it comes, until it has ended or its query has failed.
    ///
    /// # Errors
    /// The client has left, or does not read in time.
    pub(super) async fn pass_reply(&self, talk: &Talk, idle: Duration) -> io::Result<()> {
        loop {
            self.send(idle).await?;
            let reply = talk.take_reply();
            if !reply.is_empty() {
                self.unsent.replace(reply);
            } else if talk.end().is_some() {
                return Ok(());
            } else {
                tokio::select! {
                    biased;
                    () = talk.changed() => {}
                    // One that has closed its half may still read; one that has reset the connection has left.
                    error = self.socket.ready(Interest::ERROR) => {
                        return Err(error.err().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
                    }
                }
            }
        }
    }

    /// It is to get `text`, when it has got all before.
    pub(super) fn tell(&self, text: &[u8]) {
        self.unsent.borrow_mut().extend_from_slice(text);
    }

    /// Sends all that is to be sent, to a client that reads it in time.
    ///
    /// # Errors
    /// The client has left, or does not read in time.
    pub(super) async fn send(&self, idle: Duration) -> io::Result<()> {
        if self.send_now()? {
            self.slow.set(None);
            return Ok(());
        }
        let since = self.slow.get().unwrap_or_else(Instant::now);
        self.slow.set(Some(since));
        // Few are so slow that they need a second descriptor, to be waited for when they can be written.
        let slow = Box::pin(async {
            let writable = watch::writable(self.socket.get_ref().try_clone()?)?;
            loop {
                writable.writable().await?.clear_ready();
                if self.send_now()? {
                    self.slow.set(None);
                    return Ok(());
                }
            }
        });
        timeout_at((since + idle).into(), slow).await?
    }

    /// Sends what goes at once; true when that is all.
    fn send_now(&self) -> io::Result<bool> {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            match socket::send_now(self.socket.get_ref(), &unsent) {
                Ok(length) => {
                    self.sent.set(self.sent.get() + length as u64);
                    if length == unsent.len() {
                        *unsent = Vec::new();
                    } else {
                        unsent.drain(..length);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// True when it has got nothing since it has asked. Then it will not get what it was to get.
    pub(super) fn takes_back(&self) -> bool {
        let is_new = self.sent.get() == 0;
        if is_new {
            self.unsent.take();
        }
        is_new
    }

    /// Closing breaks the connection, so that the client sees that it has not got all.
    pub(super) fn reset(&self) {
        let _ = socket::reset_on_close(self.socket.get_ref());
    }

    /// Lets go of a client that has got all. Closing while it still sends would break the connection, and could take its
    /// last answer from it: so it is listened to for a while, from `since` on.
    pub(super) async fn part(&mut self, room: &Room, since: &mut Option<Instant>) {
        if since.is_none() {
            let has_more = match self.read_now(room) {
                Ok(piece) => !piece.is_empty(),
                Err(_) => false,
            };
            if !has_more && self.rest.is_empty() {
                return;
            }
            let _ = socket::send_no_more(self.socket.get_ref());
        }
        let since = *since.get_or_insert_with(Instant::now);
        let _ = timeout_at((since + LINGER).into(), async {
            let mut heard = 0;
            while heard < LINGER_MAX
                && let Ok(piece) = self.read(room).await
                && !piece.is_empty()
            {
                heard += piece.len();
            }
        })
        .await;
    }
}

/// Waits for the end of the service, if that concerns anybody.
async fn end_of_service(stages: Option<&Stages>) {
    match stages {
        Some(stages) => stages.reach(Stage::Leave).await,
        None => std::future::pending().await,
    }
}

/// What is read at a time, in bytes.
pub(super) const READ: usize = 16 * 1024;
/// How much a client may go on to say after its last answer, in bytes.
const LINGER_MAX: usize = 1024 * 1024;
