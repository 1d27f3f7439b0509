use super::*;
use crate::pool::queue::staff::PROOF;

#[test]
fn query_goes_to_the_ready_worker_that_has_been_idle_longest() {
    let mut play = Play::staffed(terms());
    assert_eq!(play.ask(), [give(0, 0, 0)]);
    assert_eq!(play.ask(), [give(1, 1, 0)]);
    assert_eq!(play.answered(1, 0), []);
    assert_eq!(play.answered(0, 0), []);
    assert_eq!(play.ask(), [give(1, 2, 1)]);
    assert_eq!(play.ask(), [give(0, 3, 1)]);
}

#[test]
fn queries_wait_in_order_and_no_more_than_may() {
    let mut play = Play::staffed(terms());
    for _ in 0..5 {
        play.ask();
    }
    assert_eq!(play.ask(), [fail(5, Reason::Busy)]);
    assert_eq!(play.answered(1, 0), [give(1, 2, 1)]);
    assert_eq!(play.answered(0, 0), [give(0, 3, 1)]);
    assert_eq!(play.queue.waiting(), 1);
    assert_eq!(play.queue.counts.queue_max, 3);
    assert_eq!(play.queue.counts.delayed, 4);
}

#[test]
fn queue_of_no_length_lets_nobody_wait() {
    let mut play = Play::staffed(Terms {
        queue: Some(0),
        ..terms()
    });
    assert_eq!(play.ask(), [give(0, 0, 0)]);
    assert_eq!(play.ask(), [give(1, 1, 0)]);
    assert_eq!(play.ask(), [fail(2, Reason::Busy)]);
}

#[test]
fn query_that_waits_in_vain_fails_when_its_time_is_over() {
    let mut play = Play::staffed(terms());
    for _ in 0..3 {
        play.ask();
    }
    assert_eq!(play.queue.alarm(), Some(play.now + 500 * MS));
    assert_eq!(play.pass(499 * MS), []);
    assert_eq!(play.pass(MS), [fail(2, Reason::Queue)]);
}

#[test]
fn worker_that_takes_too_long_gets_term_and_a_second_later_kill() {
    let mut play = Play::staffed(terms());
    play.ask();
    assert_eq!(play.pass(14_999 * MS), []);
    assert_eq!(play.pass(MS), [end(0, End::Term), fail(0, Reason::Timeout)]);
    assert_eq!(play.pass(999 * MS), []);
    assert_eq!(play.pass(MS), [end(0, End::Kill)]);
    assert_eq!(play.pass(60_000 * MS), []);
    assert_eq!(play.ended(0), []);
    assert_eq!(play.queue.counts.timeouts, 1);
}

#[test]
fn spoiled_worker_gets_no_query_and_another_is_started() {
    let mut play = Play::staffed(terms());
    play.ask();
    assert_eq!(play.spoiled(0), [end(0, End::Term), fail(0, Reason::Died)]);
    assert_eq!(play.ask(), [give(1, 1, 0)]);
    assert_eq!(play.ask(), []);
    assert_eq!(play.start(), [2]);
    assert_eq!(play.ready(2), [give(2, 2, 0)]);
}

#[test]
fn query_is_tried_again_before_those_that_came_later_as_often_as_may_be() {
    let mut play = Play::staffed(Terms {
        retries: 1,
        ..terms()
    });
    for _ in 0..3 {
        play.ask();
    }
    assert_eq!(play.ended(0), []);
    assert_eq!(play.answered(1, 0), [give(1, 0, 1)]);
    assert_eq!(play.ended(1), [fail(0, Reason::Died)]);
    assert_eq!(play.queue.counts.retried, 1);
}

#[test]
fn query_whose_client_has_left_waits_no_more_and_is_not_tried_again() {
    let mut play = Play::staffed(Terms {
        retries: 1,
        ..terms()
    });
    for _ in 0..3 {
        play.ask();
    }
    play.queue.leave(play.asked[&2]);
    assert_eq!(play.queue.waiting(), 0);
    play.queue.leave(play.asked[&0]);
    assert_eq!(play.spoiled(0), [end(0, End::Term), fail(0, Reason::Died)]);
}

#[test]
fn worker_that_has_answered_gets_no_query_before_it_is_clean() {
    let mut play = Play::staffed(Terms {
        channels: 2,
        ..terms()
    });
    for _ in 0..5 {
        play.ask();
    }
    play.queue.answered(play.ids[&0], 0);
    play.queue.answered(play.ids[&0], 1);
    assert_eq!(play.actions(), []);
    assert_eq!(play.spoiled(0), [end(0, End::Term)]);
}

#[test]
fn query_that_was_not_read_goes_to_another_worker_and_is_no_retry() {
    let mut play = Play::staffed(terms());
    play.ask();
    play.queue.unread(play.ids[&0], 0, Fault::Quit, play.now);
    let expected = [
        Action::Pause(Slip::Short, PROOF),
        end(0, End::Close),
        give(1, 0, 0),
    ];
    assert_eq!(play.actions(), expected);
    assert_eq!(play.queue.counts.retried, 0);
}

#[test]
fn closed_pool_ends_idle_workers_in_order_and_hung_ones_at_once() {
    let mut play = Play::staffed(terms());
    play.ask();
    play.queue.close(play.now);
    assert_eq!(
        play.actions(),
        [end(0, End::Term), fail(0, Reason::Died), end(1, End::Close)]
    );
    assert_eq!(play.start(), []);
    assert_eq!(play.pass(PATIENCE), [end(0, End::Kill), end(1, End::Term)]);
    play.ended(0);
    assert!(!play.queue.is_empty());
    play.ended(1);
    assert!(play.queue.is_empty());
}

#[test]
fn channels_fill_the_least_busy_worker_first() {
    let mut play = Play::staffed(Terms {
        channels: 2,
        ..terms()
    });
    assert_eq!(play.ask(), [give(0, 0, 0)]);
    assert_eq!(play.ask(), [give(1, 1, 0)]);
    assert_eq!(play.ask(), [give(0, 2, 1)]);
    assert_eq!(play.answered(0, 1), []);
    assert_eq!(play.ask(), [give(1, 3, 1)]);
    assert_eq!(play.ask(), [give(0, 4, 2)]);
    assert_eq!(play.ask(), []);
    assert_eq!(play.answered(0, 0), [give(0, 5, 3)]);
}
