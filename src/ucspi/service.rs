//! The service: what all connections share, and the loop that accepts them.
//!
//! One thread does it all. Each connection is a task that runs `connection::serve`; a slot is taken from accept until
//! that returns. SIGCHLD and SIGTERM are events in the same loop.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::children::Children;
use super::connection;
use super::facts::Facts;
use super::listener::{Acceptor, Listener};
use super::server::{Config, Drain};
use super::slots::Count;
use crate::cli::{During, Error, Voice};
use crate::dns::Resolver;
use crate::rules::{Peer, Rules, Verdict};
use crate::sys::signal::Events;
use crate::sys::spawn::PidLine;
use crate::sys::{socket, watch};

/// What all connections of a server share.
pub(super) struct Service {
    pub(super) config: Config,
    pub(super) voice: Voice,
    pub(super) resolver: Resolver,
    pub(super) children: Children,
    pub(super) rules: Option<RefCell<Rules>>,
    /// Where the server listens.
    pub(super) address: SocketAddr,
    /// What was inherited.
    pub(super) environment: Vec<CString>,
    /// Connections, from accept to their end.
    pub(super) open: Count,
    /// Connections whose program does not run yet.
    pub(super) undecided: Count,
    /// Connections that no process served, so far.
    pub(super) refused: Cell<i32>,
}

/// How long a killed child may take to be gone; one that the kernel holds longer is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait before signals are asked for again that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// No process id is larger. PID_MAX_LIMIT, proc(5) under /proc/sys/kernel/pid_max.
const PID_MAX: i32 = 1 << 22;

impl Service {
    /// Accepts until SIGTERM, if that is among `signals`. Then closes the listener at once and returns when the connections
    /// that are still being decided have their program, and the running ones go on; or, if that was asked for, when all
    /// have ended. A second SIGTERM ends it at once.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the descriptors.
    pub(super) async fn run(
        self: Rc<Self>,
        listener: Listener,
        signals: &[Signal],
    ) -> Result<(), Error> {
        let events = Events::of(signals).and_then(watch::readable);
        let events = events.during("start")?;
        let acceptor = listener.watch().during("start")?;
        // A task like those of the connections, so that it takes turns with them.
        let accepting = tokio::task::spawn_local(Rc::clone(&self).accept(acceptor));
        self.until_terminated(&events).await;
        // The listener is closed when the task is gone.
        accepting.abort();
        let _ = accepting.await;
        let leaving = async {
            match self.config.drain {
                None => self.decide().await,
                Some(drain) => self.drain(drain).await,
            }
        };
        tokio::select! {
            () = leaving => {}
            () = self.until_terminated(&events) => {}
        }
        Ok(())
    }

    /// Waits until no connection is undecided, as long as look-ups may take: a peer that does not read its banner has no
    /// limit of its own.
    async fn decide(&self) {
        let limit = self.config.lookups.limit();
        let _ = timeout(limit, self.undecided.below(1)).await;
    }

    /// Waits until all connections have ended, at most as long as was asked for; what is left then is ended, if that was
    /// asked for.
    async fn drain(&self, drain: Drain) {
        let left = self.open.now();
        self.voice.tell(&[format!("draining {left}").as_bytes()]);
        let all_ended = || self.open.below(1);
        if timeout(drain.wait, all_ended()).await.is_ok() {
            return;
        }
        let Some(patience) = drain.kill else { return };
        self.children.send(Signal::SIGTERM);
        if timeout(patience, all_ended()).await.is_err() {
            self.children.send(Signal::SIGKILL);
            let _ = timeout(KILL_LIMIT, all_ended()).await;
        }
    }

    /// The accept loop: a slot, a connection, a task for it.
    async fn accept(self: Rc<Self>, mut acceptor: Acceptor) {
        loop {
            self.open.below(self.config.limit).await;
            let (connection, remote) = acceptor.accept(self.voice, || self.open.left()).await;
            let slot = self.open.enter();
            let undecided = self.undecided.enter();
            self.tell_status();
            let service = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                connection::serve(&service, connection, remote, undecided).await;
                drop(slot);
                service.tell_status();
            });
            // The connection goes first: its program starts before the next one is accepted.
            yield_once().await;
        }
    }

    /// Reaps children until SIGTERM.
    async fn until_terminated(&self, events: &AsyncFd<Events>) {
        while let Ok(mut ready) = events.readable().await {
            let Ok(pending) = events.get_ref().pending() else {
                // Nothing is lost: they are still pending, and the descriptor stays ready.
                ready.retain_ready();
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // One that has come since is a new event.
            ready.clear_ready();
            if pending.contains(&libc::SIGTERM) {
                return;
            }
            self.children.reap();
        }
    }

    /// Says how many connections are open, of how many that may be.
    pub(super) fn tell_status(&self) {
        let status = format!("status: {}/{}", self.open.now(), self.config.limit);
        self.voice.tell(&[status.as_bytes()]);
    }

    /// Under `-v`, writes a line about the process or connection `number`.
    pub(super) fn log(&self, mut line: PidLine, number: i32) {
        self.voice.tell_line(line.fill(number));
    }

    /// The address at which `connection` came in, with the port that the server has.
    ///
    /// # Errors
    /// The system does not say.
    pub(super) fn local_address(&self, connection: &OwnedFd) -> io::Result<SocketAddr> {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address = socket::local_address(connection)?;
            address.set_port(self.address.port());
        }
        Ok(address)
    }

    /// What the rules say about a connection from `ip`.
    ///
    /// # Errors
    /// The rules cannot be read: the file and why.
    pub(super) fn verdict(
        &self,
        ip: IpAddr,
        facts: &Facts,
    ) -> Result<Verdict, (Vec<u8>, io::Error)> {
        let Some(rules) = &self.rules else {
            return Ok(Verdict::default());
        };
        let ip = ip.to_string();
        let peer = Peer {
            ip: ip.as_bytes(),
            host: facts.remote.host.as_deref(),
            info: facts.info.as_deref(),
        };
        let mut rules = rules.borrow_mut();
        let verdict = rules.verdict(peer);
        verdict.map_err(|error| (rules.path().as_os_str().as_bytes().to_vec(), error))
    }

    /// A number for a connection that no process serves; no process has it.
    pub(super) fn next_number(&self) -> i32 {
        let number = (self.refused.get() + 1) % (i32::MAX - PID_MAX);
        self.refused.set(number);
        PID_MAX + number
    }
}

/// Lets the tasks that are ready run, without asking the kernel for events.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
