//! Who waits for a worker, how long, and what becomes of the others.

use nix::sys::signal::Signal;

use crate::pool::house::{Gate, Pool, assert_sums, world};
use crate::support::net;
use crate::world::lossy;

#[test]
fn all_are_busy_and_the_queue_has_no_room() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=0", "--error=ERR %r"]);
    let gate = Gate::new(&world, "gate");
    let mut busy = pool.asking("gate gate a\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    assert_eq!(pool.ask("b\n"), "ERR busy\n");
    let _open = gate.open();
    assert_eq!(lossy(&net::receive_all(&mut busy)), "a\n");
    assert_eq!(pool.ask("c\n"), "answer c\n");
    assert_sums(&pool.statistics());
    pool.terminate();
}

#[test]
fn one_may_wait_and_the_next_may_not() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=1:20", "--error=ERR %r"]);
    let gate = Gate::new(&world, "gate");
    let mut busy = pool.asking("gate gate a\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    let mut waiting = pool.asking("b\n");
    pool.wait_for("queue now", 1.0);
    assert_eq!(pool.ask("c\n"), "ERR busy\n");
    let _open = gate.open();
    assert_eq!(lossy(&net::receive_all(&mut busy)), "a\n");
    assert_eq!(lossy(&net::receive_all(&mut waiting)), "answer b\n");
    let statistics = pool.statistics();
    assert_eq!(statistics["queue max"], 1.0);
    assert_eq!(statistics["queries delayed"], 2.0);
    pool.terminate();
}

#[test]
fn queries_behind_one_another_wait_in_their_connection_and_not_in_the_queue() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--queue=0", "--queries=0", "--error=ERR %r"];
    let pool = Pool::start(&world, &options);
    let mut client = pool.asking("nap 0.1 a\nb\nc\n".to_owned() + &"d\n".repeat(100));
    net::half_close(&client);
    let answers = "a\nanswer b\nanswer c\n".to_owned() + &"answer d\n".repeat(100);
    assert_eq!(lossy(&net::receive_all(&mut client)), answers);
    let statistics = pool.statistics();
    assert_eq!(
        (statistics["queue max"], statistics["queries failed"]),
        (0.0, 0.0)
    );
    pool.terminate();
}

#[test]
fn who_waits_is_answered_in_the_order_of_coming() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queue=9:20"]);
    let gate = Gate::new(&world, "gate");
    let mut waiting = vec![pool.asking("gate gate 0\n")];
    pool.wait_for("daemon S_BUSY", 1.0);
    for number in 1..=5 {
        waiting.push(pool.asking(format!("{number}\n")));
        pool.wait_for("queue now", f64::from(number));
    }
    let _open = gate.open();
    for client in &mut waiting {
        net::receive_all(client);
    }
    let log = pool.terminate();
    // The order of the log is that of the answers.
    let clients: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("tcppool: query "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut sorted = clients.clone();
    sorted.sort_unstable();
    assert_eq!(clients, sorted);
    assert_eq!(clients.len(), 6);
}

#[test]
fn query_that_waits_in_vain_is_told_so_and_holds_up_nobody() {
    let Some(world) = world() else { return };
    let pool = Pool::start(
        &world,
        &[
            "--workers=1",
            "--queue=9:0.1",
            "--error=ERR %r",
            "--drain=0",
        ],
    );
    let busy = pool.asking("hang\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    let mut waiting: Vec<_> = (0..5).map(|_| pool.asking("b\n")).collect();
    for client in &mut waiting {
        assert_eq!(lossy(&net::receive_all(client)), "ERR queue\n");
    }
    drop(busy);
    pool.terminate();
}

#[test]
fn others_are_accepted_and_answered_while_one_worker_hangs() {
    let Some(world) = world() else { return };
    let pool = Pool::start(
        &world,
        &["--workers=2", "-c200", "--queue=9:20", "--drain=0"],
    );
    let hanging = pool.asking("hang\n");
    let silent: Vec<_> = (0..100).map(|_| pool.asking("half a que")).collect();
    for round in 0..20 {
        assert_eq!(pool.ask(format!("{round}\n")), format!("answer {round}\n"));
    }
    drop((hanging, silent));
    pool.terminate();
}

#[test]
fn each_reason_has_its_word() {
    let Some(world) = world() else { return };
    let pool = |options: &[&str]| {
        let common = ["--workers=1", "--error=no: %r, %r"];
        Pool::start(&world, &[&common[..], options].concat())
    };
    let hanging = |pool: &Pool| {
        pool.wait_for("daemon S_AVAILABLE", 1.0);
        let hanging = pool.asking("hang\n");
        pool.wait_for("daemon S_BUSY", 1.0);
        hanging
    };
    let one = pool(&["--max-query=100", "--queue=1:1000", "--busy-timeout=1000"]);
    assert_eq!(one.ask("part x\n"), "no: died, died\n");
    assert_eq!(one.ask("x".repeat(200)), "no: long, long\n");
    let _hanging = hanging(&one);
    let _waiting = one.asking("a\n");
    one.wait_for("queue now", 1.0);
    assert_eq!(one.ask("b\n"), "no: busy, busy\n");
    one.signal(Signal::SIGTERM);
    let one = pool(&["--queue=1:0.2", "--busy-timeout=1000"]);
    let _hanging = hanging(&one);
    assert_eq!(one.ask("a\n"), "no: queue, queue\n");
    one.signal(Signal::SIGTERM);
    let one = pool(&["--busy-timeout=0.2"]);
    assert_eq!(one.ask("hang\n"), "no: timeout, timeout\n");
    one.terminate();
}

#[test]
fn failed_query_is_answered_in_the_frame_of_replies() {
    let Some(world) = world() else { return };
    for (frame, answer) in [
        ("line", &b"ERR\n"[..]),
        ("crlf", b"ERR\r\n"),
        ("lines:3", b"ERR\n\n\n"),
        ("blank", b"ERR\n\n"),
        ("dot", b"ERR\n.\n"),
        ("nul", b"ERR\0"),
        ("netstring", b"3:ERR,"),
        ("len4", b"\0\0\0\x03ERR"),
    ] {
        let option = format!("--reply={frame}");
        let pool = Pool::start(&world, &["--workers=1", "--max-query=3", &option]);
        assert_eq!(pool.ask("abcd").as_bytes(), answer, "{frame}");
        pool.terminate();
    }
}

#[test]
fn without_an_error_text_the_connection_of_a_failed_query_is_closed() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--error=", "--queries=0", "--queue=9:20"];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("part x\na\n"), "");
    pool.terminate();
}

#[test]
fn connection_goes_on_after_a_query_that_failed() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--error=ERR %r",
        "--queries=3",
        "--queue=9:20",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("a\npart x\nb\n"), "answer a\nERR died\nanswer b\n");
    pool.terminate();
}

#[test]
fn workers_are_added_while_queries_wait_up_to_the_most() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1:3", "--queue=99:20"]);
    let gate = Gate::new(&world, "gate");
    let mut clients: Vec<_> = (0..6)
        .map(|number| pool.asking(format!("gate gate {number}\n")))
        .collect();
    pool.wait_for("daemon S_BUSY", 3.0);
    pool.wait_for("queue now", 3.0);
    let _open = gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(lossy(&net::receive_all(client)), format!("{number}\n"));
    }
    assert_eq!(pool.statistics()["daemon spawns"], 3.0);
    pool.terminate();
}

#[test]
fn pool_of_nobody_starts_a_worker_when_somebody_asks() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=0:1", "--queue=9:20"]);
    assert_eq!(pool.statistics()["daemon spawns"], 0.0);
    assert_eq!(pool.ask("a\n"), "answer a\n");
    assert_eq!(pool.ask("b\n"), "answer b\n");
    assert_eq!(pool.statistics()["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn worker_that_has_been_idle_longest_gets_the_query() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=3", "--queue=9:20"]);
    pool.wait_for("daemon S_AVAILABLE", 3.0);
    let pids: Vec<String> = (0..9).map(|_| pool.ask("pid\n")).collect();
    let mut those = pids[..3].to_vec();
    assert_eq!(pids, [&those[..]; 3].concat());
    those.sort();
    those.dedup();
    assert_eq!(those.len(), 3, "{pids:?}");
    pool.terminate();
}

#[test]
fn totals_add_up_whatever_the_clients_do() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=2",
        "--queue=2:0.05",
        "--max-query=1k",
        "--busy-timeout=0.3",
        "-c50",
    ];
    let pool = Pool::start(&world, &options);
    std::thread::scope(|scope| {
        for client in 0..6 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..60 {
                    match (client + round) % 6 {
                        0 => drop(pool.ask("a\n")),
                        1 => drop(pool.ask("nap 0.03 b\n")),
                        2 => drop(pool.ask("x".repeat(2000))),
                        3 => drop(pool.asking("nap 0.01 c\n")),
                        4 => net::reset_on_close(&pool.asking("nap 0.01 d\n")),
                        _ if round % 10 == 5 => drop(pool.ask("hang\n")),
                        _ => drop(pool.asking("no query")),
                    }
                    if round % 20 == 0 {
                        let statistics = pool.statistics();
                        let number = |name: &str| statistics[name];
                        let in_flight = number("queries total")
                            - number("queries replied")
                            - number("queries failed");
                        assert!(
                            (0.0..=number("clients now")).contains(&in_flight),
                            "{statistics:?}"
                        );
                    }
                }
            });
        }
    });
    pool.wait_for("clients now", 0.0);
    pool.wait_for("daemon S_BUSY", 0.0);
    let statistics = pool.statistics();
    assert_sums(&statistics);
    assert_eq!(statistics["queue now"], 0.0);
    pool.log().wait_for("tcppool: status: 0/50", 2);
    pool.terminate();
}
