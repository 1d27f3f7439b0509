//! HUP, TERM, and what they leave.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use nix::sys::signal::Signal;

use crate::pool::house::{Gate, Pool, assert_sums, statistics_of, world};
use crate::support::net;
use crate::world::{eventually, lossy};

#[test]
fn every_accepted_query_is_answered_while_workers_are_replaced_and_at_the_end() {
    let Some(world) = world() else { return };
    let options = ["--workers=3", "--queue=99:20", "-c100", "--drain=20"];
    let pool = Pool::start(&world, &options);
    let is_ending = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (pool, is_ending, answered) = (&pool, &is_ending, &answered);
            scope.spawn(move || {
                for round in 0.. {
                    let word = format!("w{client}x{round}");
                    // Now and then a worker tells which descriptors it has.
                    let (query, answer) = match round % 8 {
                        0 => ("open".to_owned(), "0 1 2\n".to_owned()),
                        _ => (word.clone(), format!("answer {word}\n")),
                    };
                    let mut stream = match net::connect_from(
                        [127, 0, 0, 1].into(),
                        [127, 0, 0, 1].into(),
                        pool.port(),
                        |_| false,
                    ) {
                        Ok(stream) => stream,
                        Err(_) if is_ending.load(Relaxed) => return,
                        Err(error) => panic!("{error}"),
                    };
                    let sent =
                        std::io::Write::write_all(&mut stream, format!("{query}\n").as_bytes());
                    let mut heard = Vec::new();
                    let end =
                        sent.and_then(|()| std::io::Read::read_to_end(&mut stream, &mut heard));
                    if heard.is_empty() && is_ending.load(Relaxed) {
                        // It was in the queue of a listener that is closed: nobody had accepted it.
                        assert!(end.is_err(), "{word} was accepted and not answered");
                        return;
                    }
                    assert_eq!(lossy(&heard), answer);
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
        for _ in 0..15 {
            let started = pool.log().count(" start");
            pool.signal(Signal::SIGHUP);
            pool.log().wait_for(" start", started + 1);
        }
        is_ending.store(true, Relaxed);
        pool.signal(Signal::SIGUSR1);
        pool.signal(Signal::SIGTERM);
    });
    let outcome = pool.outcome();
    let log = lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(0), "{log}");
    let replied = log.matches("tcppool: query ").count();
    assert_eq!(replied, answered.load(Relaxed));
    assert_eq!(log.matches("tcppool: fail ").count(), 0, "{log}");
    assert!(statistics_of(&log)["daemon spawns"] > 15.0);
    // All workers have gone, each in order: its stdin was closed.
    let started = log.matches(" start\n").count();
    assert_eq!(
        log.matches(" end status 0 queries ").count(),
        started,
        "{log}"
    );
}

#[test]
fn kept_connection_that_asks_nothing_does_not_hold_the_end_up() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queries=0", "--drain=600"]);
    let mut client = pool.asking("a\n");
    assert_eq!(lossy(&net::receive_line(&mut client)), "answer a\n");
    pool.signal(Signal::SIGTERM);
    assert_eq!(net::receive_all(&mut client), b"");
    assert_eq!(pool.outcome().status.code(), Some(0));
}

#[test]
fn query_that_is_being_answered_at_the_end_is_answered() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    let gate = Gate::new(&world, "gate");
    let mut first = pool.asking("gate gate a\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    let mut second = pool.asking("b\n");
    pool.wait_for("queue now", 1.0);
    pool.signal(Signal::SIGTERM);
    pool.log().wait_for("tcppool: draining 2", 1);
    // Who does not wait for them lets them go now.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let _open = gate.open();
    assert_eq!(lossy(&net::receive_all(&mut first)), "a\n");
    assert_eq!(lossy(&net::receive_all(&mut second)), "answer b\n");
    assert_eq!(pool.outcome().status.code(), Some(0));
}

#[test]
fn end_waits_as_long_as_a_query_may_take_for_one_that_may_still_come() {
    let Some(world) = world() else { return };
    for options in [&["--busy-timeout=0.2"][..], &["--drain=0.2"]] {
        let pool = Pool::start(&world, options);
        let mut silent = pool.connect();
        pool.wait_for("clients now", 1.0);
        pool.signal(Signal::SIGTERM);
        assert_eq!(net::receive_all(&mut silent), b"");
        let outcome = pool.outcome();
        assert_eq!(outcome.status.code(), Some(0));
        let log = lossy(&outcome.stderr);
        assert!(log.contains("tcppool: draining 1\n"), "{log}");
    }
}

#[test]
fn hung_and_deaf_worker_is_killed_before_the_pool_is_gone() {
    let Some(world) = world() else { return };
    let options = ["--workers=2", "--drain=0.2", "--kill=0.3"];
    let pool = Pool::start(&world, &options);
    let mut client = pool.asking("deaf\n");
    pool.log().wait_for("deaf", 1);
    let workers = pool.workers();
    pool.signal(Signal::SIGTERM);
    assert_eq!(net::receive_all(&mut client), b"");
    let outcome = pool.outcome();
    assert_eq!(outcome.status.code(), Some(0));
    let log = lossy(&outcome.stderr);
    assert_eq!(log.matches(" end status 9 queries 1").count(), 1, "{log}");
    for pid in workers {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn reports_name_each_worker_and_its_state() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=2", "--drain=0.1"]);
    let client = pool.asking("hang\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    pool.signal(Signal::SIGUSR2);
    pool.log().wait_for(" busy queries 1 seconds ", 1);
    pool.log().wait_for(" ready queries 0 seconds ", 1);
    drop(client);
    pool.terminate();
}

#[test]
fn hup_replaces_each_worker_once() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=3"]);
    let before = pool.workers();
    pool.signal(Signal::SIGHUP);
    pool.log().wait_for(" end status 0 queries 0", 3);
    eventually("three new ones are there", || {
        let now = pool.workers();
        now.len() == 3 && now.iter().all(|pid| !before.contains(pid))
    });
    let statistics = pool.statistics();
    assert_eq!(statistics["daemon spawns"], 6.0);
    assert_eq!(statistics["daemon S_AVAILABLE"], 3.0);
    assert_sums(&statistics);
    pool.terminate();
}
