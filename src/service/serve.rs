//! The accept loop, a task for each connection, and the end.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::arrival::{Arrival, Undecided};
use super::end::{Drain, Stage, Stages};
use super::listener::{Acceptor, Listener};
use super::pace::Pace;
use super::rate::Rate;
use super::signals::Signals;
use super::slots::Count;
use crate::cli::{During, Error, Json, Voice};

/// What a service is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many connections may be open at once, at first.
    pub(crate) limit: u32,
    /// How often one is accepted.
    pub(crate) rate: Option<Rate>,
    /// How long a decision may take.
    pub(crate) decision: Duration,
    /// What to do with connections at SIGTERM; nothing is to let them go on and end.
    pub(crate) drain: Option<Drain>,
}

/// The state of a service.
pub(crate) struct Service {
    voice: Voice,
    terms: Terms,
    /// How many connections may be open at once.
    limit: Cell<u32>,
    pace: Option<Pace>,
    /// Connections, from accept to their end.
    open: Count,
    /// Connections of which it is not decided yet what becomes of them.
    undecided: Count,
    stages: Stages,
    /// Somebody who is no signal says that it shall end.
    told_to_end: Notify,
    /// It has begun to end, and the news of that.
    is_ending: Cell<bool>,
    ending: Notify,
}

/// How a server ends that was not told how long to wait.
const PATIENT: Drain = Drain {
    wait: Duration::MAX,
    kill: None,
};

/// How long what was killed may take to be gone; what the kernel holds longer is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Service {
    pub(crate) fn new(voice: Voice, terms: Terms) -> Rc<Self> {
        let (open, undecided) = (Count::default(), Count::default());
        let service = Self {
            voice,
            terms,
            limit: Cell::new(terms.limit),
            pace: terms.rate.map(Pace::new),
            open,
            undecided,
            stages: Stages::default(),
            told_to_end: Notify::new(),
            is_ending: Cell::new(false),
            ending: Notify::new(),
        };
        service.tell_status();
        Rc::new(service)
    }

    /// How many connections are open, of how many that may be.
    pub(super) fn open(&self) -> (u32, u32) {
        (self.open.now(), self.limit.get())
    }

    /// Lets `limit` connections be open at once from now on. Those that are open go on.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.set(limit);
        self.open.look_again();
        self.tell_status();
    }

    /// Ends the service as a signal would, but waits for its connections in any case.
    pub(super) fn end(&self) {
        self.told_to_end.notify_one();
    }

    /// Waits until the service begins to end.
    pub(super) async fn ends(&self) {
        while !self.is_ending.get() {
            self.ending.notified().await;
        }
    }

    /// The stages of the end, for one connection.
    pub(crate) fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Calls `serve` for each connection of `listener`, each in a task of its own, until one of the signals `stop`. Then
    /// closes the listener at once and returns when the connections that are still being decided are, and the others go
    /// on; or, if that was asked for, when all have ended. A second signal ends it at once.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the descriptors.
    pub(crate) async fn run<F: Future<Output = ()> + 'static>(
        self: Rc<Self>,
        listener: Listener,
        stop: Rc<Signals>,
        serve: impl Fn(Arrival) -> F + 'static,
    ) -> Result<(), Error> {
        self.voice.tell_event(|| {
            let local = listener.address.to_string();
            Json::event("listen").text("local", local.as_bytes())
        });
        let acceptor = listener.watch().during("start")?;
        // A task like those of the connections, so that it takes turns with them.
        let accepting = tokio::task::spawn_local(Rc::clone(&self).accept(acceptor, serve));
        let drain = tokio::select! {
            _ = stop.next() => self.terms.drain,
            () = self.told_to_end.notified() => Some(self.terms.drain.unwrap_or(PATIENT)),
        };
        self.is_ending.set(true);
        self.ending.notify_waiters();
        // The listener is closed when the task is gone.
        accepting.abort();
        let _ = accepting.await;
        let leaving = async {
            match drain {
                None => self.decide().await,
                Some(drain) => self.drain(drain).await,
            }
        };
        tokio::select! {
            () = leaving => {}
            _ = stop.next() => {}
        }
        Ok(())
    }

    /// The accept loop: a slot, a connection, a task for it.
    async fn accept<F: Future<Output = ()> + 'static>(
        self: Rc<Self>,
        mut acceptor: Acceptor,
        serve: impl Fn(Arrival) -> F + 'static,
    ) {
        let serve = Rc::new(serve);
        loop {
            self.open.below(|| self.limit.get()).await;
            if let Some(pace) = &self.pace {
                pace.ready().await;
            }
            let (connection, remote) = acceptor.accept(self.voice, || self.open.left()).await;
            let slot = self.open.enter();
            let paid = self.pace.as_ref().map(Pace::pay);
            let undecided = Undecided::new(self.undecided.enter(), paid);
            self.tell_status();
            let arrival = Arrival {
                connection,
                remote,
                undecided,
            };
            let (service, serve) = (Rc::clone(&self), Rc::clone(&serve));
            tokio::task::spawn_local(async move {
                serve(arrival).await;
                drop(slot);
                service.tell_status();
            });
            // The connection goes first: its program starts before the next one is accepted.
            yield_once().await;
        }
    }

    /// Waits until no connection is undecided, as long as a decision may take: a peer that does not read its banner has no
    /// limit of its own.
    async fn decide(&self) {
        let _ = timeout(self.terms.decision, self.undecided.below(|| 1)).await;
    }

    /// Waits until all connections have ended, at most as long as was asked for; what is left then is ended, if that was
    /// asked for.
    async fn drain(&self, drain: Drain) {
        let left = self.open.now();
        self.voice
            .tell_as(&[format!("draining {left}").as_bytes()], || {
                self.status().value("draining", true)
            });
        self.stages.begin(Stage::Leave);
        let all_ended = || self.open.below(|| 1);
        if timeout(drain.wait, all_ended()).await.is_ok() {
            return;
        }
        let Some(patience) = drain.kill else { return };
        self.stages.begin(Stage::Ask);
        if timeout(patience, all_ended()).await.is_err() {
            self.stages.begin(Stage::Kill);
            let _ = timeout(KILL_LIMIT, all_ended()).await;
        }
    }

    /// Says how many connections are open, of how many that may be.
    fn tell_status(&self) {
        let status = format!("status: {}/{}", self.open.now(), self.limit.get());
        self.voice.tell_as(&[status.as_bytes()], || self.status());
    }

    fn status(&self) -> Json {
        Json::event("status")
            .value("open", self.open.now())
            .value("limit", self.limit.get())
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
