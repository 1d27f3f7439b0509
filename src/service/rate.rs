//! How often something may happen: so often in so long on average, and some of it at once. Pure over time.
//!
//! A token bucket, kept as the one moment at which it is full again (the generic cell rate algorithm). That moment means
//! the same whatever the rate is, so a rate may change at any time.

use std::time::Duration;

use super::pack::{Packer, Unpacker};
use crate::cli::{number, seconds};

/// A moment: nanoseconds since the service began, by a clock that nobody sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// So long after the beginning.
    pub(crate) fn after(beginning: Duration) -> Self {
        Self(nanoseconds(beginning))
    }

    /// How long after `earlier` this is; nothing if it is before.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(time)))
    }

    /// As a number, and back.
    pub(super) fn pack(self, to: &mut Packer) {
        to.number(self.0);
    }

    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.number().map(Self)
    }

    fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(time)))
    }
}

/// 584 years at most.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The average time from one to the next.
    pub(super) every: Duration,
    /// How many may come at once.
    pub(super) burst: u32,
}

/// The most that may happen at once, or in the time that a rate names.
const NUMBER_MAX: u32 = 1_000_000;

impl Rate {
    /// How to write one, for messages.
    pub const FORM: &'static str =
        "NUMBER/SECONDS or NUMBER/SECONDS:BURST, the numbers from 1 to 1000000";

    /// Reads `NUMBER/SECONDS` or `NUMBER/SECONDS:BURST`; without a burst it is the number.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |&byte| byte == b'/');
        let count = parts.next().and_then(number)?;
        let mut parts = parts.next()?.splitn(2, |&byte| byte == b':');
        let time = parts.next().and_then(seconds)?;
        let burst = match parts.next() {
            Some(burst) => number(burst)?,
            None => count,
        };
        let are_in_range = [count, burst]
            .iter()
            .all(|number| (1..=NUMBER_MAX).contains(number));
        let every = time.checked_div(count).filter(|every| !every.is_zero())?;
        are_in_range.then_some(Self { every, burst })
    }

    /// How long a bucket that has one token left takes to be full.
    fn tolerance(self) -> Duration {
        self.every.saturating_mul(self.burst - 1)
    }
}

/// The tokens that are left, as the moment when none will be missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full: Moment,
}

impl Bucket {
    /// How long until there is a token; nothing if there is one at `now`.
    pub(super) fn wait(self, rate: Rate, now: Moment) -> Duration {
        self.full.minus(rate.tolerance()).since(now)
    }

    pub(super) fn pack(self, to: &mut Packer) {
        self.full.pack(to);
    }

    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Moment::unpack(from).map(|full| Self { full })
    }

    /// Takes a token.
    pub(super) fn take(&mut self, rate: Rate, now: Moment) {
        self.full = self.full.max(now).plus(rate.every);
    }

    /// Puts back a token that was not needed.
    pub(super) fn put_back(&mut self, rate: Rate) {
        self.full = self.full.minus(rate.every);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bucket, Moment, Rate};

    fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn rate_has_a_number_a_time_and_perhaps_a_burst() {
        let rate = |every, burst| {
            Some(Rate {
                every: Duration::from_millis(every),
                burst,
            })
        };
        for (text, read) in [
            ("10/1", rate(100, 10)),
            ("10/1:1", rate(100, 1)),
            ("1/0.5:3", rate(500, 3)),
            ("1000000/1000", rate(1, 1_000_000)),
        ] {
            assert_eq!(Rate::parse(text.as_bytes()), read, "{text}");
        }
        for wrong in [
            "",
            "1",
            "1/",
            "/1",
            "0/1",
            "1/0",
            "1/1:",
            "1/1:0",
            "1/1:2:3",
            "x/1",
            "1/x",
            "1/1/1",
            "-1/1",
            "1000001/1",
            "1/1:1000001",
            " 1/1",
            "1000000/0.0000001",
        ] {
            assert_eq!(Rate::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn burst_comes_at_once_and_then_one_each_time() {
        let rate = Rate::parse(b"2/1:3").unwrap();
        let mut bucket = Bucket::default();
        let now = at(5000);
        for _ in 0..3 {
            assert_eq!(bucket.wait(rate, now), Duration::ZERO);
            bucket.take(rate, now);
        }
        assert_eq!(bucket.wait(rate, now), Duration::from_millis(500));
        assert_eq!(bucket.wait(rate, at(5400)), Duration::from_millis(100));
        bucket.put_back(rate);
        assert_eq!(bucket.wait(rate, now), Duration::ZERO);
    }

    #[test]
    fn idleness_fills_the_bucket_and_no_more() {
        let rate = Rate::parse(b"1/1:2").unwrap();
        let mut bucket = Bucket::default();
        for _ in 0..2 {
            bucket.take(rate, at(0));
        }
        let later = at(3_600_000);
        for _ in 0..2 {
            assert_eq!(bucket.wait(rate, later), Duration::ZERO);
            bucket.take(rate, later);
        }
        assert_eq!(bucket.wait(rate, later), Duration::from_secs(1));
    }
}
