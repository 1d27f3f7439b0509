//! SIGTERM while connections are being looked up.

use std::io::Write as _;
use std::net::TcpStream;

use nix::sys::signal::Signal;

use super::daemon::Daemon;
use super::gate::Gate;
use super::nameserver::NameServer;
use super::zone::Zone;
use super::{NAME_SERVER, THERE};
use crate::support::net;

tests! {
    terminated_server_finishes_what_is_looked_up,
    terminated_server_with_nothing_to_look_up_ends_at_once,
    second_termination_ends_the_server_at_once,
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
