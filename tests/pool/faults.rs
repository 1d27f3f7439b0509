//! Calls that fail, one at a time, at each of their first occurrences: slots come back, the statistics add up, nothing spins.

use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, may_trace, traced};
use crate::pool::house::{assert_sums, statistics_of};
use crate::support::net;
use crate::world::{self, Server, World, eventually, lossy};

/// Each call, how it fails, what is among its arguments and answer, and how many occurrences of it are tried. A write to the
/// runtime's own descriptor cannot fail, and a port that cannot be printed is lost, as in tcpserver.
const FAULTS: [(&str, &str, &str, usize); 15] = [
    ("pipe2", "error=EMFILE", "", 4),
    ("fcntl", "error=ENOMEM", "F_SETFL", 4),
    ("clone", "error=EAGAIN", "", 2),
    ("epoll_ctl", "error=ENOMEM", "", 12),
    ("epoll_wait", "error=EINTR", "", 3),
    ("socket", "error=EMFILE", "", 1),
    ("accept4", "error=EMFILE", "", 2),
    ("accept4", "error=ECONNABORTED", "", 2),
    ("recvfrom", "error=ECONNRESET", "", 4),
    ("sendto", "error=EPIPE", "", 2),
    ("read", "error=EIO", "EAGAIN", 3),
    ("read", "error=EIO", "\"w", 3),
    ("write", "error=EIO", "write(2,", 6),
    ("write", "error=EPIPE", "\"w", 3),
    ("ioctl", "error=ENOTTY", "", 2),
];

#[test]
fn whatever_call_fails_the_pool_serves_again_and_counts_right() {
    let Some(world) = world::with(&["strace", "cat"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let undisturbed = trial(&world, None).expect("it starts undisturbed");
    for (call, what, text, most) in FAULTS {
        let occurrences = undisturbed.occurrences(call, text);
        assert!(!occurrences.is_empty(), "{call} is never made");
        for (call, first) in occurrences.into_iter().take(most) {
            let fault = Fault {
                call,
                what: what.to_owned(),
                first,
                span: 1,
            };
            trial(&world, Some(&fault));
        }
    }
}

/// One traced run. `None`: it did not start, and said why.
fn trial(world: &World, fault: Option<&Fault>) -> Option<Calls> {
    let args = [
        "-1",
        "-v",
        "-HRl0",
        "--workers=2",
        "--queue=9:20",
        "127.0.0.1",
        "0",
        "cat",
    ];
    let process = world.start(traced(world, fault, "tcppool", &args));
    let port = process.stdout.as_ref().expect("a pipe").first_line();
    let case = format!("{fault:?}");
    let Ok(port) = lossy(&port).trim_end().parse() else {
        let outcome = process.outcome();
        let log = lossy(&outcome.stderr);
        // A port that could not be printed is lost, as in tcpserver; then nobody can ask.
        if log.contains("status: 0/40") {
            panic!("{case}: it runs and has no port:\n{log}");
        }
        assert_eq!(outcome.status.code(), Some(111), "{case}: {log}");
        assert!(log.contains("tcppool: fatal: "), "{case}: {log}");
        return None;
    };
    let server = Server { process, port };
    let mut served = 0;
    for _ in 0..8 {
        let here = std::net::Ipv4Addr::LOCALHOST;
        let Ok(mut client) = net::connect_from(here, here, server.port, |_| false) else {
            break;
        };
        let word = format!("w{served}\n");
        let mut heard = Vec::new();
        let asked = std::io::Write::write_all(&mut client, word.as_bytes());
        let _ = asked.and_then(|()| std::io::Read::read_to_end(&mut client, &mut heard));
        let heard = lossy(&heard);
        assert!(
            heard.is_empty() || heard == word || heard == "ERR\n",
            "{case}: {heard:?}"
        );
        served += usize::from(heard == word);
        if served == 4 {
            break;
        }
    }
    let log_of = || lossy(&server.log().so_far());
    if served < 4 {
        // It may have ended, if it said why.
        server.process.signal(Signal::SIGTERM);
        let outcome = server.process.outcome();
        let log = lossy(&outcome.stderr);
        if log.contains("failed to wake I/O driver") {
            // The runtime's own descriptor, to which a write cannot fail: runs differ in how many writes come before.
            return None;
        }
        assert_eq!(
            outcome.status.code(),
            Some(111),
            "{case}: served {served}:\n{log}"
        );
        assert!(log.contains("tcppool: fatal: "), "{case}: {log}");
        return None;
    }
    let is_quiet = fault.is_some_and(|fault| fault.call == "write");
    eventually("no connection is open", || {
        let log = log_of();
        let mut lines = log.lines().rev();
        let status = lines.find(|line| line.starts_with("tcppool: status: "));
        status == Some("tcppool: status: 0/40") || is_quiet
    });
    let mut statistics = None;
    eventually("the statistics are printed", || {
        server.process.signal(Signal::SIGUSR1);
        let log = log_of();
        // One report may have been cut by the fault.
        if log.matches("8< ---").count() > 0 && log.matches(">8 ---").count() > 0 {
            let found = statistics_of(&log);
            if found.len() == 27 && found["clients now"] == 0.0 {
                statistics = Some(found);
            }
        }
        statistics.is_some()
    });
    assert_sums(&statistics.expect("they were just found"));
    server.process.signal(Signal::SIGTERM);
    let outcome = server.process.outcome();
    let log = lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(0), "{case}: {log}");
    assert!(!log.contains("internal error"), "{case}: {log}");
    let calls = Calls::of_ended(&world.path("trace"));
    assert!(calls.count() < 3000, "{case}: {} calls", calls.count());
    Some(calls)
}
