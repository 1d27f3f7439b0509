//! Queries and replies of every form, whatever pieces they come in.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::pool::house::{Pool, assert_sums, world};
use crate::support::net;
use crate::support::wait::had;
use crate::world::{World, lossy};

/// A program that repeats what it is told, in pieces of its own.
const REPEAT: &[&str] = &[
    "perl",
    "-e",
    "$| = 1; print $_ while sysread STDIN, $_, 65536",
];

/// A pool of it with `options`.
fn repeating(world: &World, options: &[&str]) -> Pool {
    Pool::start_with(world, options, REPEAT)
}

#[test]
fn query_is_answered_in_every_frame() {
    let Some(world) = world() else { return };
    for (frame, query) in [
        ("line", &b"a b\0c\n"[..]),
        ("crlf", b"a\nb\r\n"),
        ("lines:3", b"a\n\nb\n"),
        ("blank", b"a=1\nb=2\n\n"),
        ("dot", b"a\n..\n.\n"),
        ("nul", b"a\nb\0"),
        ("netstring", b"5:a\0b\nc,"),
        ("len4", b"\0\0\0\x05hello"),
    ] {
        let option = format!("--query={frame}");
        let pool = repeating(&world, &["--workers=1", &option, "--queries=0"]);
        let mut client = pool.connect();
        client.set_nodelay(true).expect("a socket");
        for _ in 0..2 {
            net::send(&mut client, query);
            assert_eq!(
                net::receive_exactly(&mut client, query.len()),
                query,
                "{frame}"
            );
        }
        // In two pieces, between which somebody else is answered: so the first was read by then.
        let (front, back) = query.split_at(query.len() / 2);
        net::send(&mut client, front);
        let mut other = pool.connect();
        net::send(&mut other, query);
        assert_eq!(
            net::receive_exactly(&mut other, query.len()),
            query,
            "{frame}"
        );
        net::send(&mut client, back);
        assert_eq!(
            net::receive_exactly(&mut client, query.len()),
            query,
            "{frame}"
        );
        // Byte by byte.
        for byte in query {
            net::send(&mut client, &[*byte]);
        }
        assert_eq!(
            net::receive_exactly(&mut client, query.len()),
            query,
            "{frame}"
        );
        // Two at once are answered in order.
        net::send(&mut client, &query.repeat(2));
        assert_eq!(
            net::receive_exactly(&mut client, 2 * query.len()),
            query.repeat(2),
            "{frame}"
        );
        net::half_close(&client);
        assert_eq!(net::receive_all(&mut client), b"", "{frame}");
        let statistics = pool.statistics();
        assert_eq!(statistics["queries replied"], 7.0, "{frame}");
        assert_eq!(statistics["daemon spawns"], 1.0, "{frame}");
        pool.terminate();
    }
}

#[test]
fn query_with_a_nul_reaches_the_worker_whole() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1"]);
    assert_eq!(pool.ask("length a\0b\0\n"), "4\n");
    pool.terminate();
}

#[test]
fn query_of_the_limit_is_answered_and_one_byte_more_is_too_long() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--max-query=1k", "--error=ERR %r"]);
    let query = |length: usize| format!("length {}\n", "x".repeat(length - 8));
    assert_eq!(pool.ask(query(1024)), "1016\n");
    assert_eq!(pool.ask(query(1025)), "ERR long\n");
    assert_eq!(pool.ask("x".repeat(1024)), "ERR long\n");
    let statistics = pool.statistics();
    assert_eq!(statistics["queries failed"], 2.0);
    assert_sums(&statistics);
    pool.terminate();
}

#[test]
fn reply_of_the_limit_is_passed_on_and_one_byte_more_ends_its_worker() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--max-reply=100",
        "--error=ERR %r",
        "--queue=9:20",
        "--retry=3",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("long 99\n").len(), 100);
    assert_eq!(pool.ask("long 100\n"), "ERR died\n");
    assert_eq!(pool.ask("long 1000000\n"), "ERR died\n");
    assert_eq!(pool.ask("a\n"), "answer a\n");
    // What is too long once is so again.
    assert_eq!(pool.statistics()["queries retried"], 0.0);
    pool.terminate();
}

#[test]
fn client_that_ends_within_a_query_has_asked_nothing() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--error=ERR %r"]);
    let mut client = pool.asking("half a li");
    net::half_close(&client);
    assert_eq!(net::receive_all(&mut client), b"ERR bad\n");
    let mut client = pool.asking("");
    net::half_close(&client);
    assert_eq!(net::receive_all(&mut client), b"");
    let statistics = pool.statistics();
    assert_eq!(
        (statistics["queries total"], statistics["queries failed"]),
        (1.0, 1.0)
    );
    pool.terminate();
}

#[test]
fn netstring_that_is_none_is_bad() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--query=netstring", "--error=%r"];
    let pool = repeating(&world, &options);
    for broken in ["5:hello.", "05:hello,", "hello", "5:hello;5:hello,"] {
        assert_eq!(pool.ask(broken), "3:bad,", "{broken}");
    }
    assert_eq!(pool.ask("99999999:"), "4:long,");
    pool.terminate();
}

#[test]
fn worker_that_breaks_its_frame_is_ended() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--reply=netstring",
        "--error=%r",
        "--queue=9:20",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("a\n"), "4:died,");
    assert_eq!(pool.statistics()["queries killed"], 1.0);
    pool.terminate();
}

#[test]
fn reply_ends_with_silence_where_that_was_asked_for() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--reply=idle:100", "--queries=2"];
    let pool = Pool::start(&world, &options);
    let mut client = pool.asking("two a\n");
    assert_eq!(
        lossy(&net::receive_exactly(&mut client, 10)),
        "a\na again\n"
    );
    net::send(&mut client, b"pieces of it\n");
    assert_eq!(lossy(&net::receive_all(&mut client)), "of it\n");
    assert_eq!(pool.statistics()["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn worker_for_each_query_is_there_before_the_query() {
    let Some(world) = world() else { return };
    let options = ["--workers=2:4", "--query=eof", "--queue=99:20"];
    let pool = Pool::start_with(&world, &options, &["tr", "a-z", "A-Z"]);
    pool.wait_for("daemon S_AVAILABLE", 2.0);
    for round in 0..10 {
        let mut client = pool.asking(format!("line {round}\nmore\n"));
        net::half_close(&client);
        assert_eq!(
            lossy(&net::receive_all(&mut client)),
            format!("LINE {round}\nMORE\n")
        );
    }
    pool.wait_for("daemon S_AVAILABLE", 2.0);
    let statistics = pool.statistics();
    assert_eq!(statistics["queries replied"], 10.0);
    // Workers that end after their query have not failed to start.
    let log = pool.terminate();
    assert!(!log.contains("warning"), "{log}");
}

#[test]
fn reply_that_a_signal_has_cut_is_none() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--reply=eof",
        "--error=ERR %r",
        "--queue=9:20",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(pool.ask("part but in order\n"), "but in order");
    assert_eq!(pool.ask("shot half\n"), "ERR died\n");
    pool.terminate();
}

#[test]
fn without_limits_long_queries_and_replies_pass_through_in_bounded_memory() {
    let Some(world) = world() else { return };
    const LENGTH: usize = 64 * 1024 * 1024;
    let options = [
        "--workers=1",
        "--query=eof",
        "--max-query=0",
        "--max-reply=0",
        "--busy-timeout=600",
    ];
    let pool = Pool::start_with(&world, &options, &["tr", "a", "b"]);
    let client = pool.connect();
    let received = std::thread::scope(|scope| {
        let mut sender = client.try_clone().expect("a descriptor");
        scope.spawn(move || {
            let piece = vec![b'a'; 1024 * 1024];
            for _ in 0..LENGTH / piece.len() {
                net::send(&mut sender, &piece);
            }
            net::half_close(&sender);
        });
        let mut client = client;
        net::receive_all(&mut client)
    });
    assert_eq!(received.len(), LENGTH);
    assert!(received.iter().all(|&byte| byte == b'b'));
    let memory = crate::support::process::resident(pool.pid());
    assert!(memory < 16 * 1024, "{memory} KiB");
    pool.terminate();
}

#[test]
fn error_never_stands_behind_a_part_of_a_reply() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--max-query=0", "--max-reply=0"];
    let pool = Pool::start_with(&world, &options, &["cat"]);
    let mut client = pool.asking("x".repeat(200_000));
    assert_eq!(net::receive_exactly(&mut client, 1), b"x");
    // Its query never ends, of which it has an answer already.
    net::half_close(&client);
    let rest = net::receive_all(&mut client);
    let strange = rest.iter().position(|&byte| byte != b'x');
    assert_eq!(strange.map(|at| lossy(&rest[at..])), None);
    pool.log().wait_for("tcppool: fail 4194305 bad", 1);
    // Who has got nothing is told.
    let client = pool.asking("half");
    net::half_close(&client);
    assert_eq!(lossy(&net::receive_all(&mut { client })), "ERR\n");
    pool.terminate();
}

#[test]
fn without_limits_short_queries_are_answered_as_with_them() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--max-query=0",
        "--max-reply=0",
        "--queries=0",
    ];
    let pool = repeating(&world, &options);
    let mut client = pool.connect();
    let long = format!("{}\n", "x".repeat(300_000));
    for query in ["a\n", &long, "b\n", &long] {
        net::send(&mut client, query.as_bytes());
        let received = net::receive_exactly(&mut client, query.len());
        assert!(received == query.as_bytes(), "{} bytes", received.len());
    }
    let two = format!("{long}next\n");
    net::send(&mut client, two.as_bytes());
    assert!(net::receive_exactly(&mut client, two.len()) == two.as_bytes());
    pool.terminate();
}

#[test]
fn slow_reader_frees_its_worker_when_its_answer_is_within_the_limit() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--max-reply=32M",
        "--queue=9:20",
        "--busy-timeout=20",
    ];
    let pool = Pool::start(&world, &options);
    // More than sockets hold; nobody reads it.
    let mut slow = pool.asking("long 20000000\n");
    assert_eq!(pool.ask("a\n"), "answer a\n");
    assert_eq!(net::receive_all(&mut slow).len(), 20_000_001);
    pool.terminate();
}

#[test]
fn slow_reader_holds_its_worker_when_answers_have_no_limit() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--max-reply=0",
        "--queue=9:0.1",
        "--error=ERR %r",
    ];
    let pool = Pool::start(&world, &options);
    let mut slow = pool.asking("long 20000000\n");
    pool.wait_for("daemon S_BUSY", 1.0);
    assert_eq!(pool.ask("a\n"), "ERR queue\n");
    assert_eq!(net::receive_all(&mut slow).len(), 20_000_001);
    assert_eq!(pool.ask("b\n"), "answer b\n");
    pool.terminate();
}

#[test]
fn client_that_does_not_read_its_answer_is_let_go() {
    let Some(world) = world() else { return };
    let options = ["--workers=1", "--max-reply=32M", "--idle-timeout=0.3"];
    let pool = Pool::start(&world, &options);
    let slow = pool.asking("long 20000000\n");
    pool.wait_for("queries failed", 1.0);
    pool.wait_for("clients now", 0.0);
    assert_eq!(pool.ask("a\n"), "answer a\n");
    drop(slow);
    assert_sums(&pool.statistics());
    pool.terminate();
}

#[test]
fn address_of_the_peer_stands_inside_the_frame() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--tell-address"]);
    assert_eq!(pool.ask("a\n"), "answer 127.0.0.1 a\n");
    pool.terminate();
    let options = ["--workers=1", "--tell-address", "--query=netstring"];
    let pool = repeating(&world, &options);
    assert_eq!(pool.ask("1:a,"), "11:127.0.0.1 a,");
    pool.terminate();
    let options = [
        "--workers=1",
        "--tell-address",
        "--query=len4",
        "--channels=2",
    ];
    let script = "$| = 1; while (read STDIN, my $length, 4) { read STDIN, my $text, unpack 'N', $length; \
                  $text =~ /^(\\d+ )(.*)/s; my $out = $1 . uc $2; print pack('N', length $out), $out }";
    let pool = Pool::start_with(&world, &options, &["perl", "-e", script]);
    assert_eq!(pool.ask("\0\0\0\x01a"), "\0\0\0\x0b127.0.0.1 A");
    pool.terminate();
}

#[test]
fn answers_of_channels_are_told_by_their_numbers_in_any_order() {
    let Some(world) = world() else { return };
    // It waits for two queries and answers the second first.
    let script = "$| = 1; while (defined(my $first = <STDIN>)) { my $second = <STDIN>; \
                  print $second =~ s/ask/told/r, $first =~ s/ask/told/r }";
    let options = ["--workers=1", "--channels=2"];
    let pool = Pool::start_with(&world, &options, &["perl", "-e", script]);
    for round in 0..10 {
        let mut first = pool.asking(format!("ask first{round}\n"));
        pool.wait_for("daemon S_BUSY", 1.0);
        let mut second = pool.asking(format!("ask second{round}\n"));
        assert_eq!(
            lossy(&net::receive_all(&mut second)),
            format!("told second{round}\n")
        );
        assert_eq!(
            lossy(&net::receive_all(&mut first)),
            format!("told first{round}\n")
        );
    }
    assert_eq!(pool.statistics()["daemon spawns"], 1.0);
    pool.terminate();
}

#[test]
fn answer_with_a_number_that_nobody_has_ends_the_worker() {
    let Some(world) = world() else { return };
    let script = "$| = 1; while (<STDIN>) { s/^\\d+/77/; print }";
    let options = ["--workers=1", "--channels=2", "--error=ERR %r"];
    let pool = Pool::start_with(&world, &options, &["perl", "-e", script]);
    assert_eq!(pool.ask("a\n"), "ERR died\n");
    assert_eq!(pool.statistics()["queries killed"], 1.0);
    pool.terminate();
}

#[test]
fn client_may_ask_as_many_queries_as_were_allowed() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1", "--queries=3"]);
    assert_eq!(
        pool.ask("a\nb\nc\nd\ne\n"),
        "answer a\nanswer b\nanswer c\n"
    );
    pool.terminate();
}

#[test]
fn client_that_says_more_than_was_allowed_is_let_go_without_a_reset() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=1"]);
    // More than is read at a time: something is left in the socket.
    let mut client = pool.asking(format!("a\n{}", "x".repeat(100_000)));
    let mut heard = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut heard).expect("an orderly end");
    assert_eq!(lossy(&heard), "answer a\n");
    pool.terminate();
}

#[test]
fn answers_come_in_the_order_of_the_queries() {
    let Some(world) = world() else { return };
    let pool = Pool::start(&world, &["--workers=4", "--queries=0"]);
    let mut client = pool.asking("nap 0.1 first\nsecond\nnap 0.05 third\nfourth\n");
    net::half_close(&client);
    let heard = lossy(&net::receive_all(&mut client));
    assert_eq!(heard, "first\nanswer second\nthird\nanswer fourth\n");
    pool.terminate();
}

#[test]
fn client_that_is_silent_for_too_long_is_let_go() {
    let Some(world) = world() else { return };
    let options = [
        "--workers=1",
        "--idle-timeout=0.2",
        "--error=ERR %r",
        "--queries=0",
    ];
    let pool = Pool::start(&world, &options);
    assert_eq!(lossy(&net::receive_all(&mut pool.connect())), "");
    // A drop now and then does not help.
    let mut client = pool.connect();
    let mut writer = client.try_clone().expect("a descriptor");
    let dropping = std::thread::spawn(move || {
        use std::io::Write as _;
        while writer.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(lossy(&net::receive_line(&mut client)), "ERR bad\n");
    drop(client);
    dropping.join().expect("it ends");
    // Who waits for an answer is not idle, if he has asked in time.
    had("an answer", || {
        let mut client = pool.asking("nap 0.5 a\n");
        (lossy(&net::receive_line(&mut client)) == "a\n").then_some(())
    });
    pool.wait_for("clients now", 0.0);
    pool.signal(Signal::SIGTERM);
}
