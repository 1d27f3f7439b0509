//! tcprelay under single and lasting failures of each call that it makes: what is carried arrives whole or is seen to break,
//! the process ends in order or serves on, and whoever comes later is served.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, may_trace, traced_with_threads};
use crate::matrix::{self, FEW, Row, Trial, row};
use crate::support::net;
use crate::support::process::Process;
use crate::world::{self, World, lossy};

/// Failures of a call that needs a descriptor or memory.
const NO_ROOM: &[&str] = &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

const ROWS: &[Row] = &[
    row("accept4", "", NO_ROOM)
        .spanning(&[1, 3])
        .saying("; trying again\n"),
    row("accept4", "", &["ECONNABORTED", "EPROTO", "EINTR"]),
    row("socket", "", NO_ROOM).spanning(&[1, 3]),
    row("socket", "", &["EACCES"]),
    row(
        "connect",
        "",
        &[
            "EADDRNOTAVAIL",
            "ECONNREFUSED",
            "ENETUNREACH",
            "EAGAIN",
            "EPERM",
        ],
    )
    .spanning(&[1, 3]),
    // Asked whether it is connected already: then that is waited for.
    row("getpeername", "", &["ENOTCONN", "ENOBUFS"]),
    row("setsockopt", "", &["ENOMEM", "ENOPROTOOPT"]),
    row("getsockname", "", &["ENOBUFS"]),
    row("epoll_ctl", "", &["ENOMEM", "ENOSPC"]),
    row("epoll_create1", "", &["EMFILE", "ENOMEM"]),
    row("epoll_wait", "", &["EINTR"]).spanning(&[1, 3]),
    row("eventfd2", "", &["EMFILE", "ENFILE"]),
    row("signalfd4", "", &["EMFILE", "ENOMEM"]),
    row("recvfrom", "", &["ECONNRESET", "EIO", "EINTR", "ENOMEM"]),
    // Not EAGAIN: after a real one the kernel tells when that is over, an edge; after one that strace made up, nothing changes.
    // The first is harmless, as waiting for it begins by asking whether the socket is writable.
    row("sendto", "", &["ECONNRESET", "EPIPE", "ENOBUFS", "ENOMEM"]),
    row("splice", "", &["EINVAL", "ENOMEM", "EIO", "ECONNRESET"]),
    row("pipe2", "", &["EMFILE", "ENFILE", "ENOMEM"]).spanning(&[1, 3]),
    row("fcntl", "F_DUPFD", &["EMFILE"]),
    row("fcntl", "F_SETFL", &["EPERM"]),
    row("shutdown", "", &["ENOTCONN"]),
    row("close", "", &["EIO", "EINTR"]),
    row("write", "write(2, ", &["EPIPE", "EAGAIN", "EIO", "ENOSPC"]).spanning(&[1, 3]),
    row("clone", "", &["EAGAIN", "ENOMEM"]),
    row("bind", "", &["EADDRINUSE", "EACCES"]).saying("tcprelay: fatal: unable to bind: {}\n"),
    row("listen", "", &["EADDRINUSE"]).saying("tcprelay: fatal: unable to listen: {}\n"),
];

#[test]
fn relay_survives_every_failing_call() {
    let Some(world) = world::with(&["strace", "cat"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let remote = world.serve(["-RHl0", "127.0.0.1", "0", "cat"]);
    let remote = format!("127.0.0.1:{}", remote.port);
    matrix::run("tcprelay", ROWS, FEW, |fault| trial(&world, &remote, fault));
}

/// One traced run: some clients, then SIGTERM.
///
/// # Panics
///
/// When anything is not as promised.
fn trial(world: &World, remote: &str, fault: Option<&Fault>) -> Trial {
    let args = ["-1vRHl0", "--threads=2", "127.0.0.1", "0", remote];
    let process = world.start(traced_with_threads(world, fault, "tcprelay", &args));
    let told = process.stdout.as_ref().expect("a pipe").first_line();
    let Ok(port) = lossy(&told).trim_end().parse() else {
        return refused_to_start(world, process);
    };
    let span = fault.map_or(0, |fault| fault.span);
    let lost = match come(port, span) {
        Ok(Some(lost)) => lost,
        // The port may have been told by one that could not go on.
        Ok(None) => return refused_to_start(world, process),
        Err(why) => panic!("{why}:\n{}", crate::service::log_of(&process)),
    };
    process.signal(Signal::SIGTERM);
    let outcome = process.outcome();
    let log = lossy(&outcome.stderr);
    assert_eq!(
        outcome.status.code(),
        Some(0),
        "{:?}\n{log}",
        outcome.status
    );
    assert!(!log.contains("internal error"), "{log}");
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome: match lost {
            0 => "all were served",
            1 => "one connection was dropped",
            _ => "connections were dropped while it lasted",
        },
        log,
    }
}

/// One that ends before it serves says why, in one line, and exits 111.
fn refused_to_start(world: &World, process: Process) -> Trial {
    process.signal(Signal::SIGTERM);
    let outcome = process.outcome();
    let log = lossy(&outcome.stderr);
    assert_eq!(
        outcome.status.code(),
        Some(111),
        "{:?}\n{log}",
        outcome.status
    );
    assert_eq!(log.matches("tcprelay: fatal: ").count(), 1, "{log}");
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome: "it did not start and said why (111)",
        log,
    }
}

/// Some clients, each of which gets all or sees that it does not: how many did not, of whom there may be as many as there are
/// faults; `None` when nobody listens. The last one is served.
fn come(port: u16, span: usize) -> Result<Option<usize>, String> {
    /// More than the buffers of a relay: it is spliced.
    const REQUEST_BYTES: usize = 100_000;
    const CLIENTS: usize = 4;
    let mut lost = 0;
    for number in 0.. {
        let here = Ipv4Addr::LOCALHOST;
        let Ok(stream) = net::connect_from(here, here, port, |_| false) else {
            return Ok(None);
        };
        let is_served = ask(stream, &vec![b'x'; REQUEST_BYTES])?;
        lost += usize::from(!is_served);
        if lost > span {
            return Err(format!("{lost} clients were lost by {span} faults"));
        }
        if number >= CLIENTS && is_served {
            break;
        }
    }
    Ok(Some(lost))
}

/// True when all of `request` came back.
fn ask(mut stream: TcpStream, request: &[u8]) -> Result<bool, String> {
    let copy = stream.try_clone().expect("descriptors");
    let mut answer = Vec::new();
    let read = std::thread::scope(|scope| {
        // Beside the answer, which is as long.
        scope.spawn(|| {
            let _ = (&copy).write_all(request);
            let _ = copy.shutdown(Shutdown::Write);
        });
        let read = stream.read_to_end(&mut answer);
        let _ = stream.shutdown(Shutdown::Both);
        read
    });
    match read {
        Ok(_) if answer == request => Ok(true),
        Ok(0) => Ok(false),
        Ok(count) => Err(format!("an end in order after {count} bytes")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err("a session hangs".to_owned()),
        Err(_) => Ok(false),
    }
}
