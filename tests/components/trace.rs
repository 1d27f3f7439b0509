//! What strace sees of one connection.

use std::fs;
use std::net::Ipv4Addr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{net, probe};
use crate::world::{self, Server, World, children, lossy};

/// One traced system call, as strace writes it: `4711 write(2, "...", 24) = 24`.
struct Call(String);

impl Call {
    /// The call without the process id before it.
    fn text(&self) -> &str {
        self.0
            .split_once(' ')
            .map_or("", |(_, text)| text.trim_start())
    }

    fn is(&self, name: &str) -> bool {
        self.text()
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('('))
    }

    /// True when it makes a process or a thread.
    fn makes_a_process(&self) -> bool {
        ["clone", "clone3", "fork", "vfork"]
            .iter()
            .any(|name| self.is(name))
    }
}

/// One connection and its end, traced.
struct Trace {
    /// What the client got.
    received: String,
    calls: Vec<Call>,
    log: String,
}

const SERVED: Ipv4Addr = Ipv4Addr::LOCALHOST;
const DENIED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Serves a connection from `source` by `tcpserver -HRl0` with `options`; `None` where nobody may trace.
fn trace(options: &[&str], source: Ipv4Addr) -> Option<Trace> {
    let world = world::with_root_and(&["strace", "ls"])?;
    let trial = ["-o", "/dev/null", "true"];
    if !world.run("strace", trial).status.success() {
        world::skip("strace may not trace here");
        return None;
    }
    let rules = world.rules("127.0.0.1:allow\n:deny\n");
    let calls = "--trace=clone,clone3,fork,vfork,execve,write,writev";
    let strace = ["-f", "-s", "4096", "-o", "trace", calls];
    let tcpserver = [&world.our("tcpserver"), "-1HRl0", "-x", &rules];
    // By its path: a search would show as several tries to exec.
    let ls = world::path_of("ls");
    let operands = [&["127.0.0.1", "0", &ls][..], &probe::DESCRIPTORS[1..]].concat();
    let words = strace
        .iter()
        .chain(&tcpserver)
        .chain(options)
        .chain(&operands);
    let server = Server::on(world.start(world.program("strace", words)));
    let mut stream = net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens");
    let received = lossy(&net::receive_all(&mut stream));
    if options.contains(&"-v") {
        server.log().wait_for(" end ", 1);
        server.log().wait_for("status: 0/40", 2);
    }
    let tracees = children(server.process.pid());
    let [tcpserver] = tracees[..] else {
        panic!("strace runs {tracees:?}, not one server");
    };
    kill(Pid::from_raw(tcpserver), Signal::SIGTERM).expect("the server runs");
    let outcome = server.process.outcome();
    assert_eq!(outcome.status.code(), Some(0), "{:?}", outcome.status);
    Some(Trace {
        received,
        calls: calls_in(&world),
        log: lossy(&outcome.stderr),
    })
}

fn calls_in(world: &World) -> Vec<Call> {
    let text = fs::read(world.path("trace")).expect("strace has written it");
    lossy(&text)
        .lines()
        .map(|line| Call(line.to_owned()))
        .collect()
}

/// The child is made by one clone that copies nothing, and starts with three descriptors.
fn assert_one_light_child(trace: &Trace) {
    let makers: Vec<&str> = trace
        .calls
        .iter()
        .filter(|call| call.makes_a_process())
        .map(Call::text)
        .collect();
    let [clone] = makers[..] else {
        panic!("not one, but {makers:#?}");
    };
    assert!(clone.starts_with("clone("), "{clone}");
    assert!(
        clone.contains("CLONE_VM") && clone.contains("CLONE_VFORK"),
        "{clone}"
    );
    let execs = trace.calls.iter().filter(|call| call.is("execve")).count();
    assert_eq!(execs, 2, "the server itself, and the program");
    let descriptors = probe::descriptors(&trace.received);
    let numbers: Vec<&str> = descriptors
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(numbers, ["0", "1", "2"], "{descriptors:#?}");
}

/// Each line of the log was one write, and each write one line.
fn assert_one_write_a_line(trace: &Trace) {
    let mut written = String::new();
    for call in &trace.calls {
        assert!(!call.is("writev"), "{}", call.text());
        let Some(rest) = call.text().strip_prefix("write(2, \"") else {
            continue;
        };
        let (line, _) = rest.rsplit_once('"').expect("strace closes its quotes");
        assert!(line.ends_with("\\n"), "no whole line: {line}");
        assert_eq!(line.matches("\\n").count(), 1, "not one line: {line}");
        written += &line.replace("\\n", "\n");
    }
    assert_eq!(written, trace.log);
}

#[test]
fn served_connection_costs_one_clone_that_shares_memory_and_says_nothing() {
    let Some(trace) = trace(&[], SERVED) else {
        return;
    };
    assert_one_light_child(&trace);
    assert_one_write_a_line(&trace);
    assert_eq!(trace.log, "");
}

#[test]
fn served_connection_is_logged_with_one_write_a_line() {
    let Some(trace) = trace(&["-v"], SERVED) else {
        return;
    };
    assert_one_light_child(&trace);
    assert_one_write_a_line(&trace);
    assert_eq!(trace.log.lines().count(), 6, "{}", trace.log);
}

#[test]
fn denied_connection_makes_no_process() {
    let Some(trace) = trace(&["-v"], DENIED) else {
        return;
    };
    assert_eq!(trace.received, "");
    let makers: Vec<&str> = trace
        .calls
        .iter()
        .filter(|call| call.makes_a_process())
        .map(Call::text)
        .collect();
    assert_eq!(makers, [""; 0]);
    let execs = trace.calls.iter().filter(|call| call.is("execve")).count();
    assert_eq!(execs, 1, "the server itself");
    assert_one_write_a_line(&trace);
    assert!(trace.log.contains("tcpserver: deny "), "{}", trace.log);
    assert!(trace.log.contains(" status 25600\n"), "{}", trace.log);
}
