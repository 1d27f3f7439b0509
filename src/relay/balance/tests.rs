//! What it does beside what tcprelay does, and beside a naive model.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Balance, Choice, Policy, Rules, Terms, identity, mix};

const REVIVE: Duration = Duration::from_secs(10);

fn terms(weight: u32) -> Terms {
    Terms {
        weight,
        max: None,
        is_backup: false,
        is_checked: false,
        identity: u64::from(weight),
    }
}

/// A balance with the sessions that it gave.
struct World {
    balance: Balance,
    used: Vec<u32>,
    now: Instant,
}

impl World {
    fn new(policy: Policy, all: &[Terms]) -> Self {
        let rules = Rules {
            policy,
            rebalance: 0,
            revive: REVIVE,
        };
        Self {
            balance: Balance::new(rules, all.iter().cloned()),
            used: vec![0; all.len()],
            now: Instant::now(),
        }
    }

    fn choose(&mut self, client: u64, tried: &[usize]) -> Choice {
        let used = &self.used;
        self.balance
            .choose(client, tried, |index| used[index], self.now)
    }

    /// A session that stays, as a letter for its remote; `-` when there is none.
    fn session(&mut self, client: u64) -> char {
        match self.choose(client, &[]) {
            Choice::Remote(index) => {
                self.used[index] += 1;
                self.balance.succeeded(index, self.now);
                char::from(b'A' + u8::try_from(index).unwrap())
            }
            _ => '-',
        }
    }

    fn sessions(&mut self, count: u64) -> String {
        (0..count).map(|client| self.session(client)).collect()
    }

    /// Sessions of which each ends before the next begins.
    fn serial(&mut self, count: u64) -> String {
        let sessions = (0..count).map(|client| {
            let letter = self.session(client);
            self.used.fill(0);
            letter
        });
        sessions.collect()
    }
}

#[test]
fn least_spreads_parallel_sessions_by_weight() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(3)]);
    assert_eq!(world.sessions(8), "ABBBABBB");
}

#[test]
fn least_spreads_serial_sessions_by_weight_too() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(3)]);
    assert_eq!(world.serial(8), "ABBBABBB");
}

#[test]
fn order_is_what_tcprelay_does() {
    // Observed: 8 at once, and 4 one after the other.
    let mut world = World::new(Policy::Order, &[terms(1), terms(3)]);
    assert_eq!(world.sessions(8), "ABBBABBB");
    let mut world = World::new(Policy::Order, &[terms(1), terms(3)]);
    assert_eq!(world.serial(4), "AAAA");
}

#[test]
fn order_does_not_choose_a_dead_remote_again() {
    let mut world = World::new(Policy::Order, &[terms(1), terms(1)]);
    assert_eq!(world.session(0), 'A');
    world.balance.failed(1, world.now);
    assert_eq!(world.sessions(5), "AAAAA");
}

#[test]
fn round_robin_counts_sessions_that_have_ended() {
    let mut world = World::new(Policy::RoundRobin, &[terms(1), terms(2)]);
    assert_eq!(world.serial(3), "ABB");
    assert_eq!(world.sessions(6), "ABBABB");
}

#[test]
fn first_is_left_only_when_it_is_dead() {
    let mut world = World::new(Policy::First, &[terms(1), terms(9), terms(1)]);
    assert_eq!(world.sessions(3), "AAA");
    world.balance.failed(0, world.now);
    assert_eq!(world.sessions(3), "BBB");
}

#[test]
fn hash_moves_only_the_clients_of_a_remote_that_died() {
    let all: Vec<Terms> = (0..5_u8)
        .map(|index| Terms {
            identity: identity(&[index]),
            ..terms(1 + u32::from(index))
        })
        .collect();
    let mut world = World::new(Policy::Hash, &all);
    let before = world.sessions(3000);
    for (index, count) in world.used.iter().enumerate() {
        let share = 3000 * (u32::try_from(index).unwrap() + 1) / 15;
        assert!(count.abs_diff(share) < 80, "{:?}", world.used);
    }
    world.balance.failed(2, world.now);
    let after = world.sessions(3000);
    for (before, after) in before.chars().zip(after.chars()) {
        assert!(before == after || before == 'C', "{before} {after}");
    }
}

#[test]
fn dead_remote_is_probed_by_one_session_and_comes_back() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(1)]);
    world.balance.failed(0, world.now);
    assert_eq!(world.sessions(3), "BBB");
    world.now += REVIVE;
    assert_eq!(world.choose(9, &[]), Choice::Remote(0));
    // While that one tries, the others do not.
    assert_eq!(world.session(9), 'B');
    assert!(world.balance.succeeded(0, world.now));
    assert_eq!(world.session(9), 'A');
}

#[test]
fn probe_that_fails_leaves_it_dead_for_as_long_again() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(1)]);
    world.balance.failed(0, world.now);
    world.now += REVIVE;
    assert_eq!(world.choose(9, &[]), Choice::Remote(0));
    assert!(!world.balance.failed(0, world.now));
    assert_eq!(world.choose(9, &[0]), Choice::Remote(1));
    world.now += REVIVE - Duration::from_millis(1);
    assert_eq!(world.session(9), 'B');
    world.now += Duration::from_millis(1);
    assert_eq!(world.session(9), 'A');
}

#[test]
fn checked_remote_is_not_probed_by_sessions() {
    let checked = Terms {
        is_checked: true,
        ..terms(1)
    };
    let mut world = World::new(Policy::Least, &[checked, terms(1)]);
    world.balance.failed(0, world.now);
    world.now += REVIVE * 5;
    assert_eq!(world.sessions(3), "BBB");
    // But it is tried when there is nobody else.
    assert_eq!(world.choose(9, &[1]), Choice::Remote(0));
}

#[test]
fn remote_that_came_back_is_not_flooded() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(1)]);
    world.balance.failed(0, world.now);
    world.serial(1000);
    world.balance.succeeded(0, world.now);
    // One session of it counts 16 times at first, and twice after half of the time.
    let at_once = world.serial(34);
    assert_eq!(at_once.matches('A').count(), 2, "{at_once}");
    world.now += REVIVE / 2;
    let later = world.serial(30);
    assert_eq!(later.matches('A').count(), 10, "{later}");
    world.now += REVIVE;
    world.serial(1);
    let whole = world.serial(20);
    assert!((10..=11).contains(&whole.matches('A').count()), "{whole}");
}

#[test]
fn backups_come_last_and_full_remotes_not_at_all() {
    let backup = Terms {
        is_backup: true,
        ..terms(9)
    };
    let small = Terms {
        max: Some(2),
        ..terms(1)
    };
    let mut world = World::new(Policy::Least, &[backup.clone(), small.clone()]);
    assert_eq!(world.sessions(4), "BBAA");
    let mut world = World::new(Policy::Least, &[small.clone(), small]);
    assert_eq!(world.sessions(5), "ABAB-");
    assert_eq!(world.choose(9, &[]), Choice::Full);
    let mut world = World::new(Policy::First, &[backup, terms(1)]);
    world.balance.failed(1, world.now);
    assert_eq!(world.sessions(2), "AA");
}

#[test]
fn all_dead_are_tried_once_each_in_the_order_in_which_they_died() {
    let mut world = World::new(Policy::Least, &[terms(1), terms(1), terms(1)]);
    for index in [2, 0, 1] {
        world.balance.failed(index, world.now);
        world.now += Duration::from_millis(1);
    }
    let mut tried = Vec::new();
    while let Choice::Remote(index) = world.choose(0, &tried) {
        tried.push(index);
        world.balance.failed(index, world.now);
    }
    assert_eq!(tried, [2, 0, 1]);
    assert_eq!(world.choose(0, &tried), Choice::Nobody);
}

#[test]
fn rebalance_forgets_who_is_dead() {
    let mut world = World::new(Policy::Order, &[terms(1), terms(1)]);
    world.balance.rules.rebalance = 3;
    world.balance.failed(0, world.now);
    assert_eq!(world.serial(5), "BBBAA");
}

#[test]
fn knowledge_is_inherited() {
    let mut old = World::new(Policy::RoundRobin, &[terms(1), terms(1)]);
    old.balance.failed(1, old.now);
    old.serial(5);
    let mut new = World::new(Policy::RoundRobin, &[terms(1), terms(1), terms(1)]);
    new.balance.inherit(2, &old.balance, 1);
    new.balance.inherit(0, &old.balance, 0);
    assert!(!new.balance.is_alive(2));
    assert_eq!(new.serial(6), "BBBBBA");
}

/// What can happen.
#[derive(Clone, Debug)]
enum Event {
    /// A session that tries the remotes in turn; those in the list fail, and the first other one takes it.
    Session(u64, Vec<bool>),
    End(usize),
    Check(usize, bool),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (any::<u64>(), proptest::collection::vec(any::<bool>(), 5))
            .prop_map(|(client, fails)| Event::Session(client, fails)),
        3 => (0..5_usize).prop_map(Event::End),
        1 => (0..5_usize, any::<bool>()).prop_map(|(index, lives)| Event::Check(index, lives)),
        1 => (0..15_000_u64).prop_map(Event::Wait),
    ]
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let max = proptest::option::of(0..4_u32);
    (1..5_u32, max, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
        |(weight, max, is_backup, is_checked, identity)| Terms {
            weight,
            max,
            is_backup,
            is_checked,
            identity,
        },
    )
}

/// The same, written down without thought for cost: who may be chosen, in classes, and the numbers to compare.
struct Model {
    policy: Policy,
    all: Vec<Terms>,
    died: Vec<Option<u64>>,
    probed: Vec<bool>,
    returned: Vec<Option<u64>>,
    so_far: Vec<u64>,
    used: Vec<u32>,
    now: u64,
}

impl Model {
    fn step(&self, index: usize) -> u64 {
        let revive = 10_000_u64;
        match self.returned[index] {
            Some(at) => revive.div_ceil((self.now - at).max(1)).clamp(1, 16),
            None => 1,
        }
    }

    /// The place of a remote in the order of preference, smaller first; `None` when it may not be chosen.
    fn rank(&self, client: u64, tried: &[usize], index: usize) -> Option<Vec<f64>> {
        let terms = &self.all[index];
        let full = terms.max.is_some_and(|max| self.used[index] >= max);
        if tried.contains(&index) || full {
            return None;
        }
        let is_due = self.died[index].is_some_and(|died| self.now >= died + 10_000);
        if is_due && !self.probed[index] && !terms.is_checked {
            return Some(vec![0.0, index as f64]);
        }
        let backup = f64::from(u8::from(terms.is_backup));
        if let Some(died) = self.died[index] {
            let others_full = (0..self.all.len()).any(|other| {
                let max = self.all[other].max;
                self.died[other].is_none()
                    && !tried.contains(&other)
                    && max.is_some_and(|max| self.used[other] >= max)
            });
            return (!others_full).then(|| vec![2.0, backup, died as f64, index as f64]);
        }
        let weight = f64::from(terms.weight);
        let used = f64::from(self.used[index]);
        let fair = self.so_far[index] as f64 / weight;
        let numbers = match self.policy {
            Policy::Least => {
                vec![
                    (256.0 * used * self.step(index) as f64 / weight).floor(),
                    fair,
                ]
            }
            Policy::Order => vec![(256.0 * used / weight).floor()],
            Policy::RoundRobin => vec![fair],
            Policy::Hash => {
                let mixed = mix(client ^ mix(terms.identity)) >> 11;
                let part = (mixed as f64 + 0.5) / (1_u64 << 53) as f64;
                vec![-weight / -part.ln()]
            }
            Policy::First => vec![],
        };
        Some([vec![1.0, backup], numbers, vec![index as f64]].concat())
    }

    fn choose(&mut self, client: u64, tried: &[usize]) -> Choice {
        let ranks = (0..self.all.len()).filter_map(|index| {
            let rank = self.rank(client, tried, index)?;
            Some((rank, index))
        });
        let best = ranks.min_by(|one, other| one.0.partial_cmp(&other.0).unwrap());
        if let Some((_, index)) = best {
            self.probed[index] |= self.died[index].is_some();
            self.so_far[index] += self.step(index);
            return Choice::Remote(index);
        }
        let left = (0..self.all.len()).filter(|index| !tried.contains(index));
        if left.into_iter().any(|index| self.died[index].is_none()) {
            Choice::Full
        } else {
            Choice::Nobody
        }
    }

    fn succeeded(&mut self, index: usize) {
        self.probed[index] = false;
        if self.returned[index].is_some_and(|at| self.now - at >= 10_000) {
            self.returned[index] = None;
        }
        if self.died[index].take().is_some() {
            self.returned[index] = Some(self.now);
            let weight = u64::from(self.all[index].weight);
            let others = (0..self.all.len()).filter(|&other| {
                other != index
                    && self.died[other].is_none()
                    && self.all[other].is_backup == self.all[index].is_backup
            });
            let least = others
                .map(|other| self.so_far[other] * weight / u64::from(self.all[other].weight))
                .min();
            self.so_far[index] = self.so_far[index].max(least.unwrap_or(0));
        }
    }

    fn failed(&mut self, index: usize) {
        self.probed[index] = false;
        self.returned[index] = None;
        self.died[index] = Some(self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_choice_is_the_model_s(
        policy in proptest::sample::select(vec![
            Policy::Least, Policy::Order, Policy::RoundRobin, Policy::Hash, Policy::First,
        ]),
        all in proptest::collection::vec(any_terms(), 1..5),
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let count = all.len();
        let mut world = World::new(policy, &all);
        let mut model = Model {
            policy,
            all,
            died: vec![None; count],
            probed: vec![false; count],
            returned: vec![None; count],
            so_far: vec![0; count],
            used: vec![0; count],
            now: 0,
        };
        for event in events {
            match event {
                Event::Session(client, fails) => {
                    let mut tried = Vec::new();
                    loop {
                        let choice = world.choose(client, &tried);
                        prop_assert_eq!(choice, model.choose(client, &tried));
                        let Choice::Remote(index) = choice else { break };
                        prop_assert!(!tried.contains(&index));
                        if !fails[index] {
                            world.used[index] += 1;
                            world.balance.succeeded(index, world.now);
                            model.succeeded(index);
                            break;
                        }
                        world.balance.failed(index, world.now);
                        model.failed(index);
                        tried.push(index);
                    }
                }
                Event::End(index) if index < count => {
                    world.used[index] = world.used[index].saturating_sub(1);
                }
                Event::Check(index, lives) if index < count => {
                    if lives {
                        world.balance.succeeded(index, world.now);
                        model.succeeded(index);
                    } else {
                        world.balance.failed(index, world.now);
                        model.failed(index);
                    }
                }
                Event::Wait(milliseconds) => {
                    world.now += Duration::from_millis(milliseconds);
                    model.now += milliseconds;
                }
                Event::End(_) | Event::Check(..) => {}
            }
            model.used.clone_from(&world.used);
        }
    }
}
