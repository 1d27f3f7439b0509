//! A TLS peer on a socket, and carrying what it says to a program and back, to the end of both directions.
//!
//! The program's end of output is passed on as close_notify and FIN, the peer's end as the end of input. A peer whose bytes
//! the program does not take is not read from, and the other way round; what waits is one room full at most.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::Error;
use tokio::io::unix::AsyncFd;
use tokio::time::{Sleep, sleep, timeout};

use super::chooser;
use super::facts::Facts;
use super::session::{Gathered, HELD_MAX, Session, why};
use crate::cli::reason;
use crate::sys::{socket, watch};

/// What is read at once, in bytes. With 16 KiB, 1.8 times the processor time is spent on a byte.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Room for all sessions of a thread: each uses it in turn, and leaves nothing there.
pub(crate) struct Room {
    /// What is read: what a session holds, and [`READ_BYTES`] behind it.
    pub(crate) input: Vec<u8>,
    /// What it says.
    pub(crate) plain: Gathered,
    /// What is to be sent.
    pub(crate) out: Gathered,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room {
        input: vec![0; HELD_MAX + READ_BYTES],
        plain: Gathered::default(),
        out: Gathered::default(),
    });
}

/// Lets `work` use the room of this thread.
pub(crate) fn with_room<T>(work: impl FnOnce(&mut Room) -> T) -> T {
    ROOM.with_borrow_mut(work)
}

/// Bytes that somebody has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Left {
    bytes: Vec<u8>,
    taken: usize,
}

impl Left {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Those bytes.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Has `bytes` behind them.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The first `length` were taken.
    pub(crate) fn advance(&mut self, length: usize) {
        self.taken += length;
        if self.taken == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// A socket to which bytes are sent that it may not take at once.
#[derive(Debug)]
struct Outlet {
    socket: AsyncFd<OwnedFd>,
    left: Left,
    /// It takes nothing any more: what is for it is forgotten.
    is_deaf: bool,
}

impl Outlet {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: watch::both(socket)?,
            left: Left::default(),
            is_deaf: false,
        })
    }

    fn fd(&self) -> &OwnedFd {
        self.socket.get_ref()
    }

    /// Sends `bytes` after what is left, and keeps what is not taken at once.
    fn send(&mut self, bytes: &[u8]) {
        if self.is_deaf || bytes.is_empty() {
            return;
        }
        let sent = if self.left.is_empty() {
            self.try_send(bytes)
        } else {
            0
        };
        if !self.is_deaf {
            self.left.keep(&bytes[sent..]);
            if self.left.bytes.is_empty() {
                self.left = Left::default();
            }
        }
    }

    /// How many bytes were taken; none when there is no room, or nobody.
    fn try_send(&mut self, bytes: &[u8]) -> usize {
        match socket::send_now(self.fd(), bytes) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.is_deaf = true;
                self.left = Left::default();
                0
            }
        }
    }

    /// Sends what is left, as far as it is taken. True when something went.
    fn flush(&mut self, context: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while !self.left.is_empty() {
            let Poll::Ready(Ok(mut ready)) = self.socket.poll_write_ready(context) else {
                return has_moved;
            };
            match socket::send_now(ready.get_inner(), self.left.rest()) {
                Ok(sent) => {
                    self.left.advance(sent);
                    has_moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(_) => {
                    self.is_deaf = true;
                    self.left = Left::default();
                    return true;
                }
            }
        }
        has_moved
    }

    /// Reads once; pending when nothing has come.
    fn read(&self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.socket.poll_read_ready(context) else {
                return Poll::Pending;
            };
            let mut ready = ready?;
            match socket::receive_now(ready.get_inner(), room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                read => return Poll::Ready(read),
            }
        }
    }
}

/// How a peer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has said so.
    Said,
    /// Without a word.
    Cut,
}

/// A peer that speaks TLS.
#[derive(Debug)]
pub(super) struct Peer {
    session: Session,
    network: Outlet,
    /// The name that it has asked for, as a client.
    asked: Option<String>,
    /// What it has said in the handshake's last packet.
    early: Vec<u8>,
    end: Option<End>,
}

/// Why nothing more comes of a peer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It has left.
    End,
    /// It has taken too long.
    Late,
    Io(io::Error),
    Tls(Error),
}

impl Failure {
    /// In words, of which none is the peer's, or they are cleaned.
    pub(super) fn why(&self) -> String {
        match self {
            Self::End => "the peer has closed".to_owned(),
            Self::Late => "timed out".to_owned(),
            Self::Io(error) => reason(error).to_owned(),
            Self::Tls(error) => why(error),
        }
    }
}

/// A connection with TLS whose handshake is done, for who carries its bytes himself.
#[derive(Debug)]
pub(crate) struct Shaken {
    pub(crate) connection: OwnedFd,
    pub(crate) session: Session,
    /// What the peer has not taken yet.
    pub(crate) unsent: Left,
    /// What it has said already.
    pub(crate) said: Vec<u8>,
    pub(crate) end: Option<End>,
}

impl Peer {
    /// The peer at the other end of `connection`.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub(super) fn new(session: Session, connection: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            session,
            network: Outlet::new(connection)?,
            asked: None,
            early: Vec::new(),
            end: None,
        })
    }

    /// What is known of it. After the handshake.
    pub(super) fn facts(&self) -> Facts {
        Facts::of(self.session.state(), self.asked.clone())
    }

    /// Remembers that it is called `name`, as a server.
    pub(super) fn with_name(mut self, name: String) -> Self {
        self.asked = Some(name);
        self
    }

    /// The handshake, at most for `limit`.
    ///
    /// # Errors
    /// Why there is no session. The peer was told, if it listens.
    pub(super) async fn shake(&mut self, limit: Duration) -> Result<(), Failure> {
        self.begin()?;
        let shaken = timeout(limit, poll_fn(|context| self.poll_shake(context))).await;
        shaken.unwrap_or(Err(Failure::Late))
    }

    /// Lets go of it, after the handshake.
    pub(super) fn shaken(self) -> Shaken {
        Shaken {
            connection: self.network.socket.into_inner(),
            session: self.session,
            unsent: self.network.left,
            said: self.early,
            end: self.end,
        }
    }

    /// A client has something to say first.
    fn begin(&mut self) -> Result<(), Failure> {
        ROOM.with_borrow_mut(|room| {
            room.out.clear();
            self.session.begin(&mut room.out).map_err(Failure::Tls)?;
            self.network.send(room.out.bytes());
            Ok(())
        })
    }

    fn poll_shake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ROOM.with_borrow_mut(|room| {
            loop {
                self.network.flush(context);
                if self.network.is_deaf {
                    return Poll::Ready(Err(Failure::Io(io::ErrorKind::BrokenPipe.into())));
                }
                if !self.session.is_young() {
                    return Poll::Ready(Ok(()));
                }
                match self.receive(context, room) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(received) => received?,
                }
                if self.end.is_some() && self.session.is_young() {
                    return Poll::Ready(Err(Failure::End));
                }
                self.early.extend_from_slice(room.plain.bytes());
            }
        })
    }

    /// Reads once, and leaves what the peer says in `room.plain`. What is to be answered is sent.
    fn receive(&mut self, context: &mut Context<'_>, room: &mut Room) -> Poll<Result<(), Failure>> {
        room.plain.clear();
        room.out.clear();
        let held = self.session.put_held(&mut room.input);
        let input = &mut room.input[..held + READ_BYTES];
        let length = match self.network.read(context, &mut input[held..]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(length) => length.map_err(Failure::Io)?,
        };
        if length == 0 {
            self.end = Some(End::Cut);
            return Poll::Ready(Ok(()));
        }
        let input = &mut input[..held + length];
        let received = self.session.receive(input, &mut room.plain, &mut room.out);
        self.network.send(room.out.bytes());
        // Before another session of this thread says who it wants.
        if let Some(name) = chooser::take_asked() {
            self.asked = Some(name);
        }
        if received.map_err(Failure::Tls)? {
            self.end = Some(End::Said);
        }
        Poll::Ready(Ok(()))
    }

    /// Carries what the peer and the program behind `stream` say to the other, to the end of both. After the program's end
    /// the peer has `patience` to end too. Gives what there is to say about it; nothing after an orderly end.
    pub(super) async fn carry(self, stream: OwnedFd, patience: Duration) -> Option<String> {
        let program = match Outlet::new(stream) {
            Ok(program) => program,
            Err(error) => return Some(format!("failed {}", reason(&error))),
        };
        let mut carrying = Carrying {
            peer: self,
            program,
            is_told: false,
            program_ended: None,
            has_closed: false,
            remark: None,
        };
        let early = std::mem::take(&mut carrying.peer.early);
        carrying.program.send(&early);
        poll_fn(|context| carrying.poll(context, patience)).await;
        carrying.remark
    }
}

/// A peer, a program, and how far their ends have come.
struct Carrying {
    peer: Peer,
    program: Outlet,
    /// The program was told that its input has ended.
    is_told: bool,
    /// The program's output has ended.
    program_ended: Option<Gone>,
    /// The peer was told that the output has ended, and has got it.
    has_closed: bool,
    remark: Option<String>,
}

/// Waiting until a program that sends no more is gone altogether, and then for its peer.
enum Gone {
    Waits(AsyncFd<OwnedFd>),
    Since(Pin<Box<Sleep>>),
}

impl Carrying {
    fn poll(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<()> {
        ROOM.with_borrow_mut(|room| {
            while self.advance(context, room) {
                if self.is_done() {
                    return Poll::Ready(());
                }
            }
            if self.is_done() || self.is_over(context, patience) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }

    /// Does what can be done; false when nothing could.
    fn advance(&mut self, context: &mut Context<'_>, room: &mut Room) -> bool {
        let mut has_moved = self.peer.network.flush(context);
        has_moved |= self.program.flush(context);
        if self.program_ended.is_none() && self.peer.network.left.is_empty() {
            has_moved |= self.hear_program(context, room);
        }
        if self.peer.end.is_none() && self.program.left.is_empty() {
            has_moved |= self.hear_peer(context, room);
        }
        if self.peer.end.is_some() && self.program.left.is_empty() && !self.is_told {
            self.is_told = true;
            let _ = socket::send_no_more(self.program.fd());
            has_moved = true;
        }
        if self.program_ended.is_some() && self.peer.network.left.is_empty() && !self.has_closed {
            self.has_closed = true;
            let _ = socket::send_no_more(self.peer.network.fd());
            has_moved = true;
        }
        has_moved
    }

    fn hear_program(&mut self, context: &mut Context<'_>, room: &mut Room) -> bool {
        let Poll::Ready(read) = self.program.read(context, &mut room.input[..READ_BYTES]) else {
            return false;
        };
        room.out.clear();
        let sent = match read {
            Ok(length @ 1..) => {
                let plain = &room.input[..length];
                self.peer.session.send(plain, &mut room.out)
            }
            // A program that is gone, and has not read all, is an error here.
            _ => {
                self.program_ended = Some(self.wait_for_its_end());
                self.peer.session.close(&mut room.out)
            }
        };
        self.peer.network.send(room.out.bytes());
        if let Err(error) = sent {
            self.fail(&Failure::Tls(error));
        }
        true
    }

    fn hear_peer(&mut self, context: &mut Context<'_>, room: &mut Room) -> bool {
        let Poll::Ready(received) = self.peer.receive(context, room) else {
            return false;
        };
        self.program.send(room.plain.bytes());
        match received {
            Err(Failure::End | Failure::Late | Failure::Io(_)) => {
                // It was reset: nothing can be sent any more either.
                self.peer.end = Some(End::Cut);
                self.peer.network.is_deaf = true;
            }
            Err(failure) => self.fail(&failure),
            Ok(()) => {}
        }
        // Who has sent everything does not mind how the peer leaves.
        if self.peer.end == Some(End::Cut) && self.program_ended.is_none() && self.remark.is_none()
        {
            self.remark = Some("truncated".to_owned());
        }
        true
    }

    /// The session is of no use any more.
    fn fail(&mut self, failure: &Failure) {
        self.remark = Some(format!("failed {}", failure.why()));
        self.peer.end = Some(End::Said);
        self.peer.network.is_deaf = true;
    }

    fn wait_for_its_end(&self) -> Gone {
        let copy = self.program.fd().try_clone().and_then(watch::end);
        // Where that cannot be had, what is left of it has as much time as the peer.
        copy.map_or_else(
            |_| Gone::Since(Box::pin(sleep(Duration::ZERO))),
            Gone::Waits,
        )
    }

    fn is_done(&self) -> bool {
        let network = &self.peer.network;
        let is_delivered = self.program.left.is_empty() && self.peer.end.is_some();
        is_delivered && (network.is_deaf || self.has_closed)
    }

    /// True when the program is gone, and a client has had its time since; a server is not waited for.
    fn is_over(&mut self, context: &mut Context<'_>, patience: Duration) -> bool {
        if let Some(Gone::Waits(program)) = &self.program_ended {
            if program.poll_read_ready(context).is_pending() {
                return false;
            }
            self.program_ended = Some(Gone::Since(Box::pin(sleep(patience))));
        }
        match &mut self.program_ended {
            // As tcpclient: nobody is there any more to hear the server.
            Some(_) if self.has_closed && self.peer.session.is_client() => true,
            Some(Gone::Since(limit)) => limit.as_mut().poll(context).is_ready(),
            _ => false,
        }
    }
}
