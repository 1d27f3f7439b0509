//! What the queue is told, and what it says.

use std::time::Duration;

/// What the command line says about workers and about waiting.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Terms {
    /// Workers that are there at all times.
    pub(in crate::pool) min: usize,
    /// How many may be there while queries wait; at least `min`, at least 1.
    pub(in crate::pool) max: usize,
    /// How many queries one worker may have at once, at least 1.
    pub(in crate::pool) channels: usize,
    /// How many queries may wait; `None` is no limit.
    pub(in crate::pool) queue: Option<usize>,
    /// How long a worker may take until it is ready.
    pub(in crate::pool) start: Duration,
    /// How long a query may wait.
    pub(in crate::pool) wait: Duration,
    /// How long a worker may take to answer.
    pub(in crate::pool) busy: Duration,
    /// How often a query is tried again.
    pub(in crate::pool) retries: u32,
    /// A worker is replaced after so many queries.
    pub(in crate::pool) recycle_queries: Option<u64>,
    /// A worker is replaced after so long.
    pub(in crate::pool) recycle_time: Option<Duration>,
    /// The time between one way to end a worker and the next.
    pub(in crate::pool) patience: Duration,
    /// Each worker answers one query and ends.
    pub(in crate::pool) once: bool,
}

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Reason {
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
    const ALL: [Self; 6] = [
        Self::Busy,
        Self::Queue,
        Self::Timeout,
        Self::Died,
        Self::Long,
        Self::Bad,
    ];

    /// A number for each.
    pub(in crate::pool) fn number(self) -> u8 {
        self as u8
    }

    /// The one that has this number.
    pub(in crate::pool) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.number() == number)
    }

    /// The word that stands for `%r`, and in the log.
    pub(in crate::pool) fn word(self) -> &'static str {
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
pub(in crate::pool) enum Fault {
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
pub(in crate::pool) type WorkerId = u64;
/// A query, as the queue calls it; in the order in which they came.
pub(in crate::pool) type QueryId = u64;

/// A way to end a worker, from the politest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::pool) enum End {
    /// Close its stdin.
    Close,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

impl End {
    const ALL: [Self; 3] = [Self::Close, Self::Term, Self::Kill];

    /// A number for each.
    pub(in crate::pool) fn number(self) -> u8 {
        self as u8
    }

    /// The one that has this number.
    pub(in crate::pool) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.number() == number)
    }

    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Close => Some(Self::Term),
            Self::Term => Some(Self::Kill),
            Self::Kill => None,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Action<W, Q> {
    /// Give `query` to `worker`, as its query `number`, which counts from 0 for each worker.
    Give { worker: W, query: Q, number: u64 },
    /// Tell `query` that it gets no answer.
    Fail { query: Q, reason: Reason },
    /// End `worker`. All queries that it had are taken care of.
    End { worker: W, how: End },
    /// Starting has failed, in this way, and there is no further try for so long. To be told.
    Pause(Slip, Duration),
}

/// How a start has failed, after there was a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Slip {
    /// It has ended within a second, without a query, or was ended because of what it printed then.
    Short,
    /// It has ended later, and was not ready.
    Unready,
    /// It was not ready in time.
    Late,
}

/// What has happened so far, and what is.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Counts {
    /// Queries that found no ready worker.
    pub(in crate::pool) delayed: u64,
    /// Queries whose worker took too long; one that is tried again can count more than once.
    pub(in crate::pool) timeouts: u64,
    /// Queries that were given to another worker.
    pub(in crate::pool) retried: u64,
    /// Workers that were ended because of a query, or of what they printed.
    pub(in crate::pool) killed: u64,
    /// Workers that were started.
    pub(in crate::pool) spawns: u64,
    /// The most queries that have waited at once.
    pub(in crate::pool) queue_max: usize,
}
