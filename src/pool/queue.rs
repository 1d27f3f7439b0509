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

mod clock;
mod pack;
mod roster;
mod staff;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use clock::IDLE;
pub(super) use roster::Condition;
use roster::{Flight, Place, Query, State, Waiting, Worker};
pub(super) use staff::Census;
use staff::Pause;
pub(super) use words::{Action, Counts, End, Fault, QueryId, Reason, Slip, Terms, WorkerId};

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

    /// As [`Self::spoiled`], and it has read nothing of its query `number`: that one is not tried again, but given to another
    /// for the first time.
    pub(super) fn unread(&mut self, id: WorkerId, number: u64, fault: Fault, now: Instant) {
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

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
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
}
