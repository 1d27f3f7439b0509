//! The accept loop, a task for each connection, and the end.

use std::cell::{Cell, RefCell};
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
use super::room::Room;
use super::signals::Signals;
use super::slots::Count;
use crate::cli::{During, Error, Json, Voice};
use crate::sys::log;
use crate::sys::process::{self, Fork};
use crate::sys::signal::{self, Signal};

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
    room: Room,
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
    /// What is to be done before this process ends.
    last: RefCell<Vec<Box<dyn FnOnce()>>>,
    /// Nobody hears how many connections are open: the process that they were connections of has ended.
    is_copy: Cell<bool>,
}

/// How a server ends that was not told how long to wait.
const PATIENT: Drain = Drain {
    wait: Duration::MAX,
    kill: None,
};

/// How much longer than a decision may take a copy lives: what is decided in the last moment still gets its process.
const GRACE: Duration = Duration::from_secs(1);
/// How long what was killed may take to be gone; what the kernel holds longer is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Service {
    pub(crate) fn new(voice: Voice, terms: Terms, room: Room) -> Rc<Self> {
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
            last: RefCell::default(),
            room,
            is_copy: Cell::default(),
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

    /// Does `work` before this process ends, which it does without taking apart what it has.
    pub(crate) fn at_the_end(&self, work: impl FnOnce() + 'static) {
        self.last.borrow_mut().push(Box::new(work));
    }

    fn finish(&self) {
        for work in self.last.take() {
            work();
        }
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
    /// closes the listener at once and ends: at once, or, if that was asked for, when all connections have ended. A second
    /// signal ends it at once.
    ///
    /// This returns in one process. Where connections are still being decided, and nobody asked to wait for them, that is a
    /// copy, which finishes them; the process that was told to stop ends with status 0.
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
        log::wait_no_more();
        // The listener is closed when the task is gone.
        accepting.abort();
        let _ = accepting.await;
        let leaving = async {
            match drain {
                None => self.part().await,
                Some(drain) => self.drain(drain).await,
            }
        };
        tokio::select! {
            () = leaving => {}
            _ = stop.next() => {}
        }
        self.finish();
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
            let freed = || self.open.left();
            let (connection, remote) = acceptor.accept(self.voice, || self.has_room(), freed).await;
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

    /// True when one more connection may be accepted: there is memory for it, or nobody whose end could bring some.
    fn has_room(&self) -> bool {
        self.open.now() == 0 || self.room.is_there(self.undecided.now())
    }

    /// Ends this process at once. What is undecided goes on in a copy of it that nobody waits for, as long as a decision
    /// may take: a peer that does not read its banner has no limit of its own. A supervisor starts the next server as soon
    /// as this one has ended, so nobody who is slow may hold it.
    async fn part(&self) {
        if self.undecided.now() == 0 {
            return;
        }
        // Not in both, and this process may be gone in a moment.
        self.finish();
        match process::fork() {
            Ok(Fork::Parent) => process::exit_now(0),
            Ok(Fork::Child) => {
                self.is_copy.set(true);
                // It has its default action since the start, and the events of it do not wake a copy.
                let _ = signal::unblock(&[Signal::SIGTERM]);
            }
            // No process for them: then this one finishes them.
            Err(_) => {}
        }
        let limit = self.terms.decision + GRACE;
        let _ = timeout(limit, self.undecided.below(|| 1)).await;
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
        if self.is_copy.get() {
            return;
        }
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
