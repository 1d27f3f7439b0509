//! What the pool says about itself: iotcpd's block of statistics, with its names, order and buckets, then ours.
//!
//! Source: iotcpd 1.1, observed. Where its numbers were not what its manual said, ours are what the manual says: `replied`
//! counts whole replies that were written, `timeout` workers that took too long (they are part of `failed`, unless another
//! worker answered), and a client that leaves is `failed`. At every moment total = replied + failed + those in flight.

use std::fmt::Write as _;
use std::time::Duration;

use super::queue::{Census, Counts};
use crate::service::{Packer, Unpacker};

/// Queries counted by what became of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    /// All that were read, and what clients sent that is none.
    total: u64,
    /// Those whose whole reply was written.
    replied: u64,
    /// Those that failed.
    failed: u64,
    /// From read to written.
    latencies: Latencies,
}

/// What else is in the block: the state of the pool when it is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What the queue has counted.
    pub(super) counts: Counts,
    /// The workers.
    pub(super) census: Census,
    /// Queries that wait.
    pub(super) waiting: usize,
    /// Connections.
    pub(super) clients: u32,
    /// Since the start.
    pub(super) uptime: Duration,
}

impl Statistics {
    /// All of them.
    pub(super) fn pack(&self, to: &mut Packer) {
        for number in [self.total, self.replied, self.failed] {
            to.number(number);
        }
        let Latencies {
            buckets,
            fine,
            count,
            max,
        } = &self.latencies;
        to.list(buckets.iter(), |to, &number| to.number(number));
        to.list(fine.iter(), |to, &number| to.number(number));
        to.number(*count);
        to.number(*max);
    }

    /// Those that were packed.
    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            total: from.number()?,
            replied: from.number()?,
            failed: from.number()?,
            latencies: Latencies {
                buckets: from.list(Unpacker::number)?.try_into().ok()?,
                fine: Box::new(from.list(Unpacker::number)?.try_into().ok()?),
                count: from.number()?,
                max: from.number()?,
            },
        })
    }

    /// A query has come.
    pub(super) fn asked(&mut self) {
        self.total += 1;
    }

    /// Its reply was written, so long after it had come.
    pub(super) fn replied(&mut self, after: Duration) {
        self.replied += 1;
        self.latencies.add(after);
    }

    /// It has failed.
    pub(super) fn failed(&mut self) {
        self.failed += 1;
    }

    /// The block, lines with a line feed each.
    pub(super) fn block(&self, now: &Now) -> String {
        let mut block = String::from(" --- statistics ---- >8 -------\n");
        let mut line = |name: &str, number: u64| {
            let _ = writeln!(block, "{name:<18} {number}");
        };
        line("queries total", self.total);
        line("queries replied", self.replied);
        line("queries delayed", now.counts.delayed);
        line("queries timeout", now.counts.timeouts);
        line("queries failed", self.failed);
        // iotcpd's queries whose bytes were gone when it came to read them.
        line("queries unknown", 0);
        for (name, count) in BUCKETS.iter().zip(self.latencies.buckets) {
            line(name.1, count);
        }
        line("daemon spawns", now.counts.spawns);
        line("daemon S_AVAILABLE", now.census.ready as u64);
        line("daemon S_BUSY", now.census.busy as u64);
        line("daemon S_SPAWNING", now.census.missing as u64);
        line("daemon S_STARTING", now.census.starting as u64);
        let version = concat!(
            env!("CARGO_PKG_VERSION_MAJOR"),
            ".",
            env!("CARGO_PKG_VERSION_MINOR"),
            "b",
            env!("CARGO_PKG_VERSION_PATCH")
        );
        let _ = writeln!(block, "uptime   {}", now.uptime.as_secs());
        let _ = writeln!(block, "version  {version}");
        let mut line = |name: &str, number: u64| {
            let _ = writeln!(block, "{name:<18} {number}");
        };
        line("queries retried", now.counts.retried);
        line("queries killed", now.counts.killed);
        line("queue now", now.waiting as u64);
        line("queue max", now.counts.queue_max as u64);
        line("clients now", now.clients.into());
        for (name, micros) in [
            ("latency p50", self.latencies.quantile(50)),
            ("latency p90", self.latencies.quantile(90)),
            ("latency p99", self.latencies.quantile(99)),
            ("latency max", self.latencies.max),
        ] {
            let _ = writeln!(block, "{name:<18} {}.{:03}", micros / 1000, micros % 1000);
        }
        block.push_str(" --- statistics ---- 8< -------\n");
        block
    }
}

/// iotcpd's histogram: the milliseconds at which a bucket ends, and its name.
const BUCKETS: [(u64, &str); 6] = [
    (100, "queries 0-100"),
    (250, "queries 100-250"),
    (500, "queries 250-500"),
    (750, "queries 500-750"),
    (1000, "queries 750-1000"),
    (u64::MAX, "queries 1000-"),
];

/// Times, kept to a sixteenth of their length: 8 KiB, whatever comes.
#[derive(Clone, Debug)]
struct Latencies {
    buckets: [u64; BUCKETS.len()],
    /// Microseconds: each below 16, then 16 steps from each power of two to the next.
    fine: Box<[u64; FINE]>,
    count: u64,
    /// The longest, in microseconds.
    max: u64,
}

/// Steps between a power of two and the next.
const STEPS: usize = 16;
/// log2 of the steps.
const STEP_BITS: usize = 4;
/// Those below 16, and 16 for each of the powers from 2^4 to 2^63.
const FINE: usize = STEPS * (64 - STEP_BITS + 1);

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS.len()],
            fine: Box::new([0; FINE]),
            count: 0,
            max: 0,
        }
    }
}

impl Latencies {
    fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(end, _)| micros / 1000 < *end);
        self.buckets[bucket.unwrap_or(BUCKETS.len() - 1)] += 1;
        self.fine[step(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// The time, in microseconds, that `percent` of all were not longer than; too long by at most a sixteenth.
    fn quantile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.fine.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        longest(reached.unwrap_or(0)).min(self.max)
    }
}

/// Where a time is counted.
fn step(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let power = micros.ilog2() as usize;
    let shift = power - STEP_BITS;
    let within = usize::try_from(micros >> shift).unwrap_or(0) - STEPS;
    (shift + 1) * STEPS + within
}

/// The longest time that is counted there.
fn longest(step: usize) -> u64 {
    if step < STEPS {
        return step as u64;
    }
    let shift = step / STEPS - 1;
    let first = (STEPS + step % STEPS) as u64;
    (first << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(statistics: &Statistics) -> String {
        statistics.block(&Now {
            counts: Counts {
                delayed: 3,
                timeouts: 4,
                retried: 12,
                killed: 13,
                spawns: 7,
                queue_max: 15,
            },
            census: Census {
                ready: 8,
                busy: 9,
                starting: 11,
                missing: 10,
            },
            waiting: 14,
            clients: 16,
            uptime: Duration::from_millis(7_916_999),
        })
    }

    #[test]
    fn block_has_iotcpds_lines_in_its_order_and_then_ours() {
        let mut statistics = Statistics::default();
        for millis in [0, 99, 100, 249, 250, 500, 750, 999, 1000, 5000] {
            statistics.asked();
            statistics.replied(Duration::from_millis(millis));
        }
        statistics.asked();
        statistics.failed();
        statistics.asked();
        let version = env!("CARGO_PKG_VERSION");
        let (minor, patch) = version.rsplit_once('.').unwrap();
        let expected = format!(
            " --- statistics ---- >8 -------
queries total      12
queries replied    10
queries delayed    3
queries timeout    4
queries failed     1
queries unknown    0
queries 0-100      2
queries 100-250    2
queries 250-500    1
queries 500-750    1
queries 750-1000   2
queries 1000-      2
daemon spawns      7
daemon S_AVAILABLE 8
daemon S_BUSY      9
daemon S_SPAWNING  10
daemon S_STARTING  11
uptime   7916
version  {minor}b{patch}
queries retried    12
queries killed     13
queue now          14
queue max          15
clients now        16
latency p50        253.951
latency p90        1015.807
latency p99        5000.000
latency max        5000.000
 --- statistics ---- 8< -------
"
        );
        assert_eq!(block(&statistics), expected);
    }

    #[test]
    fn block_of_a_pool_that_nobody_asked_has_no_times() {
        let block = block(&Statistics::default());
        assert!(block.contains("latency p99        0.000\nlatency max        0.000\n"));
    }

    proptest! {
        #[test]
        fn time_is_kept_to_a_sixteenth(micros: u64) {
            for micros in [micros, micros >> 20, micros >> 40, micros >> 60] {
                let kept = longest(step(micros));
                prop_assert!(kept >= micros);
                prop_assert!(kept - micros <= micros / STEPS as u64);
            }
        }
    }

    #[test]
    fn longest_time_of_all_has_a_place() {
        assert_eq!(step(u64::MAX), FINE - 1);
        assert_eq!(longest(FINE - 1), u64::MAX);
    }
}
