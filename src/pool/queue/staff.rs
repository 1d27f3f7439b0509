//! How many workers there are: who is started, replaced, let go; and the pauses after starts that failed.

use std::time::{Duration, Instant};

use super::Queue;
use super::clock::IDLE;
use super::roster::{Condition, State, Worker};
use super::words::{Action, End, Slip, WorkerId};

/// A worker that ends sooner after its start, and without a query, has failed to start; so has one that was not ready.
pub(super) const PROOF: Duration = Duration::from_secs(1);

/// The longest pause after failed starts; the first is `PROOF`, and each is twice the one before.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Workers on their way out of a pool of one or two.
const LEAVING_MIN: usize = 2;

/// The workers, counted for the decision whether there are enough.
#[derive(Default)]
pub(super) struct Staff {
    /// Starting or serving.
    all: usize,
    /// Of these, who counts as ready for what comes.
    pub(super) fresh: usize,
    starting: usize,
    /// Finishing, or ended and not gone.
    leaving: usize,
    /// One is to be replaced.
    due: bool,
}

/// The states of workers, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Census {
    /// Serving, without a query.
    pub(in crate::pool) ready: usize,
    /// With a query.
    pub(in crate::pool) busy: usize,
    /// Started, not ready yet.
    pub(in crate::pool) starting: usize,
    /// Missing: to be started.
    pub(in crate::pool) missing: usize,
}

/// A pause between starts.
#[derive(Clone, Copy)]
pub(super) struct Pause {
    /// Starts from before say nothing new.
    pub(super) until: Instant,
    pub(super) length: Duration,
}

impl<W: Clone, Q: Clone> Queue<W, Q> {
    /// True when a worker is to be started now, which [`Self::started`] or [`Self::start_failed`] then answers.
    pub(in crate::pool) fn wants_start(&self, now: Instant) -> bool {
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
    pub(in crate::pool) fn started(&mut self, handle: W, now: Instant) -> WorkerId {
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
        self.wake_by(now + self.terms.start);
        if let Some(time) = self.terms.recycle_time {
            self.wake_by(now + time);
        }
        id
    }

    /// No worker could be started; gives how long none is now.
    pub(in crate::pool) fn start_failed(&mut self, now: Instant) -> Duration {
        self.order_pause(now, now).unwrap_or_default()
    }

    /// A worker may get queries from now on.
    pub(in crate::pool) fn ready(&mut self, id: WorkerId, now: Instant) {
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

    /// Replaces all workers, one after another.
    pub(in crate::pool) fn replace(&mut self) {
        for worker in self.workers.values_mut() {
            worker.is_due = true;
        }
    }

    /// The workers, by state.
    pub(in crate::pool) fn census(&self) -> Census {
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
    pub(in crate::pool) fn workers(&self) -> impl Iterator<Item = (&W, Condition)> {
        self.workers
            .values()
            .map(|worker| (&worker.handle, worker.condition()))
    }

    pub(super) fn staff(&self) -> Staff {
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
    pub(super) fn retire(&mut self, id: WorkerId, now: Instant) {
        self.unplace(id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state = State::Retiring;
            if worker.flights.is_empty() {
                self.end(id, End::Close, now);
            }
        }
    }

    /// A worker is going, and not because it is too many: tells from its age, and from whether it was ready, whether it had
    /// started at all.
    pub(super) fn note_start(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        let (started, given) = (worker.started, worker.given);
        let is_young = now.saturating_duration_since(started) < PROOF;
        if worker.state == State::Starting && !is_young {
            self.slipped(Slip::Unready, started, now);
        } else if !is_young {
            self.pause.take_if(|pause| pause.until <= started);
        } else if given == 0 {
            // One that dies of its query had started: else whoever knows such a query would stop the others.
            self.slipped(Slip::Short, started, now);
        }
    }

    /// A start that began at `started` has failed.
    pub(super) fn slipped(&mut self, slip: Slip, started: Instant, now: Instant) {
        if let Some(length) = self.order_pause(started, now) {
            self.actions.push_back(Action::Pause(slip, length));
        }
    }

    /// The pause after a start that began at `started` and failed; `None` when that belongs to the pause before.
    fn order_pause(&mut self, started: Instant, now: Instant) -> Option<Duration> {
        let mut length = PROOF;
        if let Some(pause) = self.pause {
            if started < pause.until {
                return None;
            }
            let is_proven = self.workers.values().any(|worker| {
                worker.state != State::Starting
                    && worker.started >= pause.until
                    && now.saturating_duration_since(worker.started) >= PROOF
            });
            if !is_proven {
                length = (pause.length * 2).min(PAUSE_MAX);
            }
        }
        let until = now + length;
        self.pause = Some(Pause { until, length });
        self.wake_by(until);
        Some(length)
    }
}
