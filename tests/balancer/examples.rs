//! `examples/balancer`, as it is there but for its addresses.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::net;
use crate::world::{self, Server, World, count, eventually, lossy};

/// The addresses of the three machines are ports here.
const MACHINES: [&str; 3] = ["192.0.2.11:8007", "192.0.2.12:8007", "192.0.2.13:8007"];

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/balancer");
    fs::read_to_string(folder.join(name)).expect("it is there")
}

/// The words behind `start` in the one line that begins so.
fn words_behind(text: &str, start: &str) -> Vec<String> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
    let line = lines.next().unwrap_or_else(|| panic!("no {start}"));
    line.split(' ').map(str::to_owned).collect()
}

/// The same with another word in the place of each that is `from`.
fn with(words: Vec<String>, from: &str, to: &str) -> Vec<String> {
    assert!(words.iter().any(|word| word == from), "{from} {words:?}");
    let put = |word: String| if word == from { to.to_owned() } else { word };
    words.into_iter().map(put).collect()
}

/// A server as the README has it, whose program says which one it is and who its client is.
fn machine(world: &World, name: &str, rules: &str) -> Server {
    let words = words_behind(&example("README.md"), "tcpserver ");
    let words = with(words, "--proxy=192.0.2.7", "--proxy=127.0.0.1");
    let words = with(with(words, "0", "127.0.0.1"), "8007", "0");
    let mut words = with(words, "rules.cdb", rules);
    assert_eq!(words.pop().as_deref(), Some("cat"));
    let program = format!("echo {name} $TCPREMOTEIP; exec cat");
    words.insert(0, "-1".to_owned());
    words.extend(["sh".to_owned(), "-c".to_owned(), program]);
    Server::on(world.start(world.program("tcpserver", words)))
}

fn connect(last: u8, port: u16) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 0, last);
    net::connect_from(source, Ipv4Addr::LOCALHOST, port, |_| false).expect("haproxy listens")
}

#[test]
fn three_servers_behind_haproxy_know_their_clients_and_one_may_go() {
    let Some(world) = world::with(&["haproxy", "sh", "cat"]) else {
        return;
    };
    let here = example("rules").replace("192.0.2.7", "127.0.0.1");
    let rules = world.rules(&here.replace("203.0.113.0/24", "127.0.0.3"));
    let mut servers: Vec<Server> = ["one", "two", "three"]
        .map(|name| machine(&world, name, &rules))
        .into();
    let (_held, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
    let mut config = example("haproxy.cfg").replace(":8007\n    bal", "127.0.0.1:PORT\n    bal");
    config = config.replace("127.0.0.1:PORT", &format!("127.0.0.1:{port}"));
    for (machine, server) in MACHINES.iter().zip(&servers) {
        config = config.replace(machine, &format!("127.0.0.1:{}", server.port));
    }
    assert!(!config.contains(":8007\n"), "{config}");
    world.write("haproxy.cfg", config);
    let _haproxy = world.start(world.program("haproxy", ["-db", "-f", "haproxy.cfg"]));
    eventually("haproxy listens", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    let served = |last: u8| {
        let mut stream = connect(last, port);
        let line = lossy(&net::receive_line(&mut stream));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..], [format!("127.0.0.{last}")], "{line}");
        (words[0].to_owned(), stream)
    };
    // Each connection goes to the machine that has the fewest; our look is one, too, until HAProxy has seen its end.
    let mut open = BTreeMap::new();
    for last in 20..120 {
        let (name, stream) = served(last);
        open.entry(name).or_insert(stream);
        if open.len() == MACHINES.len() {
            break;
        }
    }
    assert_eq!(open.len(), MACHINES.len(), "{open:?}");
    assert_eq!(net::receive_all(&mut connect(3, port)), b"");
    // One machine goes: nobody new meets it, whoever is there goes on.
    let one = servers.remove(0);
    one.process.signal(Signal::SIGTERM);
    one.log().wait_for("tcpserver: draining ", 1);
    for last in [7, 8, 9] {
        assert_ne!(served(last).0, "one");
    }
    let mut stream = open.remove("one").expect("it is open");
    net::send(&mut stream, b"hello\n");
    assert_eq!(net::receive_line(&mut stream), b"hello\n");
    drop(stream);
    let outcome = one.process.outcome();
    assert_eq!(outcome.status.code(), Some(0));
    drop(open);
    let mut logs = lossy(&outcome.stderr);
    for server in servers {
        logs += &server.terminate();
    }
    // Who is only looked at has no program run.
    let checks = |line: &&str| line.starts_with("tcpserver: ok ") && line.contains(":127.0.0.1::");
    assert_eq!(logs.lines().filter(checks).count(), 0, "{logs}");
    assert_eq!(count(&logs, "tcpserver: warning"), 0, "{logs}");
}

#[test]
fn units_are_valid_and_their_server_takes_the_socket_and_goes_on_at_a_reload() {
    let programs = ["systemd-analyze", "systemd-socket-activate", "cat"];
    let Some(world) = world::with(&programs) else {
        return;
    };
    let service = example("echo.service");
    // The manual pages are there, but man may not be; nor are our programs where systemd looks.
    let lines = service
        .lines()
        .filter(|line| !line.starts_with("Documentation="));
    let installed = lines
        .map(|line| line.to_owned() + "\n")
        .collect::<String>()
        .replace("=tcpserver ", &format!("={} ", world.our("tcpserver")));
    world.write("echo.service", installed);
    world.write("echo.socket", example("echo.socket"));
    let words = ["verify", "./echo.service", "./echo.socket"];
    let outcome = world.run("systemd-analyze", words);
    let said = lossy(&outcome.stderr);
    assert_eq!((outcome.status.code(), said.as_str()), (Some(0), ""));

    let words = words_behind(&service, "ExecStart=tcpserver ");
    let (_held, port) = net::reserve_port(Ipv4Addr::UNSPECIFIED);
    let control = format!("--control={}", world.name("control"));
    let words = with(words, "--control=/run/echo/control", &control);
    let words = with(words, "8007", &port.to_string());
    let place = format!("[::]:{port}");
    let start = ["-l", &place, &world.our("tcpserver")].map(str::to_owned);
    let words = [&start[..], &words].concat();
    let process = world.start(world.program("systemd-socket-activate", words));
    // It starts the server for the first one.
    let mut first = None;
    eventually("systemd listens", || {
        let at = Ipv4Addr::LOCALHOST;
        first = net::connect_from(at, at, port, |_| false).ok();
        first.is_some()
    });
    let mut stream = first.expect("it listens");
    let hears = |stream: &mut TcpStream, line: &[u8]| {
        net::send(stream, line);
        assert_eq!(lossy(&net::receive_line(stream)), lossy(line));
    };
    hears(&mut stream, b"one\n");
    // With `$MAINPID`, which is the same process before and after.
    assert_eq!(
        words_behind(&service, "ExecReload=kill "),
        ["-USR2", "$MAINPID"]
    );
    process.signal(Signal::SIGUSR2);
    let log = process.stderr.as_ref().expect("the log is a pipe");
    log.wait_for("tcpserver: upgraded, 1 connections go on\n", 1);
    hears(&mut stream, b"two\n");
    hears(&mut connect(1, port), b"three\n");
    let status = lossy(&world.succeed(world.program("tcpctl", ["control", "status"])));
    assert!(status.contains(&process.pid().to_string()), "{status}");
    process.signal(Signal::SIGTERM);
    drop(stream);
    assert_eq!(process.outcome().status.code(), Some(0));
}
