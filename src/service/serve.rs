//! The accept loop, a task for each connection, and the end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::arrival::{Arrival, Undecided};
use super::end::{Drain, Stage, Stages};
use super::listener::{Acceptor, Listener};
use super::pace::Pace;
use super::rate::Rate;
use super::room::Room;
use super::signals::Signals;
use super::slots::{Count, Counted, RECALL_LIMIT, Slot, Slots};
use super::supervisor::Supervisor;
use crate::cli::{During, Error, Json, Voice};
use crate::sys::log;
use crate::sys::process::{self, Fork};
use crate::sys::signal::{self, Signal};
use crate::sys::socket;

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
    /// What happens to one more than may be open.
    pub(crate) overload: Overload,
}

/// What happens to a connection that comes when as many are open as may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overload {
    /// It waits in the listen queue.
    #[default]
    Queue,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl Overload {
    /// `queue`, `close` or `reset`.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"queue" => Self::Queue,
            b"close" => Self::Close,
            b"reset" => Self::Reset,
            _ => return None,
        })
    }
}

/// The state of a service.
pub(crate) struct Service {
    voice: Voice,
    terms: Terms,
    overload: Cell<Overload>,
    pace: Option<Pace>,
    room: Room,
    /// For connections, from accept to their end.
    slots: Slots,
    /// Connections of which it is not decided yet what becomes of them.
    undecided: Count,
    /// Connections that need this process, or a copy of it, as long as they are open.
    carried: Count,
    stages: Stages,
    /// Somebody who is no signal says that it shall end.
    told_to_end: Notify,
    /// It has begun to end, and the news of that.
    is_ending: Cell<bool>,
    ending: Notify,
    /// Who wants to know how it goes.
    supervisor: RefCell<Option<Rc<Supervisor>>>,
    /// What is to be done before this process ends.
    last: RefCell<Vec<Box<dyn FnOnce()>>>,
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
        let service = Self::continued(voice, terms, room);
        service.go_on();
        service
    }

    /// One that goes on where another has stopped: nobody hears how many connections are open until they [go on](Self::go_on).
    pub(crate) fn continued(voice: Voice, terms: Terms, room: Room) -> Rc<Self> {
        Rc::new(Self {
            voice,
            terms,
            overload: Cell::new(terms.overload),
            pace: terms.rate.map(Pace::new),
            slots: Slots::new(terms.limit, voice),
            undecided: Count::default(),
            carried: Count::default(),
            stages: Stages::default(),
            told_to_end: Notify::new(),
            is_ending: Cell::new(false),
            ending: Notify::new(),
            supervisor: RefCell::default(),
            last: RefCell::default(),
            room,
        })
    }

    /// How many connections are open, of how many that may be.
    pub(super) fn open(&self) -> (u32, u32) {
        (self.slots.open().now(), self.slots.limit())
    }

    /// Lets `limit` connections be open at once from now on. Those that are open go on.
    pub(super) fn set_limit(&self, limit: u32) {
        self.slots.set_limit(limit);
    }

    /// From now on, as many connections as `limit` may be open, and what comes beyond is treated as `overload` says.
    pub(crate) fn hold_to(&self, limit: u32, overload: Overload) {
        if limit != self.slots.limit() {
            self.slots.set_limit(limit);
        }
        self.overload.set(overload);
    }

    /// Ends the service as a signal would, but waits for its connections in any case.
    pub(super) fn end(&self) {
        self.told_to_end.notify_one();
    }

    /// Tells `supervisor` that it serves, and from then on how it goes.
    pub(crate) fn report_to(self: &Rc<Self>, supervisor: Supervisor) {
        let supervisor = Rc::new(supervisor);
        self.supervisor.replace(Some(Rc::clone(&supervisor)));
        self.tell_state();
        supervisor.ready();
        let Some(period) = supervisor.period() else {
            return;
        };
        let service = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                supervisor.alive();
                sleep(period).await;
                service.tell_state();
            }
        });
    }

    fn tell_state(&self) {
        let (open, limit) = self.open();
        if !self.is_ending() {
            self.tell_supervisor(|it| it.tell(format!("{open} of {limit} connections")));
        }
    }

    /// True when it has begun to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.get()
    }

    fn tell_supervisor(&self, tell: impl FnOnce(&Supervisor)) {
        if let Some(supervisor) = &*self.supervisor.borrow() {
            tell(supervisor);
        }
    }

    /// Has all connections let go of, and accepts none meanwhile; true when nobody is left.
    pub(crate) async fn recall(&self) -> bool {
        self.slots.be_silent(true);
        self.stages.begin(Stage::Recall);
        timeout(RECALL_LIMIT, self.slots.open().below(|| 1))
            .await
            .is_ok()
    }

    /// Goes on after that.
    pub(crate) fn go_on(&self) {
        self.slots.be_silent(false);
        // The end may have begun meanwhile.
        if self.stages.now() == Stage::Recall {
            self.stages.begin(Stage::Serve);
        }
        self.slots.tell_status();
    }

    /// A slot for a connection that had one before, whether or not one is free.
    pub(crate) fn readmit(&self) -> Slot {
        self.slots.take()
    }

    /// A connection that was accepted before it was let go of.
    pub(crate) fn readmit_undecided(&self) -> Undecided {
        Undecided::new(self.undecided.enter(), None)
    }

    /// How many connections may be open at once.
    pub(crate) fn limit(&self) -> u32 {
        self.slots.limit()
    }

    /// Does `work` before this process ends, which it does without taking apart what it has.
    pub(crate) fn at_the_end(&self, work: impl FnOnce() + 'static) {
        self.last.borrow_mut().push(Box::new(work));
    }

    pub(crate) fn finish(&self) {
        for work in self.last.take() {
            work();
        }
    }

    /// Waits until the service begins to end.
    pub(crate) async fn ends(&self) {
        while !self.is_ending.get() {
            self.ending.notified().await;
        }
    }

    /// Counts a connection that this process carries: until what is given is dropped, a copy of the process stays with it
    /// when nobody asked to wait for connections.
    pub(crate) fn carry(&self) -> Counted {
        self.carried.enter()
    }

    /// The stages of the end, for one connection.
    pub(crate) fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Calls `serve` for each connection of `listeners`, each in a task of its own, until one of the signals `stop`. Then
    /// closes the listeners at once and ends: at once, or, if that was asked for, when all connections have ended. A second
    /// signal ends it at once.
    ///
    /// This returns in one process. Where connections are still being decided or carried, and nobody asked to wait for them,
    /// that is a copy, which finishes them; the process that was told to stop ends with status 0.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the descriptors.
    pub(crate) async fn run<F: Future<Output = ()> + 'static>(
        self: Rc<Self>,
        listeners: Vec<Listener>,
        stop: Rc<Signals>,
        serve: impl Fn(Arrival) -> F + 'static,
    ) -> Result<(), Error> {
        let serve = Rc::new(serve);
        let mut open = Vec::new();
        for listener in listeners {
            self.voice.tell_event(|| {
                let local = listener.address.to_string();
                Json::event("listen").text("local", local.as_bytes())
            });
            open.push(self.listen(listener, Rc::clone(&serve))?);
        }
        let drain = self.told(&stop).await;
        for open in open {
            open.close().await;
        }
        self.leave(drain, &stop).await;
        self.finish();
        Ok(())
    }

    /// Calls `serve` for each connection of `listener`, each in a task of its own, until it is closed.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the descriptor.
    pub(crate) fn listen<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        listener: Listener,
        serve: Rc<impl Fn(Arrival) -> F + 'static>,
    ) -> Result<Open, Error> {
        let acceptor = listener.watch().during("start")?;
        // A task like those of the connections, so that it takes turns with them.
        let accepting = Rc::clone(self).accept(acceptor, serve);
        Ok(Open(tokio::task::spawn_local(accepting)))
    }

    /// Waits until one of the signals `stop`, or somebody else, says that the service shall end; gives how.
    pub(crate) async fn told(&self, stop: &Signals) -> Option<Drain> {
        let is_signal = tokio::select! {
            _ = stop.next() => true,
            () = self.told_to_end.notified() => false,
        };
        let drain = self.begin_to_end();
        drain.or((!is_signal).then_some(PATIENT))
    }

    /// From now on the service ends; gives how.
    pub(crate) fn begin_to_end(&self) -> Option<Drain> {
        self.is_ending.set(true);
        self.tell_supervisor(Supervisor::stopping);
        self.ending.notify_waiters();
        log::wait_no_more();
        self.terms.drain
    }

    /// Returns when the connections that are still being decided are, and the others go on; or, with `drain`, when all have
    /// ended. Another one of the signals `stop` ends it at once.
    pub(crate) async fn leave(&self, drain: Option<Drain>, stop: &Signals) {
        let leaving = async {
            // Whoever was let go of, is gone on with first.
            self.stages.go_on().await;
            match drain {
                None => self.part().await,
                Some(drain) => self.drain(drain).await,
            }
        };
        tokio::select! {
            () = leaving => {}
            _ = stop.next() => {}
        }
    }

    /// The accept loop: a slot, a connection, a task for it.
    async fn accept<F: Future<Output = ()> + 'static>(
        self: Rc<Self>,
        mut acceptor: Acceptor,
        serve: Rc<impl Fn(Arrival) -> F + 'static>,
    ) {
        let slots = &self.slots;
        loop {
            if self.overload.get() == Overload::Queue {
                slots.free().await;
            }
            if let Some(pace) = &self.pace {
                pace.ready().await;
            }
            let freed = || slots.open().left();
            let (connection, remote) = tokio::select! {
                biased;
                () = self.stages.recall() => {
                    self.stages.go_on().await;
                    continue;
                }
                accepted = acceptor.accept(self.voice, || self.has_room(), freed) => accepted,
            };
            if slots.are_taken() {
                match self.overload.get() {
                    // Another listener was faster. Whoever is let go of meanwhile, is gone on with.
                    Overload::Queue => tokio::select! {
                        () = self.stages.recall() => {}
                        () = slots.free() => {}
                    },
                    Overload::Close => continue,
                    Overload::Reset => {
                        socket::reset(connection);
                        continue;
                    }
                }
            }
            let slot = slots.take();
            let paid = self.pace.as_ref().map(Pace::pay);
            let arrival = Arrival {
                connection,
                remote,
                slot,
                undecided: Undecided::new(self.undecided.enter(), paid),
            };
            // Itself the task: one that captured it, or its arrival, would store that twice.
            tokio::task::spawn_local(serve(arrival));
            // The connection goes first: its program starts before the next one is accepted.
            yield_once().await;
        }
    }

    /// True when one more connection may be accepted: there is memory for it, or nobody whose end could bring some.
    fn has_room(&self) -> bool {
        self.slots.open().now() == 0 || self.room.is_there(self.undecided.now())
    }

    /// Ends this process at once. What is undecided goes on in a copy of it that nobody waits for, as long as a decision
    /// may take: a peer that does not read its banner has no limit of its own. What is carried goes on there to its end. A
    /// supervisor starts the next server as soon as this one has ended, so nobody who is slow may hold it.
    async fn part(&self) {
        if self.undecided.now() + self.carried.now() == 0 {
            return;
        }
        // Not in both, and this process may be gone in a moment.
        self.finish();
        match process::fork() {
            Ok(Fork::Parent) => process::exit_now(0),
            Ok(Fork::Child) => {
                self.be_a_copy();
                // It has its default action since the start, and the events of it do not wake a copy.
                let _ = signal::unblock(&[Signal::SIGTERM]);
            }
            // No process for them: then this one finishes them.
            Err(_) => {}
        }
        let limit = self.terms.decision + GRACE;
        let _ = timeout(limit, self.undecided.below(|| 1)).await;
        self.carried.below(|| 1).await;
    }

    /// From now on nobody hears how it goes with this service: a process whose copy this one is has its name, or had.
    pub(crate) fn be_a_copy(&self) {
        self.slots.be_silent(true);
        self.supervisor.take();
    }

    /// Waits until all connections have ended, at most as long as was asked for; what is left then is ended, if that was
    /// asked for.
    async fn drain(&self, drain: Drain) {
        let open = self.slots.open();
        let left = open.now();
        self.voice
            .tell_as(&[format!("draining {left}").as_bytes()], || {
                self.slots.status().value("draining", true)
            });
        self.tell_supervisor(|it| it.tell(format!("draining {left} connections")));
        self.stages.begin(Stage::Leave);
        let all_ended = || open.below(|| 1);
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
}

/// A listener that is being accepted from. It goes on when this is dropped.
pub(crate) struct Open(JoinHandle<()>);

impl Open {
    /// Closes it. Who was accepted goes on.
    pub(crate) async fn close(self) {
        self.0.abort();
        // The listener is closed when the task is gone.
        let _ = self.0.await;
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
