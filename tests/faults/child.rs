//! The child between clone and exec, where calls fail too; and what a program is given, exactly.

use std::net::Ipv4Addr;

use crate::fault::may_trace;
use crate::matrix::{DID_NOT_OCCUR, Table, is_full};
use crate::service::{self, FRIEND, SERVED};
use crate::support::launch::Launch;
use crate::support::{net, probe};
use crate::world::{self, Server, World, eventually, lossy};

/// What may befall a child, and the words that must be in the log; nothing: the program runs all the same.
const FAILURES: [(&str, &str, &str); 23] = [
    ("execve", "EACCES", "unable to run /bin/echo: access denied"),
    (
        "execve",
        "EPERM",
        "unable to run /bin/echo: permission denied",
    ),
    (
        "execve",
        "EISDIR",
        "unable to run /bin/echo: is a directory",
    ),
    (
        "execve",
        "ENOENT",
        "unable to run /bin/echo: file does not exist",
    ),
    ("execve", "ENOMEM", "unable to run /bin/echo: out of memory"),
    (
        "execve",
        "E2BIG",
        "unable to run /bin/echo: argument list too long",
    ),
    (
        "execve",
        "EAGAIN",
        "unable to run /bin/echo: temporary failure",
    ),
    (
        "execve",
        "EIO",
        "unable to run /bin/echo: input/output error",
    ),
    (
        "execve",
        "ELOOP",
        "unable to run /bin/echo: symbolic link loop",
    ),
    (
        "execve",
        "EMFILE",
        "unable to run /bin/echo: process cannot open more files",
    ),
    (
        "execve",
        "ENFILE",
        "unable to run /bin/echo: system cannot open more files",
    ),
    (
        "execve",
        "ENOEXEC",
        "unable to run /bin/echo: exec format error",
    ),
    (
        "execve",
        "ENOTDIR",
        "unable to run /bin/echo: not a directory",
    ),
    ("execve", "ETXTBSY", "unable to run /bin/echo: text busy"),
    (
        "execve",
        "EINVAL",
        "unable to run /bin/echo: invalid argument",
    ),
    (
        "dup2",
        "EMFILE",
        "unable to set up descriptors: process cannot open more files",
    ),
    (
        "dup2",
        "EBADF",
        "unable to set up descriptors: file descriptor not open",
    ),
    ("dup2", "EBUSY", "unable to set up descriptors: device busy"),
    (
        "dup2",
        "EIO",
        "unable to set up descriptors: input/output error",
    ),
    ("dup2", "EINTR", ""),
    ("rt_sigprocmask", "EINVAL", ""),
    ("write", "EPIPE", ""),
    ("write", "EAGAIN", ""),
];

/// A tcpserver, and a strace that fails a call of each of its children.
fn fail_in_children(
    world: &World,
    call: &str,
    error: &str,
) -> (Server, crate::support::process::Process) {
    let server = world.serve(["-v", "-c3", "-HRl0", "127.0.0.1", "0", "/bin/echo", SERVED]);
    let fault = format!("--inject={call}:error={error}:when=1");
    let pid = server.process.pid().to_string();
    let trace = format!("--trace={call}");
    let words = ["-f", "-o", "trace", &trace, &fault, "-p", &pid];
    let tracer = world.start(world.program("strace", words));
    let is_attached = || {
        let said = tracer.stderr.as_ref().map(|text| lossy(&text.so_far()));
        said.is_some_and(|said| said.contains("attached"))
    };
    eventually("strace is attached", is_attached);
    (server, tracer)
}

fn visit(server: &Server) -> String {
    let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens");
    lossy(&net::receive_all(&mut stream))
}

#[test]
fn child_that_cannot_become_the_program_says_why_and_ends_with_111() {
    let Some(world) = world::with_root_and(&["strace", "echo"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let mut table = Table::new("tcpserver's child");
    let stride = if is_full() { 1 } else { 5 };
    for (call, error, says) in FAILURES.into_iter().step_by(stride) {
        let (server, tracer) = fail_in_children(&world, call, error);
        let pid = server.process.pid();
        let received = visit(&server);
        server.log().wait_for("tcpserver: end ", 1);
        server.log().wait_for("tcpserver: status: 0/3", 2);
        assert_eq!(service::descriptors(pid).len(), 9, "{call} {error}");
        tracer.signal(nix::sys::signal::Signal::SIGTERM);
        let _ = tracer.outcome();
        let trace = std::fs::read(world.path("trace")).expect("strace has written it");
        let outcome = if lossy(&trace).contains("(INJECTED)") {
            "all were served"
        } else {
            DID_NOT_OCCUR
        };
        assert_eq!(visit(&server), format!("{SERVED}\n"), "{call} {error}");
        server.log().wait_for("tcpserver: end ", 2);
        let log = server.terminate();
        // musl tries dup2 again then.
        let is_retried = error == "EBUSY" && received == format!("{SERVED}\n");
        if says.is_empty() || is_retried {
            assert_eq!(received, format!("{SERVED}\n"), "{call} {error}: {log}");
            table.add_named(call, error, 1, outcome);
        } else {
            let line = format!("tcpserver: warning: dropping connection, {says}\n");
            assert!(log.contains(&line), "{call} {error}: {log}");
            assert!(log.contains(" status 28416\n"), "{call} {error}: {log}");
            assert_eq!(received, "", "{call} {error}");
            table.add_named(call, error, 1, "one connection was dropped");
        }
    }
    table.assert_calls_are_made();
    table.print();
}

/// A tcpserver with a full environment and descriptors of its own, whose program is `program`.
fn exact(world: &World, program: &[&str]) -> Server {
    let file = std::fs::File::open("/dev/null").expect("every system has it");
    let args = ["-1", "-HR", "-llocal.test", "127.0.0.1", "0"];
    let launch: Launch = world.program("tcpserver", args.iter().chain(program));
    let launch = launch
        .empty_env()
        .env("PATH", "/usr/bin:/bin")
        .env("KEPT", "as it was")
        .env("TCPREMOTEHOST", "a lie")
        .env("TCPREMOTEINFO", "a lie")
        .env("TCP6REMOTEIP", "a lie")
        .inherit(7, file);
    Server::on(world.start(launch))
}

#[test]
fn program_has_exactly_the_environment_of_its_connection() {
    let Some(world) = world::with(&["env"]) else {
        return;
    };
    let server = exact(&world, &["env"]);
    let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens");
    let from = stream.local_addr().expect("it is bound").port();
    let received = lossy(&net::receive_all(&mut stream));
    let mut lines: Vec<&str> = received.lines().collect();
    lines.sort_unstable();
    let expected = [
        "KEPT=as it was".to_owned(),
        "PATH=/usr/bin:/bin".to_owned(),
        "PROTO=TCP".to_owned(),
        "TCPLOCALHOST=local.test".to_owned(),
        "TCPLOCALIP=127.0.0.1".to_owned(),
        format!("TCPLOCALPORT={}", server.port),
        "TCPREMOTEIP=127.0.0.1".to_owned(),
        format!("TCPREMOTEPORT={from}"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn program_has_the_connection_the_log_and_what_was_inherited_and_no_more() {
    let Some(world) = world::with(&["ls"]) else {
        return;
    };
    let server = exact(&world, &probe::DESCRIPTORS);
    let listing = visit(&server);
    let expected = [
        "0 read-write socket A",
        "1 read-write socket A",
        "2 write pipe B",
        "7 read /dev/null",
    ];
    assert_eq!(probe::descriptors(&listing), expected, "{listing}");
}
