//! Penalties: what the end of a connection costs its source, and how that is forgotten. Pure over time.
//!
//! Source: PerSourcePenalties of OpenSSH, sshd_config(5); here each penalty fades by halves, so that a source that was
//! punished for long is not at once as good as new.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::pack::{Packer, Unpacker};
use super::prefix::Networks;
use super::rate::Moment;
use crate::cli::{number, seconds};

/// What the command line says about penalties.
#[derive(Clone, Debug)]
pub struct Penalties {
    /// Each with what it punishes.
    pub list: Vec<Penalty>,
    /// Above this a source is refused.
    pub threshold: Duration,
    /// No source has more than this.
    pub max: Duration,
    /// Never punished.
    pub exempt: Networks,
}

impl Default for Penalties {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            threshold: Duration::from_secs(15),
            max: Duration::from_secs(600),
            exempt: Networks::default(),
        }
    }
}

/// One penalty: which ends it punishes, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    cause: Cause,
    /// What each such end adds, and also how long it takes to forget half of it.
    pub(super) seconds: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Cause {
    /// The program exits with one of these.
    Exit(RangeInclusive<u8>),
    /// A signal ends it.
    Signal,
    /// The connection ends sooner.
    Under(Duration),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The raw wait status of its program, if one process served it.
    pub(crate) status: Option<i32>,
    /// How long it was served.
    pub(crate) served: Duration,
}

/// So many kinds of penalties a source can have.
const LIST_MAX: usize = 16;

impl Penalty {
    /// How to write a list of them, for messages.
    pub const FORM: &'static str = "STATUS:SECONDS, at most 16 of them, joined by commas, each STATUS an exit code, \
        two joined by a hyphen, signal, or under:SECONDS";

    /// Reads `STATUS:SECONDS,...`
    pub fn list(text: &[u8]) -> Option<Vec<Self>> {
        let items = text.split(|&byte| byte == b',');
        let list = items.map(Self::parse).collect::<Option<Vec<_>>>()?;
        (list.len() <= LIST_MAX).then_some(list)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let colon = text.iter().rposition(|&byte| byte == b':')?;
        let cost = seconds(&text[colon + 1..]).filter(|cost| !cost.is_zero())?;
        let code = |text| u8::try_from(number(text)?).ok();
        let cause = match &text[..colon] {
            b"signal" => Cause::Signal,
            [b'u', b'n', b'd', b'e', b'r', b':', limit @ ..] => Cause::Under(seconds(limit)?),
            codes => match codes.iter().position(|&byte| byte == b'-') {
                None => code(codes).map(|code| Cause::Exit(code..=code))?,
                Some(hyphen) => {
                    let range = code(&codes[..hyphen])?..=code(&codes[hyphen + 1..])?;
                    (!range.is_empty()).then_some(Cause::Exit(range))?
                }
            },
        };
        Some(Self {
            cause,
            seconds: cost.as_secs_f64(),
        })
    }

    pub(super) fn punishes(&self, end: End) -> bool {
        // wait(2): the signal is in the low seven bits, the exit code in the next byte.
        let signal = end.status.map(|status| status & 0x7f);
        let exit = end.status.filter(|_| signal == Some(0));
        let code = exit.and_then(|status| u8::try_from(status >> 8 & 0xff).ok());
        match &self.cause {
            Cause::Exit(codes) => code.is_some_and(|code| codes.contains(&code)),
            Cause::Signal => signal.is_some_and(|signal| signal != 0),
            Cause::Under(limit) => end.served < *limit,
        }
    }
}

impl Penalties {
    /// True when `ip` is never punished.
    pub(super) fn spare(&self, ip: IpAddr) -> bool {
        self.exempt.hold(ip)
    }

    /// True when some penalty punishes `end`.
    pub(super) fn punish(&self, end: End) -> bool {
        self.list.iter().any(|penalty| penalty.punishes(end))
    }
}

/// What one source has to bear.
#[derive(Clone, Debug)]
pub(super) struct Burden {
    /// In seconds, one for each in [`Penalties::list`], as it was at `known`.
    shares: Box<[f64]>,
    known: Moment,
}

/// A burden below this, in seconds, is none.
const FORGOTTEN: f64 = 0.1;

impl Burden {
    /// No burden, with room for `penalties`.
    pub(super) fn none(penalties: &Penalties, now: Moment) -> Self {
        Self {
            shares: vec![0.0; penalties.list.len()].into(),
            known: now,
        }
    }

    /// What is left of it at `now`, in seconds.
    pub(super) fn left(&self, penalties: &Penalties, now: Moment) -> f64 {
        self.faded(penalties, now).sum()
    }

    pub(super) fn pack(&self, to: &mut Packer) {
        to.list(self.shares.iter(), |to, share| to.number(share.to_bits()));
        self.known.pack(to);
    }

    /// One that was packed, if it is of as many `penalties`.
    pub(super) fn unpack(from: &mut Unpacker<'_>, penalties: &Penalties) -> Option<Option<Self>> {
        let shares: Box<[f64]> = from.list(|from| from.number().map(f64::from_bits))?.into();
        let known = Moment::unpack(from)?;
        Some((shares.len() == penalties.list.len()).then_some(Self { shares, known }))
    }

    /// True when it is forgotten.
    pub(super) fn is_forgotten(&self, penalties: &Penalties, now: Moment) -> bool {
        self.left(penalties, now) < FORGOTTEN
    }

    /// Adds what `end` costs, each penalty that punishes it, up to the most that a source can have.
    pub(super) fn add(&mut self, penalties: &Penalties, end: End, now: Moment) {
        self.shares = self.faded(penalties, now).collect();
        self.known = now;
        let mut room = penalties.max.as_secs_f64() - self.shares.iter().sum::<f64>();
        for (share, penalty) in self.shares.iter_mut().zip(&penalties.list) {
            if penalty.punishes(end) {
                let more = penalty.seconds.min(room.max(0.0));
                *share += more;
                room -= more;
            }
        }
    }

    fn faded(&self, penalties: &Penalties, now: Moment) -> impl Iterator<Item = f64> {
        let passed = now.since(self.known).as_secs_f64();
        let shares = self.shares.iter().zip(&penalties.list);
        shares.map(move |(share, penalty)| share * (-passed / penalty.seconds).exp2())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Burden, Cause, End, Moment, Penalties, Penalty};

    fn penalties(list: &str) -> Penalties {
        Penalties {
            list: Penalty::list(list.as_bytes()).unwrap(),
            ..Penalties::default()
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn exit(code: i32) -> End {
        End {
            status: Some(code << 8),
            served: Duration::from_secs(60),
        }
    }

    fn close(left: f64, expected: f64) -> bool {
        (left - expected).abs() < 1e-6
    }

    #[test]
    fn list_names_codes_ranges_signals_and_short_lives() {
        let causes = |list: &str| {
            let list = penalties(list).list;
            list.into_iter()
                .map(|penalty| (penalty.cause, penalty.seconds))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            causes("100:30,100-111:0.5,signal:9,under:2.5:10"),
            [
                (Cause::Exit(100..=100), 30.0),
                (Cause::Exit(100..=111), 0.5),
                (Cause::Signal, 9.0),
                (Cause::Under(Duration::from_millis(2500)), 10.0),
            ]
        );
        for wrong in [
            "", "100", "100:", ":5", "100:0", "256:1", "9-3:1", "1-:1", "-1:1", "signal",
            "under:5", "under::5", "Signal:1", "1:1,", "x:1", "1:x", "1:1:1",
        ] {
            assert_eq!(Penalty::list(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(Penalty::list(["1:1"; 17].join(",").as_bytes()).is_none());
    }

    #[test]
    fn each_penalty_punishes_its_own_ends() {
        let is_punished = |list, status, served| {
            let served = Duration::from_secs(served);
            penalties(list).punish(End { status, served })
        };
        assert!(is_punished("100:1", Some(100 << 8), 9));
        assert!(!is_punished("100:1", Some(101 << 8), 9));
        assert!(is_punished("0:1", Some(0), 9));
        assert!(!is_punished("0:1", Some(9), 9), "a signal is no exit code");
        assert!(
            !is_punished("0-255:1", None, 9),
            "without a process no exit code"
        );
        assert!(is_punished("signal:1", Some(9), 9));
        assert!(
            is_punished("signal:1", Some(11 | 0x80), 9),
            "a core was dumped"
        );
        assert!(!is_punished("signal:1", Some(0), 9));
        assert!(is_punished("under:10:1", None, 9));
        assert!(!is_punished("under:9:1", None, 9));
    }

    #[test]
    fn half_is_forgotten_in_the_time_that_was_added() {
        let penalties = penalties("1:100,2:10");
        let mut burden = Burden::none(&penalties, at(0));
        burden.add(&penalties, exit(1), at(0));
        burden.add(&penalties, exit(2), at(0));
        for (now, left) in [
            (0, 110.0),
            (10, 100.0 * 0.5_f64.powf(0.1) + 5.0),
            (100, 50.0 + 10.0 / 1024.0),
        ] {
            let found = burden.left(&penalties, at(now));
            assert!(close(found, left), "{found} for {left} after {now} s");
        }
        assert!(burden.is_forgotten(&penalties, at(1000)));
    }

    #[test]
    fn burden_has_an_upper_bound() {
        let mut penalties = penalties("1:100,1-9:100");
        penalties.max = Duration::from_secs(250);
        let mut burden = Burden::none(&penalties, at(0));
        for _ in 0..5 {
            burden.add(&penalties, exit(1), at(0));
            assert!(burden.left(&penalties, at(0)) <= 250.0);
        }
        assert!(close(burden.left(&penalties, at(0)), 250.0));
        assert!(close(burden.left(&penalties, at(100)), 125.0));
    }
}
