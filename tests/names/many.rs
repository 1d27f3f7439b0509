//! Many connections that wait: what they cost, and that they hold nobody else up.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use super::daemon::{Daemon, POLLER};
use super::identd::Identd;
use super::nameserver::{Act, NameServer};
use super::zone::Zone;
use super::{HERE, NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::{deadline, net};

tests! {
    two_thousand_pending_names_hold_nobody_up,
    two_thousand_pending_names_and_users_hold_nobody_up,
    silent_ident_server_holds_nobody_else_up,
    refused_ident_connection_costs_no_waiting,
    dead_server_among_two_costs_one_question,
    localhost_needs_no_name_server,
    server_reads_a_changed_resolv_conf,
    server_remembers_names,
    lookup_timeout_bounds_all_lookups,
}

const PENDING: u16 = 2000;
/// Three for each connection in the server, one in this test; room for the rest.
const DESCRIPTORS: u64 = 4 * PENDING as u64;
const BYTES_PER_CONNECTION_MAX: u64 = 24 * 1024;

/// 127.1.0.1 and so on.
pub(crate) fn client(number: u16) -> Ipv4Addr {
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

/// A number for people.
pub(crate) fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "    {line}");
}
