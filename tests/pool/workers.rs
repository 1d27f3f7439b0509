//! How workers begin, end and are replaced.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::pool::house::{Gate, Pool, assert_sums, world};
use crate::support::net;
use crate::world::{eventually, lossy};

fn ended(outcome: &crate::support::process::Outcome) -> (Option<i32>, String) {
    (outcome.status.code(), lossy(&outcome.stderr))
}

#[test]
fn program_that_cannot_be_run_is_fatal_at_the_start() {
    let Some(world) = world() else { return };
    world.write("not-executable", "text");
    for (program, why) in [
        ("./missing", "file does not exist"),
        ("no-such-program-anywhere", "file does not exist"),
        ("./not-executable", "access denied"),
    ] {
        let launch = world.program("tcppool", ["-HRl0", "127.0.0.1", "0", program]);
        let outcome = ended(&world.start(launch).outcome());
        let message = format!("tcppool: fatal: unable to run {program}: {why}\n");
        assert_eq!(outcome, (Some(111), message));
    }
}

#[test]
fn worker_that_ends_at_once_is_started_again_after_pauses_with_one_line_each() {
    let Some(world) = world() else { return };
    let options = ["--workers=2", "--error=ERR %r", "--queue=9:0.1"];
    let pool = Pool::start_with(&world, &options, &["false"]);
    let line = |seconds: u32| {
        format!(
            "tcppool: warning: a worker has ended within a second of its start; no other for {seconds} s"
        )
    };
    pool.log().wait_for(&line(1), 1);
    assert_eq!(pool.ask("a\n"), "ERR queue\n");
    pool.log().wait_for(&line(2), 1);
    pool.log().wait_for(&line(4), 1);
    pool.wait_for("daemon S_SPAWNING", 2.0);
    assert_eq!(pool.statistics()["daemon spawns"], 6.0);
    let log = pool.terminate();
    assert_eq!(log.matches("warning").count(), 3, "{log}");
}

#[test]
fn worker_that_ends_before_it_is_ready_is_started_again_after_a_pause() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--ready=ready"];
    let pool = Pool::start_with(&world, &options, &["sh", "-c", "echo loading; sleep 1.1"]);
    let line = "tcppool: warning: a worker has ended before it was ready; no other for 1 s";
    pool.log().wait_for(line, 1);
    let log = pool.terminate();
    assert_eq!(log.matches("warning").count(), 1, "{log}");
}

#[test]
fn worker_that_cannot_be_started_again_is_tried_again_after_pauses() {
    let Some(world) = world() else { return };
    world.script("worker", "#!/bin/sh\nexec perl worker.pl\n");
    let pool = Pool::start_with(&world, &["--workers=1"], &["./worker"]);
    assert_eq!(pool.ask("a\n"), "answer a\n");
    std::fs::remove_file(world.path("worker")).expect("it is there");
    pool.signal(Signal::SIGHUP);
    let line = |seconds: u32| {
        format!(
            "tcppool: warning: unable to start a worker: file does not exist; no other for {seconds} s"
        )
    };
    pool.log().wait_for(&line(1), 1);
    // Its work is done by whom it was to replace.
    assert_eq!(pool.ask("b\n"), "answer b\n");
    pool.log().wait_for(&line(2), 1);
    let log = pool.terminate();
    assert_eq!(log.matches("warning").count(), 2, "{log}");
}

#[test]
fn worker_that_takes_too_long_is_ended_and_its_query_fails() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--ready=ready",
        "--busy-timeout=1",
        "--error=ERR %r",
        "--queue=9:20",
    ];
    let pool = Pool::start_with(&world, &options, &["perl", "worker.pl", "ready"]);
    for _ in 0..2 {
        assert_eq!(pool.ask("hang\n"), "ERR timeout\n");
        assert_eq!(pool.ask("a\n"), "answer a\n");
    }
    assert_eq!(pool.statistics()["queries timeout"], 2.0);
    let log = pool.terminate();
    // SIGTERM, and no KILL after it.
    assert_eq!(log.matches(" end status 15 queries ").count(), 2, "{log}");
    assert!(!log.contains("warning"), "{log}");
}

#[test]
fn worker_that_ignores_term_is_killed() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--ready=ready",
        "--busy-timeout=1",
        "--kill=0.3",
        "--drain=5",
        "--error=ERR %r",
    ];
    let pool = Pool::start_with(&world, &options, &["perl", "worker.pl", "ready"]);
    // Otherwise SIGTERM might come before its worker can be deaf.
    pool.wait_for("daemon S_AVAILABLE", 1.0);
    assert_eq!(pool.ask("deaf\n"), "ERR timeout\n");
    pool.log().wait_for(" end status 9 queries 1", 1);
    pool.terminate();
}

#[test]
fn query_is_tried_again_on_another_worker_when_one_dies_or_takes_too_long() {
    let Some(world) = world() else { return };
    // The first of its workers to see the file dies, the next answers.
    let script = "while read -r line; do if mkdir once 2>/dev/null; then printf half; exit 1; fi; echo \"answer $line\"; done";
    let options = ["--workers=2", "--retry=1", "--error=ERR %r"];
    let pool = Pool::start_with(&world, &options, &["sh", "-c", script]);
    assert_eq!(pool.ask("a\n"), "answer a\n");
    let statistics = pool.statistics();
    assert_eq!(
        (statistics["queries retried"], statistics["queries failed"]),
        (1.0, 0.0)
    );
    pool.terminate();
    let options = [
        "--workers=2",
        "--retry=1",
        "--error=ERR %r",
        "--busy-timeout=0.2",
        "--queue=9:20",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("hang\n"), "ERR timeout\n");
    let statistics = pool.statistics();
    assert_eq!(
        (statistics["queries retried"], statistics["queries timeout"]),
        (1.0, 2.0)
    );
    assert_sums(&statistics);
    pool.terminate();
}

#[test]
fn query_of_which_the_client_has_a_byte_is_not_tried_again() {
    let Some(world) = world() else { return };
    let options = ["--workers=2", "--retry=5", "--max-reply=0", "--queue=9:20"];
    let pool = Pool::start(&world, &options);
    let mut client = pool.asking("part half an answer\n");
    let mut heard = Vec::new();
    // It is told by a reset that this is not all.
    let end = std::io::Read::read_to_end(&mut client, &mut heard);
    assert!(end.is_err());
    assert_eq!(lossy(&heard), "half an answer");
    assert_eq!(pool.statistics()["queries retried"], 0.0);
    pool.terminate();
}

#[test]
fn workers_have_descriptors_0_1_and_2_and_no_other() {
    let Some(world) = world() else { return };
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let args = [
        "-1",
        "-v",
        "-HRl0",
        "--workers=3",
        "--queries=0",
        "127.0.0.1",
        "0",
        "cat",
    ];
    let launch = world.program("tcppool", args).inherit(9, file);
    let server = crate::world::Server::on(world.start(launch));
    let connect = || {
        net::connect_from(
            [127, 0, 0, 1].into(),
            [127, 0, 0, 1].into(),
            server.port,
            |_| false,
        )
        .expect("it listens")
    };
    let others: Vec<_> = (0..5).map(|_| connect()).collect();
    let look = || {
        for pid in crate::world::children(server.process.pid()) {
            let is_so = || {
                let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
                let mut open: Vec<String> = folder
                    .flatten()
                    .map(|entry| lossy(entry.file_name().as_encoded_bytes()))
                    .collect();
                open.sort();
                open == ["0", "1", "2"]
            };
            // The kernel lets us go on a moment before its exec has closed what it closes.
            eventually(&format!("worker {pid} has no other"), is_so);
        }
    };
    let mut client = connect();
    net::send(&mut client, b"a\n");
    assert_eq!(lossy(&net::receive_line(&mut client)), "a\n");
    look();
    // Workers that are started later, while clients are there.
    server.process.signal(Signal::SIGHUP);
    server.log().wait_for(" end status 0 ", 3);
    look();
    drop((client, others));
    server.terminate();
}

#[test]
fn worker_is_ready_when_it_says_so_and_not_before() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--ready=ready to serve",
        "--queue=9:0.2",
        "--error=ERR %r",
    ];
    let program = ["perl", "worker.pl", "loading\nready to serve"];
    let pool = Pool::start_with(&world, &options, &program);
    pool.wait_for("daemon S_AVAILABLE", 1.0);
    assert_eq!(pool.ask("a\n"), "answer a\n");
    pool.terminate();
    let pool = Pool::start_with(&world, &options, &["perl", "worker.pl", "loading"]);
    assert_eq!(pool.ask("a\n"), "ERR queue\n");
    assert_eq!(pool.statistics()["daemon S_STARTING"], 1.0);
    pool.terminate();
}

#[test]
fn worker_is_replaced_after_its_number_of_queries_the_new_one_ready_first() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--recycle=3",
        "--queries=0",
        "--queue=0",
        "--error=ERR %r",
    ];
    let pool = Pool::start(&world, &options);
    let mut client = pool.connect();
    let mut pids = Vec::new();
    for _ in 0..30 {
        net::send(&mut client, b"pid\n");
        let pid = lossy(&net::receive_line(&mut client));
        // With no queue at all, nobody would be answered between two workers.
        assert!(!pid.contains("ERR"), "{pid}");
        pids.push(pid);
    }
    pids.dedup();
    assert!(pids.len() >= 3, "{pids:?}");
    drop(client);
    let log = pool.terminate();
    assert!(!log.contains("warning"), "{log}");
}

#[test]
fn worker_is_replaced_after_its_time() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--recycle=0:0.2"]);
    pool.log().wait_for(" end status 0 queries 0", 3);
    let log = pool.terminate();
    assert!(!log.contains("warning"), "{log}");
}

#[test]
fn worker_killed_from_outside_is_replaced_and_its_query_fails() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=2", "--error=ERR %r", "--queue=9:20"]);
    for turn in 1..=2 {
        let mut client = pool.asking("stick\n");
        // What a worker has not read is given to another one.
        pool.log().wait_for("stuck", turn);
        for pid in pool.workers() {
            // Busy or idle.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        assert_eq!(lossy(&net::receive_all(&mut client)), "ERR died\n");
        eventually("a worker answers again", || pool.ask("a\n") == "answer a\n");
    }
    assert_sums(&pool.statistics());
    pool.terminate();
}

#[test]
fn query_that_an_ending_worker_has_not_read_goes_to_another() {
    let Some(world) = world() else { return };
    // The first reads nothing, and ends when it has been given a query.
    let gate = Gate::new(&world, "gate");
    let script =
        "#!/bin/sh\nif mkdir first 2>/dev/null; then : <gate; exit; fi\nexec perl worker.pl\n";
    world.script("worker", script);
    let options = ["--workers=1", "--queue=9:20", "--error=ERR %r"];
    let pool = Pool::start_with(&world, &options, &["./worker"]);
    let mut client = pool.asking("a\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    let _open = gate.open();
    assert_eq!(lossy(&net::receive_all(&mut client)), "answer a\n");
    let statistics = pool.statistics();
    assert_eq!(
        (statistics["queries retried"], statistics["queries failed"]),
        (0.0, 0.0)
    );
    // It had not started at all.
    let log = pool.terminate();
    assert!(
        log.contains("within a second of its start; no other for 1 s"),
        "{log}"
    );
}

#[test]
fn stopped_worker_is_ended_like_one_that_hangs() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--busy-timeout=0.3",
        "--kill=0.3",
        "--drain=5",
        "--error=ERR %r",
        "--queue=9:20",
    ];
    let pool = Pool::start(&world, &options);
    pool.wait_for("daemon S_AVAILABLE", 1.0);
    let [pid] = pool.workers()[..] else {
        panic!("one worker")
    };
    kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("it runs");
    assert_eq!(pool.ask("a\n"), "ERR timeout\n");
    assert_eq!(pool.ask("a\n"), "answer a\n");
    pool.log().wait_for(" end status 9 queries 1", 1);
    pool.terminate();
}

#[test]
fn worker_may_be_stopped_or_killed_in_each_of_its_states() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1:2",
        "--ready=ready",
        "--busy-timeout=1.2",
        "--kill=0.2",
        "--drain=5",
        "--error=ERR %r",
        "--queue=9:20",
    ];
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        let pool = Pool::start_with(&world, &options, &["perl", "worker.pl", "ready"]);
        pool.wait_for("daemon S_AVAILABLE", 1.0);
        let hit = |workers: &[i32]| {
            for &pid in workers {
                // It may have gone.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        };
        let own_or_error = |heard: &str, own: &str| {
            assert!(
                [own, "ERR died\n", "ERR timeout\n"].contains(&heard),
                "{signal}: {heard:?}"
            );
        };
        // Ready.
        hit(&pool.workers());
        own_or_error(&pool.ask("a\n"), "answer a\n");
        assert_eq!(pool.ask("b\n"), "answer b\n");
        // Busy.
        let mut busy = pool.asking("nap 0.8 c\n");
        pool.wait_for("daemon S_BUSY", 1.0);
        hit(&pool.workers());
        own_or_error(&lossy(&net::receive_all(&mut busy)), "c\n");
        assert_eq!(pool.ask("d\n"), "answer d\n");
        // Busy, and to go after its query.
        let those = pool.workers();
        let mut busy = pool.asking("nap 0.8 e\n");
        pool.wait_for("daemon S_BUSY", 1.0);
        let spawns = pool.statistics()["daemon spawns"];
        pool.signal(Signal::SIGHUP);
        eventually("the successor is there", || {
            pool.statistics()["daemon spawns"] > spawns
        });
        hit(&those);
        own_or_error(&lossy(&net::receive_all(&mut busy)), "e\n");
        assert_eq!(pool.ask("f\n"), "answer f\n");
        // On its way out, and deaf.
        let those = pool.workers();
        own_or_error(&pool.ask("deaf\n"), "");
        hit(&those);
        own_or_error(&pool.ask("g\n"), "answer g\n");
        eventually("all is as before", || pool.ask("h\n") == "answer h\n");
        pool.wait_for("daemon S_BUSY", 0.0);
        pool.wait_for("clients now", 0.0);
        assert_sums(&pool.statistics());
        let log = pool.terminate();
        assert!(log.contains("tcppool: status: 0/40\n"), "{log}");
    }
}

#[test]
fn worker_that_is_killed_before_it_is_ready_has_failed_to_start_and_is_started_again() {
    let Some(world) = world() else { return };
    world.script(
        "slow",
        "#!/bin/sh\nmkdir first 2>/dev/null && exec sleep 1000\nexec perl worker.pl ready\n",
    );
    let options = ["--workers=1", "--ready=ready", "--queue=9:20"];
    let pool = Pool::start_with(&world, &options, &["./slow"]);
    eventually("the first is there", || world.path("first").exists());
    let [pid] = pool.workers()[..] else {
        panic!("one worker")
    };
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    assert_eq!(pool.ask("a\n"), "answer a\n");
    assert_eq!(pool.statistics()["daemon spawns"], 2.0);
    pool.terminate();
}

#[test]
fn what_workers_say_on_descriptor_2_is_tagged_where_that_was_asked_for() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--tag-errors"]);
    pool.wait_for("daemon S_AVAILABLE", 1.0);
    let [pid] = pool.workers()[..] else {
        panic!("one worker")
    };
    assert_eq!(pool.ask("say something is wrong\n"), "said\n");
    pool.log()
        .wait_for(&format!("tcppool: worker {pid}: something is wrong"), 1);
    pool.terminate();
    let pool = Pool::start(&world, &["--workers=1"]);
    assert_eq!(pool.ask("say something is wrong\n"), "said\n");
    pool.log().wait_for("something is wrong", 1);
    let log = pool.terminate();
    assert!(
        log.lines().any(|line| line == "something is wrong"),
        "{log}"
    );
}

#[test]
fn what_rules_set_is_not_in_the_environment_of_workers_and_the_log_says_so_once() {
    let Some(world) = world() else { return };
    let rules = world.rules("127.0.0.2:deny\n:allow,SET=\"by a rule\"\n");
    let pool = Pool::start(&world, &["--workers=1", "-x", &rules]);
    for _ in 0..3 {
        assert_eq!(pool.ask("environment SET\n"), "unset\n");
    }
    let log = pool.terminate();
    let line = "tcppool: the rules set variables, which workers do not get";
    assert_eq!(log.matches(line).count(), 1, "{log}");
}

#[test]
fn peer_that_the_rules_deny_gets_no_worker() {
    let Some(world) = world() else { return };
    let rules = world.rules(":deny\n");
    let pool = Pool::start(&world, &["--workers=1", "-x", &rules]);
    assert_eq!(pool.ask(""), "");
    pool.log().wait_for("tcppool: deny ", 1);
    assert_eq!(pool.statistics()["queries total"], 0.0);
    pool.terminate();
}
