//! One source cannot take what others need: limits, rates and penalties, of the command line and of rules.

use std::net::{Ipv4Addr, TcpStream};

use crate::service::{FOE, FRIEND};
use crate::support::net;
use crate::world::{self, Server, World, eventually, lossy};

/// So long that nothing happens in a test because it has passed.
const LONG: &str = "100000";
/// A connection that is refused has a larger number than any process. proc(5), pid_max.
const PID_MAX: u32 = 1 << 22;
/// Answers, and ends with its peer.
const ECHO: [&str; 3] = ["sh", "-c", "echo ready; exec cat"];

fn connect(server: &Server, source: Ipv4Addr) -> TcpStream {
    net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens")
}

/// A server that looks nothing up, `-v --log=reason options`, and its program.
fn serve(world: &World, options: &[&str], program: &[&str]) -> Server {
    let fixed = ["-v", "--log=reason", "-RHl0"];
    let words = [&fixed[..], options, &["127.0.0.1", "0"], program].concat();
    world.serve(words)
}

/// A connection that is served, and stays so.
fn served(server: &Server, source: Ipv4Addr) -> TcpStream {
    let mut stream = connect(server, source);
    assert_eq!(net::receive_line(&mut stream), b"ready\n", "{source}");
    stream
}

/// What a connection that is refused gets.
fn refused(server: &Server, source: Ipv4Addr) -> String {
    lossy(&net::receive_all(&mut connect(server, source)))
}

/// Lets go of who is held, ends the server by SIGTERM, and gives the whole log.
fn terminate<T>(server: Server, held: T) -> String {
    drop(held);
    server.terminate()
}

/// Ends a connection that is served, and waits until the server has heard of it.
fn end(server: &Server, mut stream: TcpStream) {
    let before = ends_of_programs(server);
    net::half_close(&stream);
    assert_eq!(net::receive_all(&mut stream), b"");
    eventually("the end is known", || ends_of_programs(server) > before);
}

/// How many programs have ended, by the log. Who is refused has an end too, which may be told late.
fn ends_of_programs(server: &Server) -> usize {
    let log = lossy(&server.log().so_far());
    let ends = log.lines().filter_map(|line| {
        let rest = line.strip_prefix("tcpserver: end ")?;
        rest.split(' ').next()?.parse::<u32>().ok()
    });
    ends.filter(|&number| number <= PID_MAX).count()
}

/// The reasons in the lines of a log that deny.
fn reasons(log: &str) -> Vec<&str> {
    let denials = log
        .lines()
        .filter(|line| line.starts_with("tcpserver: deny "));
    denials.filter_map(|line| line.rsplit(' ').next()).collect()
}

#[test]
fn source_has_its_limit_and_no_other_source_feels_it() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &["--source-limit=2"], &ECHO);
    let first = served(&server, FRIEND);
    let second = served(&server, FRIEND);
    assert_eq!(refused(&server, FRIEND), "");
    assert_eq!(refused(&server, FRIEND), "");
    let other = served(&server, FOE);
    end(&server, first);
    let third = served(&server, FRIEND);
    assert_eq!(refused(&server, FRIEND), "");
    let log = terminate(server, (second, other, third));
    assert_eq!(reasons(&log), ["limit"; 3], "{log}");
}

#[test]
fn source_is_a_prefix_of_the_length_that_was_given() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &["--source=24", "--source-limit=1"], &ECHO);
    let first = served(&server, FRIEND);
    assert_eq!(refused(&server, FOE), "");
    let other = served(&server, Ipv4Addr::new(127, 0, 1, 1));
    terminate(server, (first, other));
}

#[test]
fn source_comes_as_often_as_it_may_and_what_is_refused_costs_nothing() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n:allow\n");
    let rate = format!("--source-rate=1/{LONG}:2");
    let server = serve(&world, &[&rate, "--source=24", "-x", &rules], &ECHO);
    for _ in 0..5 {
        assert_eq!(refused(&server, FOE), "", "by the rules");
    }
    let first = served(&server, FRIEND);
    let second = served(&server, FRIEND);
    assert_eq!(refused(&server, FRIEND), "");
    let other = served(&server, Ipv4Addr::new(127, 0, 1, 1));
    let log = terminate(server, (first, second, other));
    assert_eq!(
        reasons(&log),
        ["rule", "rule", "rule", "rule", "rule", "rate"],
        "{log}"
    );
}

#[test]
fn rate_of_the_service_lets_the_surplus_wait_and_refuses_nobody() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n:allow\n");
    let rate = format!("--rate=1/{LONG}:2");
    let server = serve(&world, &[&rate, "-x", &rules], &ECHO);
    for _ in 0..5 {
        assert_eq!(refused(&server, FOE), "", "costs nothing");
    }
    let first = served(&server, FRIEND);
    let second = served(&server, FRIEND);
    let third = connect(&server, FRIEND);
    assert!(net::is_silent(&third), "it waits");
    let log = terminate(server, (first, second, third));
    assert_eq!(reasons(&log), ["rule"; 5], "{log}");
}

#[test]
fn rate_lets_the_next_one_in_when_it_is_time() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &["--rate=1/0.05:1"], &ECHO);
    for _ in 0..5 {
        drop(served(&server, FRIEND));
    }
    server.terminate();
}

#[test]
fn settings_of_the_rule_limit_its_sources() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    // How many are served of how many that stay, and why the next is not.
    for (settings, served_count, reason) in [
        ("MAXCONNIP=\"0\"", 0, "limit"),
        ("MAXCONNIP=\"2\"", 2, "limit"),
        ("MAXCONIP=\"1\"", 1, "limit"),
        ("MAXPERIP=\"3\"", 3, "limit"),
        ("MAXPERIP=\"3\",MAXCONIP=\"2\",MAXCONNIP=\"4\"", 2, "limit"),
        ("MAXCONNC=\"2\"", 2, "limit"),
        ("MAXRATE=\"1/100000:2\"", 2, "rate"),
        ("MAXRATE=\"2/100000\",MAXCONNIP=\"9\"", 2, "rate"),
        ("MAXLOAD=\"0\"", 0, "load"),
        ("MAXCONNIP=\"many\"", 0, "error"),
        ("MAXCONNIP=\"\"", 0, "error"),
        ("MAXCONNIP=\"4294967296\"", 0, "error"),
        ("MAXRATE=\"3\"", 0, "error"),
        ("MAXLOAD=\"-1\"", 0, "error"),
        ("MAXCONNC=\"2 \"", 0, "error"),
    ] {
        let rules = world.rules(&format!("127.0.0.1:allow,{settings}\n:allow\n"));
        let server = serve(&world, &["--rule-limits", "-x", &rules], &ECHO);
        let streams: Vec<_> = (0..served_count).map(|_| served(&server, FRIEND)).collect();
        assert_eq!(refused(&server, FRIEND), "", "{settings}");
        let other = served(&server, FOE);
        let log = terminate(server, (streams, other));
        assert_eq!(reasons(&log), [reason], "{settings}: {log}");
    }
}

#[test]
fn load_below_the_limit_of_a_rule_is_no_reason() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules(":allow,MAXLOAD=\"4000000000\"\n");
    let server = serve(&world, &["--rule-limits", "-x", &rules], &ECHO);
    let one = served(&server, FRIEND);
    terminate(server, (one,));
}

#[test]
fn without_the_option_settings_of_rules_limit_nothing() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules(":allow,MAXCONNIP=\"0\",MAXLOAD=\"x\"\n");
    let server = serve(&world, &["-x", &rules], &ECHO);
    let one = served(&server, FRIEND);
    terminate(server, (one,));
}

#[test]
fn network_of_a_peer_has_a_limit_of_its_own() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules(":allow,MAXCONNC=\"2\"\n");
    let server = serve(&world, &["--rule-limits", "-x", &rules], &ECHO);
    let first = served(&server, FRIEND);
    let second = served(&server, FOE);
    assert_eq!(refused(&server, Ipv4Addr::new(127, 0, 0, 3)), "");
    let other = served(&server, Ipv4Addr::new(127, 0, 1, 1));
    end(&server, first);
    let third = served(&server, Ipv4Addr::new(127, 0, 0, 3));
    terminate(server, (second, other, third));
}

#[test]
fn peer_that_is_refused_is_told_so() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules(
        "127.0.0.2:deny\n127.0.0.3:allow,MAXCONNIP=\"0\",DIEMSG=\"421 too many\"\n127.0.0.4:allow,MAXCONNIP=\"0\"\n\
         127.0.0.5:allow,DIEMSG=\"421 not now\"\n:allow\n",
    );
    let text = "--refusal=554 go away\r\n";
    let options = [text, "--rule-limits", "--source-limit=1", "-x", &rules];
    let server = serve(&world, &options, &ECHO);
    for (host, said) in [
        (2, "554 go away\r\n"),
        (3, "421 too many\r\n"),
        (4, "554 go away\r\n"),
    ] {
        assert_eq!(refused(&server, Ipv4Addr::new(127, 0, 0, host)), said);
    }
    for host in [1, 5] {
        let source = Ipv4Addr::new(127, 0, 0, host);
        let _first = served(&server, source);
        // Which rule it would have is not known yet.
        assert_eq!(refused(&server, source), "554 go away\r\n");
    }
    server.terminate();
    // Nor without rules, and a file that is not there refuses too.
    let missing = world.name("missing.cdb");
    let server = serve(&world, &["--refusal=not now", "-x", &missing], &ECHO);
    assert_eq!(refused(&server, FRIEND), "not now");
    server.terminate();
}

#[test]
fn peer_that_speaks_first_hears_why_it_is_refused() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let rules = world.rules(":deny\n");
    let server = serve(&world, &["--refusal=no\n", "-x", &rules], &["true"]);
    // Held until the peer has spoken.
    server.process.signal(nix::sys::signal::Signal::SIGSTOP);
    let mut stream = connect(&server, FRIEND);
    net::send(&mut stream, b"hello\n");
    server.process.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(net::receive_all(&mut stream), b"no\n");
    server.terminate();
}

/// A program like sshd: it reads one word, and exits 100 if that is not the password.
const LOGIN: [&str; 3] = [
    "sh",
    "-c",
    "echo ready; read -r word; test \"$word\" = secret || exit 100; echo welcome",
];

/// Says `word`, and gives what the program answers.
fn log_in(server: &Server, source: Ipv4Addr, word: &str) -> String {
    let before = server.log().count("tcpserver: end ");
    let mut stream = connect(server, source);
    let mut said = lossy(&net::receive_line(&mut stream));
    if !said.is_empty() {
        net::send(&mut stream, format!("{word}\n").as_bytes());
        said.push_str(&lossy(&net::receive_all(&mut stream)));
    }
    eventually("the end is known", || {
        server.log().count("tcpserver: end ") > before
    });
    said
}

#[test]
fn scanner_is_banned_and_nobody_else() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let (scanner, exempt) = (FOE, Ipv4Addr::new(127, 0, 0, 3));
    let options = [
        "--penalty=100:10000",
        "--penalty-threshold=25000",
        "--penalty-max=40000",
        "--penalty-exempt=127.0.0.3,192.0.2.0/24",
    ];
    let server = serve(&world, &options, &LOGIN);
    for _ in 0..3 {
        assert_eq!(log_in(&server, scanner, "guess"), "ready\n");
        assert_eq!(log_in(&server, exempt, "guess"), "ready\n");
        assert_eq!(log_in(&server, FRIEND, "secret"), "ready\nwelcome\n");
    }
    for _ in 0..5 {
        assert_eq!(log_in(&server, scanner, "secret"), "", "it is banned");
        assert_eq!(log_in(&server, exempt, "guess"), "ready\n");
        assert_eq!(log_in(&server, FRIEND, "secret"), "ready\nwelcome\n");
    }
    let log = server.terminate();
    assert_eq!(reasons(&log), ["penalty"; 5], "{log}");
    let banned = log
        .lines()
        .filter(|line| line.starts_with("tcpserver: deny "));
    assert!(
        banned.into_iter().all(|line| line.contains(":127.0.0.2:")),
        "{log}"
    );
    // A restart forgets.
    let server = serve(&world, &options, &LOGIN);
    assert_eq!(log_in(&server, scanner, "secret"), "ready\nwelcome\n");
    server.terminate();
}

#[test]
fn penalty_is_forgotten_in_time() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let options = ["--penalty=100:0.2", "--penalty-threshold=0.1"];
    let server = serve(&world, &options, &LOGIN);
    assert_eq!(log_in(&server, FOE, "guess"), "ready\n");
    eventually("it is let in again", || {
        log_in(&server, FOE, "secret") == "ready\nwelcome\n"
    });
    server.terminate();
}

#[test]
fn signals_and_short_lives_can_cost_something_too() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let killed = ["sh", "-c", "kill -9 $$"];
    for (penalty, program, is_banned) in [
        ("signal:100", &killed[..], true),
        ("under:100:100", &["true"], true),
        ("100-111:100", &["sh", "-c", "exit 105"], true),
        ("100-111:100", &["/does/not/exist"], true),
        ("signal:100", &["true"], false),
        ("1-255:100", &killed, false),
        ("100-104:100", &["sh", "-c", "exit 105"], false),
    ] {
        let server = serve(&world, &[&format!("--penalty={penalty}")], program);
        assert_eq!(log_in(&server, FRIEND, ""), "");
        assert_eq!(log_in(&server, FRIEND, ""), "");
        let log = server.terminate();
        let expected = if is_banned { &["penalty"][..] } else { &[] };
        assert_eq!(reasons(&log), expected, "{penalty}: {log}");
    }
}

#[test]
fn without_v_refusals_are_summed_up() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n127.0.0.3:allow,MAXCONNIP=\"x\"\n:allow\n");
    let words = [
        "-RHl0",
        "--source-limit=1",
        "--rule-limits",
        "-x",
        &rules,
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        ECHO[2],
    ];
    let server = world.serve(words);
    let first = served(&server, FRIEND);
    for _ in 0..4 {
        assert_eq!(refused(&server, FRIEND), "");
        assert_eq!(refused(&server, FOE), "", "by the rules: not told");
    }
    for _ in 0..2 {
        assert_eq!(refused(&server, Ipv4Addr::new(127, 0, 0, 3)), "");
    }
    // At its end it tells what it has not told yet.
    let log = terminate(server, (first,));
    assert_eq!(
        sums(&log),
        [("error".to_owned(), 2), ("limit".to_owned(), 4)],
        "{log}"
    );
}

/// The sums of all `refused:` lines, which must be all lines there are.
fn sums(log: &str) -> Vec<(String, u32)> {
    let mut sums = std::collections::BTreeMap::new();
    for line in log.lines() {
        let words = line.strip_prefix("tcpserver: refused: ");
        let words: Vec<&str> = words
            .unwrap_or_else(|| panic!("{log}"))
            .split(' ')
            .collect();
        for pair in words.chunks(2) {
            let count: u32 = pair[1].parse().expect("a number");
            *sums.entry(pair[0].to_owned()).or_default() += count;
        }
    }
    sums.into_iter().collect()
}

#[test]
fn wrong_values_are_said_to_be_wrong() {
    let Some(world) = world::with(&["true"]) else {
        return;
    };
    for option in [
        "--source=33",
        "--source=",
        "--source=24,129",
        "--source-limit=0",
        "--source-limit=-1",
        "--source-rate=1",
        "--source-rate=1/0",
        "--source-rate=1/1:0",
        "--rate=x/1",
        "--penalty=",
        "--penalty=1",
        "--penalty=256:1",
        "--penalty=under:1",
        "--penalty-threshold=x",
        "--penalty-max=",
        "--penalty-exempt=1.2.3",
        "--penalty-exempt=",
        "--log=xml",
        "--log=",
    ] {
        let outcome = world.run("tcpserver", [option, "127.0.0.1", "0", "true"]);
        assert_eq!(outcome.status.code(), Some(100), "{option}");
        let (name, value) = option.split_once('=').expect("it has a value");
        let said = lossy(&outcome.stderr);
        assert!(
            said.starts_with(&format!("tcpserver: option {name} needs ")),
            "{said}"
        );
        assert!(said.contains(&format!(", not \"{value}\"\n")), "{said}");
    }
}

/// What fail2ban is told to look for, in the words of those who use it with the original.
const DENIED: &str = r"^ host tcpserver: deny \d+ \S* \S*?:<HOST>:\S*:\d+";

#[test]
fn fail2ban_reads_denials_as_ever() {
    let Some(world) = world::with(&["sh", "cat", "fail2ban-regex"]) else {
        return;
    };
    for (format, end) in [(&[][..], "$"), (&["--log=reason"], " (?:rule|limit)$")] {
        let rules = world.rules("127.0.0.2:deny\n:allow\n");
        let fixed = ["-v", "-RHl0", "--source-limit=1", "-x", &rules];
        let words = [&fixed[..], format, &["127.0.0.1", "0"], &ECHO].concat();
        let server = world.serve(words);
        let held = served(&server, FRIEND);
        assert_eq!(refused(&server, FRIEND), "");
        assert_eq!(refused(&server, FOE), "");
        let log = terminate(server, held);
        let stamped = |line: &str| format!("Nov 26 11:30:00 host {line}\n");
        world.write("log", log.lines().map(stamped).collect::<String>());
        let found = world.run(
            "fail2ban-regex",
            ["-v", &world.name("log"), &format!("{DENIED}{end}")],
        );
        let found = lossy(&found.stdout);
        assert!(found.contains("\nFailregex: 2 total\n"), "{found}");
        for ip in ["127.0.0.1", "127.0.0.2"] {
            assert!(found.contains(&format!("      {ip}  ")), "{found}");
        }
    }
}
