//! tcpserver goes on with its next version: what it lets go of, what it hands over, and what it takes over.
//!
//! Every connection is let go of where it is: waiting at the gate, its program running, or what that has left behind. All
//! of it is plain data and descriptors, so the next version goes on with it, or, if it does not come about, this one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::connection::{self, Case, Server};
use super::gate::Gate;
use super::log::{Counted, Log};
use super::moved::{Moved, Place};
use crate::cli::Error;
use crate::service::{Packer, Signals, SourceTerms, Sources, State, Successor, Unpacker};
use crate::sys::limit::Descriptors;

/// Goes on with `moved`.
fn go_on_with(server: &Rc<Server>, mut moved: Moved) {
    server.log.keep(&mut moved.record);
    let sources = server.gate.sources().filter(|_| moved.counts);
    let entered = sources.and_then(|sources| sources.readmit(moved.record.remote.ip()));
    let slot = server.service.readmit();
    let undecided = matches!(moved.at, Place::Gate(_));
    let undecided = undecided.then(|| server.service.readmit_undecided());
    let case = Case::Moved(Box::new((moved, entered, slot, undecided)));
    tokio::task::spawn_local(connection::serve(Rc::clone(server), case));
}

/// What tcpserver itself hands over, with the connections that were let go of.
fn pack(server: &Server, moved: &mut [Moved]) -> Vec<u8> {
    let mut to = Packer::default();
    server.log.pack(&mut to);
    to.maybe(server.gate.sources(), |to, sources| sources.pack(to));
    let mut connections = Packer::default();
    connections.list(moved.iter_mut(), |to, moved| moved.pack(to));
    to.bytes(&connections.done());
    to.done()
}

/// What the version before has handed over.
pub(super) struct Before {
    counted: Counted,
    sources: Option<Sources>,
    /// Connections, packed: they need a server to go on.
    connections: Vec<u8>,
}

impl Before {
    /// Reads what was packed; sources then count by `terms`.
    ///
    /// # Errors
    /// 111: it cannot be read.
    pub(super) fn unpack(bytes: &[u8], terms: &SourceTerms) -> Result<Self, Error> {
        let mut from = Unpacker::new(bytes);
        let before = (|| {
            Some(Self {
                counted: Counted::unpack(&mut from)?,
                sources: from.maybe(|from| Sources::unpack(from, terms.clone()))?,
                connections: from.bytes()?.to_vec(),
            })
        })();
        before.filter(|_| from.is_done()).ok_or_else(|| {
            Error::fatal("unable to go on from another process: its state cannot be read")
        })
    }

    /// Goes on counting, and gives the connections.
    pub(super) fn go_on(self, log: &mut Log, gate: &mut Gate) -> Vec<u8> {
        log.go_on(self.counted);
        if let Some(sources) = self.sources {
            gate.go_on_counting(sources);
        }
        self.connections
    }
}

/// Goes on with the connections that the version before has let go of.
pub(super) fn go_on(server: &Rc<Server>, connections: &[u8]) {
    let mut from = Unpacker::new(connections);
    let count = from.number::<u32>().unwrap_or_default();
    let words = format!("upgraded, {count} connections go on");
    server.log.say(words.as_bytes());
    for _ in 0..count {
        match Moved::unpack(&mut from, &server.children) {
            Some(moved) => go_on_with(server, moved),
            // The trial has read the same form.
            None => {
                return server
                    .log
                    .warn(b"warning: the state of connections cannot be read");
            }
        }
    }
}

/// What is needed to become the next version.
pub(super) struct Upgrading {
    pub(super) server: Rc<Server>,
    /// The file of this program, as it was started.
    pub(super) file: Vec<u8>,
    /// As far as it stays the same.
    pub(super) state: State,
    /// The limits of descriptors that it was started with, where it has changed them.
    pub(super) limits: Option<Descriptors>,
    /// What the next version gets, beside connections.
    pub(super) kept: Vec<OwnedFd>,
}

impl Upgrading {
    /// Becomes the next version at each of `signals`, as far as that can be; it stays this one otherwise, and says so.
    ///
    /// This ends with the service, and with it what was kept: while a copy of the listener is open, clients still connect,
    /// and wait there for nobody.
    pub(super) async fn always(mut self, signals: Signals) {
        let service = Rc::clone(&self.server.service);
        loop {
            tokio::select! {
                biased;
                () = service.ends() => return,
                _ = signals.next() => {}
            }
            if let Err(why) = self.once().await {
                let text = [b"warning: not upgraded: ", why.as_bytes()].concat();
                self.server.log.warn(&text);
            }
        }
    }

    /// Returns only with the reason why not.
    async fn once(&mut self) -> Result<(), String> {
        let Self {
            server,
            file,
            limits,
            ..
        } = self;
        self.state.limit = server.service.limit();
        self.state.rest = pack(server, &mut []);
        let children = &server.children;
        let ended = |pid| {
            let end = children.expect(pid);
            async move {
                let _ = end.await;
            }
        };
        let successor = Successor::tried(file, &self.state, *limits, ended).await?;
        if server.service.is_ending() {
            return Ok(());
        }
        let is_alone = server.service.recall().await && server.tasks.are_over().await;
        let mut moved = server.moved.take();
        let why = if is_alone {
            self.become_it(&successor, &mut moved)
        } else {
            "a connection is not let go of".into()
        };
        for moved in moved {
            go_on_with(&self.server, moved);
        }
        self.server.service.go_on();
        Err(why)
    }

    fn become_it(&mut self, successor: &Successor, moved: &mut [Moved]) -> String {
        self.server.log.end_all();
        self.state.limit = self.server.service.limit();
        self.state.rest = pack(&self.server, moved);
        let kept = self.kept.iter().map(AsFd::as_fd);
        let connections = moved.iter().filter_map(|moved| match &moved.at {
            Place::Gate(connection) => Some(connection.as_fd()),
            _ => None,
        });
        let kept: Vec<BorrowedFd<'_>> = kept.chain(connections).collect();
        successor.become_it(&self.state, &kept)
    }
}
