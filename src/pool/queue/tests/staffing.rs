use super::*;
use crate::pool::queue::staff::PROOF;

#[test]
fn worker_that_closes_its_output_sooner_than_a_second_after_its_start_has_failed_to_start() {
    let mut play = Play::staffed(terms());
    play.queue.spoiled(play.ids[&0], Fault::Quit, play.now);
    assert_eq!(
        play.actions(),
        [Action::Pause(Slip::Short, PROOF), end(0, End::Close)]
    );
    assert_eq!(play.ended(0), []);
    assert_eq!(play.pass(PROOF), []);
    play.queue.spoiled(play.ids[&1], Fault::Quit, play.now);
    assert_eq!(play.actions(), [end(1, End::Close)]);
}

#[test]
fn workers_are_added_one_at_a_time_while_queries_wait() {
    let mut play = Play::staffed(terms());
    for _ in 0..5 {
        play.ask();
    }
    assert_eq!(play.start(), [2]);
    assert_eq!(play.ready(2), [give(2, 2, 0)]);
    assert_eq!(play.start(), [3]);
    assert_eq!(play.ready(3), [give(3, 3, 0)]);
    assert_eq!(play.start(), []);
    assert_eq!(play.queue.waiting(), 1);
}

#[test]
fn worker_above_the_minimum_leaves_when_it_has_been_idle_for_a_minute() {
    let mut play = Play::staffed(terms());
    for _ in 0..3 {
        play.ask();
    }
    for worker in play.start() {
        play.ready(worker);
    }
    for worker in 0..3 {
        play.answered(worker, 0);
    }
    play.now += 30_000 * MS;
    play.ask();
    play.answered(0, 1);
    assert_eq!(play.pass(29_999 * MS), []);
    assert_eq!(play.queue.alarm(), Some(play.now + MS));
    assert_eq!(play.pass(MS), [end(1, End::Close)]);
    assert_eq!(play.pass(1_000 * MS), [end(1, End::Term)]);
    assert_eq!(play.ended(1), []);
    assert_eq!(play.pass(100_000 * MS), []);
}

#[test]
fn starts_that_fail_are_repeated_after_pauses_that_double_up_to_a_minute() {
    let mut play = Play::new(terms());
    let mut lengths = Vec::new();
    for _ in 0..9 {
        let started = play.start();
        assert_eq!(started.len(), 2);
        for worker in started {
            for action in play.ended(worker) {
                let Action::Pause(Slip::Short, length) = action else {
                    panic!("{action:?}")
                };
                lengths.push(length.as_secs());
            }
        }
        let length = Duration::from_secs(lengths[lengths.len() - 1]);
        play.pass(length - MS);
        assert_eq!(play.start(), []);
        play.pass(MS);
    }
    assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn worker_that_lives_a_second_ends_the_pauses() {
    for lives_on in [true, false] {
        let mut play = Play::new(terms());
        for _ in 0..2 {
            for worker in play.start() {
                play.ended(worker);
            }
            play.pass(2_000 * MS);
        }
        let started = play.start();
        for &worker in &started {
            play.ready(worker);
        }
        play.pass(PROOF);
        if !lives_on {
            assert_eq!(play.ended(started[0]), []);
        }
        let next = play.start();
        play.queue
            .spoiled(play.ids[&started[1]], Fault::Output, play.now);
        let next = if lives_on { play.start() } else { next };
        play.actions();
        assert_eq!(
            play.ended(next[0]),
            [Action::Pause(Slip::Short, PROOF)],
            "{lives_on}"
        );
    }
}

#[test]
fn worker_that_the_pool_ends_is_no_failed_start() {
    let mut play = Play::staffed(terms());
    play.ask();
    play.spoiled(0);
    assert_eq!(play.ended(0), []);
    assert_eq!(play.start(), [2]);
}

#[test]
fn worker_that_dies_of_its_query_is_started_again_at_once() {
    let mut play = Play::staffed(terms());
    play.ask();
    assert_eq!(play.ended(0), [fail(0, Reason::Died)]);
    assert_eq!(play.start(), [2]);
}

#[test]
fn worker_that_prints_unasked_before_its_first_query_has_failed_to_start() {
    let mut play = Play::staffed(terms());
    assert_eq!(
        play.spoiled(0),
        [Action::Pause(Slip::Short, PROOF), end(0, End::Term)]
    );
    assert_eq!(play.start(), []);
    assert_eq!(play.ended(0), []);
}

#[test]
fn replaced_workers_leave_one_after_another_each_when_a_new_one_is_ready() {
    let mut play = Play::staffed(terms());
    play.ask();
    play.queue.replace();
    assert_eq!(play.start(), [2]);
    assert_eq!(play.start(), []);
    // The idle one first.
    assert_eq!(play.ready(2), [end(1, End::Close)]);
    assert_eq!(play.start(), [3]);
    assert_eq!(play.ready(3), []);
    assert_eq!(play.start(), []);
    // It finishes what it has, and gets no more.
    assert_eq!(play.ask(), [give(2, 1, 0)]);
    assert_eq!(play.answered(0, 0), [end(0, End::Close)]);
}

#[test]
fn worker_is_replaced_after_its_number_of_queries_or_its_time() {
    let mut play = Play::staffed(Terms {
        recycle_queries: Some(1),
        ..terms()
    });
    play.ask();
    assert_eq!(play.start(), []);
    play.answered(0, 0);
    assert_eq!(play.start(), [2]);
    assert_eq!(play.ready(2), [end(0, End::Close)]);
    let mut play = Play::staffed(Terms {
        recycle_time: Some(5_000 * MS),
        ..terms()
    });
    assert_eq!(play.queue.alarm(), Some(play.now + 5_000 * MS));
    play.pass(5_000 * MS);
    assert_eq!(play.start(), [2]);
}

#[test]
fn worker_of_one_query_is_started_before_it_is_needed() {
    let mut play = Play::staffed(Terms {
        once: true,
        ..terms()
    });
    assert_eq!(play.ask(), [give(0, 0, 0)]);
    assert_eq!(play.start(), [2]);
    play.ready(2);
    assert_eq!(play.answered(0, 0), [end(0, End::Close)]);
    assert_eq!(play.ended(0), []);
    assert_eq!(play.start(), []);
}

#[test]
fn workers_that_do_not_go_cannot_pile_up() {
    let mut play = Play::staffed(terms());
    for _ in 0..20 {
        play.now += PROOF;
        let alive: Vec<u64> = play.ids.keys().copied().collect();
        for worker in alive {
            play.spoiled(worker);
        }
        for worker in play.start() {
            play.ready(worker);
        }
    }
    assert!(play.workers <= 2 * 4, "{}", play.workers);
}

#[test]
fn worker_that_does_not_become_ready_in_time_has_failed_to_start_and_is_ended() {
    let mut play = Play::new(terms());
    assert_eq!(play.start(), [0, 1]);
    play.ready(0);
    assert_eq!(play.queue.alarm(), Some(play.now + 60_000 * MS));
    assert_eq!(play.pass(59_999 * MS), []);
    let late = |worker, length| [Action::Pause(Slip::Late, length), end(worker, End::Term)];
    assert_eq!(play.pass(MS), late(1, PROOF));
    assert_eq!(play.start(), []);
    assert_eq!(play.pass(PATIENCE), [end(1, End::Kill)]);
    assert_eq!(play.ended(1), []);
    // The next one, too: that it has lived for long says nothing.
    assert_eq!(play.start(), [2]);
    assert_eq!(play.pass(60_000 * MS), late(2, PROOF * 2));
    assert_eq!(play.pass(PROOF * 2), [end(2, End::Kill)]);
    assert_eq!(play.start(), [3]);
    play.ready(3);
    play.pass(PROOF);
    assert_eq!(play.ended(3), []);
    // One that was ready has ended the pauses.
    assert_eq!(play.start(), [4]);
    assert_eq!(play.ended(4), [Action::Pause(Slip::Short, PROOF)]);
}

#[test]
fn worker_that_ends_before_it_is_ready_has_failed_to_start_whatever_its_age() {
    let mut play = Play::new(terms());
    play.start();
    play.pass(5_000 * MS);
    assert_eq!(play.ended(0), [Action::Pause(Slip::Unready, PROOF)]);
    assert_eq!(play.start(), []);
}
