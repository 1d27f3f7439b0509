//! What is due when: who has waited too long, takes too long, does not go, or has nothing to do.

use std::time::{Duration, Instant};

use super::Queue;
use super::roster::State;
use super::words::{End, Fault, QueryId, Reason, Slip, WorkerId};

/// How long a worker above the minimum may be idle.
pub(super) const IDLE: Duration = Duration::from_secs(60);

impl<W: Clone, Q: Clone> Queue<W, Q> {
    /// When [`Self::tick`] must be called at the latest.
    pub(in crate::pool) fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    /// Does what is due by now.
    pub(in crate::pool) fn tick(&mut self, now: Instant) {
        self.expire_waiting(now);
        let mut surplus = self.staff().fresh.saturating_sub(self.terms.min);
        let all: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in all {
            self.tick_worker(id, &mut surplus, now);
        }
        self.give(now);
        self.alarm = self.next_alarm(now);
    }

    pub(super) fn wake_by(&mut self, at: Instant) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
        }
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
            State::Starting if worker.started + self.terms.start <= now => {
                let started = worker.started;
                self.slipped(Slip::Late, started, now);
                self.end(id, End::Term, now);
            }
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
                State::Starting => at(worker.started + self.terms.start),
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
