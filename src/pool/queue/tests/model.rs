//! Random turns, beside a model that only reads the actions.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pool::queue::roster::State;
use crate::pool::queue::staff::{PAUSE_MAX, PROOF};

/// One step of the model test; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    Leave(usize),
    Ready(usize),
    Answer(usize),
    Spoil(usize),
    Die(usize),
    Gone(usize),
    Replace,
    Pass(u32),
    Upgrade,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Ask),
        1 => any::<usize>().prop_map(Step::Leave),
        6 => any::<usize>().prop_map(Step::Ready),
        8 => any::<usize>().prop_map(Step::Answer),
        2 => any::<usize>().prop_map(Step::Spoil),
        1 => any::<usize>().prop_map(Step::Die),
        4 => any::<usize>().prop_map(Step::Gone),
        1 => Just(Step::Replace),
        4 => (0_u32..3_000).prop_map(Step::Pass),
        1 => Just(Step::Upgrade),
    ]
}

/// What a worker is, as somebody sees it who only reads the actions.
#[derive(Debug, Default)]
struct Seen {
    is_ready: bool,
    ended: Option<End>,
    /// Numbers and queries.
    has: Vec<(u64, u64)>,
    given: u64,
}

#[derive(Debug, Default)]
struct Model {
    workers: BTreeMap<u64, Seen>,
    /// Where each query is that has no outcome yet: at a worker, or waiting.
    open: BTreeMap<u64, Option<u64>>,
    done: u64,
}

impl Model {
    /// The one of `among` that `choice` means.
    fn pick<T: Copy>(among: impl Iterator<Item = T>, choice: usize) -> Option<T> {
        let among: Vec<T> = among.collect();
        (!among.is_empty()).then(|| among[choice % among.len()])
    }

    fn note(&mut self, actions: Vec<Action<u64, u64>>, terms: &Terms) {
        for action in actions {
            match action {
                Action::Give {
                    worker,
                    query,
                    number,
                } => {
                    let room = if terms.once { 1 } else { terms.channels };
                    let seen = self
                        .workers
                        .get_mut(&worker)
                        .expect("a worker that is there");
                    assert!(seen.is_ready && seen.ended.is_none(), "{worker}: {seen:?}");
                    assert!(!terms.once || seen.given == 0);
                    assert_eq!(number, seen.given, "numbers of {worker}");
                    seen.given += 1;
                    seen.has.push((number, query));
                    assert!(seen.has.len() <= room);
                    let place = self
                        .open
                        .get_mut(&query)
                        .expect("a query without an outcome");
                    *place = Some(worker);
                }
                Action::Fail { query, .. } => {
                    assert!(
                        self.open.remove(&query).is_some(),
                        "{query} has two outcomes"
                    );
                    for seen in self.workers.values_mut() {
                        seen.has.retain(|(_, other)| *other != query);
                    }
                    self.done += 1;
                }
                Action::End { worker, how } => {
                    let seen = self
                        .workers
                        .get_mut(&worker)
                        .expect("a worker that is there");
                    assert!(seen.ended < Some(how), "{worker} is ended by {how:?} twice");
                    seen.ended = Some(how);
                    // What it had fails, or waits and is given to others.
                    for (_, query) in std::mem::take(&mut seen.has) {
                        self.open.insert(query, None);
                    }
                }
                Action::Pause(_, length) => assert!((PROOF..=PAUSE_MAX).contains(&length)),
            }
        }
    }
}

proptest! {
    // 400 turns each.
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_query_has_one_outcome_whatever_workers_and_clients_do(
        min in 0_usize..3,
        more in 0_usize..3,
        channels in 1_usize..3,
        queue in 0_usize..4,
        retries in 0_u32..3,
        recycle in prop::option::of(1_u64..5),
        once: bool,
        steps in vec(step(), 400),
    ) {
        let terms = Terms {
            min,
            max: (min + more).max(1),
            channels,
            queue: Some(queue),
            start: 4_000 * MS,
            wait: 500 * MS,
            busy: 2_000 * MS,
            retries,
            recycle_queries: recycle,
            recycle_time: Some(10_000 * MS),
            patience: PATIENCE,
            once,
        };
        let mut play = Play::new(terms.clone());
        let mut model = Model::default();
        let mut asked = 0;
        for step in steps {
            let actions = match step {
                Step::Ask => {
                    model.open.insert(play.queries, None);
                    asked += 1;
                    play.ask()
                }
                Step::Leave(choice) => {
                    if let Some((&query, &place)) = Model::pick(model.open.iter(), choice) {
                        play.queue.leave(play.asked[&query]);
                        if place.is_none() {
                            model.open.remove(&query);
                            model.done += 1;
                        }
                    }
                    Vec::new()
                }
                Step::Ready(choice) => {
                    let there = model.workers.iter_mut().filter(|(_, seen)| !seen.is_ready && seen.ended.is_none());
                    let there: Vec<u64> = there.map(|(&worker, _)| worker).collect();
                    match Model::pick(there.into_iter(), choice) {
                        None => Vec::new(),
                        Some(worker) => {
                            model.workers.get_mut(&worker).unwrap().is_ready = true;
                            play.ready(worker)
                        }
                    }
                }
                Step::Answer(choice) => {
                    let flights = model.workers.iter().flat_map(|(&worker, seen)| {
                        seen.has.iter().map(move |&(number, query)| (worker, number, query))
                    });
                    match Model::pick(flights, choice) {
                        None => Vec::new(),
                        Some((worker, number, query)) => {
                            prop_assert!(model.open.remove(&query).is_some());
                            model.done += 1;
                            model.workers.get_mut(&worker).unwrap().has.retain(|has| has.0 != number);
                            play.answered(worker, number)
                        }
                    }
                }
                Step::Spoil(choice) => match Model::pick(model.workers.keys().copied(), choice) {
                    None => Vec::new(),
                    Some(worker) => play.spoiled(worker),
                },
                Step::Die(choice) => match Model::pick(model.workers.keys().copied(), choice) {
                    None => Vec::new(),
                    Some(worker) => {
                        let seen = model.workers.remove(&worker).unwrap();
                        for (_, query) in seen.has {
                            model.open.insert(query, None);
                        }
                        play.ended(worker)
                    }
                },
                Step::Gone(choice) => {
                    let leaving = model.workers.iter().filter(|(_, seen)| seen.ended.is_some());
                    match Model::pick(leaving.map(|(&worker, _)| worker), choice) {
                        None => Vec::new(),
                        Some(worker) => {
                            let seen = model.workers.remove(&worker).unwrap();
                        for (_, query) in seen.has {
                            model.open.insert(query, None);
                        }
                        play.ended(worker)
                        }
                    }
                }
                Step::Replace => {
                    play.queue.replace();
                    Vec::new()
                }
                Step::Upgrade => {
                    play.upgrade(terms.clone());
                    Vec::new()
                }
                Step::Pass(time) => {
                    // Nothing that was due is late: the clock stops at each alarm.
                    let until = play.now + time * MS;
                    let mut actions = Vec::new();
                    let mut stops = 0;
                    while let Some(alarm) = play.queue.alarm().filter(|&alarm| alarm <= until) {
                        let wait = alarm.saturating_duration_since(play.now);
                        actions.extend(play.pass(wait));
                        stops += 1;
                        prop_assert!(stops < 1000, "the clock stands still");
                    }
                    play.now = until;
                    actions.extend(play.pass(Duration::ZERO));
                    actions
                }
            };
            model.note(actions, &terms);
            for worker in play.start() {
                model.workers.insert(worker, Seen::default());
            }
            model.note(play.actions(), &terms);
            let waiting = model.open.values().filter(|place| place.is_none()).count();
            let with_workers = play.queue.workers.values().map(|worker| worker.flights.len());
            prop_assert_eq!(asked, model.done + play.queue.waiting() as u64 + with_workers.sum::<usize>() as u64);
            prop_assert_eq!(waiting, play.queue.waiting());
            // Who waits, waits for a worker.
            let room = if once { 1 } else { channels };
            let idle = play.queue.workers.values().filter(|worker| {
                matches!(worker.state, State::Serving { .. }) && worker.flights.len() < room
            });
            prop_assert!(play.queue.waiting() == 0 || idle.count() == 0);
            // Processes are bounded.
            prop_assert!(model.workers.len() <= 2 * terms.max + 3);
        }
    }
}
