//! Where sessions go.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::world::{Relay, Remote, until};

const POLICIES: [&str; 5] = ["least", "order", "rr", "hash", "first"];

/// The name of the remote that a new client gets, and its connection.
pub(crate) fn arrive(relay: &Relay) -> (String, TcpStream) {
    let mut stream = relay.connect();
    let mut name = [0];
    let read = stream.read_exact(&mut name);
    assert!(read.is_ok(), "{read:?}: {}", relay.log());
    (String::from_utf8_lossy(&name).into_owned(), stream)
}

#[test]
fn weights_hold_for_parallel_sessions() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    for threads in ["--threads=1", "--threads=3"] {
        let second = format!("{}/weight=3", b.operand());
        let relay = Relay::start(&[threads], &[&a.operand(), &second]);
        let sessions: Vec<_> = (0..8).map(|_| arrive(&relay)).collect();
        let names: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, "ABBBABBB", "{threads}");
    }
}

/// Sessions of which each ends before the next begins.
fn serially(relay: &Relay, count: usize) -> String {
    let mut names = String::new();
    for count in 1..=count {
        names += &String::from_utf8_lossy(&relay.ask(b""));
        relay.wait_for("tcprelay: end ", count);
    }
    names
}

#[test]
fn sessions_go_where_the_policy_says() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    let second = format!("{}/weight=3", b.operand());
    for (policy, parallel, serial) in [
        ("least", "ABBBABBB", "ABBBABBB"),
        ("order", "ABBBABBB", "AAAAAAAA"),
        ("rr", "ABBBABBB", "ABBBABBB"),
        ("hash", "", ""),
        ("first", "AAAAAAAA", "AAAAAAAA"),
    ] {
        let option = format!("--balance={policy}");
        let remotes = [&a.operand()[..], &second];
        let of_serial = serially(&Relay::start(&[&option], &remotes), 8);
        let relay = Relay::start(&[&option], &remotes);
        let sessions: Vec<_> = (0..8).map(|_| arrive(&relay)).collect();
        let of_parallel: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
        if policy == "hash" {
            // One source, and so one remote, whatever else there is.
            assert!(of_parallel == "AAAAAAAA" || of_parallel == "BBBBBBBB");
            assert_eq!(of_parallel, of_serial);
        } else {
            assert_eq!(
                (&of_parallel[..], &of_serial[..]),
                (parallel, serial),
                "{policy}"
            );
        }
    }
}

#[test]
fn dead_remote_is_passed_over_wherever_it_stands_while_a_live_one_has_a_session() {
    for policy in POLICIES {
        for place in 0..3 {
            let live = Remote::new("L");
            let (dead, other) = (Remote::absent("D"), Remote::absent("E"));
            let mut remotes = vec![dead.operand(), other.operand()];
            remotes.insert(place, live.operand());
            let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
            let option = format!("--balance={policy}");
            let relay = Relay::start(&[&option], &remotes);
            let sessions: Vec<_> = (0..5).map(|_| arrive(&relay)).collect();
            assert!(
                sessions.iter().all(|(name, _)| name == "L"),
                "{policy} {place}"
            );
            // Each dead one is tried once at most: not again before it may have come back.
            assert!(relay.said("tcprelay: retry ") <= 2, "{}", relay.log());
        }
    }
}

#[test]
fn dead_remote_between_live_ones_that_have_sessions_gets_none() {
    let (a, c) = (Remote::new("A"), Remote::new("C"));
    let dead = Remote::absent("D");
    for policy in POLICIES {
        let option = format!("--balance={policy}");
        let relay = Relay::start(&[&option], &[&a.operand(), &dead.operand(), &c.operand()]);
        let sessions: Vec<_> = (0..6).map(|_| arrive(&relay)).collect();
        let names: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
        assert!(relay.said("tcprelay: retry ") <= 1, "{}", relay.log());
        match policy {
            // One source, and so one remote.
            "hash" => assert!(names == "AAAAAA" || names == "CCCCCC", "{names}"),
            "first" => assert_eq!(names, "AAAAAA"),
            "rr" => assert_eq!(names.matches('A').count(), 3, "{names}"),
            _ => assert_eq!(names, "ACACAC", "{policy}"),
        }
    }
}

#[test]
fn all_dead_is_an_end_without_a_loop() {
    let (a, b) = (Remote::absent("A"), Remote::absent("B"));
    for policy in POLICIES {
        let option = format!("--balance={policy}");
        let relay = Relay::start(&[&option], &[&a.operand(), &b.operand()]);
        for count in 1..=2 {
            assert_eq!(relay.ask(b"hello"), b"");
            relay.wait_for("no remote", count);
        }
        // Once each for each session.
        assert_eq!(relay.said("tcprelay: retry "), 4, "{}", relay.log());
        assert_eq!(relay.said("tcprelay: dead "), 2);
        assert_eq!(relay.said(" status 28416 in 0 out 0 "), 2);
    }
}

#[test]
fn remote_that_answers_no_syn_costs_its_time_and_no_more() {
    // A queue of one that is full: the kernel answers no further SYN.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let none = nix::sys::socket::Backlog::new(0).expect("in range");
    nix::sys::socket::listen(&silent, none).expect("it listens");
    let address = silent.local_addr().expect("it is bound");
    let _filling: Vec<_> = (0..4)
        .map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok())
        .collect();
    // All policies at once: each waits for its second.
    let live = Remote::new("L");
    let relays = POLICIES.map(|policy| {
        let option = format!("--balance={policy}");
        let remotes = [address.to_string(), live.operand()];
        Relay::start(
            &["--connect-timeout=1+0", &option],
            &[&remotes[0], &remotes[1]],
        )
    });
    for round in 1..=2 {
        let clients = relays.each_ref().map(Relay::connect);
        for (relay, mut client) in relays.iter().zip(clients) {
            let mut name = [0];
            let read = client.read_exact(&mut name);
            assert!(read.is_ok() && name == *b"L", "{round}: {}", relay.log());
        }
    }
    for relay in &relays {
        // Once at most: then it is dead, and left alone.
        assert!(relay.said("tcprelay: retry ") <= 1, "{}", relay.log());
        let dead = relay.said("tcprelay: dead ");
        assert_eq!(relay.said("timed out"), 2 * dead, "{}", relay.log());
    }
    // These two cannot know better.
    for policy in ["first", "order"] {
        let place = POLICIES.iter().position(|known| *known == policy);
        assert_eq!(relays[place.expect("known")].said("tcprelay: dead "), 1);
    }
}

#[test]
fn remote_that_accepts_and_closes_is_alive_and_gets_its_share() {
    let (hasty, a) = (Remote::hasty(), Remote::new("A"));
    for policy in POLICIES {
        let option = format!("--balance={policy}");
        let relay = Relay::start(&[&option], &[&hasty.operand(), &a.operand()]);
        let mut names = String::new();
        for count in 1..=6 {
            let answer = relay.ask(b"");
            names += if answer.is_empty() { "-" } else { "A" };
            relay.wait_for("tcprelay: end ", count);
        }
        match policy {
            "least" | "rr" => assert_eq!(names, "-A-A-A", "{policy}"),
            "hash" => assert!(names == "------" || names == "AAAAAA", "{names}"),
            _ => assert_eq!(names, "------", "{policy}"),
        }
        for word in ["dead", "retry", "fail"] {
            assert_eq!(relay.said(word), 0, "{policy}: {}", relay.log());
        }
    }
}

#[test]
fn remote_that_comes_back_gets_what_the_policy_gives_it() {
    for policy in POLICIES {
        let (mut a, b) = (Remote::absent("A"), Remote::new("B"));
        let option = format!("--balance={policy}");
        let relay = Relay::start(&["--revive=0.1", &option], &[&a.operand(), &b.operand()]);
        until("A is found dead", || {
            assert_eq!(arrive(&relay).0, "B");
            (policy == "hash" || relay.said("tcprelay: dead ") == 1).then_some(())
        });
        a.come_back();
        // Who is hashed to B stays there, and others go back to A.
        if relay.said("tcprelay: dead ") == 0 {
            assert_eq!(arrive(&relay).0, "B", "{policy}");
            continue;
        }
        until("A has a session", || {
            (arrive(&relay).0 == "A").then_some(())
        });
        assert_eq!(relay.said("tcprelay: alive "), 1);
        // Its slow return is over when these have gone.
        std::thread::sleep(Duration::from_millis(100));
        until("all have ended", || {
            (relay.said("tcprelay: end ") == relay.said("tcprelay: open ")).then_some(())
        });
        let sessions: Vec<_> = (0..6).map(|_| arrive(&relay)).collect();
        let names: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
        match policy {
            "first" | "hash" => assert_eq!(names, "AAAAAA"),
            "order" => assert_eq!(names, "ABABAB"),
            // In which order depends on who had the fewest before.
            _ => assert_eq!(names.matches('A').count(), 3, "{policy}: {names}"),
        }
    }
}

#[test]
fn dead_marks_are_forgotten_after_so_many_choices() {
    let (mut a, b) = (Remote::absent("A"), Remote::new("B"));
    let options = ["--balance=first", "--rebalance=3", "--revive=1000"];
    let relay = Relay::start(&options, &[&a.operand(), &b.operand()]);
    // Two choices: A, which is dead, and B.
    assert_eq!(arrive(&relay).0, "B");
    a.come_back();
    let names = [arrive(&relay).0, arrive(&relay).0, arrive(&relay).0];
    assert_eq!(names, ["B", "A", "A"]);
}

#[test]
fn backups_get_sessions_only_without_the_others() {
    let (mut a, b) = (Remote::new("A"), Remote::new("B"));
    let backup = format!("{}/backup", b.operand());
    let relay = Relay::start(&[], &[&backup, &a.operand()]);
    assert_eq!(
        (arrive(&relay).0, arrive(&relay).0),
        ("A".into(), "A".into())
    );
    a.leave();
    assert_eq!(arrive(&relay).0, "B");
}

#[test]
fn full_remotes_make_clients_wait_or_turn_them_away() {
    let a = Remote::new("A");
    let remote = format!("{}/max=1", a.operand());
    let relay = Relay::start(&[], &[&remote]);
    let first = arrive(&relay);
    let mut second = relay.connect();
    relay.wait_for("tcprelay: open 2 ", 1);
    assert_eq!(a.taken(), 1);
    drop(first);
    second.read_exact(&mut [0]).expect("it gets the place");

    for (how, is_reset) in [("close", false), ("reset", true)] {
        let option = format!("--overload={how}");
        let relay = Relay::start(&[&option], &[&remote]);
        let _first = arrive(&relay);
        let read = relay.connect().read(&mut [0]);
        assert_eq!(read.is_err(), is_reset, "{how}: {read:?}");
        relay.wait_for("all remotes are full", 1);
    }
}

#[test]
fn limit_makes_clients_wait_or_turns_them_away() {
    let a = Remote::new("A");
    let relay = Relay::start(&["-c1"], &[&a.operand()]);
    let first = arrive(&relay);
    let mut second = relay.connect();
    drop(first);
    second.read_exact(&mut [0]).expect("it gets the place");
    for (how, is_reset) in [("close", false), ("reset", true)] {
        let option = format!("--overload={how}");
        let relay = Relay::start(&["-c1", &option], &[&a.operand()]);
        let _first = arrive(&relay);
        let read = relay.connect().read(&mut [0]);
        assert_eq!(read.is_err(), is_reset, "{how}: {read:?}");
    }
}

#[test]
fn checks_find_out_who_lives() {
    let (mut a, b) = (Remote::new("A"), Remote::new("B"));
    let checked = format!("{}/check=send:x/check=expect:Ax", a.operand());
    let relay = Relay::start(
        &["--check=0.1:5:1:1", "--balance=first"],
        &[&checked, &b.operand()],
    );
    assert_eq!(arrive(&relay).0, "A");
    a.leave();
    relay.wait_for("tcprelay: dead ", 1);
    assert_eq!(arrive(&relay).0, "B");
    assert_eq!(relay.said("retry"), 0, "{}", relay.log());
    a.come_back();
    relay.wait_for("tcprelay: alive ", 1);
    assert_eq!(arrive(&relay).0, "A");
    // One that says something else is not alive.
    let wrong = format!("{}/check=expect:220", b.operand());
    let relay = Relay::start(&["--check=0.1:0.1:1:1"], &[&wrong]);
    relay.wait_for("tcprelay: dead ", 1);
}

#[test]
fn statistics_are_told() {
    let a = Remote::new("A");
    let relay = Relay::start(&[], &[&a.operand()]);
    assert_eq!(relay.ask(b"12345"), b"A12345");
    relay.wait_for("tcprelay: end 1 status 0 in 5 out 6 ms ", 1);
    let _open = arrive(&relay);
    relay.signal(Signal::SIGUSR1);
    let line = format!(
        "remote {} alive use 1 total 2 failures 0 in 5 out 6 connect-us ",
        a.operand()
    );
    relay.wait_for(&line, 1);
    relay.signal(Signal::SIGUSR2);
    let line = format!("session 2 to {} in 0 out 1 ms ", a.operand());
    relay.wait_for(&line, 1);
}
