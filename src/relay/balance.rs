//! Which remote a session goes to: a state machine that is told what happens and the time, and asks nobody.
//!
//! A session begins with an empty list of remotes it has tried, and calls [`Balance::choose`] until one takes it or none is
//! left: each remote is chosen at most once for it, so that this ends. In order of preference:
//!
//! 1. a remote that is dead and due to be probed (one session at a time finds out whether it lives);
//! 2. a live one, by the policy;
//! 3. a live backup, by the policy;
//! 4. when none of those is full, the dead ones, in the order in which they died, backups last.
//!
//! Source: tcprelay's selection (least connections by weight, ties to the first, dead marks, `rebalance`), of which
//! [`Policy::Order`] is a copy without its defect: it takes dead remotes into account. Revival, slow return, limits and
//! backups are additions.
//!
//! How many sessions are on a remote is counted outside, where threads share it.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// How to choose among remotes that live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Policy {
    /// The lowest floor(256 * use / weight); of several, the one with the fewest sessions so far by weight.
    #[default]
    Least,
    /// The lowest floor(256 * use / weight); of several, the first.
    Order,
    /// The one with the fewest sessions so far by weight.
    RoundRobin,
    /// By the client's address: the same one for as long as it lives.
    Hash,
    /// The first.
    First,
}

/// What is settled about a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// At least 1.
    pub(super) weight: u32,
    /// How many sessions it may have; `None` is any number.
    pub(super) max: Option<u32>,
    /// Only for when the others cannot be had.
    pub(super) is_backup: bool,
    /// Something else finds out whether it lives: sessions do not probe it.
    pub(super) is_checked: bool,
    /// Tells it from the others, the same in each run: what [`Policy::Hash`] goes by.
    pub(super) identity: u64,
}

/// How remotes are chosen from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    /// After so many choices all dead marks are forgotten; 0 is never.
    pub(super) rebalance: u32,
    /// How long a remote that died is left alone, and how long it takes to get its full share again.
    pub(super) revive: Duration,
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The remote with this number, among those that were given to [`Balance::new`].
    Remote(usize),
    /// All that live and have not been tried have as many sessions as they may have.
    Full,
    /// All have been tried.
    Nobody,
}

/// What is known of the remotes.
#[derive(Debug)]
pub(super) struct Balance {
    rules: Rules,
    remotes: Vec<Remote>,
    choices: u32,
}

#[derive(Debug)]
struct Remote {
    terms: Terms,
    /// When it died, if it is dead.
    died: Option<Instant>,
    /// A session finds out whether it lives.
    is_probed: bool,
    /// When it came back, until that is long enough ago.
    returned: Option<Instant>,
    /// Sessions so far; one given while it returns counts several times.
    so_far: u64,
}

/// How much more a session counts on a remote that has just come back.
const RETURN_STEP: u32 = 16;

impl Balance {
    /// A balance over remotes on these terms, all alive.
    pub(super) fn new(rules: Rules, terms: impl IntoIterator<Item = Terms>) -> Self {
        let remotes = terms.into_iter().map(|terms| Remote {
            terms,
            died: None,
            is_probed: false,
            returned: None,
            so_far: 0,
        });
        Self {
            rules,
            remotes: remotes.collect(),
            choices: 0,
        }
    }

    /// Takes over what `old` knows of its remote `from`, for the remote `to` of this one.
    pub(super) fn inherit(&mut self, to: usize, old: &Self, from: usize) {
        let (new, old) = (&mut self.remotes[to], &old.remotes[from]);
        new.died = old.died;
        new.returned = old.returned;
        new.so_far = old.so_far;
    }

    /// True while the remote is taken for alive.
    pub(super) fn is_alive(&self, remote: usize) -> bool {
        self.remotes[remote].died.is_none()
    }

    /// Chooses for a session from `client`, which has `tried` the remotes in that list; `in_use` tells how many sessions a
    /// remote has. What becomes of the choice is to be told: [`Self::succeeded`], [`Self::failed`], [`Self::abandoned`].
    pub(super) fn choose(
        &mut self,
        client: u64,
        tried: &[usize],
        in_use: impl Fn(usize) -> u32,
        now: Instant,
    ) -> Choice {
        self.count_choice();
        let is_full = |index: usize, remote: &Remote| {
            let max = remote.terms.max;
            max.is_some_and(|max| in_use(index) >= max)
        };
        let untried = || {
            let all = self.remotes.iter().enumerate();
            all.filter(|(index, _)| !tried.contains(index))
        };
        let revive = self.rules.revive;
        let due = untried().find(|(index, remote)| {
            let is_due = remote.died.is_some_and(|died| now >= died + revive);
            is_due && !remote.is_probed && !remote.terms.is_checked && !is_full(*index, remote)
        });
        let best = || {
            let alive = untried().filter(|(_, remote)| remote.died.is_none());
            let free = alive.filter(|(index, remote)| !is_full(*index, remote));
            self.best(free, client, &in_use, now)
        };
        let is_any_full =
            || untried().any(|(index, remote)| remote.died.is_none() && is_full(index, remote));
        let dead = || {
            let dead = untried()
                .filter(|(index, remote)| remote.died.is_some() && !is_full(*index, remote));
            dead.min_by_key(|(_, remote)| (remote.terms.is_backup, remote.died))
        };
        let chosen = match due.map(|(index, _)| index).or_else(best) {
            None if is_any_full() => return Choice::Full,
            None => dead().map(|(index, _)| index),
            chosen => chosen,
        };
        let Some(index) = chosen else {
            return Choice::Nobody;
        };
        let step = self.step(index, now);
        let remote = &mut self.remotes[index];
        remote.is_probed |= remote.died.is_some();
        remote.so_far += u64::from(step);
        Choice::Remote(index)
    }

    fn count_choice(&mut self) {
        if self.rules.rebalance == 0 {
            return;
        }
        if self.choices == self.rules.rebalance {
            self.choices = 0;
            for remote in &mut self.remotes {
                remote.died = None;
                remote.is_probed = false;
            }
        }
        self.choices += 1;
    }

    /// The best of `candidates` by the policy, backups last.
    fn best<'a>(
        &'a self,
        candidates: impl Iterator<Item = (usize, &'a Remote)>,
        client: u64,
        in_use: impl Fn(usize) -> u32,
        now: Instant,
    ) -> Option<usize> {
        let policy = self.rules.policy;
        // Of equals, `min_by` takes the first.
        let best = candidates.min_by(|&(one, a), &(other, b)| {
            let load = |index: usize, remote: &Remote, step: u32| {
                256 * u64::from(in_use(index)) * u64::from(step) / u64::from(remote.terms.weight)
            };
            // By weight: crosswise instead of in fractions.
            let so_far = || {
                let left = u128::from(a.so_far) * u128::from(b.terms.weight);
                left.cmp(&(u128::from(b.so_far) * u128::from(a.terms.weight)))
            };
            let order = match policy {
                Policy::Least => {
                    let left = load(one, a, self.step(one, now));
                    let order = left.cmp(&load(other, b, self.step(other, now)));
                    order.then_with(so_far)
                }
                Policy::Order => load(one, a, 1).cmp(&load(other, b, 1)),
                Policy::RoundRobin => so_far(),
                Policy::Hash => claim(client, &b.terms).total_cmp(&claim(client, &a.terms)),
                Policy::First => std::cmp::Ordering::Equal,
            };
            a.terms.is_backup.cmp(&b.terms.is_backup).then(order)
        });
        best.map(|(index, _)| index)
    }

    /// How often a session counts on this remote: once, and more often while it returns.
    fn step(&self, remote: usize, now: Instant) -> u32 {
        let Some(returned) = self.remotes[remote].returned else {
            return 1;
        };
        let since = now.saturating_duration_since(returned).as_millis().max(1);
        let whole = self.rules.revive.as_millis();
        let step = u32::try_from(whole.div_ceil(since)).unwrap_or(u32::MAX);
        step.clamp(1, RETURN_STEP)
    }

    /// The remote took a session, or a check found it alive. True when it was dead until then.
    pub(super) fn succeeded(&mut self, remote: usize, now: Instant) -> bool {
        let whole = self.rules.revive;
        let this = &mut self.remotes[remote];
        this.is_probed = false;
        let is_over = |returned: Instant| now.saturating_duration_since(returned) >= whole;
        if this.returned.is_some_and(is_over) {
            this.returned = None;
        }
        if this.died.take().is_none() {
            return false;
        }
        this.returned = Some(now);
        self.catch_up(remote);
        true
    }

    /// What it missed while it was dead it does not get on top: it goes on where the others are.
    fn catch_up(&mut self, remote: usize) {
        let is_backup = self.remotes[remote].terms.is_backup;
        let weight = u64::from(self.remotes[remote].terms.weight);
        let others = self.remotes.iter().enumerate().filter(|(index, other)| {
            *index != remote && other.died.is_none() && other.terms.is_backup == is_backup
        });
        let shares = others.map(|(_, other)| other.so_far * weight / u64::from(other.terms.weight));
        if let Some(least) = shares.min() {
            let this = &mut self.remotes[remote];
            this.so_far = this.so_far.max(least);
        }
    }

    /// The remote did not take a session, or a check found it dead. True when it was alive until then.
    pub(super) fn failed(&mut self, remote: usize, now: Instant) -> bool {
        let this = &mut self.remotes[remote];
        this.is_probed = false;
        this.returned = None;
        this.died.replace(now).is_none()
    }

    /// The session ended before it was known whether the remote takes it.
    pub(super) fn abandoned(&mut self, remote: usize) {
        self.remotes[remote].is_probed = false;
    }
}

/// How strong the claim of a remote to a client is: the strongest gets it, and so a client moves only when its remote
/// goes, and clients are spread by weight. Weighted rendezvous hashing (Thaler and Ravishankar, 1998; logarithmic form).
fn claim(client: u64, terms: &Terms) -> f64 {
    let mixed = mix(client ^ mix(terms.identity));
    // 53 bits: between 0 and 1, and neither.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let part = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(terms.weight) / -part.ln()
}

/// Spreads `number` over all numbers. SplitMix64's finisher.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number for `bytes`, the same in each run; another one for other bytes, most probably.
pub(super) fn identity(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |hash, &byte| mix(hash ^ u64::from(byte)))
}
