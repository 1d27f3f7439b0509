//! A worker and its queries, as the queue keeps them.

use std::time::Instant;

use super::words::{End, QueryId, WorkerId};

pub(super) struct Worker<W, Q> {
    pub(super) handle: W,
    pub(super) started: Instant,
    pub(super) state: State,
    /// What it has to answer.
    pub(super) flights: Vec<Flight<Q>>,
    /// Queries that it was given so far.
    pub(super) given: u64,
    /// It is to be replaced.
    pub(super) is_due: bool,
    /// It was started to replace another, and has not done so yet.
    pub(super) is_spare: bool,
    /// Its place among those that may get a query.
    pub(super) place: Option<Place>,
}

impl<W, Q> Worker<W, Q> {
    pub(super) fn condition(&self) -> Condition {
        match self.state {
            _ if !self.flights.is_empty() => Condition::Busy,
            State::Serving { .. } => Condition::Ready,
            State::Starting => Condition::Starting,
            State::Retiring | State::Leaving(..) => Condition::Leaving,
        }
    }
}

/// How a worker is, for who looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Condition {
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
    pub(in crate::pool) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Leaving => "leaving",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
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
pub(super) type Place = (usize, u64, WorkerId);

pub(super) struct Flight<Q> {
    pub(super) number: u64,
    pub(super) query: Query<Q>,
    pub(super) deadline: Instant,
}

pub(super) struct Query<Q> {
    pub(super) id: QueryId,
    pub(super) handle: Q,
    pub(super) retries_left: u32,
    /// It was with a worker already.
    pub(super) is_back: bool,
    /// It is not tried again.
    pub(super) is_final: bool,
}

pub(super) struct Waiting<Q> {
    pub(super) query: Query<Q>,
    pub(super) deadline: Instant,
}
