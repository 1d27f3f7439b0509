//! tcpserver under single and lasting failures of each call that it makes.

use crate::fault::may_trace;
use crate::matrix::{self, Row, row};
use crate::network;
use crate::service::{Setting, trial};
use crate::world;

/// Failures of accept(2) that last until something is freed.
const NO_ROOM: &[&str] = &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];
/// Those of one connection.
const OF_ONE: &[&str] = &[
    "ECONNABORTED",
    "EPROTO",
    "EPERM",
    "EINTR",
    "ENETDOWN",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EOPNOTSUPP",
];
const CANNOT_ACCEPT: &str = "tcpserver: warning: unable to accept connections: ";
const CANNOT_FORK: &str = "tcpserver: warning: dropping connection, unable to fork: {}\n";

/// Nobody is asked about anybody: addresses decide.
const PLAIN: Setting = Setting {
    options: &["-HRl0", "-D"],
    host: "0",
    rules: "127.0.0.2:deny\n127.0.0.3-9:deny\n127.0.0.1:allow\n:deny\n",
    environment: &[],
    banner: "hello ",
};

const PLAIN_ROWS: &[Row] = &[
    row("accept4", "SOCK_CLOEXEC", NO_ROOM).saying("; trying again\n"),
    row("accept4", "SOCK_CLOEXEC", &["EMFILE"])
        .spanning(&[2])
        .saying(CANNOT_ACCEPT),
    row("accept4", "SOCK_CLOEXEC", OF_ONE).spanning(&[1, 3]),
    row("accept4", "SOCK_CLOEXEC", &["ECONNABORTED"])
        .spanning(&[17])
        .saying(CANNOT_ACCEPT),
    row("clone", "CLONE_VFORK", &["EAGAIN", "ENOMEM"])
        .spanning(&[1, 2])
        .saying(CANNOT_FORK),
    row("epoll_wait", "", &["EINTR"]).spanning(&[1, 5]),
    row("epoll_ctl", "EPOLL_CTL_ADD", &["ENOMEM", "ENOSPC"]),
    row("epoll_create1", "", &["EMFILE", "ENFILE", "ENOMEM"]),
    row("eventfd2", "", &["EMFILE", "ENFILE"]),
    row("signalfd4", "", &["EMFILE", "ENFILE", "ENOMEM"]),
    row("fcntl", "F_DUPFD", &["EMFILE"]),
    row("read", ", 1024)", &["EINTR", "EIO", "ENOMEM"]),
    row("wait4", "", &["EINTR"]).spanning(&[1, 3]),
    row(
        "write",
        "write(2, ",
        &["EPIPE", "EAGAIN", "EINTR", "EIO", "ENOSPC", "retval=3"],
    ),
    row("write", "write(2, ", &["EPIPE", "EAGAIN"]).spanning(&[4]),
    row("setsockopt", "SO_REUSEADDR", &["ENOMEM", "ENOPROTOOPT"]),
    row("setsockopt", "IP_OPTIONS", &["ENOMEM", "EPERM"]),
    row("setsockopt", "TCP_NODELAY", &["EINVAL", "ENOBUFS"]),
    row("getsockname", "", &["ENOBUFS"]).saying("unable to get local address: {}\n"),
    row("socket", "", &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
        .saying("tcpserver: fatal: unable to create socket: {}\n"),
    row("bind", "", &["EADDRINUSE", "EACCES", "EADDRNOTAVAIL"])
        .saying("tcpserver: fatal: unable to bind: {}\n"),
    row("listen", "", &["EADDRINUSE"]).saying("tcpserver: fatal: unable to listen: {}\n"),
    row(
        "openat",
        "rules.cdb",
        &["EMFILE", "ENFILE", "EACCES", "ENOENT", "EIO", "ENOMEM"],
    )
    .saying("rules.cdb: {}\n"),
    row("openat", "rules.cdb", &["EINTR"]),
    row("statx", "rules.cdb", &["EACCES", "ENOENT", "EIO", "ENOMEM"]).saying("rules.cdb: {}\n"),
    row("pread64", "", &["EIO"]).saying("rules.cdb: {}\n"),
    row("pread64", "", &["EINTR", "retval=0"]),
    row("read", ", 65536)", &["EIO"]).saying("rules.cdb: {}\n"),
    row("read", ", 65536)", &["EINTR", "retval=0"]),
    row("lseek", "", &["EIO"]).saying("rules.cdb: {}\n"),
    row(
        "sendto",
        "hello",
        &["ECONNRESET", "EPIPE", "ENOBUFS", "ENOMEM"],
    )
    .saying("tcpserver: warning: dropping connection, unable to print banner: {}\n"),
    row("sendto", "hello", &["EINTR", "EAGAIN", "retval=2"]),
    row("close", "", &["EIO", "EINTR"]),
    row("mmap", "mmap(NULL, 36864, ", &["ENOMEM", "EAGAIN"])
        .saying("tcpserver: fatal: unable to get memory: {}\n"),
    row("dup3", "", &["EMFILE", "EBUSY"]),
    // Of ours: a C library blocks `~[...]` for itself, and is right that this cannot fail.
    row("rt_sigprocmask", "SIG_BLOCK, [", &["EINVAL"]),
    row("prlimit64", "RLIMIT_NOFILE", &["EPERM"]),
];

/// Names and owners decide, so every connection asks for them.
const NAMED: Setting = Setting {
    options: &["-t5", "--lookup-timeout=10", "-p"],
    host: "127.0.0.1",
    rules: "joe@=friend.test:allow\n=friend.test:allow\n:deny\n",
    environment: &[("DNSCACHEIP", "127.0.0.53")],
    banner: "",
};

const NAMED_ROWS: &[Row] = &[
    row(
        "socket",
        "SOCK_DGRAM",
        &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EAFNOSUPPORT"],
    ),
    row("socket", "SOCK_DGRAM", &["EMFILE"]).spanning(&[2, 3]),
    row("bind", "htons(0)", &["EADDRINUSE", "EACCES", "ENOBUFS"]),
    row(
        "connect",
        "htons(53)",
        &["ENETUNREACH", "ECONNREFUSED", "EPERM", "EADDRNOTAVAIL"],
    ),
    row(
        "connect",
        "htons(113)",
        &["ENETUNREACH", "ECONNREFUSED", "EPERM", "ETIMEDOUT"],
    ),
    row(
        "sendto",
        "",
        &[
            "ECONNREFUSED",
            "EPERM",
            "ENOBUFS",
            "ENETDOWN",
            "ENETUNREACH",
        ],
    ),
    row("recvfrom", "", &["ECONNREFUSED", "EIO", "ECONNRESET"]),
    row("recvfrom", "", &["ENOMEM"]).spanning(&[1, 3]),
    row("getsockopt", "SO_ERROR", &["ENOBUFS"]),
    row("getrandom", ", 2, ", &["EAGAIN", "ENOSYS"]),
    row("epoll_ctl", "EPOLL_CTL_ADD", &["ENOMEM", "ENOSPC"]),
    row("epoll_wait", "", &["EINTR"]),
    row("prlimit64", "RLIMIT_NOFILE", &["EPERM"]),
    row("openat", "dnsrewrite", &["EMFILE", "EACCES", "EIO"]),
];

#[test]
fn server_survives_each_failing_call_and_admits_nobody_for_it() {
    let Some(world) = world::with_root_and(&["strace", "echo"]) else {
        return;
    };
    if may_trace(&world) {
        matrix::run("tcpserver", PLAIN_ROWS, matrix::MANY, |fault| {
            trial(&PLAIN, &world, fault)
        });
    }
}

#[test]
fn failing_look_ups_admit_nobody_and_end() {
    let Some(world) = world::with_root_and(&["strace", "echo"]) else {
        return;
    };
    if may_trace(&world) && network::enter() {
        network::serve_names();
        network::serve_idents();
        matrix::run(
            "tcpserver with look-ups",
            NAMED_ROWS,
            matrix::FEW,
            |fault| trial(&NAMED, &world, fault),
        );
    }
}
