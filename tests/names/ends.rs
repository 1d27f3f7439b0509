//! How a server ends while connections are being looked up, and what it says about those that wait.

use std::io::Write as _;
use std::net::TcpStream;

use nix::sys::signal::{Signal, killpg};

use super::daemon::Daemon;
use super::gate::Gate;
use super::nameserver::NameServer;
use super::zone::Zone;
use super::{NAME_SERVER, THERE, world};
use crate::support::launch::Launch;
use crate::support::net;

tests! {
    terminated_server_ends_at_once_and_a_copy_finishes_what_is_looked_up,
    copy_gives_up_when_the_limit_has_passed,
    copy_ends_by_sigterm,
    copy_of_a_server_whose_peer_does_not_read_its_banner_ends,
    next_server_listens_while_a_copy_decides,
    terminated_server_with_nothing_to_look_up_ends_at_once,
    server_that_looks_up_its_own_address_ends_at_once,
    draining_server_ends_at_once_when_told_twice,
    connection_that_waits_is_told_of_once,
    waiting_connection_keeps_its_number_when_it_is_refused,
    nobody_who_is_decided_at_once_is_said_to_wait,
}

fn asking(launch: Launch) -> Launch {
    launch.env("DNSCACHEIP", NAME_SERVER.to_string())
}

/// A server that asks a silent name server about `count` peers, and these.
fn pending(options: &[&str], program: &[&str], count: usize) -> (Daemon, Vec<TcpStream>) {
    let options = [&["-vRl0"], options].concat();
    let server = Daemon::start(&options, program, asking);
    let streams = (0..count).map(|_| server.connect(THERE)).collect();
    server.wait_for(&format!("status: {count}/40"), 1);
    (server, streams)
}

/// Without these two, the port of a server that looks up one silent peer stayed closed for half a minute.
fn terminated_server_ends_at_once_and_a_copy_finishes_what_is_looked_up() {
    let gate = Gate::default();
    let name_server = gate.name_server(Zone::default().ptr(THERE, "there.test"));
    let (mut server, mut streams) = pending(&[], &["printenv", "TCPREMOTEHOST"], 5);
    name_server.wait_for_questions(1);
    server.signal(Signal::SIGTERM);
    // The name server has not answered yet.
    assert_eq!(server.exit_code(), Some(0));
    server.wait_until_refused();
    gate.open();
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"there.test\n");
    }
    server.wait_for("tcpserver: ok ", 5);
    // Of a server that has ended, no connection is open.
    let log = server.log_to_end();
    assert!(!log.contains("status: 4/40\ntcpserver: status: 3"), "{log}");
    assert_eq!(log.matches("status: ").count(), 6, "{log}");
}

fn copy_gives_up_when_the_limit_has_passed() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let (mut server, mut streams) = pending(&["--lookup-timeout=1"], &["echo", "served"], 2);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"served\n");
    }
    // The log ends: nobody is left who has it open.
    let log = server.log_to_end();
    assert_eq!(log.matches("tcpserver: ok ").count(), 2, "{log}");
}

fn copy_ends_by_sigterm() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let (mut server, mut streams) = pending(&["--lookup-timeout=600"], &["echo", "served"], 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    assert!(net::is_silent(&streams[0]), "nobody goes on");
    killpg(server.group(), Signal::SIGTERM).expect("the copy is of the server's group");
    assert_eq!(net::receive_all(&mut streams[0]), b"");
    server.log_to_end();
}

fn copy_of_a_server_whose_peer_does_not_read_its_banner_ends() {
    // No more of a banner than this is under way.
    std::fs::write("/proc/sys/net/ipv4/tcp_wmem", "4096 4096 4096").expect("this network is ours");
    let banner = "b".repeat(100_000);
    let options = ["-vHRl0", "--lookup-timeout=1", "-B", &banner];
    let mut server = Daemon::start(&options, &["true"], |launch| launch);
    let stream = server.connect(THERE);
    server.wait_for("status: 1/40", 1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    server.log_to_end();
    drop(stream);
}

fn next_server_listens_while_a_copy_decides() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let (mut server, mut streams) = pending(&["--lookup-timeout=600"], &["true"], 3);
    let port = server.port.to_string();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    let next = Daemon::start_at(&port, &["-HRl0"], &["echo", "next"], |launch| launch);
    assert_eq!(net::receive_all(&mut next.connect(THERE)), b"next\n");
    assert!(net::is_silent(&streams[0]), "nobody goes on");
    killpg(server.group(), Signal::SIGTERM).expect("the copy is of the server's group");
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"");
    }
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

fn server_that_looks_up_its_own_address_ends_at_once() {
    let name_server = NameServer::silent(NAME_SERVER);
    world::etc("hosts", "");
    let mut server = Daemon::start_unbound(&["-v"], "host.test", &["true"], asking);
    name_server.wait_for_questions(1);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(server.log_to_end(), "");
}

fn draining_server_ends_at_once_when_told_twice() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let options = ["--drain=600", "--lookup-timeout=600"];
    let (mut server, mut streams) = pending(&options, &["echo", "served"], 1);
    server.signal(Signal::SIGTERM);
    server.wait_until_refused();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(net::receive_all(&mut streams[0]), b"");
}

fn connection_that_waits_is_told_of_once() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let (server, mut streams) = pending(&["--lookup-timeout=3"], &["echo", "served"], 2);
    server.wait_for("tcpserver: waiting 4194305 from 127.0.0.2\n", 1);
    server.wait_for("tcpserver: waiting 4194306 from 127.0.0.2\n", 1);
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"served\n");
    }
    let log = server.terminate();
    assert_eq!(log.matches("waiting").count(), 2, "{log}");
    assert_eq!(log.matches("tcpserver: pid ").count(), 2, "{log}");
    assert_eq!(log.matches("419430").count(), 2, "{log}");
}

fn waiting_connection_keeps_its_number_when_it_is_refused() {
    let _name_server = NameServer::silent(NAME_SERVER);
    let options = ["--lookup-timeout=2", "-x", "/nowhere/rules.cdb"];
    let (server, mut streams) = pending(&options, &["echo", "served"], 1);
    assert_eq!(net::receive_all(&mut streams[0]), b"");
    let log = server.terminate();
    let about: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains("status"))
        .collect();
    let expected = [
        "tcpserver: waiting 4194305 from 127.0.0.2",
        "tcpserver: pid 4194305 from 127.0.0.2",
        "tcpserver: warning: dropping connection, unable to read /nowhere/rules.cdb: file does not exist",
    ];
    assert_eq!(about, expected);
    assert!(
        log.contains("tcpserver: end 4194305 status 28416\n"),
        "{log}"
    );
}

fn nobody_who_is_decided_at_once_is_said_to_wait() {
    let _name_server = NameServer::of(NAME_SERVER, Zone::default());
    let options = ["-vRl0"];
    let server = Daemon::start(&options, &["sleep", "1.5"], asking);
    let mut stream = server.connect(THERE);
    assert_eq!(net::receive_all(&mut stream), b"");
    let log = server.terminate();
    assert!(!log.contains("waiting"), "{log}");
}
