//! Many connections that wait: what they cost, and that they hold nobody else up.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, POLLER};
use super::identd::Identd;
use super::nameserver::{Act, NameServer};
use super::packet::Question;
use super::zone::Zone;
use super::{HERE, NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::{deadline, net};

pub(crate) fn tests() -> Vec<(&'static str, fn())> {
    vec![
        (
            "two_thousand_pending_names_hold_nobody_up",
            two_thousand_pending_names_hold_nobody_up,
        ),
        (
            "two_thousand_pending_names_and_users_hold_nobody_up",
            two_thousand_pending_names_and_users_hold_nobody_up,
        ),
        (
            "silent_ident_server_holds_nobody_else_up",
            silent_ident_server_holds_nobody_else_up,
        ),
        (
            "refused_ident_connection_costs_no_waiting",
            refused_ident_connection_costs_no_waiting,
        ),
        (
            "dead_server_among_two_costs_one_question",
            dead_server_among_two_costs_one_question,
        ),
        (
            "localhost_needs_no_name_server",
            localhost_needs_no_name_server,
        ),
        (
            "server_reads_a_changed_resolv_conf",
            server_reads_a_changed_resolv_conf,
        ),
        ("server_remembers_names", server_remembers_names),
        (
            "terminated_server_finishes_what_is_looked_up",
            terminated_server_finishes_what_is_looked_up,
        ),
        (
            "terminated_server_with_nothing_to_look_up_ends_at_once",
            terminated_server_with_nothing_to_look_up_ends_at_once,
        ),
        (
            "second_termination_ends_the_server_at_once",
            second_termination_ends_the_server_at_once,
        ),
        (
            "lookup_timeout_bounds_all_lookups",
            lookup_timeout_bounds_all_lookups,
        ),
        (
            "limit_beyond_the_descriptors_is_warned_of_once",
            limit_beyond_the_descriptors_is_warned_of_once,
        ),
        (
            "limit_without_lookups_is_not_warned_of",
            limit_without_lookups_is_not_warned_of,
        ),
        (
            "program_has_the_inherited_descriptor_limit",
            program_has_the_inherited_descriptor_limit,
        ),
        (
            "server_without_descriptors_recovers",
            server_without_descriptors_recovers,
        ),
    ]
}

const PENDING: u16 = 2000;
/// Three for each connection in the server, one in this test; room for the rest.
const DESCRIPTORS: u64 = 4 * PENDING as u64;
const BYTES_PER_CONNECTION_MAX: u64 = 24 * 1024;

/// 127.1.0.1 and so on.
fn client(number: u16) -> Ipv4Addr {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// A name server that answers `zone`, and nothing about other names.
fn selective(zone: Zone) -> NameServer {
    NameServer::scripted(NAME_SERVER, move |question, _| {
        let reply = zone.answer(question);
        match reply.is_empty() {
            true => Vec::new(),
            false => vec![Act::Say(reply.bytes())],
        }
    })
}

fn two_thousand_pending_names_hold_nobody_up() {
    pending("silent name server", None);
}

fn two_thousand_pending_names_and_users_hold_nobody_up() {
    let silent = Identd::unattended(Ipv4Addr::UNSPECIFIED, i32::from(PENDING) + 100);
    pending("silent name server, silent ident servers", Some(silent));
}

/// 2,000 connections wait for a silent name server; one more client, whose name is known, is served.
fn pending(label: &str, identd: Option<OwnedFd>) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    assert!(
        hard >= DESCRIPTORS,
        "a descriptor limit of {hard} is too low for this test"
    );
    let zone = Zone::default()
        .ptr(HERE, "here.test")
        .ptr(THERE, "there.test");
    let name_server = selective(zone);
    let server = Daemon::start(
        &["-v", "-c5000", "-b1000", "-t600", "--lookup-timeout=600"],
        &["printenv", "TCPREMOTEHOST"],
        |launch| launch.env("DNSCACHEIP", NAME_SERVER.to_string()),
    );
    let before = server.pss_bytes();
    let pending: Vec<TcpStream> = (0..PENDING)
        .map(|number| server.connect(client(number)))
        .collect();
    server.wait_for(&format!("status: {PENDING}/5000"), 1);
    let limit = Instant::now() + deadline();
    let names = || {
        let asked = name_server.asked_for();
        let names = asked
            .iter()
            .filter(|text| text.ends_with(".1.127.in-addr.arpa"));
        names.count()
    };
    while names() < usize::from(PENDING) {
        assert!(
            Instant::now() < limit,
            "only {} names are asked for",
            names()
        );
        name_server.wait_for_news(Duration::from_millis(200));
    }
    let (with, children) = (server.pss_bytes(), server.children());
    let each = with / u64::from(PENDING);
    // Ends the wait for users, not for names: the next one is to wait for neither.
    drop(identd);
    let mut served = server.connect(THERE);
    assert_eq!(net::receive_all(&mut served), b"there.test\n");
    // Nobody else has been served, or given up, in the meantime.
    for stream in &pending {
        stream.set_nonblocking(true).expect("a socket takes it");
        let closed = (&mut &*stream).read(&mut [0]);
        let error = closed.expect_err("nobody has closed it");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(served_lines(&server.stop()), 1);
    report(&format!(
        "{label}: {PENDING} pending, {children} children, PSS {} kB before and {} kB with them: {each} bytes each, {} more \
         than before",
        before / 1024,
        with / 1024,
        (with - before) / u64::from(PENDING),
    ));
    assert_eq!(children, 0);
    assert!(each <= BYTES_PER_CONNECTION_MAX, "{each} bytes each");
}

fn silent_ident_server_holds_nobody_else_up() {
    let third = Ipv4Addr::new(127, 0, 0, 3);
    let _silent = Identd::silent(THERE);
    let _joe = Identd::saying(third, ":::joe\n");
    let server = Daemon::start(&["-vHl0", "-t600"], &["printenv", "TCPREMOTEINFO"], |l| l);
    let _pending: Vec<TcpStream> = (0..20).map(|_| server.connect(THERE)).collect();
    server.wait_for("status: 20/40", 1);
    assert_eq!(net::receive_all(&mut server.connect(third)), b"joe\n");
    assert_eq!(served_lines(&server.stop()), 1);
}

/// How many clients the log says were served, but for those that only looked whether anybody listens.
fn served_lines(log: &str) -> usize {
    let poller = format!(":{POLLER}:");
    let served = log
        .lines()
        .filter(|line| line.starts_with("tcpserver: ok ") && !line.contains(&poller));
    served.count()
}

fn refused_ident_connection_costs_no_waiting() {
    let server = Daemon::start(&["-Hl0", "-t100000"], &["echo", "served"], |l| l);
    assert_eq!(net::receive_all(&mut server.connect(THERE)), b"served\n");
}

fn dead_server_among_two_costs_one_question() {
    let dead = NameServer::silent(NAME_SERVER);
    let second = NameServer::of(SECOND_NAME_SERVER, Zone::default().ptr(THERE, "there.test"));
    let server = Daemon::start(&["-Rl0"], &["printenv", "TCPREMOTEHOST"], |launch| {
        launch.env("DNSCACHEIP", "127.0.0.53.127.0.0.54")
    });
    let start = Instant::now();
    assert_eq!(
        net::receive_all(&mut server.connect(THERE)),
        b"there.test\n"
    );
    report(&format!(
        "dead server among two: a look-up took {:?}",
        start.elapsed()
    ));
    assert_eq!([dead.asked().len(), second.asked().len()], [1, 1]);
}

/// No resolv.conf, nobody on port 53, all look-ups wanted.
fn localhost_needs_no_name_server() {
    world::etc(
        "hosts",
        "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    );
    let server = Daemon::start(&["-HRl0"], &["echo", "served"], |l| l);
    let port = server.port.to_string();
    let outcome = Daemon::run_client(
        &["localhost", &port, "sh", "-c", "cat <&6; echo $TCPREMOTEIP"],
        |l| l,
    );
    assert_eq!(String::from_utf8_lossy(&outcome.stderr), "");
    assert_eq!(outcome.stdout, b"served\n127.0.0.1\n");
    assert!(outcome.status.success());
}

fn server_reads_a_changed_resolv_conf() {
    let third = Ipv4Addr::new(127, 0, 0, 3);
    let _first = NameServer::of(NAME_SERVER, Zone::default().ptr(THERE, "first.test"));
    let _second = NameServer::of(
        SECOND_NAME_SERVER,
        Zone::default().ptr(third, "second.test"),
    );
    world::etc("resolv.conf", "nameserver 127.0.0.53\n");
    let server = Daemon::start(&["-Rl0"], &["printenv", "TCPREMOTEHOST"], |l| l);
    assert_eq!(
        net::receive_all(&mut server.connect(THERE)),
        b"first.test\n"
    );
    world::etc("resolv.conf", "nameserver 127.0.0.54\n");
    assert_eq!(
        net::receive_all(&mut server.connect(third)),
        b"second.test\n"
    );
}

fn server_remembers_names() {
    let name_server = NameServer::of(
        NAME_SERVER,
        Zone::default()
            .ptr(THERE, "there.test")
            .ptr(HERE, "here.test")
            .a("there.test", &[THERE]),
    );
    let server = Daemon::start(&["-pR"], &["printenv", "TCPREMOTEHOST"], |launch| {
        launch.env("DNSCACHEIP", NAME_SERVER.to_string())
    });
    for _ in 0..30 {
        assert_eq!(
            net::receive_all(&mut server.connect(THERE)),
            b"there.test\n"
        );
    }
    let mut asked = name_server.asked();
    asked.sort();
    assert_eq!(
        asked,
        [
            "A there.test",
            "PTR 1.0.0.127.in-addr.arpa",
            "PTR 2.0.0.127.in-addr.arpa"
        ]
    );
}

/// Holds answers back until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().expect("nobody panics here") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let is_open = self.0.0.lock().expect("nobody panics here");
        let waited = self
            .0
            .1
            .wait_timeout_while(is_open, deadline(), |is_open| !*is_open);
        drop(waited.expect("nobody panics here"));
    }

    /// A name server that answers `zone` once the gate is open.
    fn name_server(&self, zone: Zone) -> NameServer {
        let gate = self.clone();
        NameServer::scripted(NAME_SERVER, move |question: &Question, _| {
            gate.wait();
            vec![Act::Say(zone.answer(question).bytes())]
        })
    }
}

fn terminated_server_finishes_what_is_looked_up() {
    let gate = Gate::default();
    let name_server = gate.name_server(Zone::default().ptr(THERE, "there.test"));
    let mut server = Daemon::start(&["-vRl0"], &["printenv", "TCPREMOTEHOST"], |launch| {
        launch.env("DNSCACHEIP", NAME_SERVER.to_string())
    });
    let mut pending: Vec<TcpStream> = (0..5).map(|_| server.connect(THERE)).collect();
    server.wait_for("status: 5/40", 1);
    name_server.wait_for_questions(1);
    server.signal(Signal::SIGTERM);
    server.wait_until_refused();
    gate.open();
    for stream in &mut pending {
        assert_eq!(net::receive_all(stream), b"there.test\n");
    }
    assert_eq!(server.exit_code(), Some(0));
    server.wait_for("tcpserver: ok ", 5);
}

fn terminated_server_with_nothing_to_look_up_ends_at_once() {
    let mut server = Daemon::start(&["-vR", "-lx"], &["cat"], |launch| {
        launch.env("DNSCACHEIP", NAME_SERVER.to_string())
    });
    let _name_server = NameServer::of(NAME_SERVER, Zone::default());
    let mut client = server.connect(THERE);
    server.wait_for("tcpserver: ok ", 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    // Its program goes on.
    client
        .write_all(b"still here\n")
        .expect("the program reads");
    assert_eq!(net::receive_line(&mut client), b"still here\n");
}

fn second_termination_ends_the_server_at_once() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let mut server = Daemon::start(
        &["-vRl0", "--lookup-timeout=600"],
        &["echo", "served"],
        |launch| launch.env("DNSCACHEIP", NAME_SERVER.to_string()),
    );
    let mut client = server.connect(THERE);
    server.wait_for("status: 1/40", 1);
    server.signal(Signal::SIGTERM);
    server.wait_until_refused();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(net::receive_all(&mut client), b"");
}

fn lookup_timeout_bounds_all_lookups() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let _identd = Identd::silent(THERE);
    let server = Daemon::start(
        &["-t600", "--lookup-timeout=1"],
        &[
            "sh",
            "-c",
            "echo ${TCPLOCALHOST-none} ${TCPREMOTEHOST-none} ${TCPREMOTEINFO-none}",
        ],
        |launch| launch.env("DNSCACHEIP", NAME_SERVER.to_string()),
    );
    assert_eq!(
        net::receive_all(&mut server.connect(THERE)),
        b"none none none\n"
    );
}

fn limit_beyond_the_descriptors_is_warned_of_once() {
    let _name_server = NameServer::of(NAME_SERVER, Zone::default());
    let server = Daemon::start(&["-c5000"], &["true"], |launch| {
        launch
            .env("DNSCACHEIP", NAME_SERVER.to_string())
            .limit(Resource::RLIMIT_NOFILE, 256)
    });
    for _ in 0..3 {
        assert_eq!(net::receive_all(&mut server.connect(THERE)), b"");
    }
    assert_eq!(
        server.terminate(),
        "tcpserver: warning: 256 descriptors may not be enough for 5000 connections that wait for look-ups\n"
    );
}

fn limit_without_lookups_is_not_warned_of() {
    let server = Daemon::start(&["-HRl0", "-c5000"], &["true"], |launch| {
        launch.limit(Resource::RLIMIT_NOFILE, 256)
    });
    assert_eq!(net::receive_all(&mut server.connect(THERE)), b"");
    assert_eq!(server.terminate(), "");
}

fn program_has_the_inherited_descriptor_limit() {
    let _name_server = NameServer::of(NAME_SERVER, Zone::default());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    let hard = hard.min(4000);
    let set_up = format!("ulimit -Sn 300; ulimit -Hn {hard}; exec \"$@\"");
    let server = Daemon::start_from_shell(
        &set_up,
        &["-Rl0", "-c5000"],
        &["sh", "-c", "ulimit -Sn; ulimit -Hn"],
    );
    let program = net::receive_all(&mut server.connect(THERE));
    assert_eq!(String::from_utf8_lossy(&program), format!("300\n{hard}\n"));
    assert_eq!(server.soft_limit_of_descriptors(), hard.to_string());
}

fn server_without_descriptors_recovers() {
    let gate = Gate::default();
    let zone = (0..200).fold(Zone::default(), |zone, number| {
        zone.ptr(client(number), "some.test")
    });
    let _name_server = gate.name_server(zone);
    let server = Daemon::start(
        &["-vRl0", "-c1000", "-b500"],
        &["echo", "served"],
        |launch| {
            launch
                .env("DNSCACHEIP", NAME_SERVER.to_string())
                .limit(Resource::RLIMIT_NOFILE, 128)
        },
    );
    let mut pending: Vec<TcpStream> = (0..200)
        .map(|number| server.connect(client(number)))
        .collect();
    server.wait_for("unable to accept connections", 1);
    gate.open();
    for stream in &mut pending {
        assert_eq!(net::receive_all(stream), b"served\n");
    }
    server.wait_for("tcpserver: end ", 200);
    let log = server.terminate();
    let warnings: BTreeSet<&str> = log
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_eq!(
        warnings.into_iter().collect::<Vec<_>>(),
        [
            "tcpserver: warning: 128 descriptors may not be enough for 1000 connections that wait for look-ups",
            "tcpserver: warning: unable to accept connections: process cannot open more files; trying again",
        ]
    );
}

/// A number for people.
fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "    {line}");
}
