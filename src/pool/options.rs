//! What the command line says about workers and queries.

use std::time::Duration;

use super::client::Manners;
use super::frame::{self, Found, Frame, Scanner};
use super::queue::{self, Reason};
use super::worker::Protocol;
use crate::cli::{Error, Opt, number, seconds, size};

/// What the command line says about workers and queries.
#[derive(Debug)]
pub struct Options {
    min: usize,
    max: Option<usize>,
    query: Frame,
    /// As the query, where it is not given.
    reply: Option<Frame>,
    busy: Duration,
    /// How many queries may wait; where it is not given, twice the workers.
    queue: Option<usize>,
    /// As many queries may wait as come.
    queue_is_open: bool,
    wait: Duration,
    error: Vec<u8>,
    max_query: u64,
    max_reply: u64,
    queries: u32,
    idle: Duration,
    recycle_queries: Option<u64>,
    recycle_time: Option<Duration>,
    retries: u32,
    ready: Option<Vec<u8>>,
    channels: usize,
    tells_address: bool,
    pub(super) tags_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min: 4,
            max: None,
            query: Frame::Line,
            reply: None,
            busy: Duration::from_secs(15),
            queue: None,
            queue_is_open: false,
            wait: Duration::from_millis(500),
            error: b"ERR".to_vec(),
            max_query: 64 * 1024,
            max_reply: 1024 * 1024,
            queries: 1,
            idle: Duration::from_secs(60),
            recycle_queries: None,
            recycle_time: None,
            retries: 0,
            ready: None,
            channels: 1,
            tells_address: false,
            tags_errors: false,
        }
    }
}

/// How long a worker may take to be ready, where a query may not take longer.
const START_MIN: Duration = Duration::from_secs(60);
/// The most workers that can be asked for.
const WORKERS_MAX: u32 = 100_000;
/// Completes "option --x needs".
const SECONDS: &str = "a number of seconds";
const SIZE: &str = "a number of bytes, perhaps with k, M or G behind it";
const COUNT_AND_SECONDS: &str = "a number, perhaps with a colon and a number of seconds behind it";

impl Options {
    /// The rows.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "workers",
            "min:max",
            "keep so many workers, and more, up to max, while queries wait (default 4)",
            |pool, value| {
                let needed = "a number, or two with a colon: the most is not less than the least";
                (pool.min, pool.max) = value.parse(needed, workers)?;
                Ok(())
            },
        ),
        Opt::value(
            "query",
            "frame",
            "how a query ends: line, crlf, lines:N, blank, dot, nul, netstring, len4 or eof (default line)",
            |pool, value| {
                pool.query = value.parse(frame::QUERIES, Frame::of_query)?;
                Ok(())
            },
        ),
        Opt::value(
            "reply",
            "frame",
            "how a reply ends: so, or idle:MS, a silence (default that of queries)",
            |pool, value| {
                pool.reply = Some(value.parse(frame::REPLIES, Frame::parse)?);
                Ok(())
            },
        ),
        Opt::value(
            "busy-timeout",
            "seconds",
            "end a worker that takes longer for a query (default 15)",
            |pool, value| {
                pool.busy = value.parse(SECONDS, seconds)?;
                Ok(())
            },
        ),
        Opt::value(
            "queue",
            "length:seconds",
            "let this many queries wait, so long (default twice the workers, 0.5 seconds)",
            |pool, value| {
                let (length, wait) = value.parse(COUNT_AND_SECONDS, count_and_seconds)?;
                pool.queue = Some(length as usize);
                pool.wait = wait.unwrap_or(pool.wait);
                Ok(())
            },
        ),
        Opt::value(
            "error",
            "text",
            "answer this when a query fails, %r being the reason; nothing: close (default ERR)",
            |pool, value| {
                pool.error = value.bytes();
                Ok(())
            },
        ),
        Opt::value(
            "max-query",
            "bytes",
            "the longest query; 0: no limit (default 64k)",
            |pool, value| {
                pool.max_query = value.parse(SIZE, size)?;
                Ok(())
            },
        ),
        Opt::value(
            "max-reply",
            "bytes",
            "the longest reply; 0: no limit (default 1M)",
            |pool, value| {
                pool.max_reply = value.parse(SIZE, size)?;
                Ok(())
            },
        ),
        Opt::value(
            "queries",
            "number",
            "queries of one connection; 0: until the client closes (default 1)",
            |pool, value| {
                pool.queries = value.number(0..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "idle-timeout",
            "seconds",
            "a client may take so long to ask, and to read (default 60)",
            |pool, value| {
                pool.idle = value.parse(SECONDS, seconds)?;
                Ok(())
            },
        ),
        Opt::value(
            "recycle",
            "queries:seconds",
            "replace a worker after this many queries (0: any number), or so long",
            |pool, value| {
                let (queries, time) = value.parse(COUNT_AND_SECONDS, count_and_seconds)?;
                pool.recycle_queries = (queries > 0).then_some(queries.into());
                pool.recycle_time = time;
                Ok(())
            },
        ),
        Opt::value(
            "retry",
            "number",
            "try a query again on this many other workers, when one dies or takes too long (default 0)",
            |pool, value| {
                pool.retries = value.number(0..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "ready",
            "line",
            "a worker is ready when it has printed this line",
            |pool, value| {
                pool.ready = Some(value.bytes());
                Ok(())
            },
        ),
        Opt::value(
            "channels",
            "number",
            "queries that a worker may have at once, with numbers (default 1)",
            |pool, value| {
                pool.channels = value.number(1..=10_000)? as usize;
                Ok(())
            },
        ),
        Opt::flag(
            "tell-address",
            "put the peer's address and a blank before each query",
            |pool| pool.tells_address = true,
        ),
        Opt::flag(
            "tag-errors",
            "put the worker's pid before what workers write to descriptor 2",
            |pool| pool.tags_errors = true,
        ),
    ];

    /// iotcpd's pool: so many workers, and a query waits half a second whatever waits already.
    pub fn of_iotcpd(workers: u32, busy: Duration) -> Self {
        Self {
            min: workers as usize,
            busy,
            queue_is_open: true,
            ..Self::default()
        }
    }

    /// How long a worker may take for a query.
    pub(super) fn busy(&self) -> Duration {
        self.busy
    }

    /// How many processes there may be, amply: each has descriptors.
    pub(super) fn processes(&self) -> usize {
        2 * self.max().max(2) + 1
    }

    fn max(&self) -> usize {
        self.max.unwrap_or(self.min).max(1)
    }

    /// Looks at what only all options together show.
    ///
    /// # Errors
    /// Usage, 100: they do not fit.
    pub(super) fn check(&self) -> Result<(), Error> {
        let unfit = |text: &str| Err(Error::operand(text));
        let reply = self.reply();
        if self.channels > 1 {
            if !self.query.ends_by_itself() || !reply.ends_by_itself() {
                return unfit(
                    "option --channels needs frames that end by themselves, not idle or eof",
                );
            }
            if self.max_query == 0 || self.max_reply == 0 {
                return unfit(
                    "option --channels needs limits: --max-query and --max-reply cannot be 0",
                );
            }
        }
        if !self.error.is_empty() && reply.ends_by_itself() {
            let longest = super::connection::error_text(&self.error, Reason::Timeout);
            let frame = reply.wrap(&longest);
            if Scanner::new(reply, 0).scan(&frame) != Ok(Found::End(frame.len())) {
                return unfit("option --error needs a text without the end of a reply in it");
            }
        }
        Ok(())
    }

    fn reply(&self) -> Frame {
        self.reply.unwrap_or(self.query)
    }

    pub(super) fn terms(&self, patience: Duration) -> queue::Terms {
        queue::Terms {
            min: self.min,
            max: self.max(),
            channels: self.channels,
            queue: (!self.queue_is_open).then(|| self.queue.unwrap_or(2 * self.max())),
            start: self.busy.max(START_MIN),
            wait: self.wait,
            busy: self.busy,
            retries: self.retries,
            recycle_queries: self.recycle_queries,
            recycle_time: self.recycle_time,
            patience,
            once: self.query == Frame::Eof || self.reply() == Frame::Eof,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        Protocol {
            query: self.query,
            reply: self.reply(),
            max_reply: self.max_reply,
            is_numbered: self.channels > 1,
            ready: self.ready.clone(),
        }
    }

    pub(super) fn manners(&self) -> Manners {
        Manners {
            query: self.query,
            reply: self.reply(),
            max_query: self.max_query,
            queries: self.queries,
            idle: self.idle,
            error: self.error.clone(),
            tells_address: self.tells_address,
        }
    }
}

/// `NUMBER` or `NUMBER:SECONDS`.
fn count_and_seconds(text: &[u8]) -> Option<(u32, Option<Duration>)> {
    match text.iter().position(|&byte| byte == b':') {
        None => Some((number(text)?, None)),
        Some(at) => Some((number(&text[..at])?, Some(seconds(&text[at + 1..])?))),
    }
}

/// `MIN` or `MIN:MAX`.
fn workers(text: &[u8]) -> Option<(usize, Option<usize>)> {
    let count = |text: &[u8]| {
        let count = number(text).filter(|&count| count <= WORKERS_MAX)?;
        Some(count as usize)
    };
    match text.iter().position(|&byte| byte == b':') {
        None => Some((count(text).filter(|&min| min > 0)?, None)),
        Some(at) => {
            let (min, max) = (count(&text[..at])?, count(&text[at + 1..])?);
            (max >= min.max(1)).then_some((min, Some(max)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_manual_says() {
        let options = Options::default();
        let terms = options.terms(Duration::from_secs(1));
        assert_eq!((terms.min, terms.max, terms.channels), (4, 4, 1));
        assert_eq!((terms.queue, terms.wait.as_millis()), (Some(8), 500));
        assert_eq!((terms.busy.as_secs(), terms.start.as_secs()), (15, 60));
        assert_eq!((terms.retries, terms.once), (0, false));
        assert_eq!((terms.recycle_queries, terms.recycle_time), (None, None));
        let manners = options.manners();
        assert_eq!((manners.query, manners.reply), (Frame::Line, Frame::Line));
        assert_eq!((manners.max_query, manners.queries), (64 * 1024, 1));
        assert_eq!(
            (manners.idle.as_secs(), &manners.error[..]),
            (60, &b"ERR"[..])
        );
        assert!(!manners.tells_address && !options.tags_errors);
        let protocol = options.protocol();
        assert_eq!(
            (protocol.reply, protocol.max_reply),
            (Frame::Line, 1024 * 1024)
        );
        assert_eq!((protocol.is_numbered, protocol.ready), (false, None));
    }

    #[test]
    fn queue_is_twice_the_most_workers_and_replies_end_as_queries() {
        let options = Options {
            min: 1,
            max: Some(3),
            query: Frame::Blank,
            busy: Duration::from_secs(90),
            ..Options::default()
        };
        let terms = options.terms(Duration::from_secs(1));
        assert_eq!((terms.min, terms.max, terms.queue), (1, 3, Some(6)));
        assert_eq!(terms.start.as_secs(), 90);
        assert_eq!(options.manners().reply, Frame::Blank);
        assert_eq!(options.protocol().reply, Frame::Blank);
    }
}
