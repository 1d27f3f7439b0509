//! No byte of one client's answer reaches another.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::sys::signal::Signal;

use crate::crowd::state;
use crate::pool::house::{Gate, Pool, assert_sums, world};
use crate::support::net;
use crate::world::{eventually, lossy};

#[test]
fn second_line_of_an_answer_reaches_nobody() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    for round in 0..20 {
        assert_eq!(pool.ask(format!("two a{round}\n")), format!("a{round}\n"));
        assert_eq!(
            pool.ask(format!("b{round}\n")),
            format!("answer b{round}\n")
        );
    }
    let statistics = pool.statistics();
    assert_eq!(statistics["queries killed"], 20.0);
    assert_eq!(statistics["daemon spawns"], 21.0);
    assert_sums(&statistics);
    pool.terminate();
}

#[test]
fn line_that_comes_after_an_answer_reaches_nobody() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    assert_eq!(pool.ask("apart a\n"), "a\n");
    // When it has come, its worker is ended.
    pool.wait_for("queries killed", 1.0);
    assert_eq!(pool.ask("b\n"), "answer b\n");
    pool.terminate();
}

#[test]
fn line_that_comes_just_behind_the_next_query_reaches_nobody() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20", "--queries=0"]);
    let gate = Gate::new(&world, "gate");
    let mut client = pool.connect();
    net::send(&mut client, b"late gate a\n");
    assert_eq!(net::receive_line(&mut client), b"a\n");
    // Stopped, so that it finds both at once, the query first.
    pool.signal(Signal::SIGSTOP);
    let pid = i32::try_from(pool.pid()).expect("a pid");
    eventually("the pool is stopped", || state(pid) == 'T');
    net::send(&mut client, b"b\n");
    let _open = gate.open();
    pool.log().wait_for("late", 1);
    pool.signal(Signal::SIGCONT);
    assert_eq!(net::receive_line(&mut client), b"answer b\n");
    assert_eq!(pool.statistics()["queries killed"], 1.0);
    pool.terminate();
}

#[test]
fn client_that_says_two_lines_at_once_gets_the_answer_to_the_first_and_the_next_client_its_own() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    for _ in 0..10 {
        assert_eq!(pool.ask("first\nsecond\n"), "answer first\n");
        assert_eq!(pool.ask("other\n"), "answer other\n");
    }
    let statistics = pool.statistics();
    assert_eq!(statistics["queries total"], 20.0);
    assert_eq!(statistics["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn worker_that_prints_unasked_is_ended_and_nobody_gets_that() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--queue=9:0.2", "--error=ERR %r"];
    for (more, first) in [
        (&[][..], "unasked\\n"),
        // In one piece with the line that it is to print.
        (&["--ready=ready"], "ready\\nunasked\\n"),
    ] {
        let script =
            format!("printf '{first}'; while read -r line; do echo \"answer $line\"; done");
        let options = [&options[..], more].concat();
        let pool = Pool::start_with(&world, &options, &["sh", "-c", &script]);
        pool.log().wait_for(
            "tcppool: warning: a worker has ended within a second of its start; no other for 1 s",
            1,
        );
        assert_eq!(pool.ask("a\n"), "ERR queue\n");
        assert_eq!(pool.statistics()["queries replied"], 0.0);
        pool.terminate();
    }
}

#[test]
fn worker_that_is_killed_in_the_middle_of_an_answer_leaves_no_byte_behind() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20", "--error=ERR %r"]);
    for query in ["shot half an answ", "part half an answ"] {
        assert_eq!(pool.ask(format!("{query}\n")), "ERR died\n");
        assert_eq!(pool.ask("b\n"), "answer b\n");
    }
    pool.terminate();
}

#[test]
fn answer_in_pieces_is_one_answer() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    assert_eq!(pool.ask("pieces in many\n"), "in many\n");
    assert_eq!(pool.ask("b\n"), "answer b\n");
    assert_eq!(pool.statistics()["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn client_that_leaves_or_resets_before_its_answer_takes_nothing_from_the_next() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=99:20"]);
    for round in 0..10 {
        let leaver = pool.asking(format!("nap 0.02 left{round}\n"));
        let resetter = pool.asking(format!("nap 0.02 reset{round}\n"));
        net::reset_on_close(&resetter);
        drop((leaver, resetter));
        assert_eq!(
            pool.ask(format!("b{round}\n")),
            format!("answer b{round}\n")
        );
    }
    pool.wait_for("clients now", 0.0);
    let statistics = pool.statistics();
    // Their answers were taken to the end: the worker goes on.
    assert_eq!(statistics["daemon spawns"], 1.0);
    assert_sums(&statistics);
    pool.terminate();
}

#[test]
fn client_that_resets_while_its_worker_is_at_work_does_not_cost_the_worker() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    let gate = Gate::new(&world, "gate");
    let resetter = pool.asking("gate gate reset\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    net::reset_on_close(&resetter);
    drop(resetter);
    pool.wait_for("clients now", 0.0);
    let _open = gate.open();
    assert_eq!(pool.ask("b\n"), "answer b\n");
    assert_eq!(pool.statistics()["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn worker_that_leaves_a_part_of_a_query_unread_gets_no_other() {
    let Some(world) = world() else { return };
    // The shell reads no byte more than a line, so the second line of the query stays in the pipe.
    let script = "read -r line; echo \"answer $line\"; echo; exec sleep 1000";
    let options = [
        "--workers=1",
        "--queue=9:20",
        "--query=lines:2",
        "--reply=blank",
    ];
    let pool = Pool::start_with(&world, &options, &["sh", "-c", script]);
    assert_eq!(pool.ask("a\nsecret\n"), "answer a\n\n");
    assert_eq!(pool.ask("b\nsecret\n"), "answer b\n\n");
    assert_eq!(pool.statistics()["queries killed"], 1.0);
    pool.terminate();
}

#[test]
fn worker_that_answers_before_it_has_read_its_query_is_ended_and_the_answer_counts() {
    let Some(world) = world() else { return };
    // It reads no more than a pipe's worth less than the query is long.
    let script = "sysread STDIN, my $head, 6; syswrite STDOUT, \"$head\\n\"; sleep 1000";
    let long = "x".repeat(300_000);
    for more in [
        &["--max-query=1M"][..],
        &["--max-query=0"],
        &["--max-query=1M", "--reply=idle:50"],
    ] {
        let options = [&["--workers=1", "--queue=9:20"], more].concat();
        let pool = Pool::start_with(&world, &options, &["perl", "-e", script]);
        for (round, word) in [(1.0, "first."), (2.0, "second")] {
            let mut client = pool.connect();
            // Where it is passed on as it comes, nobody reads the rest.
            let _ = std::io::Write::write_all(&mut client, format!("{word}{long}\n").as_bytes());
            assert_eq!(lossy(&net::receive_line(&mut client)), format!("{word}\n"));
            // Before anybody else asks.
            let statistics = pool.statistics();
            assert_eq!(statistics["queries killed"], round, "{more:?}");
            assert_eq!(statistics["queries replied"], round, "{more:?}");
        }
        let log = pool.terminate();
        assert!(!log.contains("warning"), "{log}");
    }
}

/// Clients of all kinds, at once, each with a word of its own: what anybody gets is its own answer, whole, or nothing, or the
/// error.
#[test]
fn whatever_clients_and_workers_do_everybody_gets_his_own_answer_or_none() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=3:6",
        "--queue=50:20",
        "--busy-timeout=1.5",
        "--error=ERR %r",
        "--queries=3",
        "-c100",
    ];
    let pool = Pool::start(&world, &options);
    const CLIENTS: usize = 8;
    // ci/soak sets it, to a hundred thousand.
    let turns =
        std::env::var("UCSPI_POOL_TURNS").map_or(600, |turns| turns.parse().expect("a number"));
    let left = AtomicUsize::new(turns);
    let stop = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (pool, left) = (&pool, &left);
                scope.spawn(move || {
                    let mut dice = Dice(0x9e37_79b9 + client as u64 * 7919);
                    let mut turn = 0;
                    while left
                        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        turn += 1;
                        play(pool, &mut dice, &format!("w{client}x{turn}"));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            // And the workers are replaced all the time.
            while stop.load(Relaxed) == 0 {
                pool.signal(Signal::SIGHUP);
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        });
        for client in clients {
            client.join().expect("everybody got his own");
        }
        stop.store(1, Relaxed);
    });
    pool.wait_for("clients now", 0.0);
    eventually("all orphans are answered", || {
        let statistics = pool.statistics();
        statistics["daemon S_BUSY"] == 0.0
    });
    let statistics = pool.statistics();
    assert!(
        statistics["queries total"] >= turns as f64,
        "{statistics:?}"
    );
    assert_sums(&statistics);
    let log = pool.terminate();
    assert!(!log.contains("internal error"), "{log}");
}

/// xorshift: the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn play(pool: &Pool, dice: &mut Dice, word: &str) {
    let query = match dice.roll(12) {
        0 => format!("two {word}"),
        1 | 2 => format!("part {word}"),
        3 => format!("shot {word}"),
        4 => format!("last {word}"),
        5 => format!("pieces {word}"),
        6 => format!("nap 0.01 {word}"),
        _ => word.to_owned(),
    };
    let own = if query == word {
        format!("answer {word}\n")
    } else {
        format!("{word}\n")
    };
    let mut client = pool.connect();
    match dice.roll(6) {
        0 => {
            net::send(&mut client, query.as_bytes());
            net::reset_on_close(&client);
        }
        1 => {
            net::send(&mut client, format!("{query}\n").as_bytes());
            net::reset_on_close(&client);
        }
        2 => {
            net::send(&mut client, format!("{query}\n").as_bytes());
        }
        3 => {
            net::send(&mut client, format!("{word}\n{word}\n").as_bytes());
            net::half_close(&client);
            let heard = String::from_utf8(net::receive_all(&mut client)).expect("text");
            for line in heard.split_inclusive('\n') {
                assert!(
                    is_own(line, &format!("answer {word}\n")),
                    "{word}: {heard:?}"
                );
            }
        }
        _ => {
            net::send(&mut client, format!("{query}\n").as_bytes());
            net::half_close(&client);
            let heard = String::from_utf8(net::receive_all(&mut client)).expect("text");
            assert!(is_own(&heard, &own), "{query}: {heard:?}");
        }
    }
}

fn is_own(heard: &str, own: &str) -> bool {
    heard == own || ["ERR died\n", "ERR timeout\n", "ERR queue\n", "ERR busy\n"].contains(&heard)
}
