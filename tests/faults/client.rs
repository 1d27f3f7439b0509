//! tcpclient under failing calls: it becomes its program with the connection, or says why not and exits 111.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use crate::fault::{Calls, Fault, may_trace, traced};
use crate::matrix::{self, Row, Trial, row};
use crate::network;
use crate::support::process::describe;
use crate::world::{self, World, lossy};

const ROWS: &[Row] = &[
    row(
        "socket",
        "SOCK_STREAM",
        &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES"],
    ),
    row(
        "socket",
        "SOCK_DGRAM",
        &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"],
    )
    .spanning(&[1, 2]),
    row(
        "connect",
        "htons(53)",
        &["ENETUNREACH", "ECONNREFUSED", "EPERM"],
    )
    .spanning(&[1, 2]),
    row(
        "connect",
        "htons(4000)",
        &[
            "ENETUNREACH",
            "ECONNREFUSED",
            "EPERM",
            "ETIMEDOUT",
            "EADDRNOTAVAIL",
            "EAGAIN",
        ],
    ),
    row("connect", "htons(113)", &["ECONNREFUSED", "ENETUNREACH"]),
    row("bind", "htons(0)", &["EADDRINUSE", "ENOBUFS"]),
    row(
        "sendto",
        "",
        &["ECONNREFUSED", "EPERM", "ENOBUFS", "ENETDOWN"],
    ),
    row("recvfrom", "", &["ECONNREFUSED", "EIO", "ECONNRESET"]),
    row("getsockopt", "SO_ERROR", &["ENOBUFS"]),
    row("getsockname", "", &["ENOBUFS"]),
    row("getpeername", "", &["ENOTCONN", "ENOBUFS"]),
    row("setsockopt", "TCP_NODELAY", &["EINVAL", "ENOBUFS"]),
    row("epoll_create1", "", &["EMFILE", "ENFILE", "ENOMEM"]),
    row("epoll_ctl", "EPOLL_CTL_ADD", &["ENOMEM", "ENOSPC"]),
    row("epoll_wait", "", &["EINTR"]).spanning(&[1, 4]),
    row("eventfd2", "", &["EMFILE"]),
    row("getrandom", ", 2, ", &["EAGAIN", "ENOSYS"]),
    row("fcntl", "F_DUPFD", &["EMFILE"]),
    row("dup2", "", &["EMFILE", "EBUSY", "EINTR"]),
    row("openat", "dnsrewrite", &["EACCES", "EMFILE", "EIO"]),
    row("close", "", &["EIO"]),
    row("write", "write(2, ", &["EPIPE", "EAGAIN", "EIO"]),
];

fn trial(world: &World, fault: Option<&Fault>) -> Trial {
    let options = [
        "-v",
        "-D",
        "-T5+5",
        "-t5",
        "--lookup-timeout=10",
        "friend.test",
        "4000",
    ];
    let program = [
        "/bin/sh",
        "-c",
        "read line <&6; echo \"$line\"; echo bye >&7",
    ];
    let args: Vec<&str> = options.into_iter().chain(program).collect();
    let launch = traced(world, fault, "tcpclient", &args)
        .env("DNSCACHEIP", network::NAME_SERVER.to_string());
    let outcome = world.start(launch).outcome();
    let log = lossy(&outcome.stderr);
    assert!(!log.contains("internal error"), "{log}");
    let output = lossy(&outcome.stdout);
    let outcome = match outcome.status.code() {
        Some(0) => {
            assert_eq!(output, "hello\n", "{log}");
            "connected"
        }
        Some(111) => {
            assert_eq!(output, "", "{log}");
            let is_said = log.contains("unable to ") || log.contains("no IP address for ");
            assert!(is_said, "{log}");
            "it did not connect and said why (111)"
        }
        _ => panic!("{}: {log}", describe(outcome.status)),
    };
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome,
        log,
    }
}

#[test]
fn client_under_failing_calls_connects_or_says_why_not() {
    let Some(world) = world::with(&["strace", "sh"]) else {
        return;
    };
    if !may_trace(&world) || !network::enter() {
        return;
    }
    network::serve_names();
    network::serve_idents();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 4000)).expect("nobody else is here");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(crate::support::deadline()));
            let _ = stream.write_all(b"hello\n");
            std::thread::spawn(move || stream.read(&mut [0; 16]));
        }
    });
    matrix::run("tcpclient", ROWS, matrix::MANY, |fault| {
        trial(&world, fault)
    });
}
