//! Names and ident over IPv6: ip6.arpa, AAAA, port 113, and name servers that are asked over IPv6.
//!
//! What a server finds out is asked of ucspi-tcp-ipv6 too, where `UCSPI_ORACLE_DIR` says that it is.

use super::dns::{A, AAAA, NameServer, Names, Told};
use super::world::World;
use super::{Server, Test, program, start, suites, text};
use crate::support::launch::Launch;
use crate::support::programs::{Programs, Side};
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[
    ("names_and_info_of_both_ends_are_found_over_ipv6", known),
    (
        "paranoid_server_forgets_a_name_that_leads_elsewhere",
        paranoid,
    ),
    (
        "ipv6_client_is_confirmed_by_ipv6_addresses_alone",
        confirmed,
    ),
    (
        "client_tries_all_addresses_of_a_name_of_both_families",
        all_addresses,
    ),
    ("client_with_4_knows_no_ipv6_address_of_a_name", only_ipv4),
    (
        "server_with_a_name_of_both_families_takes_ipv4",
        host_of_both,
    ),
    ("server_with_a_name_of_ipv6_alone_takes_that", host_of_ipv6),
];

const SERVER: &str = "2001:db8::1";

const NAMES: Names = &[
    ("server.test.", &["2001:db8::1"], Told::Both),
    ("client.test.", &["2001:db8::7", "2001:db8::2"], Told::Both),
    ("both.test.", &["10.0.0.1", "2001:db8::1"], Told::Forward),
];

/// The client's name leads to another address.
const LIES: Names = &[
    ("server.test.", &["2001:db8::1"], Told::Both),
    ("liar.test.", &["2001:db8::2"], Told::Reverse),
    ("liar.test.", &["2001:db8::9", "10.0.0.2"], Told::Forward),
];

fn asking(launch: Launch) -> Launch {
    launch.env("DNSCACHEIP", SERVER)
}

/// Runs `tcpserver args env` of `suite` for one client, whose ident server says `joe`: what the program and the log say.
fn served(world: &World, suite: &Programs, args: &[&str]) -> String {
    let say = "read ports; echo \"$ports : USERID : UNIX : joe\"";
    let ident = ["-1HRl0", "2001:db8::2", "113", "sh", "-c", say];
    let ident = start(program("tcpserver", &ident));
    ident.stdout.as_ref().expect("a pipe").first_line();
    let args = [args, &[SERVER, "0", "env"]].concat();
    let launch = Launch::new(suite.path("tcpserver"), "tcpserver", args);
    let server = Server::start(world, asking(launch));
    let cat = ["-HRl0", SERVER, &server.port, "sh", "-c", "cat <&6"];
    let received = start(program("tcpclient", &cat)).outcome();
    format!("{}{}", text(&received.stdout), server.log())
}

fn known(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, NAMES);
    for suite in suites() {
        let said = served(world, &suite, &["-1vp"]);
        for line in [
            "PROTO=TCP6",
            "TCPLOCALHOST=server.test",
            "TCP6LOCALHOST=server.test",
            "TCPREMOTEHOST=client.test",
            "TCP6REMOTEHOST=client.test",
            "TCPREMOTEINFO=joe",
            "TCP6REMOTEINFO=joe",
        ] {
            assert!(
                said.lines().any(|other| other == line),
                "{suite:?}: no line {line} in\n{said}"
            );
        }
        assert!(
            said.contains(" server.test:2001:db8::1:"),
            "{suite:?}: {said}"
        );
        assert!(
            said.contains(" client.test:2001:db8::2:joe:"),
            "{suite:?}: {said}"
        );
    }
    Verdict::Passed
}

fn paranoid(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, LIES);
    for suite in suites() {
        let said = served(world, &suite, &["-1vR"]);
        assert!(
            said.contains("TCPREMOTEHOST=liar.test"),
            "{suite:?}: {said}"
        );
        let said = served(world, &suite, &["-1vRp"]);
        assert!(!said.contains("REMOTEHOST"), "{suite:?}: {said}");
        assert!(
            said.contains("TCPLOCALHOST=server.test"),
            "{suite:?}: {said}"
        );
    }
    Verdict::Passed
}

/// The difference `confirming-ipv6`.
fn confirmed(world: &World) -> Verdict {
    let dns = NameServer::there(world, SERVER, NAMES);
    for suite in suites() {
        let said = served(world, &suite, &["-1vRp"]);
        assert!(
            said.contains("TCPREMOTEHOST=client.test"),
            "{suite:?}: {said}"
        );
        let asked = dns.asked();
        let is_original = suite.side == Side::Oracle;
        assert!(asked.contains(&AAAA), "{suite:?}");
        assert_eq!(asked.contains(&A), is_original, "{suite:?}");
    }
    Verdict::Passed
}

/// A server at `listen`, a client of `both.test`: what the client says.
fn connected(world: &World, listen: &str, options: &[&str]) -> (Option<i32>, String) {
    let server = Server::start(
        world,
        program("tcpserver", &["-1HRl0", listen, "0", "true"]),
    );
    let args = [options, &["both.test", &server.port, "true"]].concat();
    // The name server is in the other network, which hears of this one only what comes over the wire.
    let outcome = start(asking(program("tcpclient", &args))).outcome();
    (
        outcome.status.code(),
        text(&outcome.stderr).replace(&server.port, "PORT"),
    )
}

fn all_addresses(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, NAMES);
    let (code, said) = connected(world, SERVER, &["-vHRl0"]);
    let wanted = "tcpclient: unable to connect to 10.0.0.1 port PORT: connection refused\n\
        tcpclient: connected to 2001:db8::1 port PORT\n";
    assert_eq!((code, &said[..]), (Some(0), wanted));
    let (code, said) = connected(world, "10.0.0.1", &["-vHRl0"]);
    assert_eq!(
        (code, &said[..]),
        (Some(0), "tcpclient: connected to 10.0.0.1 port PORT\n")
    );
    // A local address leaves those of its own family.
    let (code, said) = connected(world, SERVER, &["-vHRl0", "-i", "2001:db8::2"]);
    assert_eq!(
        (code, &said[..]),
        (Some(0), "tcpclient: connected to 2001:db8::1 port PORT\n")
    );
    Verdict::Passed
}

fn only_ipv4(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, NAMES);
    let (code, said) = connected(world, SERVER, &["-4vHRl0"]);
    let wanted = "tcpclient: unable to connect to 10.0.0.1 port PORT: connection refused\n";
    assert_eq!((code, &said[..]), (Some(111), wanted));
    Verdict::Passed
}

/// Where a server that is told to listen at `host` can be reached.
fn reached(world: &World, host: &str) -> [bool; 2] {
    let launch = program("tcpserver", &["-1HRl0", host, "0", "true"]);
    let server = Server::start(world, asking(launch));
    ["10.0.0.1", SERVER].map(|ip| {
        let outcome = start(program("tcpclient", &["-HRl0", ip, &server.port, "true"])).outcome();
        outcome.status.success()
    })
}

fn host_of_both(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, NAMES);
    assert_eq!(reached(world, "both.test"), [true, false]);
    Verdict::Passed
}

fn host_of_ipv6(world: &World) -> Verdict {
    let _dns = NameServer::there(world, SERVER, NAMES);
    assert_eq!(reached(world, "server.test"), [false, true]);
    Verdict::Passed
}
