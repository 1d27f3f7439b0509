//! Descriptors, the new scarce thing: a connection that is looked up holds several.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpStream};

use nix::sys::resource::{Resource, getrlimit};

use super::daemon::Daemon;
use super::gate::Gate;
use super::many::client;
use super::nameserver::NameServer;
use super::zone::Zone;
use super::{HERE, NAME_SERVER, THERE};
use crate::support::net;

tests! {
    limit_beyond_the_descriptors_is_warned_of_once,
    limit_without_lookups_is_not_warned_of,
    fewest_descriptors_with_which_it_starts_are_enough_for_look_ups,
    program_has_the_inherited_descriptor_limit,
    server_without_descriptors_recovers,
    silent_servers_cost_one_descriptor_a_question_however_many_they_are,
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

/// The smallest limit with which a server starts that looks up names; see `DESCRIPTORS_OF_SERVER`.
const FEWEST: u64 = 13;

fn fewest_descriptors_with_which_it_starts_are_enough_for_look_ups() {
    let zone = Zone::default()
        .ptr(THERE, "there.test")
        .ptr(HERE, "here.test");
    let _name_server = NameServer::of(NAME_SERVER, zone);
    let script = "echo $TCPLOCALHOST $TCPREMOTEHOST";
    let server = Daemon::start(&["-R"], &["sh", "-c", script], |launch| {
        launch
            .env("DNSCACHEIP", NAME_SERVER.to_string())
            .limit(Resource::RLIMIT_NOFILE, FEWEST)
    });
    for _ in 0..2 {
        let received = net::receive_all(&mut server.connect(THERE));
        assert_eq!(received, b"here.test there.test\n");
    }
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

fn silent_servers_cost_one_descriptor_a_question_however_many_they_are() {
    const CONNECTIONS: u16 = 20;
    let ips = [53, 54, 55, 56].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let servers = ips.map(NameServer::silent);
    let list = ips.map(|ip| ip.to_string()).join(" ");
    let server = Daemon::start(&["-vRl0"], &["true"], |launch| {
        launch.env("DNSCACHEIP", list)
    });
    // It has all that it needs then; the port comes before that.
    server.wait_for("status: 0/40", 1);
    let before = server.descriptors();
    let pending: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|number| server.connect(client(number)))
        .collect();
    // The last of them is asked when all others have been.
    servers[3].wait_for_questions(CONNECTIONS.into());
    // Each connection, and its question.
    let allowed = before + 2 * usize::from(CONNECTIONS);
    assert!(server.descriptors() <= allowed, "{}", server.descriptors());
    drop(pending);
    server.stop();
}
