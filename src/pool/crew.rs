//! The crew: starts workers, and does with them what the queue decides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::errors::{self, Errors};
use super::queue::{self, Action, Condition, Fault, QueryId, Queue, Slip};
use super::statistics::{Now, Statistics};
use super::talk::Talk;
use super::worker::{News, Pipes, Protocol, Room, Worker};
use crate::cli::{During, Error, Json, Voice, reason};
use crate::service::{Packer, Unpacker};
use crate::sys::fd;
use crate::sys::spawn::Streams;
use crate::ucspi::children::Children;
use crate::ucspi::environ::Entries;

/// All workers of a pool, and the queries that they have or will get.
pub(super) struct Crew {
    voice: Voice,
    protocol: Rc<Protocol>,
    terms: queue::Terms,
    queue: RefCell<Queue<Rc<Worker>, Rc<Talk>>>,
    children: Rc<Children>,
    /// What was inherited.
    environment: Entries,
    /// What workers write to descriptor 2 gets their pid before it.
    tags_errors: bool,
    errors: Rc<Errors>,
    room: Room,
    /// When the clock strikes next; and the news that it must be sooner.
    alarm: Cell<Option<Instant>>,
    sooner: Notify,
    /// The news that a process has gone.
    gone: Notify,
    began: Cell<Instant>,
    pub(super) statistics: RefCell<Statistics>,
}

/// How long what was killed may take to be gone; what the kernel holds longer is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Crew {
    /// A crew of nobody yet.
    pub(super) fn new(
        voice: Voice,
        terms: queue::Terms,
        protocol: Protocol,
        tags_errors: bool,
        children: Rc<Children>,
        environment: Entries,
    ) -> Rc<Self> {
        Rc::new(Self {
            voice,
            protocol: Rc::new(protocol),
            terms: terms.clone(),
            queue: RefCell::new(Queue::new(terms)),
            children,
            environment,
            tags_errors,
            errors: Errors::new(voice),
            room: Rc::new(RefCell::new(vec![0; ROOM])),
            alarm: Cell::default(),
            sooner: Notify::new(),
            gone: Notify::new(),
            began: Cell::new(Instant::now()),
            statistics: RefCell::default(),
        })
    }

    /// Starts the first workers, of the program called `name`, and the clock.
    ///
    /// # Errors
    /// 111: the program cannot be run at all.
    pub(super) fn begin(self: &Rc<Self>, name: &[u8]) -> Result<(), Error> {
        while self.queue.borrow().wants_start(Instant::now()) {
            match self.start() {
                Err(Failure::Program(error)) => {
                    return Err(error).during([b"run ", name].concat());
                }
                Err(Failure::Process(error)) => self.start_failed(&error),
                Ok(()) => {}
            }
        }
        self.go_on();
        Ok(())
    }

    /// Starts the clock, and does what is to be done.
    fn go_on(self: &Rc<Self>) {
        let crew = Rc::clone(self);
        tokio::task::spawn_local(async move { crew.keep_time().await });
        self.act();
    }

    /// The processes of workers.
    pub(super) fn children(&self) -> &Children {
        &self.children
    }

    /// Queries that wait or that a worker has.
    pub(super) fn queries(&self) -> BTreeMap<QueryId, Rc<Talk>> {
        let queue = self.queue.borrow();
        let all = queue.queries().map(|(id, talk)| (id, Rc::clone(talk)));
        all.collect()
    }

    /// What is to be kept open for the next version.
    pub(super) fn open(&self) -> (Vec<Pipes>, Vec<Rc<errors::Source>>) {
        let mut pipes = Vec::new();
        for (worker, _) in self.queue.borrow().workers() {
            pipes.push(Pipes::of(worker));
        }
        (pipes, self.errors.sources())
    }

    /// All that the next version has to know of workers, and of queries that are not in [`Self::queries`].
    pub(super) fn pack(&self, to: &mut Packer) {
        let now = Instant::now();
        to.moment(self.began.get(), now);
        self.statistics.borrow().pack(to);
        let queue = self.queue.borrow();
        queue.pack(to, now, |to, worker| worker.pack(to, now));
        let sources = self.errors.sources();
        to.list(sources.iter(), |to, source| source.pack(to));
    }

    /// Goes on with what was packed, in place of [`Self::begin`]; if that cannot be read, nothing has begun.
    pub(super) fn take_over(
        self: &Rc<Self>,
        from: &mut Unpacker<'_>,
        queries: &BTreeMap<QueryId, Rc<Talk>>,
    ) -> Option<()> {
        let now = Instant::now();
        self.began.set(from.moment(now)?);
        self.statistics.replace(Statistics::unpack(from)?);
        let mut workers = Vec::new();
        let query = |id| queries.get(&id).map(Rc::clone);
        let worker = |from: &mut Unpacker<'_>, id, has| {
            let worker = Worker::unpack(from, now, &self.children, &self.protocol, has)?;
            worker.id.set(id);
            workers.push(Rc::clone(&worker));
            Some(worker)
        };
        let queue = Queue::unpack(from, self.terms.clone(), now, query, worker)?;
        self.errors.go_on(from)?;
        self.queue.replace(queue);
        workers.into_iter().for_each(|worker| self.live(worker));
        self.go_on();
        Some(())
    }

    /// Asks a query; what becomes of it is told to `talk`.
    pub(super) fn ask(self: &Rc<Self>, talk: &Rc<Talk>) -> QueryId {
        // What is not kept cannot be given to another.
        let may_retry = !talk.is_streamed;
        let talk = Rc::clone(talk);
        let id = self.queue.borrow_mut().ask(talk, may_retry, Instant::now());
        self.act();
        id
    }

    /// Nobody waits for the answer any more.
    pub(super) fn leave(&self, query: QueryId) {
        self.queue.borrow_mut().leave(query);
    }

    /// Replaces all workers, one after another.
    pub(super) fn replace(self: &Rc<Self>) {
        self.queue.borrow_mut().replace();
        self.act();
    }

    /// Ends all workers, and waits until they are gone.
    pub(super) async fn close(self: &Rc<Self>) {
        self.queue.borrow_mut().close(Instant::now());
        self.act();
        let limit = self.queue.borrow().patience() * 2 + KILL_LIMIT;
        let _ = timeout(limit, async {
            while !self.queue.borrow().is_empty() {
                self.gone.notified().await;
            }
        })
        .await;
    }

    /// The block of statistics, while `clients` are connected.
    pub(super) fn statistics(&self, clients: u32) -> String {
        let queue = self.queue.borrow();
        self.statistics.borrow().block(&Now {
            counts: queue.counts,
            census: queue.census(),
            waiting: queue.waiting(),
            clients,
            uptime: self.began.get().elapsed(),
        })
    }

    /// Calls `say` with each worker, and how it is.
    pub(super) fn each_worker(&self, mut say: impl FnMut(&Worker, Condition)) {
        for (worker, condition) in self.queue.borrow().workers() {
            say(worker, condition);
        }
    }

    /// Does what is to be done, until there is nothing.
    fn act(self: &Rc<Self>) {
        loop {
            let action = self.queue.borrow_mut().action();
            match action {
                Some(action) => self.carry_out(action),
                None if self.queue.borrow().wants_start(Instant::now()) => match self.start() {
                    Ok(()) => {}
                    Err(Failure::Process(error) | Failure::Program(error)) => {
                        self.start_failed(&error);
                    }
                },
                None => break,
            }
        }
        let alarm = self.queue.borrow().alarm();
        if alarm.is_some_and(|alarm| self.alarm.get().is_none_or(|set| alarm < set)) {
            self.sooner.notify_one();
        }
    }

    fn carry_out(&self, action: Action<Rc<Worker>, Rc<Talk>>) {
        match action {
            Action::Give {
                worker,
                query,
                number,
            } => {
                if let Err(fault) = worker.give(number, &query) {
                    let mut queue = self.queue.borrow_mut();
                    queue.unread(worker.id.get(), number, fault, Instant::now());
                }
            }
            Action::Fail { query, reason } => query.finish(Err(reason)),
            Action::End { worker, how } => worker.end(how),
            Action::Pause(slip, length) => {
                let what: &[u8] = match slip {
                    Slip::Short => b"a worker has ended within a second of its start",
                    Slip::Unready => b"a worker has ended before it was ready",
                    Slip::Late => b"a worker has not become ready in time",
                };
                self.tell_pause(what, length);
            }
        }
    }

    fn start_failed(&self, error: &io::Error) {
        let length = self.queue.borrow_mut().start_failed(Instant::now());
        let what = [b"unable to start a worker: ", reason(error).as_bytes()].concat();
        self.tell_pause(&what, length);
    }

    fn tell_pause(&self, what: &[u8], length: Duration) {
        let length = format!("; no other for {} s", length.as_secs());
        self.voice.warn(&[b"warning: ", what, length.as_bytes()]);
    }

    fn start(self: &Rc<Self>) -> Result<(), Failure> {
        let (worker, stderr) = self.spawn()?;
        let id = self
            .queue
            .borrow_mut()
            .started(Rc::clone(&worker), Instant::now());
        worker.id.set(id);
        let start = format!("worker {} start", worker.pid);
        self.voice.tell_as(&[start.as_bytes()], || {
            Json::event("worker_start").value("pid", worker.pid)
        });
        if let Some(stderr) = stderr {
            self.errors.pass_on(stderr, worker.pid);
        }
        self.live(worker);
        if self.protocol.ready.is_none() {
            self.queue.borrow_mut().ready(id, Instant::now());
        }
        Ok(())
    }

    fn live(self: &Rc<Self>, worker: Rc<Worker>) {
        let crew = Rc::clone(self);
        let living = Rc::clone(&worker);
        let tell = move |news| crew.told(&living, news);
        let room = Rc::clone(&self.room);
        tokio::task::spawn_local(worker.live(room, tell));
    }

    /// A process for a worker, and our ends of its pipes.
    fn spawn(&self) -> Result<(Rc<Worker>, Option<OwnedFd>), Failure> {
        let (stdin, our_stdin) = fd::pipe()?;
        let (our_stdout, stdout) = fd::pipe()?;
        let errors = self.tags_errors.then(fd::pipe).transpose()?;
        let (our_stderr, stderr) = errors.unzip();
        let streams = Streams {
            stdin: stdin.as_fd(),
            stdout: stdout.as_fd(),
            stderr: stderr.as_ref().map(AsFd::as_fd),
        };
        let environment = self.environment.iter().map(AsRef::as_ref);
        let (child, failure) = self.children.spawn(streams, environment, &mut [])?;
        if let Some(failure) = failure {
            return Err(Failure::Program(failure.error));
        }
        let worker = Worker::new(child, Some(our_stdin), our_stdout, &self.protocol)?;
        Ok((Rc::new(worker), our_stderr))
    }

    fn told(self: &Rc<Self>, worker: &Worker, news: News) {
        let now = Instant::now();
        let id = worker.id.get();
        let mut queue = self.queue.borrow_mut();
        match news {
            News::Ready => queue.ready(id, now),
            // What follows comes with the news after it.
            News::Begun(number) => return queue.begun(id, number),
            News::Answered(number) => return queue.answered(id, number),
            News::Clean => queue.clean(id, now),
            News::Spoiled(fault) => queue.spoiled(id, fault, now),
            News::Unread(number) => queue.unread(id, number, Fault::Quit, now),
            News::Gone(status) => {
                queue.ended(id, now);
                let pid = worker.pid;
                let given = worker.given.get();
                let end = format!("worker {pid} end status {status} queries {given}");
                self.voice.tell_as(&[end.as_bytes()], || {
                    Json::event("worker_end")
                        .value("pid", pid)
                        .value("wait_status", status)
                        .value("queries", given)
                });
                self.gone.notify_one();
            }
        }
        drop(queue);
        self.act();
    }

    /// Wakes the queue when something is due.
    async fn keep_time(self: Rc<Self>) {
        loop {
            let alarm = self.queue.borrow().alarm();
            self.alarm.set(alarm);
            tokio::select! {
                () = self.sooner.notified() => {}
                () = sleep_until(alarm.unwrap_or(self.began.get()).into()), if alarm.is_some() => {
                    self.queue.borrow_mut().tick(Instant::now());
                    self.act();
                }
            }
        }
    }
}

/// Room for one read of what a worker prints.
const ROOM: usize = 64 * 1024;

/// Why a worker was not started.
enum Failure {
    /// No process, or no pipes.
    Process(io::Error),
    /// The program cannot be run.
    Program(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Process(error)
    }
}
