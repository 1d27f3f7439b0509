//! Who is asked about connections that a balancer announces; and look-ups that wait while the next version comes.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use super::daemon::Daemon;
use super::gate::Gate;
use super::identd::Identd;
use super::nameserver::NameServer;
use super::zone::Zone;
use super::{NAME_SERVER, THERE};
use crate::support::launch::Launch;
use crate::support::net;

tests! {
    ident_is_never_asked_of_who_is_announced,
    names_of_who_is_announced_are_looked_up_only_when_asked_for,
    look_ups_go_on_in_the_next_version,
}

const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const HEADER: &str = "PROXY TCP4 127.0.0.2 127.0.0.1 4711 25\r\n";
const SHOW: [&str; 3] = [
    "sh",
    "-c",
    "echo $TCPREMOTEIP ${TCPREMOTEHOST-unknown} ${TCPREMOTEINFO-unknown}",
];

fn asking(launch: Launch) -> Launch {
    launch.env("DNSCACHEIP", NAME_SERVER.to_string())
}

fn zone() -> Zone {
    let zone = Zone::default().ptr(THERE, "there.test");
    zone.ptr(BALANCER, "balancer.test")
}

/// What the program shows of a connection from the balancer, which begins with `header`.
fn shown(server: &Daemon, from: Ipv4Addr, header: &str) -> String {
    let mut stream = server.connect(from);
    net::send(&mut stream, header.as_bytes());
    String::from_utf8_lossy(&net::receive_all(&mut stream)).into_owned()
}

fn ident_is_never_asked_of_who_is_announced() {
    let _name_server = NameServer::of(NAME_SERVER, zone());
    let idents = [THERE, BALANCER].map(|ip| Identd::saying(ip, "1, 2 : USERID : UNIX : joe\r\n"));
    for options in [&["-vl0"][..], &["-vrl0"], &["-vhrl0"]] {
        let options = [options, &["--proxy=127.0.0.3"]].concat();
        let server = Daemon::start(&options, &SHOW, asking);
        let answer = shown(&server, BALANCER, HEADER);
        assert!(answer.ends_with(" unknown\n"), "{options:?} {answer}");
        for ident in &idents {
            assert_eq!(ident.asked(), [], "{options:?}");
        }
        server.stop();
    }
    // Somebody who comes by himself is asked, and so is a balancer that speaks for itself.
    let server = Daemon::start(&["-vl0", "--proxy=127.0.0.3"], &SHOW, asking);
    shown(&server, THERE, "");
    assert_eq!(idents[0].asked().len(), 1);
    shown(&server, BALANCER, "PROXY UNKNOWN\r\n");
    assert_eq!(idents[1].asked().len(), 1);
    server.stop();
}

fn names_of_who_is_announced_are_looked_up_only_when_asked_for() {
    let names = NameServer::of(NAME_SERVER, zone());
    for (options, host) in [
        ("-vRl0", "unknown"),
        ("-vRHl0", "unknown"),
        ("-vRhl0", "there.test"),
    ] {
        let server = Daemon::start(&[options, "--proxy=127.0.0.3"], &SHOW, asking);
        let answer = shown(&server, BALANCER, HEADER);
        assert_eq!(answer, format!("127.0.0.2 {host} unknown\n"), "{options}");
        server.stop();
    }
    let asked = names.asked_for();
    assert!(
        !asked.iter().any(|name| name.contains("3.0.0.127")),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 1, "{asked:?}");
}

fn look_ups_go_on_in_the_next_version() {
    let gate = Gate::default();
    let names = gate.name_server(zone());
    let server = Daemon::start(
        &["-vRl0", "--upgrade"],
        &["printenv", "TCPREMOTEHOST"],
        asking,
    );
    let mut streams: Vec<_> = (0..3).map(|_| server.connect(THERE)).collect();
    server.wait_for("status: 3/40", 1);
    names.wait_for_questions(1);
    for upgrades in 1..=2 {
        server.signal(Signal::SIGUSR2);
        server.wait_for("tcpserver: upgraded, 3 connections go on", upgrades);
    }
    gate.open();
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"there.test\n");
    }
    server.wait_for("tcpserver: end ", 3);
    let log = server.stop();
    assert_eq!(log.matches("tcpserver: ok ").count(), 3, "{log}");
    assert_eq!(log.matches("tcpserver: status: 3/40").count(), 3, "{log}");
}
