//! Many connections, one after the other: what is left of them.

use std::fs::{self, File};
use std::net::Ipv4Addr;

use crate::crowd::number;
use crate::support::launch::Output;
use crate::support::net;
use crate::support::process::resident;
use crate::world::{self, Server, World, children, count, eventually, open_files};

/// In `ci/soak` it is more; a multiple of four.
const CONNECTIONS: usize = 4000;

/// Connects from `source` and reads to the end.
fn visit(server: &Server, source: Ipv4Addr) {
    let mut stream = net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens");
    assert_eq!(net::receive_all(&mut stream), b"");
}

fn log(world: &World) -> String {
    fs::read_to_string(world.path("log")).expect("the log is text")
}

/// Waits until the server has said that `ends` connections have ended and none is open.
fn wait_for_rest(world: &World, ends: usize) {
    eventually("all connections have ended", || {
        let log = log(world);
        log.ends_with("tcpserver: status: 0/40\n") && count(&log, "tcpserver: end ") == ends
    });
}

#[test]
fn many_connections_leave_nothing_behind() {
    let Some(world) = world::with(&["true"]) else {
        return;
    };
    let connections = number("UCSPI_FLOOD").unwrap_or(CONNECTIONS);
    let rules = world.rules("127.0.4.:deny\n:allow\n");
    let args = ["-1", "-v", "-HRl0", "-x", &rules, "127.0.0.1", "0", "true"];
    let log_file = File::create(world.path("log")).expect("the test's directory is writable");
    let launch = world
        .program("tcpserver", args)
        .stderr(Output::File(log_file));
    let server = Server::on(world.start(launch));
    let pid = server.process.pid();
    // The first connection of each kind may open what stays open, such as the rules.
    visit(&server, Ipv4Addr::LOCALHOST);
    visit(&server, Ipv4Addr::new(127, 0, 4, 1));
    wait_for_rest(&world, 2);
    let at_first = (open_files(pid), children(pid), resident(pid));
    for turn in 0..connections {
        // Four sources in turn, one of them denied.
        let source = Ipv4Addr::new(127, 0, u8::try_from(turn % 4 + 1).unwrap_or(0), 1);
        visit(&server, source);
    }
    wait_for_rest(&world, connections + 2);
    let at_last = (open_files(pid), children(pid), resident(pid));
    assert_eq!(at_last.0, at_first.0, "descriptors");
    assert_eq!(at_last.1, at_first.1, "children");
    assert_eq!(at_last.1, [0; 0], "children");
    let grown = at_last.2.saturating_sub(at_first.2);
    assert!(grown < 1024, "{grown} KiB more than at the start");
    let log = log(&world);
    assert_eq!(count(&log, "tcpserver: deny "), connections / 4 + 1);
    assert_eq!(count(&log, "tcpserver: ok "), connections / 4 * 3 + 1);
    assert_eq!(count(&log, "tcpserver: warning"), 0);
}
