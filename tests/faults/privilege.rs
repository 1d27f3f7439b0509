//! Privileges go once, whole and in order, or the server does not start.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, job, may_trace, traced};
use crate::matrix::Table;
use crate::service::{FRIEND, SERVED, has_ended};
use crate::support::{net, pidfd, probe};
use crate::world::{self, Server, World, eventually, lossy};

const DROP: [&str; 2] = ["-u65533", "-g65532"];

/// What became of a traced server that was told to give up root.
enum Drop {
    Served,
    Refused(String),
}

/// One visit to a server started as root in some groups, or its refusal to start.
fn drop_privileges(world: &World, fault: Option<&Fault>) -> Drop {
    let (_holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
    let port_text = port.to_string();
    let args = [
        &DROP[..],
        &["-HRl0", "127.0.0.1", &port_text, "/bin/echo", SERVED],
    ]
    .concat();
    let launch = traced(world, fault, "tcpserver", &args).groups(&[0, 4, 5]);
    let mut process = world.start(launch);
    let mut is_served = false;
    eventually("the server serves or has ended", || {
        if let Ok(mut stream) = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, port, |_| false) {
            is_served = lossy(&net::receive_all(&mut stream)) == format!("{SERVED}\n");
            return true;
        }
        has_ended(process.pid())
    });
    if is_served {
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait().code(), Some(0));
        // The trace is complete.
        let _ = Calls::of_ended(&world.path("trace"));
        return Drop::Served;
    }
    let outcome = process.outcome();
    assert_eq!(outcome.status.code(), Some(111), "{:?}", outcome.status);
    Drop::Refused(lossy(&outcome.stderr))
}

/// What a server may call that is nobody any more: nothing here needs root.
const HARMLESS: [&str; 29] = [
    "accept4",
    "brk",
    "clone",
    "close",
    "dup3",
    "epoll_ctl",
    "epoll_wait",
    "exit_group",
    "fcntl",
    "futex",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getrandom",
    "getuid",
    "mmap",
    "mprotect",
    "munmap",
    "openat",
    "prctl",
    "prlimit64",
    "read",
    "rt_sigprocmask",
    "setsockopt",
    "sigaltstack",
    "signalfd4",
    "wait4",
    "write",
];

#[test]
fn groups_go_first_then_group_then_user_and_root_cannot_be_had_again() {
    let Some(world) = world::with_root_and(&["strace", "echo"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let Drop::Served = drop_privileges(&world, None) else {
        panic!("it does not start");
    };
    let trace = fs::read_to_string(world.path("trace")).expect("the trace is text");
    let lines: Vec<&str> = trace.lines().collect();
    let at = |start: &str| {
        let found = lines.iter().position(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in\n{trace}"))
    };
    let order = [
        "bind(",
        "listen(",
        "setgroups(1, [65532])",
        "setgid(65532)",
        "setuid(65533)",
        "setuid(0)",
        "accept4(",
    ];
    assert!(order.map(at).is_sorted(), "{trace}");
    assert!(lines[at("setuid(0)")].contains("= -1 EPERM"), "{trace}");
    for line in &lines[at("setuid(0)") + 1..] {
        let name = line.split('(').next().unwrap_or_default();
        let is_event = line.starts_with("---") || line.starts_with("+++");
        assert!(
            is_event || HARMLESS.contains(&job(name)),
            "after the drop: {line}"
        );
    }
}

#[test]
fn server_that_cannot_give_up_root_does_not_start() {
    let Some(world) = world::with_root_and(&["strace", "echo"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let mut table = Table::new("tcpserver's privileges");
    for (call, noun) in [("setgroups", "gid"), ("setgid", "gid"), ("setuid", "uid")] {
        // The last one is a call that says it worked and did nothing.
        for (what, why) in [
            ("error=EPERM", "permission denied"),
            ("error=EINVAL", "invalid argument"),
            ("error=EAGAIN", "temporary failure"),
            ("error=ENOMEM", "out of memory"),
            ("retval=0", "permission denied"),
        ] {
            let fault = Fault {
                call,
                what: what.to_owned(),
                first: 1,
                span: 1,
            };
            let Drop::Refused(log) = drop_privileges(&world, Some(&fault)) else {
                panic!("{call} {what}: it serves with privileges that it should not have");
            };
            let line = format!("tcpserver: fatal: unable to set {noun}: {why}\n");
            assert_eq!(log, line, "{call} {what}");
            table.add(&fault, "it did not start and said why (111)");
        }
    }
    table.print();
}

fn ids_under(world: &World, options: &[&str]) -> Vec<String> {
    let words = ["-1", "-HRl0"].iter().chain(options);
    let operands = ["127.0.0.1", "0"].iter().chain(&probe::IDS);
    let launch = world.program("tcpserver", words.chain(operands));
    let server = Server::on(world.start(launch.groups(&[0, 4, 5])));
    let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens");
    probe::ids(&lossy(&net::receive_all(&mut stream)))
}

/// Some of the users whom every system has, but root: (name, uid, gid).
fn users() -> Vec<[String; 3]> {
    let passwd = fs::read_to_string("/etc/passwd").expect("every system has one");
    let users = passwd.lines().map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        [fields[0], fields[2], fields[3]].map(str::to_owned)
    });
    users
        .filter(|[_, uid, gid]| uid != "0" && gid != "0")
        .collect()
}

/// What a program sees of itself that is `uid`, in the group `gid` alone.
fn shown(uid: &str, gid: &str) -> [String; 3] {
    [
        format!("user ids: {}", [uid; 4].join(" ")),
        format!("group ids: {}", [gid; 4].join(" ")),
        format!("groups: {gid}"),
    ]
}

#[test]
fn name_always_sets_the_group_list_whatever_its_numbers_are() {
    let Some(world) = world::with_root_and(&["cat"]) else {
        return;
    };
    let users = users();
    let Some([name, uid, gid]) = users.first() else {
        return world::skip("there is no user but root");
    };
    for (options, uid, gid) in [
        (&["-u", name][..], &uid[..], &gid[..]),
        (&["-u", name, "-g77"], uid, "77"),
        (&["-g77", "-u", name], uid, "77"),
        (&["-u", name, "-g0"], uid, "0"),
        (&["-g0", "-u", name], uid, "0"),
        (&["-u", name, "-g", "root"], uid, "0"),
        (&["-u66", "-g", "root"], "66", "0"),
        (&["-g", "root"], "0", "0"),
        (&["-u", "root"], "0", "0"),
    ] {
        assert_eq!(ids_under(&world, options), shown(uid, gid), "{options:?}");
    }
}

#[test]
fn last_user_wins_with_all_that_comes_with_it() {
    let Some(world) = world::with_root_and(&["cat"]) else {
        return;
    };
    let users = users();
    let [first @ .., [last, uid, gid]] = &users[..] else {
        return world::skip("there is no user but root");
    };
    let Some([first, ..]) = first.first() else {
        return world::skip("there is one user but root");
    };
    let of_last = shown(uid, gid);
    assert_eq!(ids_under(&world, &["-u", first, "-u", last]), of_last);
    assert_eq!(ids_under(&world, &["-u", "66", "-u", last]), of_last);
    // A number brings no group along, and takes none over.
    let [_, _, groups] = &ids_under(&world, &["-u", first, "-u", "66"])[..] else {
        panic!("three lines");
    };
    assert_eq!(groups, "groups: 0 4 5");
}

/// Runs `act` as an ordinary user, on a thread of its own.
fn unprivileged<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let act = || {
        pidfd::become_on_this_thread(UNPRIVILEGED);
        act()
    };
    std::thread::scope(|scope| scope.spawn(act).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// As which [`crate::support::launch::Launch::unprivileged`] runs programs.
const UNPRIVILEGED: u32 = 65534;

#[test]
fn program_cannot_take_descriptors_out_of_its_server_nor_look_into_it() {
    let Some(world) = world::with_root_and(&["cat"]) else {
        return;
    };
    // The server is nobody from its start, or becomes that; a program of such a server is nobody, too.
    let words = ["-1HRl0", "127.0.0.1", "0", "cat"];
    let from_the_start = world.program("tcpserver", words).unprivileged();
    let [option, rest @ ..] = words;
    let later = [&[option, "-u", "65534", "-g", "65534"], &rest[..]].concat();
    for launch in [from_the_start, world.program("tcpserver", later)] {
        let server = Server::on(world.start(launch));
        let stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false);
        let mut stream = stream.expect("the server listens");
        stream.write_all(b"hello\n").expect("cat reads");
        assert_eq!(net::receive_line(&mut stream), b"hello\n");
        let pid = server.process.pid();
        let program = world::children(pid)[0].unsigned_abs();
        let (of_program, of_server, listing) = unprivileged(|| {
            let taken = |pid| pidfd::descriptor_of(pid, 2).map(drop);
            let listing = fs::read_dir(format!("/proc/{pid}/fd")).map(drop);
            (taken(program), taken(pid), listing)
        });
        // That one is as open as ever.
        assert_eq!(of_program, Ok(()));
        assert_eq!(of_server, Err(nix::Error::EPERM));
        let refused = listing.map_err(|error| error.kind());
        assert_eq!(refused, Err(std::io::ErrorKind::PermissionDenied));
    }
}
