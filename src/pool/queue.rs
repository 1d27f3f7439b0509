//! The pool's mind: which worker gets which query, who waits, who is started, replaced, ended, and when.
//!
//! It is pure. It is told what happens and when, and says what is to be done ([`Action`]); of workers and queries it knows
//! handles, which it gives back as they came. So time is a number here, and a test can play a day in a millisecond.
//!
//! A worker's life: starting, serving, leaving, gone.
//! * It serves as soon as it is ready. Whoever reads what it prints says [`Queue::answered`] for each reply that was taken
//!   exactly to its end, and [`Queue::clean`] when nothing was left over then; only after that it may get the next query.
//!   In every other case it is [`Queue::spoiled`], and never gets another. That is the dirty rule.
//! * Who leaves in order has its stdin closed, then gets TERM, then KILL, a second after each other; who is spoiled begins
//!   with TERM.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What the command line says about workers and about waiting.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Workers that are there at all times.
    pub(super) min: usize,
    /// How many may be there while queries wait; at least `min`, at least 1.
    pub(super) max: usize,
    /// How many queries one worker may have at once, at least 1.
    pub(super) channels: usize,
    /// How many queries may wait; `None` is no limit.
    pub(super) queue: Option<usize>,
    /// How long a query may wait.
    pub(super) wait: Duration,
    /// How long a worker may take to answer.
    pub(super) busy: Duration,
    /// How often a query is tried again.
    pub(super) retries: u32,
    /// A worker is replaced after so many queries.
    pub(super) recycle_queries: Option<u64>,
    /// A worker is replaced after so long.
    pub(super) recycle_time: Option<Duration>,
    /// The time between one way to end a worker and the next.
    pub(super) patience: Duration,
    /// Each worker answers one query and ends.
    pub(super) once: bool,
}

/// How long a worker above the minimum may be idle.
const IDLE: Duration = Duration::from_secs(60);
/// A worker that ends sooner after its start, and without a query, has failed to start.
const PROOF: Duration = Duration::from_secs(1);
/// The longest pause after failed starts; the first is `PROOF`, and each is twice the one before.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// As many as may wait did so already when it came.
    Busy,
    /// No worker became free while it waited.
    Queue,
    /// Its worker took too long.
    Timeout,
    /// Its worker ended, or printed what is no reply.
    Died,
    /// It is longer than a query may be.
    Long,
    /// It is none, or it broke off.
    Bad,
}

impl Reason {
    /// The word that stands for `%r`, and in the log.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Queue => "queue",
            Self::Timeout => "timeout",
            Self::Died => "died",
            Self::Long => "long",
            Self::Bad => "bad",
        }
    }
}

/// Why a worker is not to be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has printed what nobody asked for, or has left of a query what it should have read.
    Output,
    /// It has closed its stdin or its stdout, which is its own way to end.
    Quit,
    /// Of this query no reply can come, for this reason.
    Query(u64, Reason),
    /// What it answers to this query is longer than a reply may be; so would another's be.
    TooLong(u64),
}

/// A worker, as the queue calls it: no two of a pool's life have the same.
pub(super) type WorkerId = u64;
/// A query, as the queue calls it; in the order in which they came.
pub(super) type QueryId = u64;

/// A way to end a worker, from the politest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Close its stdin.
    Close,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

impl End {
    fn next(self) -> Option<Self> {
        match self {
            Self::Close => Some(Self::Term),
            Self::Term => Some(Self::Kill),
            Self::Kill => None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action<W, Q> {
    /// Give `query` to `worker`, as its query `number`, which counts from 0 for each worker.
    Give { worker: W, query: Q, number: u64 },
    /// Tell `query` that it gets no answer.
    Fail { query: Q, reason: Reason },
    /// End `worker`. All queries that it had are taken care of.
    End { worker: W, how: End },
    /// Starting has failed, and there is no further try for so long. To be told.
    Pause(Duration),
}

/// The states of workers, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Serving, without a query.
    pub(super) ready: usize,
    /// With a query.
    pub(super) busy: usize,
    /// Started, not ready yet.
    pub(super) starting: usize,
    /// Missing: to be started.
    pub(super) missing: usize,
}

/// What has happened so far, and what is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Queries that found no ready worker.
    pub(super) delayed: u64,
    /// Queries whose worker took too long; one that is tried again can count more than once.
    pub(super) timeouts: u64,
    /// Queries that were given to another worker.
    pub(super) retried: u64,
    /// Workers that were ended because of a query, or of what they printed.
    pub(super) killed: u64,
    /// Workers that were started.
    pub(super) spawns: u64,
    /// The most queries that have waited at once.
    pub(super) queue_max: usize,
}

struct Worker<W, Q> {
    handle: W,
    started: Instant,
    state: State,
    /// What it has to answer.
    flights: Vec<Flight<Q>>,
    /// Queries that it was given so far.
    given: u64,
    /// It is to be replaced.
    is_due: bool,
    /// It was started to replace another, and has not done so yet.
    is_spare: bool,
    /// Its place among those that may get a query.
    place: Option<Place>,
}

/// How a worker is, for who looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Serving, without a query.
    Ready,
    /// With a query.
    Busy,
    /// Started, not ready yet.
    Starting,
    /// On its way out.
    Leaving,
}

impl Condition {
    /// The word for it in reports.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Leaving => "leaving",
        }
    }
}

impl<W, Q> Worker<W, Q> {
    fn condition(&self) -> Condition {
        match self.state {
            _ if !self.flights.is_empty() => Condition::Busy,
            State::Serving { .. } => Condition::Ready,
            State::Starting => Condition::Starting,
            State::Retiring | State::Leaving(..) => Condition::Leaving,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Serving {
        /// When it last became idle.
        idle: Instant,
    },
    /// It finishes what it has, and gets no more.
    Retiring,
    /// It is being ended, so far like this; at that time by the next way.
    Leaving(End, Instant),
}

/// Order of choice: fewest queries first, then who has waited longest for one.
type Place = (usize, u64, WorkerId);

struct Flight<Q> {
    number: u64,
    query: Query<Q>,
    deadline: Instant,
}

struct Query<Q> {
    id: QueryId,
    handle: Q,
    retries_left: u32,
    /// It was with a worker already.
    is_back: bool,
    /// It is not tried again.
    is_final: bool,
}

struct Waiting<Q> {
    query: Query<Q>,
    deadline: Instant,
}

/// A pause between starts.
#[derive(Clone, Copy)]
struct Pause {
    /// Starts from before say nothing new.
    until: Instant,
    length: Duration,
}

/// The pool's state. `W` and `Q` are handles of workers and queries.
pub(super) struct Queue<W, Q> {
    terms: Terms,
    workers: BTreeMap<WorkerId, Worker<W, Q>>,
    /// Those that may get a query.
    open: BTreeSet<Place>,
    waiting: BTreeMap<QueryId, Waiting<Q>>,
    pause: Option<Pause>,
    /// The end has begun: nobody is started.
    is_closed: bool,
    next_id: u64,
    /// Counts the times a worker took its place among the open ones.
    turn: u64,
    alarm: Option<Instant>,
    actions: VecDeque<Action<W, Q>>,
    /// For the statistics.
    pub(super) counts: Counts,
}

impl<W: Clone, Q: Clone> Queue<W, Q> {
    /// A pool without a worker: [`Self::wants_start`] says that some are to be started.
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            workers: BTreeMap::new(),
            open: BTreeSet::new(),
            waiting: BTreeMap::new(),
            pause: None,
            is_closed: false,
            next_id: 0,
            turn: 0,
            alarm: None,
            actions: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The next thing to be done; after each call of another function until there is none.
    pub(super) fn action(&mut self) -> Option<Action<W, Q>> {
        self.actions.pop_front()
    }

    /// When [`Self::tick`] must be called at the latest.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    /// True when a worker is to be started now, which [`Self::started`] or [`Self::start_failed`] then answers.
    pub(super) fn wants_start(&self, now: Instant) -> bool {
        if self.is_closed || self.pause.is_some_and(|pause| now < pause.until) {
            return false;
        }
        let staff = self.staff();
        // What does not want to go cannot pile up.
        if staff.leaving >= self.terms.max.max(LEAVING_MIN) {
            return false;
        }
        let may_replace = staff.starting == 0 && staff.due && staff.all <= self.terms.max;
        self.is_short(&staff) || may_replace
    }

    /// True when there are fewer workers than there should be: the minimum at once, more one at a time.
    fn is_short(&self, staff: &Staff) -> bool {
        let is_waited_for = !self.waiting.is_empty() && staff.starting == 0;
        staff.all < self.terms.max && (staff.fresh < self.terms.min || is_waited_for)
    }

    /// A worker was started.
    pub(super) fn started(&mut self, handle: W, now: Instant) -> WorkerId {
        let id = self.new_id();
        let staff = self.staff();
        self.counts.spawns += 1;
        let worker = Worker {
            handle,
            started: now,
            state: State::Starting,
            flights: Vec::new(),
            given: 0,
            is_due: false,
            is_spare: !self.is_short(&staff),
            place: None,
        };
        self.workers.insert(id, worker);
        if let Some(time) = self.terms.recycle_time {
            self.wake_by(now + time);
        }
        id
    }

    /// No worker could be started.
    pub(super) fn start_failed(&mut self, now: Instant) {
        self.order_pause(now, now);
    }

    /// A worker may get queries from now on.
    pub(super) fn ready(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        if worker.state != State::Starting {
            return;
        }
        worker.state = State::Serving { idle: now };
        let is_spare = std::mem::take(&mut worker.is_spare);
        self.wake_by(now + IDLE);
        self.settle(id);
        self.give(now);
        if is_spare {
            self.retire_due(now);
        }
    }

    /// A query has come. It is given to a worker, waits, or fails.
    pub(super) fn ask(&mut self, handle: Q, may_retry: bool, now: Instant) -> QueryId {
        let id = self.new_id();
        let query = Query {
            id,
            handle,
            retries_left: if may_retry { self.terms.retries } else { 0 },
            is_back: false,
            is_final: false,
        };
        if self.open.is_empty() {
            self.counts.delayed += 1;
            if self
                .terms
                .queue
                .is_some_and(|most| self.waiting.len() >= most)
            {
                self.fail(query.handle, Reason::Busy);
                return id;
            }
        }
        self.enqueue(query, now);
        id
    }

    /// Nobody waits for the answer any more. A query that has a worker stays there: its reply must be taken all the same.
    pub(super) fn leave(&mut self, id: QueryId) {
        if self.waiting.remove(&id).is_some() {
            return;
        }
        let mut flights = self
            .workers
            .values_mut()
            .flat_map(|worker| &mut worker.flights);
        if let Some(flight) = flights.find(|flight| flight.query.id == id) {
            flight.query.is_final = true;
        }
    }

    /// Something of the reply to its query `number` may have reached the client: it is not tried again.
    pub(super) fn begun(&mut self, id: WorkerId, number: u64) {
        let flights = self.workers.get_mut(&id).map(|worker| &mut worker.flights);
        let flight =
            flights.and_then(|flights| flights.iter_mut().find(|flight| flight.number == number));
        if let Some(flight) = flight {
            flight.query.is_final = true;
        }
    }

    /// The worker's reply to its query `number` was taken exactly to its end. It gets no other before it is clean.
    pub(super) fn answered(&mut self, id: WorkerId, number: u64) {
        self.unplace(id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.flights.retain(|flight| flight.number != number);
        }
    }

    /// Of all that the worker has printed nothing is left over.
    pub(super) fn clean(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let is_idle = worker.flights.is_empty();
        if self
            .terms
            .recycle_queries
            .is_some_and(|most| worker.given >= most)
        {
            worker.is_due = true;
        }
        match &mut worker.state {
            State::Serving { .. } if self.terms.once => worker.state = State::Retiring,
            State::Serving { idle } => *idle = now,
            _ => {}
        }
        if worker.state == State::Retiring && is_idle {
            self.end(id, End::Close, now);
        }
        self.wake_by(now + IDLE);
        self.settle(id);
        self.give(now);
    }

    /// The worker is not to be used any more. What it has to answer is tried again or fails.
    pub(super) fn spoiled(&mut self, id: WorkerId, fault: Fault, now: Instant) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        if !matches!(worker.state, State::Leaving(..)) {
            self.note_start(id, now);
            if fault == Fault::Quit {
                self.end(id, End::Close, now);
            } else {
                self.counts.killed += 1;
                self.end(id, End::Term, now);
            }
        }
        self.drop_flights(id, fault, now);
        self.give(now);
    }

    /// As [`Self::spoiled`], found before a byte of its query `number` was written: that one is not tried again, but given
    /// to another for the first time.
    pub(super) fn unsent(&mut self, id: WorkerId, number: u64, fault: Fault, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&id)
            && let Some(at) = worker
                .flights
                .iter()
                .position(|flight| flight.number == number)
        {
            let mut query = worker.flights.swap_remove(at).query;
            worker.given -= 1;
            query.is_back = true;
            let deadline = now + self.terms.wait;
            self.wake_by(deadline);
            self.waiting.insert(query.id, Waiting { query, deadline });
        }
        self.spoiled(id, fault, now);
    }

    /// The worker's process has ended, and all that it printed was taken.
    pub(super) fn ended(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        if !matches!(worker.state, State::Leaving(..) | State::Retiring) {
            self.note_start(id, now);
        }
        self.unplace(id);
        self.drop_flights(id, Fault::Quit, now);
        self.workers.remove(&id);
        self.give(now);
    }

    /// Replaces all workers, one after another.
    pub(super) fn replace(&mut self) {
        for worker in self.workers.values_mut() {
            worker.is_due = true;
        }
    }

    /// Ends all workers; nobody is started any more.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closed = true;
        let all: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in all {
            let worker = &self.workers[&id];
            if matches!(worker.state, State::Leaving(..)) {
                continue;
            }
            let how = if worker.flights.is_empty() {
                End::Close
            } else {
                End::Term
            };
            self.end(id, how, now);
            self.drop_flights(id, Fault::Output, now);
        }
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            self.fail(waiting.query.handle, Reason::Queue);
        }
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self, now: Instant) {
        self.expire_waiting(now);
        let mut surplus = self.staff().fresh.saturating_sub(self.terms.min);
        let all: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in all {
            self.tick_worker(id, &mut surplus, now);
        }
        self.give(now);
        self.alarm = self.next_alarm(now);
    }

    /// The time between one way to end a worker and the next.
    pub(super) fn patience(&self) -> Duration {
        self.terms.patience
    }

    /// True when no process is left.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// How many queries wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The workers, by state.
    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        for worker in self.workers.values() {
            match worker.condition() {
                Condition::Busy => census.busy += 1,
                Condition::Ready => census.ready += 1,
                Condition::Starting => census.starting += 1,
                Condition::Leaving => {}
            }
        }
        let there = census.busy + census.ready + census.starting;
        census.missing = self.terms.min.saturating_sub(there);
        census
    }

    /// Each worker, and how it is.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&W, Condition)> {
        self.workers
            .values()
            .map(|worker| (&worker.handle, worker.condition()))
    }

    fn staff(&self) -> Staff {
        let mut staff = Staff::default();
        for worker in self.workers.values() {
            match worker.state {
                State::Retiring | State::Leaving(..) => {
                    staff.leaving += 1;
                    continue;
                }
                State::Starting => staff.starting += 1,
                State::Serving { .. } => {}
            }
            staff.all += 1;
            // One that ends after its query is no reserve.
            staff.fresh += usize::from(!self.terms.once || worker.flights.is_empty());
            staff.due |= worker.is_due;
        }
        staff
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn wake_by(&mut self, at: Instant) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
        }
    }

    fn fail(&mut self, query: Q, reason: Reason) {
        self.actions.push_back(Action::Fail { query, reason });
    }

    fn enqueue(&mut self, query: Query<Q>, now: Instant) {
        let deadline = now + self.terms.wait;
        self.wake_by(deadline);
        self.waiting.insert(query.id, Waiting { query, deadline });
        self.give(now);
        self.counts.queue_max = self.counts.queue_max.max(self.waiting.len());
    }

    /// Gives queries to workers as long as there are both.
    fn give(&mut self, now: Instant) {
        while !self.waiting.is_empty()
            && let Some(&(_, _, id)) = self.open.first()
            && let Some((_, waiting)) = self.waiting.pop_first()
            && let Some(worker) = self.workers.get_mut(&id)
        {
            let number = worker.given;
            worker.given += 1;
            self.actions.push_back(Action::Give {
                worker: worker.handle.clone(),
                query: waiting.query.handle.clone(),
                number,
            });
            let deadline = now + self.terms.busy;
            worker.flights.push(Flight {
                number,
                query: waiting.query,
                deadline,
            });
            self.wake_by(deadline);
            self.settle(id);
        }
    }

    /// Puts a worker where it belongs among those that may get a query.
    fn settle(&mut self, id: WorkerId) {
        self.unplace(id);
        let room = if self.terms.once {
            1
        } else {
            self.terms.channels
        };
        if let Some(worker) = self.workers.get_mut(&id)
            && matches!(worker.state, State::Serving { .. })
            && worker.flights.len() < room
        {
            self.turn += 1;
            let place = (worker.flights.len(), self.turn, id);
            worker.place = Some(place);
            self.open.insert(place);
        }
    }

    fn unplace(&mut self, id: WorkerId) {
        if let Some(place) = self
            .workers
            .get_mut(&id)
            .and_then(|worker| worker.place.take())
        {
            self.open.remove(&place);
        }
    }

    fn end(&mut self, id: WorkerId, how: End, now: Instant) {
        self.unplace(id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state = State::Leaving(how, now + self.terms.patience);
            self.actions.push_back(Action::End {
                worker: worker.handle.clone(),
                how,
            });
            self.wake_by(now + self.terms.patience);
        }
    }

    /// What a worker had to answer is tried again or fails.
    fn drop_flights(&mut self, id: WorkerId, fault: Fault, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        for flight in std::mem::take(&mut worker.flights) {
            let reason = match fault {
                Fault::Query(number, reason) if number == flight.number => reason,
                _ => Reason::Died,
            };
            let mut query = flight.query;
            let may_help = fault != Fault::TooLong(flight.number);
            if may_help && query.retries_left > 0 && !query.is_final && !self.is_closed {
                query.retries_left -= 1;
                query.is_back = true;
                self.counts.retried += 1;
                self.enqueue(query, now);
            } else {
                self.fail(query.handle, reason);
            }
        }
    }

    /// Lets one worker go that is to be replaced: the one that has least to finish.
    fn retire_due(&mut self, now: Instant) {
        let is_due =
            |worker: &Worker<W, Q>| worker.is_due && matches!(worker.state, State::Serving { .. });
        let due = self.workers.iter().filter(|(_, worker)| is_due(worker));
        if let Some((&id, _)) = due.min_by_key(|(_, worker)| worker.flights.len()) {
            self.retire(id, now);
        }
    }

    /// Ends a worker in order: as soon as it has answered what it has.
    fn retire(&mut self, id: WorkerId, now: Instant) {
        self.unplace(id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state = State::Retiring;
            if worker.flights.is_empty() {
                self.end(id, End::Close, now);
            }
        }
    }

    /// A worker is going, and not because it is too many: tells from its age whether it had started at all.
    fn note_start(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        let (started, given) = (worker.started, worker.given);
        if now.saturating_duration_since(started) >= PROOF {
            self.pause.take_if(|pause| pause.until <= started);
        } else if given == 0 {
            // One that dies of its query had started: else whoever knows such a query would stop the others.
            self.order_pause(started, now);
        }
    }

    /// A start that began at `started` has failed.
    fn order_pause(&mut self, started: Instant, now: Instant) {
        let mut length = PROOF;
        if let Some(pause) = self.pause {
            if started < pause.until {
                return;
            }
            let is_proven = self.workers.values().any(|worker| {
                worker.started >= pause.until
                    && now.saturating_duration_since(worker.started) >= PROOF
            });
            if !is_proven {
                length = (pause.length * 2).min(PAUSE_MAX);
            }
        }
        let until = now + length;
        self.pause = Some(Pause { until, length });
        self.actions.push_back(Action::Pause(length));
        self.wake_by(until);
    }

    fn expire_waiting(&mut self, now: Instant) {
        // Those that are tried again stand first and have waited anew; the others have come in the order of their time.
        let late = self
            .waiting
            .iter()
            .take_while(|(_, waiting)| waiting.query.is_back || waiting.deadline <= now);
        let late: Vec<QueryId> = late
            .filter(|(_, waiting)| waiting.deadline <= now)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            if let Some(waiting) = self.waiting.remove(&id) {
                self.fail(waiting.query.handle, Reason::Queue);
            }
        }
    }

    /// `surplus` is how many workers may go that have been idle for long.
    fn tick_worker(&mut self, id: WorkerId, surplus: &mut usize, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let recycled = self.terms.recycle_time;
        worker.is_due |= recycled.is_some_and(|time| worker.started + time <= now);
        let late = worker.flights.iter().find(|flight| flight.deadline <= now);
        if let Some(number) = late.map(|flight| flight.number) {
            self.counts.timeouts += 1;
            return self.spoiled(id, Fault::Query(number, Reason::Timeout), now);
        }
        match worker.state {
            State::Leaving(how, at) if at <= now => {
                if let Some(next) = how.next() {
                    self.end(id, next, now);
                }
            }
            State::Serving { idle }
                if worker.flights.is_empty() && *surplus > 0 && idle + IDLE <= now =>
            {
                *surplus -= 1;
                self.retire(id, now);
            }
            _ => {}
        }
    }

    /// The earliest time at which something is due.
    fn next_alarm(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut at = |time: Instant| next = Some(next.map_or(time, |next| next.min(time)));
        for waiting in self.waiting.values() {
            at(waiting.deadline);
            if !waiting.query.is_back {
                break;
            }
        }
        if let Some(pause) = self.pause.filter(|pause| pause.until > now) {
            at(pause.until);
        }
        let may_shrink = self.staff().fresh > self.terms.min;
        for worker in self.workers.values() {
            for flight in &worker.flights {
                at(flight.deadline);
            }
            match worker.state {
                State::Leaving(how, time) if how.next().is_some() => at(time),
                State::Serving { idle } if may_shrink && worker.flights.is_empty() => {
                    at(idle + IDLE)
                }
                _ => {}
            }
            if let Some(time) = self.terms.recycle_time.filter(|_| !worker.is_due) {
                at(worker.started + time);
            }
        }
        next
    }
}

/// Workers on their way out of a pool of one or two.
const LEAVING_MIN: usize = 2;

/// The workers, counted for the decision whether there are enough.
#[derive(Default)]
struct Staff {
    /// Starting or serving.
    all: usize,
    /// Of these, who counts as ready for what comes.
    fresh: usize,
    starting: usize,
    /// Finishing, or ended and not gone.
    leaving: usize,
    /// One is to be replaced.
    due: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn terms() -> Terms {
        Terms {
            min: 2,
            max: 4,
            channels: 1,
            queue: Some(3),
            wait: 500 * MS,
            busy: 15_000 * MS,
            retries: 0,
            recycle_queries: None,
            recycle_time: None,
            patience: PATIENCE,
            once: false,
        }
    }

    /// A pool and its clock. Workers and queries are called by numbers, from 0 in the order in which they came.
    struct Play {
        queue: Queue<u64, u64>,
        now: Instant,
        workers: u64,
        queries: u64,
        ids: BTreeMap<u64, WorkerId>,
        asked: BTreeMap<u64, QueryId>,
    }

    impl Play {
        fn new(terms: Terms) -> Self {
            Self {
                queue: Queue::new(terms),
                now: Instant::now(),
                workers: 0,
                queries: 0,
                ids: BTreeMap::new(),
                asked: BTreeMap::new(),
            }
        }

        /// Starts who is wanted; each is ready at once.
        fn staffed(terms: Terms) -> Self {
            let mut play = Self::new(terms);
            for worker in play.start() {
                play.ready(worker);
            }
            play
        }

        fn start(&mut self) -> Vec<u64> {
            let mut started = Vec::new();
            while self.queue.wants_start(self.now) {
                let id = self.queue.started(self.workers, self.now);
                self.ids.insert(self.workers, id);
                started.push(self.workers);
                self.workers += 1;
            }
            started
        }

        fn ready(&mut self, worker: u64) -> Vec<Action<u64, u64>> {
            self.queue.ready(self.ids[&worker], self.now);
            self.actions()
        }

        fn ask(&mut self) -> Vec<Action<u64, u64>> {
            let id = self.queue.ask(self.queries, true, self.now);
            self.asked.insert(self.queries, id);
            self.queries += 1;
            self.actions()
        }

        fn answered(&mut self, worker: u64, number: u64) -> Vec<Action<u64, u64>> {
            self.queue.answered(self.ids[&worker], number);
            self.queue.clean(self.ids[&worker], self.now);
            self.actions()
        }

        fn spoiled(&mut self, worker: u64) -> Vec<Action<u64, u64>> {
            self.queue
                .spoiled(self.ids[&worker], Fault::Output, self.now);
            self.actions()
        }

        fn ended(&mut self, worker: u64) -> Vec<Action<u64, u64>> {
            self.queue.ended(self.ids[&worker], self.now);
            self.actions()
        }

        fn pass(&mut self, time: Duration) -> Vec<Action<u64, u64>> {
            self.now += time;
            self.queue.tick(self.now);
            self.actions()
        }

        fn actions(&mut self) -> Vec<Action<u64, u64>> {
            std::iter::from_fn(|| self.queue.action()).collect()
        }
    }

    fn give(worker: u64, query: u64, number: u64) -> Action<u64, u64> {
        Action::Give {
            worker,
            query,
            number,
        }
    }

    fn fail(query: u64, reason: Reason) -> Action<u64, u64> {
        Action::Fail { query, reason }
    }

    fn end(worker: u64, how: End) -> Action<u64, u64> {
        Action::End { worker, how }
    }

    #[test]
    fn query_goes_to_the_ready_worker_that_has_been_idle_longest() {
        let mut play = Play::staffed(terms());
        assert_eq!(play.ask(), [give(0, 0, 0)]);
        assert_eq!(play.ask(), [give(1, 1, 0)]);
        assert_eq!(play.answered(1, 0), []);
        assert_eq!(play.answered(0, 0), []);
        assert_eq!(play.ask(), [give(1, 2, 1)]);
        assert_eq!(play.ask(), [give(0, 3, 1)]);
    }

    #[test]
    fn queries_wait_in_order_and_no_more_than_may() {
        let mut play = Play::staffed(terms());
        for _ in 0..5 {
            play.ask();
        }
        assert_eq!(play.ask(), [fail(5, Reason::Busy)]);
        assert_eq!(play.answered(1, 0), [give(1, 2, 1)]);
        assert_eq!(play.answered(0, 0), [give(0, 3, 1)]);
        assert_eq!(play.queue.waiting(), 1);
        assert_eq!(play.queue.counts.queue_max, 3);
        assert_eq!(play.queue.counts.delayed, 4);
    }

    #[test]
    fn queue_of_no_length_lets_nobody_wait() {
        let mut play = Play::staffed(Terms {
            queue: Some(0),
            ..terms()
        });
        assert_eq!(play.ask(), [give(0, 0, 0)]);
        assert_eq!(play.ask(), [give(1, 1, 0)]);
        assert_eq!(play.ask(), [fail(2, Reason::Busy)]);
    }

    #[test]
    fn query_that_waits_in_vain_fails_when_its_time_is_over() {
        let mut play = Play::staffed(terms());
        for _ in 0..3 {
            play.ask();
        }
        assert_eq!(play.queue.alarm(), Some(play.now + 500 * MS));
        assert_eq!(play.pass(499 * MS), []);
        assert_eq!(play.pass(MS), [fail(2, Reason::Queue)]);
    }

    #[test]
    fn worker_that_takes_too_long_gets_term_and_a_second_later_kill() {
        let mut play = Play::staffed(terms());
        play.ask();
        assert_eq!(play.pass(14_999 * MS), []);
        assert_eq!(play.pass(MS), [end(0, End::Term), fail(0, Reason::Timeout)]);
        assert_eq!(play.pass(999 * MS), []);
        assert_eq!(play.pass(MS), [end(0, End::Kill)]);
        assert_eq!(play.pass(60_000 * MS), []);
        assert_eq!(play.ended(0), []);
        assert_eq!(play.queue.counts.timeouts, 1);
    }

    #[test]
    fn spoiled_worker_gets_no_query_and_another_is_started() {
        let mut play = Play::staffed(terms());
        play.ask();
        assert_eq!(play.spoiled(0), [end(0, End::Term), fail(0, Reason::Died)]);
        assert_eq!(play.ask(), [give(1, 1, 0)]);
        assert_eq!(play.ask(), []);
        assert_eq!(play.start(), [2]);
        assert_eq!(play.ready(2), [give(2, 2, 0)]);
    }

    #[test]
    fn query_is_tried_again_before_those_that_came_later_as_often_as_may_be() {
        let mut play = Play::staffed(Terms {
            retries: 1,
            ..terms()
        });
        for _ in 0..3 {
            play.ask();
        }
        assert_eq!(play.ended(0), []);
        assert_eq!(play.answered(1, 0), [give(1, 0, 1)]);
        assert_eq!(play.ended(1), [fail(0, Reason::Died)]);
        assert_eq!(play.queue.counts.retried, 1);
    }

    #[test]
    fn query_whose_client_has_left_waits_no_more_and_is_not_tried_again() {
        let mut play = Play::staffed(Terms {
            retries: 1,
            ..terms()
        });
        for _ in 0..3 {
            play.ask();
        }
        play.queue.leave(play.asked[&2]);
        assert_eq!(play.queue.waiting(), 0);
        play.queue.leave(play.asked[&0]);
        assert_eq!(play.spoiled(0), [end(0, End::Term), fail(0, Reason::Died)]);
    }

    #[test]
    fn worker_that_has_answered_gets_no_query_before_it_is_clean() {
        let mut play = Play::staffed(Terms {
            channels: 2,
            ..terms()
        });
        for _ in 0..5 {
            play.ask();
        }
        play.queue.answered(play.ids[&0], 0);
        play.queue.answered(play.ids[&0], 1);
        assert_eq!(play.actions(), []);
        assert_eq!(play.spoiled(0), [end(0, End::Term)]);
    }

    #[test]
    fn query_that_was_not_written_goes_to_another_worker_and_is_no_retry() {
        let mut play = Play::staffed(terms());
        play.ask();
        play.queue.unsent(play.ids[&0], 0, Fault::Quit, play.now);
        let expected = [Action::Pause(PROOF), end(0, End::Close), give(1, 0, 0)];
        assert_eq!(play.actions(), expected);
        assert_eq!(play.queue.counts.retried, 0);
    }

    #[test]
    fn worker_that_closes_its_output_sooner_than_a_second_after_its_start_has_failed_to_start() {
        let mut play = Play::staffed(terms());
        play.queue.spoiled(play.ids[&0], Fault::Quit, play.now);
        assert_eq!(play.actions(), [Action::Pause(PROOF), end(0, End::Close)]);
        assert_eq!(play.ended(0), []);
        assert_eq!(play.pass(PROOF), []);
        play.queue.spoiled(play.ids[&1], Fault::Quit, play.now);
        assert_eq!(play.actions(), [end(1, End::Close)]);
    }

    #[test]
    fn workers_are_added_one_at_a_time_while_queries_wait() {
        let mut play = Play::staffed(terms());
        for _ in 0..5 {
            play.ask();
        }
        assert_eq!(play.start(), [2]);
        assert_eq!(play.ready(2), [give(2, 2, 0)]);
        assert_eq!(play.start(), [3]);
        assert_eq!(play.ready(3), [give(3, 3, 0)]);
        assert_eq!(play.start(), []);
        assert_eq!(play.queue.waiting(), 1);
    }

    #[test]
    fn worker_above_the_minimum_leaves_when_it_has_been_idle_for_a_minute() {
        let mut play = Play::staffed(terms());
        for _ in 0..3 {
            play.ask();
        }
        for worker in play.start() {
            play.ready(worker);
        }
        for worker in 0..3 {
            play.answered(worker, 0);
        }
        play.now += 30_000 * MS;
        play.ask();
        play.answered(0, 1);
        assert_eq!(play.pass(29_999 * MS), []);
        assert_eq!(play.queue.alarm(), Some(play.now + MS));
        assert_eq!(play.pass(MS), [end(1, End::Close)]);
        assert_eq!(play.pass(1_000 * MS), [end(1, End::Term)]);
        assert_eq!(play.ended(1), []);
        assert_eq!(play.pass(100_000 * MS), []);
    }

    #[test]
    fn starts_that_fail_are_repeated_after_pauses_that_double_up_to_a_minute() {
        let mut play = Play::new(terms());
        let mut lengths = Vec::new();
        for _ in 0..9 {
            let started = play.start();
            assert_eq!(started.len(), 2);
            for worker in started {
                for action in play.ended(worker) {
                    let Action::Pause(length) = action else {
                        panic!("{action:?}")
                    };
                    lengths.push(length.as_secs());
                }
            }
            let length = Duration::from_secs(lengths[lengths.len() - 1]);
            play.pass(length - MS);
            assert_eq!(play.start(), []);
            play.pass(MS);
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn worker_that_lives_a_second_ends_the_pauses() {
        for lives_on in [true, false] {
            let mut play = Play::new(terms());
            for _ in 0..2 {
                for worker in play.start() {
                    play.ended(worker);
                }
                play.pass(2_000 * MS);
            }
            let started = play.start();
            play.pass(PROOF);
            if !lives_on {
                assert_eq!(play.ended(started[0]), []);
            }
            let next = play.start();
            play.queue
                .spoiled(play.ids[&started[1]], Fault::Output, play.now);
            let next = if lives_on { play.start() } else { next };
            play.actions();
            assert_eq!(play.ended(next[0]), [Action::Pause(PROOF)], "{lives_on}");
        }
    }

    #[test]
    fn worker_that_the_pool_ends_is_no_failed_start() {
        let mut play = Play::staffed(terms());
        play.ask();
        play.spoiled(0);
        assert_eq!(play.ended(0), []);
        assert_eq!(play.start(), [2]);
    }

    #[test]
    fn worker_that_dies_of_its_query_is_started_again_at_once() {
        let mut play = Play::staffed(terms());
        play.ask();
        assert_eq!(play.ended(0), [fail(0, Reason::Died)]);
        assert_eq!(play.start(), [2]);
    }

    #[test]
    fn worker_that_prints_unasked_before_its_first_query_has_failed_to_start() {
        let mut play = Play::staffed(terms());
        assert_eq!(play.spoiled(0), [Action::Pause(PROOF), end(0, End::Term)]);
        assert_eq!(play.start(), []);
        assert_eq!(play.ended(0), []);
    }

    #[test]
    fn replaced_workers_leave_one_after_another_each_when_a_new_one_is_ready() {
        let mut play = Play::staffed(terms());
        play.ask();
        play.queue.replace();
        assert_eq!(play.start(), [2]);
        assert_eq!(play.start(), []);
        // The idle one first.
        assert_eq!(play.ready(2), [end(1, End::Close)]);
        assert_eq!(play.start(), [3]);
        assert_eq!(play.ready(3), []);
        assert_eq!(play.start(), []);
        // It finishes what it has, and gets no more.
        assert_eq!(play.ask(), [give(2, 1, 0)]);
        assert_eq!(play.answered(0, 0), [end(0, End::Close)]);
    }

    #[test]
    fn worker_is_replaced_after_its_number_of_queries_or_its_time() {
        let mut play = Play::staffed(Terms {
            recycle_queries: Some(1),
            ..terms()
        });
        play.ask();
        assert_eq!(play.start(), []);
        play.answered(0, 0);
        assert_eq!(play.start(), [2]);
        assert_eq!(play.ready(2), [end(0, End::Close)]);
        let mut play = Play::staffed(Terms {
            recycle_time: Some(5_000 * MS),
            ..terms()
        });
        assert_eq!(play.queue.alarm(), Some(play.now + 5_000 * MS));
        play.pass(5_000 * MS);
        assert_eq!(play.start(), [2]);
    }

    #[test]
    fn worker_of_one_query_is_started_before_it_is_needed() {
        let mut play = Play::staffed(Terms {
            once: true,
            ..terms()
        });
        assert_eq!(play.ask(), [give(0, 0, 0)]);
        assert_eq!(play.start(), [2]);
        play.ready(2);
        assert_eq!(play.answered(0, 0), [end(0, End::Close)]);
        assert_eq!(play.ended(0), []);
        assert_eq!(play.start(), []);
    }

    #[test]
    fn workers_that_do_not_go_cannot_pile_up() {
        let mut play = Play::staffed(terms());
        for _ in 0..20 {
            play.now += PROOF;
            let alive: Vec<u64> = play.ids.keys().copied().collect();
            for worker in alive {
                play.spoiled(worker);
            }
            for worker in play.start() {
                play.ready(worker);
            }
        }
        assert!(play.workers <= 2 * 4, "{}", play.workers);
    }

    #[test]
    fn closed_pool_ends_idle_workers_in_order_and_hung_ones_at_once() {
        let mut play = Play::staffed(terms());
        play.ask();
        play.queue.close(play.now);
        assert_eq!(
            play.actions(),
            [end(0, End::Term), fail(0, Reason::Died), end(1, End::Close)]
        );
        assert_eq!(play.start(), []);
        assert_eq!(play.pass(PATIENCE), [end(0, End::Kill), end(1, End::Term)]);
        play.ended(0);
        assert!(!play.queue.is_empty());
        play.ended(1);
        assert!(play.queue.is_empty());
    }

    #[test]
    fn channels_fill_the_least_busy_worker_first() {
        let mut play = Play::staffed(Terms {
            channels: 2,
            ..terms()
        });
        assert_eq!(play.ask(), [give(0, 0, 0)]);
        assert_eq!(play.ask(), [give(1, 1, 0)]);
        assert_eq!(play.ask(), [give(0, 2, 1)]);
        assert_eq!(play.answered(0, 1), []);
        assert_eq!(play.ask(), [give(1, 3, 1)]);
        assert_eq!(play.ask(), [give(0, 4, 2)]);
        assert_eq!(play.ask(), []);
        assert_eq!(play.answered(0, 0), [give(0, 5, 3)]);
    }

    /// One step of the model test; numbers choose among what is there.
    #[derive(Clone, Debug)]
    enum Step {
        Ask,
        Leave(usize),
        Ready(usize),
        Answer(usize),
        Spoil(usize),
        Die(usize),
        Gone(usize),
        Replace,
        Pass(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => Just(Step::Ask),
            1 => any::<usize>().prop_map(Step::Leave),
            6 => any::<usize>().prop_map(Step::Ready),
            8 => any::<usize>().prop_map(Step::Answer),
            2 => any::<usize>().prop_map(Step::Spoil),
            1 => any::<usize>().prop_map(Step::Die),
            4 => any::<usize>().prop_map(Step::Gone),
            1 => Just(Step::Replace),
            4 => (0_u32..3_000).prop_map(Step::Pass),
        ]
    }

    /// What a worker is, as somebody sees it who only reads the actions.
    #[derive(Debug, Default)]
    struct Seen {
        is_ready: bool,
        ended: Option<End>,
        /// Numbers and queries.
        has: Vec<(u64, u64)>,
        given: u64,
    }

    #[derive(Debug, Default)]
    struct Model {
        workers: BTreeMap<u64, Seen>,
        /// Where each query is that has no outcome yet: at a worker, or waiting.
        open: BTreeMap<u64, Option<u64>>,
        done: u64,
    }

    impl Model {
        /// The one of `among` that `choice` means.
        fn pick<T: Copy>(among: impl Iterator<Item = T>, choice: usize) -> Option<T> {
            let among: Vec<T> = among.collect();
            (!among.is_empty()).then(|| among[choice % among.len()])
        }

        fn note(&mut self, actions: Vec<Action<u64, u64>>, terms: &Terms) {
            for action in actions {
                match action {
                    Action::Give {
                        worker,
                        query,
                        number,
                    } => {
                        let room = if terms.once { 1 } else { terms.channels };
                        let seen = self
                            .workers
                            .get_mut(&worker)
                            .expect("a worker that is there");
                        assert!(seen.is_ready && seen.ended.is_none(), "{worker}: {seen:?}");
                        assert!(!terms.once || seen.given == 0);
                        assert_eq!(number, seen.given, "numbers of {worker}");
                        seen.given += 1;
                        seen.has.push((number, query));
                        assert!(seen.has.len() <= room);
                        let place = self
                            .open
                            .get_mut(&query)
                            .expect("a query without an outcome");
                        *place = Some(worker);
                    }
                    Action::Fail { query, .. } => {
                        assert!(
                            self.open.remove(&query).is_some(),
                            "{query} has two outcomes"
                        );
                        for seen in self.workers.values_mut() {
                            seen.has.retain(|(_, other)| *other != query);
                        }
                        self.done += 1;
                    }
                    Action::End { worker, how } => {
                        let seen = self
                            .workers
                            .get_mut(&worker)
                            .expect("a worker that is there");
                        assert!(seen.ended < Some(how), "{worker} is ended by {how:?} twice");
                        seen.ended = Some(how);
                        // What it had fails, or waits and is given to others.
                        for (_, query) in std::mem::take(&mut seen.has) {
                            self.open.insert(query, None);
                        }
                    }
                    Action::Pause(length) => assert!((PROOF..=PAUSE_MAX).contains(&length)),
                }
            }
        }
    }

    proptest! {
        // 400 turns each.
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_query_has_one_outcome_whatever_workers_and_clients_do(
            min in 0_usize..3,
            more in 0_usize..3,
            channels in 1_usize..3,
            queue in 0_usize..4,
            retries in 0_u32..3,
            recycle in prop::option::of(1_u64..5),
            once: bool,
            steps in vec(step(), 400),
        ) {
            let terms = Terms {
                min,
                max: (min + more).max(1),
                channels,
                queue: Some(queue),
                wait: 500 * MS,
                busy: 2_000 * MS,
                retries,
                recycle_queries: recycle,
                recycle_time: Some(10_000 * MS),
                patience: PATIENCE,
                once,
            };
            let mut play = Play::new(terms.clone());
            let mut model = Model::default();
            let mut asked = 0;
            for step in steps {
                let actions = match step {
                    Step::Ask => {
                        model.open.insert(play.queries, None);
                        asked += 1;
                        play.ask()
                    }
                    Step::Leave(choice) => {
                        if let Some((&query, &place)) = Model::pick(model.open.iter(), choice) {
                            play.queue.leave(play.asked[&query]);
                            if place.is_none() {
                                model.open.remove(&query);
                                model.done += 1;
                            }
                        }
                        Vec::new()
                    }
                    Step::Ready(choice) => {
                        let there = model.workers.iter_mut().filter(|(_, seen)| !seen.is_ready && seen.ended.is_none());
                        let there: Vec<u64> = there.map(|(&worker, _)| worker).collect();
                        match Model::pick(there.into_iter(), choice) {
                            None => Vec::new(),
                            Some(worker) => {
                                model.workers.get_mut(&worker).unwrap().is_ready = true;
                                play.ready(worker)
                            }
                        }
                    }
                    Step::Answer(choice) => {
                        let flights = model.workers.iter().flat_map(|(&worker, seen)| {
                            seen.has.iter().map(move |&(number, query)| (worker, number, query))
                        });
                        match Model::pick(flights, choice) {
                            None => Vec::new(),
                            Some((worker, number, query)) => {
                                prop_assert!(model.open.remove(&query).is_some());
                                model.done += 1;
                                model.workers.get_mut(&worker).unwrap().has.retain(|has| has.0 != number);
                                play.answered(worker, number)
                            }
                        }
                    }
                    Step::Spoil(choice) => match Model::pick(model.workers.keys().copied(), choice) {
                        None => Vec::new(),
                        Some(worker) => play.spoiled(worker),
                    },
                    Step::Die(choice) => match Model::pick(model.workers.keys().copied(), choice) {
                        None => Vec::new(),
                        Some(worker) => {
                            let seen = model.workers.remove(&worker).unwrap();
                            for (_, query) in seen.has {
                                model.open.insert(query, None);
                            }
                            play.ended(worker)
                        }
                    },
                    Step::Gone(choice) => {
                        let leaving = model.workers.iter().filter(|(_, seen)| seen.ended.is_some());
                        match Model::pick(leaving.map(|(&worker, _)| worker), choice) {
                            None => Vec::new(),
                            Some(worker) => {
                                let seen = model.workers.remove(&worker).unwrap();
                            for (_, query) in seen.has {
                                model.open.insert(query, None);
                            }
                            play.ended(worker)
                            }
                        }
                    }
                    Step::Replace => {
                        play.queue.replace();
                        Vec::new()
                    }
                    Step::Pass(time) => {
                        // Nothing that was due is late: the clock stops at each alarm.
                        let until = play.now + time * MS;
                        let mut actions = Vec::new();
                        let mut stops = 0;
                        while let Some(alarm) = play.queue.alarm().filter(|&alarm| alarm <= until) {
                            let wait = alarm.saturating_duration_since(play.now);
                            actions.extend(play.pass(wait));
                            stops += 1;
                            prop_assert!(stops < 1000, "the clock stands still");
                        }
                        play.now = until;
                        actions.extend(play.pass(Duration::ZERO));
                        actions
                    }
                };
                model.note(actions, &terms);
                for worker in play.start() {
                    model.workers.insert(worker, Seen::default());
                }
                model.note(play.actions(), &terms);
                let waiting = model.open.values().filter(|place| place.is_none()).count();
                let with_workers = play.queue.workers.values().map(|worker| worker.flights.len());
                prop_assert_eq!(asked, model.done + play.queue.waiting() as u64 + with_workers.sum::<usize>() as u64);
                prop_assert_eq!(waiting, play.queue.waiting());
                // Who waits, waits for a worker.
                let room = if once { 1 } else { channels };
                let idle = play.queue.workers.values().filter(|worker| {
                    matches!(worker.state, State::Serving { .. }) && worker.flights.len() < room
                });
                prop_assert!(play.queue.waiting() == 0 || idle.count() == 0);
                // Processes are bounded.
                prop_assert!(model.workers.len() <= 2 * terms.max + 3);
            }
        }
    }
}
