//! A traced tcpserver that has visitors, one of whom the rules refuse.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, traced};
use crate::matrix::Trial;
use crate::support::net;
pub(crate) use crate::support::proc::{descriptors, has_ended};
use crate::support::process::Process;
use crate::world::{World, eventually, lossy};

/// The one whom the rules let in.
pub(crate) const FRIEND: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The one whom they refuse.
pub(crate) const FOE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What the program prints.
pub(crate) const SERVED: &str = "served";
/// The limit of open connections.
pub(crate) const STATUS_AT_REST: &str = "tcpserver: status: 0/3";

/// How a server is started.
pub(crate) struct Setting {
    pub(crate) options: &'static [&'static str],
    pub(crate) host: &'static str,
    pub(crate) rules: &'static str,
    pub(crate) environment: &'static [(&'static str, &'static str)],
    pub(crate) banner: &'static str,
}

/// One traced run: the friend comes, the foe, and the friend twice more; then the friend until it is served. Whatever
/// happened, the server is then as it was at the start, and ends when told.
///
/// # Panics
///
/// When the foe was served, or anything is not as promised.
pub(crate) fn trial(setting: &Setting, world: &World, fault: Option<&Fault>) -> Trial {
    // Too large to be read into memory when it is opened: then the look-up reads, too.
    let padding = format!("192.0.2.1:allow,PADDING=\"{}\"\n", "x".repeat(70_000));
    let rules = world.rules(&[&padding, setting.rules].concat());
    // The port is held: nobody else gets it before the server listens there.
    let (port_holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
    let port_text = port.to_string();
    let mut args = vec!["-v", "-c3", "-x", &rules];
    args.extend(setting.options);
    if !setting.banner.is_empty() {
        args.extend(["-B", setting.banner]);
    }
    args.extend([setting.host, &port_text, "/bin/echo", SERVED]);
    let mut launch = traced(world, fault, "tcpserver", &args);
    for (name, value) in setting.environment {
        launch = launch.env(name, value);
    }
    let mut process = world.start(launch);
    let span = fault.map_or(0, |fault| fault.span);
    let mut visits = Visits {
        port,
        full: format!("{}{SERVED}\n", setting.banner),
        served: 0,
        lost: 0,
    };
    let mut is_served = false;
    while !is_served && visits.lost <= span {
        // Who comes between listen and a call that fails is in the queue of a server that never serves.
        let Some(first) = visits.wait_until_it_listens(&process) else {
            return refused_to_start(world, process, fault);
        };
        is_served = visits.note(&first);
    }
    visits.come(FOE);
    visits.come(FRIEND);
    visits.come(FOE);
    visits.come(FRIEND);
    assert!(
        visits.lost <= span.max(1),
        "{} of 3 friends were lost by {span} faults:\n{}",
        visits.lost,
        log_of(&process)
    );
    let mut tries = 0;
    while !visits.come(FRIEND) {
        tries += 1;
        assert!(
            tries <= span + 1,
            "the friend is not served any more:\n{}",
            log_of(&process)
        );
    }
    drop(port_holder);
    let pid = process.pid();
    eventually("no connection is open", || {
        let log = log_of(&process);
        // A warning may follow it.
        let mut lines = log.lines().rev();
        let status = lines.find(|line| line.starts_with("tcpserver: status: "));
        status == Some(STATUS_AT_REST) || fault.is_some_and(|fault| fault.call == "write")
    });
    eventually("no child is left", || {
        crate::world::children(pid).is_empty()
    });
    // A close that was not made leaves what it should have closed, and so does a dup3 that should have replaced it.
    let is_left = fault.is_some_and(|fault| matches!(fault.call, "close" | "dup3"));
    if !is_left {
        assert_eq!(descriptors(pid), at_rest(), "descriptors");
    }
    process.signal(Signal::SIGTERM);
    let status = process.wait();
    assert_eq!(status.code(), Some(0), "{status:?}\n{}", log_of(&process));
    let log = lossy(&process.outcome().stderr);
    assert!(!log.contains("internal error"), "{log}");
    // A call that is tampered with is not made: what it was said to have written is not there.
    let is_cut = fault.is_some_and(|fault| fault.call == "write" && fault.what.contains("retval"));
    assert!(
        is_cut || log.lines().all(|line| line.starts_with("tcpserver: ")),
        "lines are not whole:\n{log}"
    );
    let outcome = match (visits.lost, tries) {
        (0, 0) => "all were served",
        (0 | 1, 0 | 1) => "one connection was dropped",
        _ => "connections were dropped while it lasted",
    };
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome,
        log,
    }
}

struct Visits {
    port: u16,
    /// What a peer gets who is served.
    full: String,
    served: usize,
    lost: usize,
}

impl Visits {
    /// The friend tries until somebody listens; gives what it received. `None` when the server has ended.
    fn wait_until_it_listens(&self, process: &Process) -> Option<String> {
        let mut received = None;
        eventually("the server listens or has ended", || {
            if let Ok(mut stream) =
                net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, self.port, |_| false)
            {
                received = Some(lossy(&net::receive_all(&mut stream)));
                return true;
            }
            has_ended(process.pid())
        });
        received
    }

    /// A connection from `source` to its end; true when it was served.
    fn come(&mut self, source: Ipv4Addr) -> bool {
        let mut stream = net::connect_from(source, Ipv4Addr::LOCALHOST, self.port, |_| false)
            .expect("the server listens");
        let received = lossy(&net::receive_all(&mut stream));
        if source == FOE {
            assert!(
                !received.contains(SERVED),
                "the foe was admitted: {received:?}"
            );
            return false;
        }
        self.note(&received)
    }

    fn note(&mut self, received: &str) -> bool {
        let is_served = received == self.full;
        if is_served {
            self.served += 1;
        } else {
            self.lost += 1;
        }
        is_served
    }
}

/// A server that ends before it listens says why, in one line, and exits 111.
fn refused_to_start(world: &World, process: Process, fault: Option<&Fault>) -> Trial {
    let outcome = process.outcome();
    let log = lossy(&outcome.stderr);
    assert!(fault.is_some(), "it does not even start undisturbed: {log}");
    assert_eq!(
        outcome.status.code(),
        Some(111),
        "{:?} {log}",
        outcome.status
    );
    let last = log.lines().last().unwrap_or_default();
    assert!(last.starts_with("tcpserver: fatal: "), "{log}");
    assert!(!log.contains("internal error"), "{log}");
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome: "it did not start and said why (111)",
        log,
    }
}

pub(crate) fn log_of(process: &Process) -> String {
    process
        .stderr
        .as_ref()
        .map_or_else(String::new, |log| lossy(&log.so_far()))
}

/// What a server at rest has open: two places held, the log, the runtime's three, the rules, the listener, the signals.
pub(crate) fn at_rest() -> Vec<String> {
    let mut names = [
        "",
        "",
        "anon_inode:[eventfd]",
        "anon_inode:[eventpoll]",
        "anon_inode:[eventpoll]",
        "anon_inode:[signalfd]",
        "anon_inode:[signalfd]",
        "pipe",
        "rules.cdb",
        "socket",
    ]
    .map(|name| name.split(":[").next().unwrap_or_default().to_owned())
    .to_vec();
    names.sort();
    names
}
