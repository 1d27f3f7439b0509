//! Global IPv6, IPv4, and both on one socket.

use super::world::{self, World};
use super::{Server, Test, client, one, program, refused, rules, text};
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[
    ("global_ipv6_is_served_and_connected", global),
    ("ipv4_is_served_and_connected", ipv4),
    ("server_for_both_families_serves_each_as_itself", both),
    ("server_for_any_ipv6_address_serves_ipv6", any_ipv6),
    ("system_setting_decides_for_any_ipv6_address_alone", setting),
    ("rules_with_prefixes_decide_over_both_families", ruled),
    ("local_address_decides_the_family_and_is_used", local),
    ("nobody_at_an_address_is_reported", nobody),
];

const V6: [&str; 14] = [
    "PROTO=TCP6",
    "TCPLOCALIP=2001:db8::1",
    "TCP6LOCALIP=2001:db8::1",
    "TCPLOCALPORT=%",
    "TCPREMOTEIP=2001:db8::2",
    "TCP6REMOTEIP=2001:db8::2",
    "here PROTO=TCP6",
    "here TCPLOCALIP=2001:db8::2",
    "here TCP6LOCALIP=2001:db8::2",
    "here TCPREMOTEIP=2001:db8::1",
    "here TCP6REMOTEIP=2001:db8::1",
    "here TCPREMOTEPORT=%",
    "here TCP6REMOTEPORT=%",
    "tcpclient: connected to 2001:db8::1 port %",
];

const V4: [&str; 7] = [
    "PROTO=TCP",
    "TCPLOCALIP=10.0.0.1",
    "TCPREMOTEIP=10.0.0.2",
    "here PROTO=TCP",
    "here TCPLOCALIP=10.0.0.2",
    "here TCPREMOTEIP=10.0.0.1",
    "tcpclient: connected to 10.0.0.1 port %",
];

/// No interface is named where the address says enough.
const INTERFACE: [&str; 2] = ["TCP6INTERFACE", "here TCP6INTERFACE"];

fn global(world: &World) -> Verdict {
    for host in ["2001:db8::1", "[2001:db8::1]", "2001:DB8:0:0:0:0:0:1"] {
        one(world, &[host, "0"], &[], host, &V6, &INTERFACE);
    }
    // An interface does no harm.
    one(
        world,
        &["-Is0", "2001:db8::1", "0"],
        &["-Ic0"],
        "2001:db8::1",
        &V6,
        &INTERFACE,
    );
    Verdict::Passed
}

fn ipv4(world: &World) -> Verdict {
    let not = ["TCP6", "here TCP6"];
    one(world, &["10.0.0.1", "0"], &[], "10.0.0.1", &V4, &not);
    one(world, &["0", "0"], &[], "10.0.0.1", &V4, &not);
    one(world, &["-4", ":0", "0"], &["-4"], "10.0.0.1", &V4, &not);
    Verdict::Passed
}

fn both(world: &World) -> Verdict {
    one(world, &[":0", "0"], &[], "2001:db8::1", &V6, &INTERFACE);
    one(
        world,
        &[":0", "0"],
        &[],
        "10.0.0.1",
        &V4,
        &["TCP6", "here TCP6"],
    );
    one(
        world,
        &[":0", "0"],
        &["-Ic0"],
        "fe80::1",
        &["TCP6INTERFACE=s0", "TCPREMOTEIP=fe80::2"],
        &[],
    );
    let mapped = [
        "PROTO=TCP6",
        "TCPREMOTEIP=::ffff:10.0.0.2",
        "TCP6REMOTEIP=::ffff:10.0.0.2",
    ];
    one(
        world,
        &["-6", ":0", "0"],
        &[],
        "10.0.0.1",
        &mapped,
        &INTERFACE,
    );
    Verdict::Passed
}

fn any_ipv6(world: &World) -> Verdict {
    one(world, &["::", "0"], &[], "2001:db8::1", &V6, &INTERFACE);
    one(
        world,
        &["[::]", "0"],
        &["-Ic0"],
        "fe80::1",
        &["TCPREMOTEIP=fe80::2"],
        &[],
    );
    Verdict::Passed
}

/// net.ipv6.bindv6only. With its usual value, 0, `::` is for both families too, as in ucspi-tcp6.
fn setting(world: &World) -> Verdict {
    one(world, &["::", "0"], &[], "10.0.0.1", &V4, &["TCP6"]);
    if let Err(why) = world.set("bindv6only", "1") {
        return world::cannot(why);
    }
    one(world, &[":0", "0"], &[], "10.0.0.1", &V4, &["TCP6"]);
    one(world, &["::", "0"], &[], "2001:db8::1", &V6, &[]);
    let server = Server::of_env(world, &["::", "0"]);
    let outcome = client(&[], "10.0.0.1", &server.port);
    assert_eq!(outcome.status.code(), Some(111));
    Verdict::Passed
}

fn ruled(world: &World) -> Verdict {
    let (_folder, cdb) = rules(
        "10.0.0.2/31:allow,RULE=\"v4\"\n10.0.0.0/8:deny\n2001:db8::/64:allow,RULE=\"v6\"\nfe80::/10:deny\n",
    );
    let serving = ["-x", &cdb, ":0", "0"];
    one(world, &serving, &[], "10.0.0.1", &["RULE=v4"], &[]);
    one(world, &serving, &[], "2001:db8::1", &["RULE=v6"], &[]);
    one(
        world,
        &serving,
        &["-Ic0"],
        "fe80::1",
        &[],
        &["PROTO", "tcpserver: ok"],
    );
    Verdict::Passed
}

fn local(world: &World) -> Verdict {
    one(
        world,
        &[":0", "0"],
        &["-i", "2001:db8::2"],
        "2001:db8::1",
        &V6,
        &INTERFACE,
    );
    one(
        world,
        &[":0", "0"],
        &["-i", "10.0.0.2"],
        "10.0.0.1",
        &V4,
        &[],
    );
    let server = Server::of_env(world, &[":0", "0"]);
    let outcome = client(&["-i", "2001:db8::3"], "2001:db8::1", &server.port);
    assert_eq!(outcome.status.code(), Some(111));
    assert_eq!(
        text(&outcome.stderr),
        "tcpclient: fatal: unable to bind socket: address not available\n"
    );
    Verdict::Passed
}

fn nobody(_: &World) -> Verdict {
    // The port is closed; the network has no such address; there is no such network.
    for (host, why) in [
        ("2001:db8::1", "connection refused"),
        ("2001:db9::1", "network unreachable"),
    ] {
        let said = format!("tcpclient: unable to connect to {host} port 25: {why}\n");
        let launch = program("tcpclient", &["-HRl0", host, "25", "true"]);
        assert_eq!(refused(launch), (Some(111), said));
    }
    Verdict::Passed
}
