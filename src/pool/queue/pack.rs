//! The queue as plain data, for the next version of this program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::Queue;
use super::roster::{Flight, Query, State, Waiting, Worker};
use super::staff::Pause;
use super::words::{Counts, End, QueryId, Terms, WorkerId};
use crate::service::{Packer, Unpacker};

impl<W: Clone, Q: Clone> Queue<W, Q> {
    /// Each query that waits or that a worker has.
    pub(in crate::pool) fn queries(&self) -> impl Iterator<Item = (QueryId, &Q)> {
        let waiting = self.waiting.values().map(|waiting| &waiting.query);
        let flights = self.workers.values().flat_map(|worker| &worker.flights);
        let all = waiting.chain(flights.map(|flight| &flight.query));
        all.map(|query| (query.id, &query.handle))
    }

    /// All that it knows, when nothing is left to be done; `pack` packs a worker.
    pub(in crate::pool) fn pack(
        &self,
        to: &mut Packer,
        now: Instant,
        mut pack: impl FnMut(&mut Packer, &W),
    ) {
        to.list(self.workers.iter(), |to, (&id, worker)| {
            to.number(id);
            to.moment(worker.started, now);
            worker.state.pack(to, now);
            to.list(worker.flights.iter(), |to, flight| {
                to.number(flight.number);
                flight.query.pack(to);
                to.moment(flight.deadline, now);
            });
            to.number(worker.given);
            to.number(worker.is_due);
            to.number(worker.is_spare);
            to.maybe(worker.place, |to, (_, turn, _)| to.number(turn));
            pack(to, &worker.handle);
        });
        to.list(self.waiting.values(), |to, waiting| {
            waiting.query.pack(to);
            to.moment(waiting.deadline, now);
        });
        to.maybe(self.pause, |to, pause| {
            to.moment(pause.until, now);
            to.duration(pause.length);
        });
        to.number(self.next_id);
        to.number(self.turn);
        self.counts.pack(to);
    }

    /// One that was packed. `query` gives a query's handle, `worker` takes a worker, with the queries that it has.
    pub(in crate::pool) fn unpack(
        from: &mut Unpacker<'_>,
        terms: Terms,
        now: Instant,
        query: impl Fn(QueryId) -> Option<Q>,
        mut unpack: impl FnMut(&mut Unpacker<'_>, WorkerId, Vec<(u64, Q)>) -> Option<W>,
    ) -> Option<Self> {
        let mut open = BTreeSet::new();
        let workers = from.list(|from| {
            let id = from.number()?;
            let started = from.moment(now)?;
            let state = State::unpack(from, now)?;
            let flights = from.list(|from| {
                Some(Flight {
                    number: from.number()?,
                    query: Query::unpack(from, &query)?,
                    deadline: from.moment(now)?,
                })
            })?;
            let given = from.number()?;
            let (is_due, is_spare) = (from.flag()?, from.flag()?);
            let place = from.maybe(Unpacker::number)?;
            let place = place.map(|turn| (flights.len(), turn, id));
            open.extend(place);
            let has = flights.iter().map(|flight| {
                let query = &flight.query;
                (flight.number, query.handle.clone())
            });
            let handle = unpack(from, id, has.collect())?;
            let worker = Worker {
                handle,
                started,
                state,
                flights,
                given,
                is_due,
                is_spare,
                place,
            };
            Some((id, worker))
        })?;
        let waiting = from.list(|from| {
            let query = Query::unpack(from, &query)?;
            let deadline = from.moment(now)?;
            Some((query.id, Waiting { query, deadline }))
        })?;
        Some(Self {
            terms,
            workers: BTreeMap::from_iter(workers),
            open,
            waiting: BTreeMap::from_iter(waiting),
            pause: from.maybe(|from| {
                Some(Pause {
                    until: from.moment(now)?,
                    length: from.duration()?,
                })
            })?,
            is_closed: false,
            next_id: from.number()?,
            turn: from.number()?,
            // What is due when, the first look finds out.
            alarm: Some(now),
            actions: VecDeque::new(),
            counts: Counts::unpack(from)?,
        })
    }
}

impl State {
    fn pack(self, to: &mut Packer, now: Instant) {
        let (kind, at): (u8, _) = match self {
            Self::Starting => (0, now),
            Self::Serving { idle } => (1, idle),
            Self::Retiring => (2, now),
            Self::Leaving(how, at) => (3 + how.number(), at),
        };
        to.number(kind);
        to.moment(at, now);
    }

    fn unpack(from: &mut Unpacker<'_>, now: Instant) -> Option<Self> {
        let (kind, at) = (from.number()?, from.moment(now)?);
        Some(match kind {
            0_u8 => Self::Starting,
            1 => Self::Serving { idle: at },
            2 => Self::Retiring,
            how => Self::Leaving(End::of(how - 3)?, at),
        })
    }
}

impl<Q> Query<Q> {
    fn pack(&self, to: &mut Packer) {
        to.number(self.id);
        to.number(self.retries_left);
        to.number(self.is_back);
        to.number(self.is_final);
    }

    fn unpack(from: &mut Unpacker<'_>, handle: &impl Fn(QueryId) -> Option<Q>) -> Option<Self> {
        let id = from.number()?;
        Some(Self {
            id,
            handle: handle(id)?,
            retries_left: from.number()?,
            is_back: from.flag()?,
            is_final: from.flag()?,
        })
    }
}

impl Counts {
    fn pack(&self, to: &mut Packer) {
        let Self {
            delayed,
            timeouts,
            retried,
            killed,
            spawns,
            queue_max,
        } = *self;
        let numbers = [delayed, timeouts, retried, killed, spawns];
        numbers.into_iter().for_each(|number| to.number(number));
        to.number(queue_max as u64);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            delayed: from.number()?,
            timeouts: from.number()?,
            retried: from.number()?,
            killed: from.number()?,
            spawns: from.number()?,
            queue_max: from.number()?,
        })
    }
}
