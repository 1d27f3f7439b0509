//! A server goes on with its next version: when, and what all servers hand over that can let go of their connections.
//!
//! Every connection is let go of where it is. All of it is plain data and descriptors, so the next version goes on with it,
//! or, if it does not come about, this one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::children::Children;
use super::gate::Gate;
use super::log::{Counted, Log};
use super::record::Record;
use crate::cli::{During, Error};
use crate::service::{
    Entered, Packer, Service, Signals, Slot, SourceTerms, Sources, State, Successor, Tasks,
    Undecided, Unpacker,
};
use crate::sys::limit::Descriptors;
use crate::sys::signal::Signal;

/// A server that can let go of its connections.
pub(crate) trait Upgradable {
    /// What was let go of.
    type Moved: Default;

    fn service(&self) -> &Rc<Service>;
    fn log(&self) -> &Log;
    fn gate(&self) -> &Gate;
    fn children(&self) -> &Children;
    /// Those of connections, also of such that have no slot any more.
    fn tasks(&self) -> &Tasks;

    /// Gives what was let go of.
    fn take(&self) -> Self::Moved;

    /// Packs all that the next version has to know of it.
    fn pack(&self, to: &mut Packer, moved: &mut Self::Moved);

    /// The descriptors that it needs for that.
    fn descriptors(moved: &Self::Moved) -> Vec<BorrowedFd<'_>>;

    /// Goes on with what was let go of.
    fn go_on(self: &Rc<Self>, moved: Self::Moved);
}

/// What counts a connection.
pub(crate) struct Counts {
    /// For its source, where that counts.
    pub(crate) entered: Option<Entered>,
    pub(crate) slot: Slot,
    /// As long as it is not decided.
    pub(crate) undecided: Option<Undecided>,
}

impl Counts {
    /// Counts a connection that was let go of. `has_entered`: it counts for its source; `is_decided`: it is served.
    pub(crate) fn again<S: Upgradable>(
        server: &S,
        record: &mut Record,
        has_entered: bool,
        is_decided: bool,
    ) -> Self {
        server.log().keep(record);
        let service = server.service();
        let sources = server.gate().sources().filter(|_| has_entered);
        Self {
            entered: sources.and_then(|sources| sources.readmit(record.remote.ip())),
            slot: service.readmit(),
            undecided: (!is_decided).then(|| service.readmit_undecided()),
        }
    }
}

/// What every server hands over, with what was let go of, if anything was.
fn pack<S: Upgradable>(server: &S, moved: Option<&mut S::Moved>) -> Vec<u8> {
    let mut to = Packer::default();
    server.log().pack(&mut to);
    to.maybe(server.gate().sources(), |to, sources| sources.pack(to));
    let mut connections = Packer::default();
    if let Some(moved) = moved {
        server.pack(&mut connections, moved);
    }
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

/// Goes on with what the version before has let go of: so many connections, if that could be read.
pub(crate) fn go_on<S: Upgradable>(server: &Rc<S>, moved: Option<S::Moved>, count: Option<usize>) {
    match count {
        Some(count) => {
            let words = format!("upgraded, {count} connections go on");
            server.log().say(words.as_bytes());
        }
        // The trial has read the same form.
        None => server
            .log()
            .warn(b"warning: the state of connections cannot be read"),
    }
    server.go_on(moved.unwrap_or_default());
    server.service().go_on();
}

/// How many descriptors are kept for the next version of a server with `listening` more than one listener needs, and taken by a
/// trial of it.
pub(crate) fn descriptors_kept(listening: u64) -> u64 {
    8 + listening
}

/// What the next version gets in any case: descriptors, and what is known of them.
pub(crate) type Kept = (State, Vec<OwnedFd>);

/// From now on, has `server` become its next version at each SIGUSR2, as far as that can be; it stays this one otherwise, and
/// says so. `file` is the one of this program, from before anybody knew that it serves; `limits` are those of descriptors that it was started with, where it has changed them.
///
/// # Errors
/// 111: no descriptor for the signal.
pub(crate) fn always<S: Upgradable + 'static>(
    server: &Rc<S>,
    file: Vec<u8>,
    kept: Kept,
    limits: Option<Descriptors>,
) -> Result<(), Error> {
    let signals = Signals::of(&[Signal::SIGUSR2]).during("start")?;
    let (state, kept) = kept;
    let upgrading = Upgrading {
        server: Rc::clone(server),
        file,
        state,
        limits,
        kept,
    };
    tokio::task::spawn_local(upgrading.always(signals));
    Ok(())
}

/// What is needed to become the next version.
struct Upgrading<S> {
    server: Rc<S>,
    /// The file of this program, as it was started.
    file: Vec<u8>,
    /// As far as it stays the same.
    state: State,
    limits: Option<Descriptors>,
    kept: Vec<OwnedFd>,
}

impl<S: Upgradable> Upgrading<S> {
    /// This ends with the service, and with it what was kept: while a copy of the listener is open, clients still connect,
    /// and wait there for nobody.
    async fn always(mut self, signals: Signals) {
        let service = Rc::clone(self.server.service());
        loop {
            tokio::select! {
                biased;
                () = service.ends() => return,
                _ = signals.next() => {}
            }
            let tried = tokio::select! {
                biased;
                () = service.ends() => return,
                tried = self.tried() => tried,
            };
            let done = match tried {
                Err(why) => Err(why),
                Ok(successor) => self.jump(&successor).await,
            };
            if let Err(why) = done {
                let text = [b"warning: not upgraded: ", why.as_bytes()].concat();
                self.server.log().warn(&text);
            }
        }
    }

    /// The next version, if it could go on from here.
    async fn tried(&mut self) -> Result<Successor, String> {
        self.settle(None);
        let children = self.server.children();
        let ended = |pid| {
            let end = children.expect(pid);
            async move {
                let _ = end.await;
            }
        };
        Successor::tried(&self.file, &self.state, self.limits, ended).await
    }

    /// Becomes it; returns only with the reason why not, or when the service ends.
    async fn jump(&mut self, successor: &Successor) -> Result<(), String> {
        let server = Rc::clone(&self.server);
        let service = server.service();
        let is_alone = service.recall().await && server.tasks().are_over().await;
        let mut moved = server.take();
        let done = if service.is_ending() {
            Ok(())
        } else if is_alone {
            Err(self.become_it(successor, &mut moved))
        } else {
            Err("a connection is not let go of".into())
        };
        server.go_on(moved);
        service.go_on();
        done
    }

    fn become_it(&mut self, successor: &Successor, moved: &mut S::Moved) -> String {
        self.server.log().end_all();
        self.server.children().sweep();
        self.settle(Some(&mut *moved));
        let mut kept: Vec<BorrowedFd<'_>> = self.kept.iter().map(AsFd::as_fd).collect();
        kept.extend(S::descriptors(moved));
        successor.become_it(&self.state, &kept)
    }

    /// Makes the state what it is now.
    fn settle(&mut self, moved: Option<&mut S::Moved>) {
        self.state.limit = self.server.service().limit();
        self.state.rest = pack(&*self.server, moved);
    }
}
