//! A new version of the pool: workers go on, and so does whatever they and their clients are in the middle of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::balancer::crowd::{replace, report, size};
use crate::balancer::upgrade::Upgradable;
use crate::pool::house::{Gate, assert_sums, statistics_of, world};
use crate::support::net;
use crate::world::{self, children, eventually, lossy};

/// `tcppool --upgrade options` with the worker of these tests.
fn pool(options: &[&str]) -> Option<Upgradable> {
    let world = world()?;
    let program = ["perl", "worker.pl"];
    Some(Upgradable::start_in(world, "tcppool", options, &program))
}

/// The same with a shell script, which may read a line from the file `gate` to wait until the test lets it go on; and
/// that gate.
fn gated(options: &[&str], script: &str) -> Option<(Upgradable, File)> {
    let world = world::with(&["sh"])?;
    // Held open for all of the test: a worker that comes early waits for a line, and never finds an end.
    let gate = Gate::new(&world, "gate").open();
    let program = ["sh", "-c", script];
    let it = Upgradable::start_in(world, "tcppool", options, &program);
    Some((it, gate))
}

/// Lets one worker go on that waits at the gate, or comes there.
fn let_on(mut gate: &File) {
    gate.write_all(b"go\n").expect("a pipe has room");
}

fn asking(it: &Upgradable, query: &[u8]) -> TcpStream {
    let mut client = it.connect();
    net::send(&mut client, query);
    client
}

fn hears(client: &mut TcpStream, line: &str) {
    assert_eq!(lossy(&net::receive_line(client)), line);
}

/// The statistics, and the lines about workers behind them.
fn asked(it: &Upgradable) -> (BTreeMap<String, f64>, String) {
    const END: &str = " --- statistics ---- 8< -------\n";
    let log = it.server.log();
    let before = lossy(&log.so_far()).len();
    it.server.process.signal(Signal::SIGUSR1);
    let mut said = String::new();
    eventually("it tells of a worker behind its statistics", || {
        said = lossy(&log.so_far())[before..].to_owned();
        let behind = said.split_once(END).map_or("", |(_, behind)| behind);
        behind.contains("tcppool: worker ") && behind.ends_with('\n')
    });
    let (_, workers) = said.split_once(END).expect("as above");
    (statistics_of(&said), workers.to_owned())
}

#[test]
fn query_in_the_middle_of_anything_is_answered_by_its_own_worker() {
    let script = "while read -r line; do read -r go < gate; echo \"answer $line\"; done";
    let options = ["--workers=1", "--queries=0", "--queue=9:60"];
    let Some((it, gate)) = gated(&options, script) else {
        return;
    };
    let mut answered = asking(&it, b"one\n");
    eventually("a worker has it", || {
        asked(&it).1.contains(" busy queries 1")
    });
    let workers = children(it.server.process.pid());
    let mut half = asking(&it, b"tw");
    let mut waiting = asking(&it, b"three\nfour\n");
    let mut silent = it.connect();
    it.server.log().wait_for("tcppool: status: 4/40", 1);
    eventually("one waits", || asked(&it).0["queue now"] == 1.0);
    it.upgrade();
    it.fail_to_upgrade("/bin/true");
    it.upgrade();
    assert_eq!(children(it.server.process.pid()), workers);
    let now = asked(&it).0;
    assert_eq!((now["queue now"], now["clients now"]), (1.0, 4.0));
    let_on(&gate);
    hears(&mut answered, "answer one\n");
    let_on(&gate);
    hears(&mut waiting, "answer three\n");
    let_on(&gate);
    hears(&mut waiting, "answer four\n");
    net::send(&mut half, b"o\n");
    let_on(&gate);
    hears(&mut half, "answer two\n");
    net::send(&mut silent, b"five\n");
    let_on(&gate);
    hears(&mut silent, "answer five\n");
    drop((answered, half, waiting, silent));
    it.server.log().wait_for("tcppool: end ", 4);
    let (statistics, _) = asked(&it);
    assert_sums(&statistics);
    assert_eq!(
        (statistics["queries replied"], statistics["daemon spawns"]),
        (5.0, 1.0)
    );
    let log = it.server.terminate();
    assert!(
        log.contains("upgraded, 4 connections go on\ntcppool: status: 4/40\n"),
        "{log}"
    );
    assert_eq!(log.matches(" end status 0 queries 5").count(), 1, "{log}");
}

#[test]
fn answers_of_one_worker_find_their_queries() {
    // The second is answered first.
    let script = "read -r a; read -r b; read -r go < gate; echo \"$b\"; echo \"$a\"; exec cat";
    let options = ["--workers=1", "--channels=2", "--queue=9:60"];
    let Some((it, gate)) = gated(&options, script) else {
        return;
    };
    let mut clients = ["a\n", "b\n"].map(|query| (query, asking(&it, query.as_bytes())));
    eventually("its worker has both", || {
        asked(&it).1.contains(" busy queries 2")
    });
    it.upgrade();
    let_on(&gate);
    for (query, client) in &mut clients {
        assert_eq!(lossy(&net::receive_all(client)), *query);
    }
    it.server.terminate();
}

#[test]
fn stream_goes_on_in_both_directions() {
    let options = [
        "--workers=1",
        "--max-query=0",
        "--max-reply=0",
        "--queries=0",
    ];
    let Some(it) = pool(&options) else { return };
    let part = vec![b'x'; 200_000];
    let mut client = asking(&it, b"length ");
    net::send(&mut client, &part);
    eventually("its worker has it", || {
        asked(&it).1.contains(" busy queries 1")
    });
    it.upgrade();
    net::send(&mut client, &part);
    it.upgrade();
    net::send(&mut client, b"\n");
    hears(&mut client, "400000\n");
    // More than all buffers between take.
    net::send(&mut client, b"long 30000000\n");
    eventually("it is answering", || {
        asked(&it).1.contains(" busy queries 2")
    });
    it.upgrade();
    let reply = net::receive_exactly(&mut client, 30_000_001);
    assert!(reply[..30_000_000].iter().all(|&byte| byte == b'x'));
    assert_eq!(reply[30_000_000], b'\n');
    assert_sums(&asked(&it).0);
    it.server.terminate();
}

#[test]
fn query_that_was_sent_behind_a_stream_comes_after_it() {
    let script = "read -r a; : > has-read; read -r go < gate; echo ${#a}; exec cat";
    let options = ["--workers=1", "--max-query=0", "--queries=0"];
    let Some((it, gate)) = gated(&options, script) else {
        return;
    };
    let queries = format!("{}\nbehind\n", "x".repeat(100_000));
    let mut client = asking(&it, queries.as_bytes());
    let has_read = it.world.path("has-read");
    eventually("its worker has it", || has_read.exists());
    it.upgrade();
    let_on(&gate);
    hears(&mut client, "100000\n");
    hears(&mut client, "behind\n");
    it.server.terminate();
}

#[test]
fn reply_that_is_not_read_yet_is_not_cut() {
    let options = ["--workers=1", "--max-reply=64M"];
    let Some(it) = pool(&options) else { return };
    let mut client = asking(&it, b"long 30000000\nand more");
    eventually("its worker has answered", || {
        asked(&it).1.contains(" ready queries 1")
    });
    it.upgrade();
    assert_eq!(net::receive_all(&mut client).len(), 30_000_001);
    it.server.terminate();
}

#[test]
fn what_workers_say_and_how_they_end_is_told_by_the_next_version() {
    let script = "read -r line; printf 'half ' >&2; read -r go < gate; echo line >&2; exit 3";
    let options = ["--workers=1", "--tag-errors", "--error=%r"];
    let Some((it, gate)) = gated(&options, script) else {
        return;
    };
    let mut client = asking(&it, b"?\n");
    eventually("it has it", || asked(&it).1.contains(" busy queries 1"));
    let [pid] = children(it.server.process.pid())[..] else {
        panic!("one worker");
    };
    it.upgrade();
    let_on(&gate);
    assert_eq!(lossy(&net::receive_all(&mut client)), "died\n");
    let log = it.server.log();
    log.wait_for(&format!("tcppool: worker {pid}: half line"), 1);
    log.wait_for(
        &format!("tcppool: worker {pid} end status 768 queries 1"),
        1,
    );
    it.server.terminate();
}

#[test]
fn worker_that_takes_too_long_is_ended_by_the_next_version() {
    let options = [
        "--workers=1",
        "--busy-timeout=1",
        "--kill=0.1",
        "--error=%r",
    ];
    let Some(it) = pool(&options) else { return };
    let mut client = asking(&it, b"deaf\n");
    it.server.log().wait_for("deaf", 1);
    it.upgrade();
    assert_eq!(lossy(&net::receive_all(&mut client)), "timeout\n");
    it.server.log().wait_for(" end status 9 queries 1", 1);
    it.server.terminate();
}

#[test]
fn client_that_says_more_than_is_heard_still_gets_its_answer() {
    let script = "while read -r line; do read -r go < gate; echo \"answer $line\"; done";
    let Some((it, gate)) = gated(&["--workers=1"], script) else {
        return;
    };
    // Who lingers is listened to for two seconds: a turn that has taken as long shows nothing.
    for turn in 1..=20 {
        let mut client = asking(&it, b"hello\n");
        eventually("its worker has it", || {
            asked(&it).1.contains(" busy queries 1")
        });
        net::send(&mut client, b"and more");
        let began = Instant::now();
        let_on(&gate);
        it.server.log().wait_for("tcppool: query ", turn);
        it.upgrade();
        // Who answers goes on with its clients by then.
        asked(&it);
        // From who has closed, the first one brings a reset, which the next one finds.
        let sent = [(); 2].map(|()| client.write_all(b"and more"));
        let is_quick = began.elapsed() < Duration::from_secs(1);
        assert_eq!(lossy(&net::receive_all(&mut client)), "answer hello\n");
        if is_quick {
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            break;
        }
    }
    it.server.terminate();
}

#[test]
fn client_has_no_more_time_in_the_next_version() {
    let options = [
        "--workers=1",
        "--max-query=0",
        "--max-reply=64M",
        "--idle-timeout=0.7",
    ];
    for (query, says) in [
        // It does not read.
        (b"long 30000000\n".to_vec(), " end "),
        // It does not ask to the end.
        (vec![b'x'; 100_000], " fail "),
    ] {
        let Some(it) = pool(&options) else { return };
        let _client = asking(&it, &query);
        // Each of them would give it as long again.
        let log = it.server.log();
        let mut upgrades = 0;
        while log.count(says) == 0 {
            upgrades += 1;
            assert!(upgrades < 1000, "{says:?}");
            it.upgrade();
        }
        it.server.terminate();
    }
}

/// A version that loses the pipes of workers on the way.
const LOSES: &str = r#"#!/usr/bin/env perl
use POSIX;
if ($ENV{UCSPI_UPGRADE} eq 'go') {
    for (glob '/proc/self/fd/*') {
        my ($number) = m{(\d+)$};
        my $what = readlink or next;
        POSIX::close($number) if $number > 2 && $what =~ /^pipe:/;
    }
}
exec { shift } 'tcppool', @ARGV;
"#;

#[test]
fn pool_that_cannot_read_what_it_is_given_begins_anew() {
    let options = [
        "--workers=1",
        "--queries=0",
        "--busy-timeout=1",
        "--kill=0.1",
        "--error=%r",
    ];
    let Some(it) = pool(&options) else { return };
    let mut client = asking(&it, b"first\n");
    hears(&mut client, "answer first\n");
    it.world.write("loses.pl", LOSES);
    let script = format!(
        "#!/bin/sh\nexec perl {} {} \"$@\"\n",
        it.world.name("loses.pl"),
        it.world.our("tcppool")
    );
    it.world.script("loses", &script);
    it.replace(&it.world.name("loses"));
    it.server.process.signal(Signal::SIGUSR2);
    let log = it.server.log();
    log.wait_for("warning: the state of connections cannot be read", 1);
    // It has workers, and a clock.
    hears(&mut asking(&it, b"hang\n"), "timeout\n");
    hears(&mut asking(&it, b"second\n"), "answer second\n");
    it.server.terminate();
}

#[test]
fn header_of_a_balancer_may_come_in_two_versions() {
    let Some(it) = pool(&["--proxy=127.0.0.1", "--tell-address"]) else {
        return;
    };
    let mut client = asking(&it, b"PROXY TCP4 192.0.2.1 ");
    it.server.log().wait_for("tcppool: status: 1/40", 1);
    it.upgrade();
    net::send(&mut client, b"198.51.100.2 1 2\r\nhello\n");
    assert_eq!(
        lossy(&net::receive_all(&mut client)),
        "answer 192.0.2.1 hello\n"
    );
    let log = it.server.terminate();
    assert_eq!(world::count(&log, "tcppool: ok "), 1, "{log}");
    assert_eq!(world::count(&log, "tcppool: end "), 1, "{log}");
}

/// How often the log has said what, of lines that come again and again.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    /// The last line about slots.
    status: String,
}

impl Tally {
    /// True when the line is to be kept.
    fn line(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.splitn(5, ' ').skip(1).collect();
        let kind = match words[..] {
            ["status:", status] => {
                status.clone_into(&mut self.status);
                return false;
            }
            [kind @ ("pid" | "ok" | "query" | "fail" | "end"), ..] => kind.to_owned(),
            ["worker", _, kind @ ("start" | "end"), ..] => format!("worker {kind}"),
            _ => return true,
        };
        *self.counts.entry(kind).or_default() += 1;
        false
    }

    fn of(&self, kind: &str) -> usize {
        self.counts.get(kind).copied().unwrap_or_default()
    }
}

#[test]
fn crowd_of_clients_notices_nothing_of_upgrades() {
    let queries = size("UCSPI_UPGRADE_QUERIES", 2000);
    let upgrades = size("UCSPI_UPGRADES", 10);
    let options = [
        "--workers=3",
        "--queries=0",
        "--queue=99:60",
        "-c100",
        "-b200",
    ];
    let Some(it) = pool(&options) else { return };
    let tally = Arc::new(Mutex::new(Tally::default()));
    let told = {
        let tally = Arc::clone(&tally);
        move |line: &str| tally.lock().expect("nobody panics").line(line)
    };
    it.server.log().keep_only(told);
    let (begun, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask = |client: &mut TcpStream, number: usize| match number % 10 {
        // Its worker says nothing and ends.
        0 => {
            net::send(client, b"leave\n");
            hears(client, "ERR\n");
        }
        1 => {
            let text = number.to_string().repeat(5000);
            net::send(client, format!("{text}\n").as_bytes());
            hears(client, &format!("answer {text}\n"));
        }
        _ => {
            net::send(client, format!("{number}\n").as_bytes());
            hears(client, &format!("answer {number}\n"));
        }
    };
    let visit = |kind: usize| {
        let mut kept = it.connect();
        loop {
            let number = begun.fetch_add(1, Relaxed);
            if number >= queries {
                return;
            }
            if kind.is_multiple_of(2) {
                kept = it.connect();
            }
            ask(&mut kept, number);
        }
    };
    std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..6)
            .map(|kind| scope.spawn(move || visit(kind)))
            .collect();
        let replacing = scope.spawn(|| {
            replace(&it, upgrades, |number| {
                begun.load(Relaxed) >= number * queries / upgrades || is_over.load(Relaxed)
            });
        });
        let visits: Vec<_> = visitors
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        is_over.store(true, Relaxed);
        replacing.join().expect("it is replaced");
        assert!(
            visits.iter().all(Result::is_ok),
            "every query has its answer"
        );
    });
    eventually("the slots are free", || {
        tally.lock().expect("nobody panics").status == "0/100"
    });
    let (statistics, _) = asked(&it);
    assert_sums(&statistics);
    let failed = queries.div_ceil(10);
    assert_eq!(
        (statistics["queries total"], statistics["queries failed"]),
        (queries as f64, failed as f64)
    );
    let log = it.server.terminate();
    let tally = tally.lock().expect("nobody panics");
    report(&format!(
        "tcppool: {queries} queries, replaced {upgrades} times, one in ten by a file that cannot serve: each has its own \
         answer; {:?}",
        tally.counts
    ));
    // The first ones were told before.
    let starts = tally.of("worker start") + log.matches(" start\n").count();
    assert_eq!(starts, tally.of("worker end"));
    assert_eq!(tally.of("ok"), tally.of("end"));
    assert_eq!(
        (tally.of("query"), tally.of("fail")),
        (queries - failed, failed)
    );
    let others = log
        .lines()
        .filter(|line| line.contains("warning") && !line.contains("not upgraded"));
    assert_eq!(others.count(), 0, "{log}");
}
