//! Counting what became of connections: since the start, and in the last ten minutes.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::pack::{Packer, Unpacker};

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The rules say so.
    Rule,
    /// Too many are open.
    Limit,
    /// They come too often.
    Rate,
    /// Its source has misbehaved.
    Penalty,
    /// The machine has too much to do.
    Load,
    /// It could not be decided.
    Error,
}

impl Reason {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [Self; 6] = [
        Self::Rule,
        Self::Limit,
        Self::Rate,
        Self::Penalty,
        Self::Load,
        Self::Error,
    ];

    /// The word for it, in every log and answer.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Limit => "limit",
            Self::Rate => "rate",
            Self::Penalty => "penalty",
            Self::Load => "load",
            Self::Error => "error",
        }
    }
}

/// A number for each reason.
pub(crate) type ByReason = [u64; Reason::ALL.len()];

/// The numbers of a service since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections that were accepted.
    pub(crate) accepted: u64,
    /// Connections that were let in.
    pub(crate) served: u64,
    /// Connections that were served to their end.
    pub(crate) ended: u64,
    /// Of these, how many ended otherwise than with exit code 0.
    pub(crate) failed: u64,
    /// Connections that were refused.
    pub(crate) refused: ByReason,
    /// Connections that were given up because of what the system said.
    pub(crate) dropped: u64,
    /// Processor time of programs that have ended.
    pub(crate) cpu: Duration,
}

/// Ten seconds of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Connections that were let in.
    pub(crate) served: u64,
    /// Connections that were refused or given up.
    pub(crate) refused: u64,
}

/// How long a span is.
pub(crate) const SPAN: Duration = Duration::from_secs(10);
/// How many are kept: ten minutes.
pub(crate) const SPANS: usize = 60;

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    counts: Cell<Counts>,
    /// The spans up to now, the last one in the place of its number modulo [`SPANS`], and that number.
    spans: RefCell<([Span; SPANS], u64)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            counts: Cell::default(),
            spans: RefCell::new(([Span::default(); SPANS], 0)),
        }
    }
}

impl Tally {
    /// All that it has counted.
    pub(crate) fn pack(&self, to: &mut Packer) {
        let Counts {
            accepted,
            served,
            ended,
            failed,
            refused,
            dropped,
            cpu,
        } = self.counts();
        to.past(self.began);
        to.list(
            [accepted, served, ended, failed, dropped].into_iter(),
            Packer::number,
        );
        to.list(refused.into_iter(), Packer::number);
        to.duration(cpu);
        let (spans, last) = &*self.spans.borrow();
        to.list(spans.iter(), |to, span| {
            to.number(span.served);
            to.number(span.refused);
        });
        to.number(*last);
    }

    /// One that goes on from there.
    pub(crate) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let began = from.past()?;
        let numbers = from.list(Unpacker::number)?;
        let &[accepted, served, ended, failed, dropped] = numbers.first_chunk()?;
        let counts = Counts {
            accepted,
            served,
            ended,
            failed,
            refused: from.list(Unpacker::number)?.try_into().ok()?,
            dropped,
            cpu: from.duration()?,
        };
        let span = |from: &mut Unpacker<'_>| {
            Some(Span {
                served: from.number()?,
                refused: from.number()?,
            })
        };
        let spans = from.list(span)?.try_into().ok()?;
        Some(Self {
            began,
            counts: Cell::new(counts),
            spans: RefCell::new((spans, from.number()?)),
        })
    }

    /// One was accepted.
    pub(crate) fn accepted(&self) {
        self.count(|counts| counts.accepted += 1);
    }

    /// One was let in.
    pub(crate) fn served(&self) {
        self.count(|counts| counts.served += 1);
        self.span(|span| span.served += 1);
    }

    /// One that was served has ended, its program, if it had one, after so much processor time.
    pub(crate) fn ended(&self, is_success: bool, cpu: Duration) {
        self.count(|counts| {
            counts.ended += 1;
            counts.failed += u64::from(!is_success);
            counts.cpu += cpu;
        });
    }

    /// One was refused.
    pub(crate) fn refused(&self, reason: Reason) {
        self.count(|counts| counts.refused[reason as usize] += 1);
        self.span(|span| span.refused += 1);
    }

    /// One was given up.
    pub(crate) fn dropped(&self) {
        self.count(|counts| counts.dropped += 1);
        self.span(|span| span.refused += 1);
    }

    /// All since the beginning.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// How long it has counted.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// The last ten minutes, the span that is going on last.
    pub(crate) fn spans(&self) -> [Span; SPANS] {
        self.span(|_| {});
        let (mut spans, last) = *self.spans.borrow();
        spans.rotate_left(place(last + 1));
        spans
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    fn span(&self, change: impl FnOnce(&mut Span)) {
        let now = self.age().as_secs() / SPAN.as_secs();
        let (spans, last) = &mut *self.spans.borrow_mut();
        advance(spans, last, now);
        change(&mut spans[place(now)]);
    }
}

/// Makes `now` the number of the last span; those that were passed over are empty.
fn advance(spans: &mut [Span; SPANS], last: &mut u64, now: u64) {
    let passed = now.saturating_sub(*last).min(SPANS as u64);
    for number in now - passed..now {
        spans[place(number + 1)] = Span::default();
    }
    *last = now.max(*last);
}

fn place(number: u64) -> usize {
    usize::try_from(number % SPANS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Reason, SPANS, Span, Tally, advance, place};

    #[test]
    fn spans_that_passed_without_a_connection_are_empty() {
        let mut spans = [Span::default(); SPANS];
        let mut last = 0;
        let mut at = |now: u64| {
            advance(&mut spans, &mut last, now);
            spans[place(now)].served += 1;
            let mut all: Vec<u64> = spans.iter().map(|span| span.served).collect();
            all.rotate_left(place(now + 1));
            all.into_iter().rev().take(4).collect::<Vec<_>>()
        };
        assert_eq!(at(0), [1, 0, 0, 0]);
        assert_eq!(at(0), [2, 0, 0, 0]);
        assert_eq!(at(2), [1, 0, 2, 0]);
        assert_eq!(at(61), [1, 0, 0, 0], "another turn");
        assert_eq!(at(1000), [1, 0, 0, 0], "many turns");
        assert_eq!(at(1001), [1, 1, 0, 0]);
    }

    #[test]
    fn refusals_are_counted_by_reason() {
        let tally = Tally::default();
        tally.accepted();
        tally.refused(Reason::Load);
        assert_eq!(tally.counts().refused, [0, 0, 0, 0, 1, 0]);
        assert_eq!(
            tally.spans().map(|span| span.refused).iter().sum::<u64>(),
            1
        );
    }
}
