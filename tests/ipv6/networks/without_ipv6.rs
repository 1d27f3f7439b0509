//! IPv6 switched off in the kernel: net.ipv6.conf.all.disable_ipv6.

use super::world::{World, cannot};
use super::{Server, Test, client, program, refused, text};
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[
    (
        "both_families_fall_back_to_ipv4_with_one_warning",
        fall_back,
    ),
    ("quiet_server_falls_back_without_a_warning", quietly),
    ("ipv4_hosts_are_not_touched", untouched),
    ("ipv6_hosts_say_what_is_missing", missing),
];

/// Runs `test` once IPv6 is off.
fn off(world: &World, test: impl FnOnce()) -> Verdict {
    if let Err(why) = world.set("conf/all/disable_ipv6", "1") {
        return cannot(why);
    }
    test();
    Verdict::Passed
}

const WARNING: &str = "tcpserver: warning: this kernel has no IPv6, serving IPv4 only";

/// Serves one IPv4 client, and gives the log.
fn served(world: &World, args: &[&str]) -> String {
    let args = [args, &["0", "env"]].concat();
    let server = Server::start(world, program("tcpserver", &args));
    let outcome = client(&[], "10.0.0.1", &server.port);
    let said = text(&outcome.stdout);
    for line in ["PROTO=TCP", "TCPLOCALIP=10.0.0.1", "TCPREMOTEIP=10.0.0.2"] {
        assert!(
            said.lines().any(|other| other == line),
            "no line {line} in\n{said}"
        );
    }
    server.log()
}

fn fall_back(world: &World) -> Verdict {
    off(world, || {
        let log = served(world, &["-1vHRl0", ":0"]);
        let warnings = log.lines().filter(|line| line.contains("warning"));
        assert_eq!(warnings.collect::<Vec<_>>(), [WARNING], "{log}");
    })
}

fn quietly(world: &World) -> Verdict {
    off(world, || assert_eq!(served(world, &["-1qHRl0", ":0"]), ""))
}

fn untouched(world: &World) -> Verdict {
    off(world, || {
        for host in ["0", "", "10.0.0.1", "::ffff:10.0.0.1"] {
            assert_eq!(served(world, &["-1HRl0", host]), "", "{host}");
        }
        assert_eq!(served(world, &["-14HRl0", ":0"]), "");
    })
}

fn missing(world: &World) -> Verdict {
    off(world, || {
        for host in ["::", "::1", "2001:db8::1", "fe80::1%s0"] {
            let launch = program("tcpserver", &["-HRl0", host, "0", "true"]);
            let said = "tcpserver: fatal: unable to bind: this kernel has no IPv6\n".to_owned();
            assert_eq!(world.there(|| refused(launch)), (Some(111), said), "{host}");
        }
        let launch = program("tcpclient", &["-HRl0", "2001:db8::1", "25", "true"]);
        let (code, said) = world.there(|| refused(launch));
        assert_eq!(code, Some(111));
        assert!(
            said.starts_with("tcpclient: unable to connect to 2001:db8::1 port 25: "),
            "{said}"
        );
    })
}
