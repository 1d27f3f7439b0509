//! The queue, played: a clock of its own, workers and queries that are numbers.

mod model;
mod queries;
mod staffing;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Action, End, Fault, QueryId, Queue, Reason, Slip, Terms, WorkerId};
use crate::service::{Packer, Unpacker};

const PATIENCE: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn terms() -> Terms {
    Terms {
        min: 2,
        max: 4,
        channels: 1,
        queue: Some(3),
        start: 60_000 * MS,
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

    /// Has another queue go on with what this one has packed, which must pack the same.
    fn upgrade(&mut self, terms: Terms) {
        let pack = |queue: &Queue<u64, u64>, now| {
            let mut to = Packer::default();
            queue.pack(&mut to, now, |to, &worker| to.number(worker));
            to.done()
        };
        let packed = pack(&self.queue, self.now);
        let asked: BTreeMap<QueryId, u64> = self.asked.iter().map(|(&q, &id)| (id, q)).collect();
        let query = |id| asked.get(&id).copied();
        let worker = |from: &mut Unpacker<'_>, id, has: Vec<(u64, u64)>| {
            let worker = from.number()?;
            assert_eq!(self.ids[&worker], id);
            assert!(has.iter().all(|(_, query)| self.asked.contains_key(query)));
            Some(worker)
        };
        let mut from = Unpacker::new(&packed);
        let queue = Queue::unpack(&mut from, terms, self.now, query, worker).expect("whole");
        assert!(from.is_done());
        assert_eq!(pack(&queue, self.now), packed);
        self.queue = queue;
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
