//! Addresses that mean nothing without an interface.

use super::world::World;
use super::{Server, Test, one, program, refused, start, suites, text};
use crate::support::launch::Launch;
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[
    (
        "link_local_address_takes_its_interface_from_option_i",
        option,
    ),
    ("link_local_address_takes_its_interface_from_its_zone", zone),
    ("zone_of_an_address_goes_before_option_i", both),
    (
        "program_and_log_are_told_of_the_interface_as_by_the_patch",
        as_the_patch,
    ),
    ("link_local_address_without_interface_is_reported", without),
    ("interface_that_does_not_exist_is_reported", unknown),
];

const LINES: [&str; 11] = [
    "PROTO=TCP6",
    "TCPLOCALIP=fe80::1",
    "TCP6LOCALIP=fe80::1",
    "TCPREMOTEIP=fe80::2",
    "TCP6REMOTEIP=fe80::2",
    "TCP6INTERFACE=s0",
    "here PROTO=TCP6",
    "here TCPLOCALIP=fe80::2",
    "here TCPREMOTEIP=fe80::1",
    "here TCP6INTERFACE=c0",
    "tcpclient: connected to fe80::1 port %",
];

fn option(world: &World) -> Verdict {
    one(
        world,
        &["-I", "s0", "fe80::1", "0"],
        &["-I", "c0"],
        "fe80::1",
        &LINES,
        &[],
    );
    one(
        world,
        &["-Is0", "[fe80::1]", "0"],
        &["-Ic0"],
        "[fe80::1]",
        &LINES,
        &[],
    );
    let local = ["-Ic0", "-i", "fe80::2"];
    one(
        world,
        &["-Is0", "fe80::1", "0"],
        &local,
        "fe80::1",
        &LINES,
        &[],
    );
    Verdict::Passed
}

fn zone(world: &World) -> Verdict {
    one(world, &["fe80::1%s0", "0"], &[], "fe80::1%c0", &LINES, &[]);
    one(
        world,
        &["[fe80::1%s0]", "0"],
        &[],
        "[FE80:0::1%c0]",
        &LINES,
        &[],
    );
    Verdict::Passed
}

fn both(world: &World) -> Verdict {
    one(
        world,
        &["-Ilo", "fe80::1%s0", "0"],
        &["-Ilo"],
        "fe80::1%c0",
        &LINES,
        &[],
    );
    Verdict::Passed
}

/// The program's environment and the log, whole and in order.
fn as_the_patch(world: &World) -> Verdict {
    const SAID: &str = "PATH=/usr/bin:/bin\nPROTO=TCP6\n\
        TCPLOCALIP=fe80::1\nTCP6LOCALIP=fe80::1\nTCPLOCALPORT=PORT\nTCP6LOCALPORT=PORT\n\
        TCPLOCALHOST=0\nTCP6LOCALHOST=0\nTCP6INTERFACE=s0\n\
        TCPREMOTEIP=fe80::2\nTCP6REMOTEIP=fe80::2\nTCPREMOTEPORT=4000\nTCP6REMOTEPORT=4000\n\
        tcpserver: status: 0/40\ntcpserver: status: 1/40\n\
        tcpserver: pid PID from fe80::2\n\
        tcpserver: ok PID 0:fe80::1:PORT :fe80::2::4000\n\
        tcpserver: end PID status 0\ntcpserver: status: 0/40\n";
    for suite in suites() {
        let args = ["-1vHRl0", "-I", "s0", "fe80::1", "0", "env"];
        let launch = Launch::new(suite.path("tcpserver"), "tcpserver", args);
        let server = Server::start(world, launch);
        let port = server.port.clone();
        let args = [
            "-HRl0", "-Ic0", "-p4000", "fe80::1", &port, "sh", "-c", "cat <&6",
        ];
        let received = start(program("tcpclient", &args)).outcome().stdout;
        server
            .process
            .stderr
            .as_ref()
            .expect("a pipe")
            .wait_for("status: 0/40", 2);
        let said = format!("{}{}", text(&received), server.log());
        let said: String = said
            .replace(&port, "PORT")
            .lines()
            .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                [
                    "tcpserver:",
                    what @ ("pid" | "ok" | "end"),
                    _,
                    ref rest @ ..,
                ] => {
                    format!("tcpserver: {what} PID {}\n", rest.join(" "))
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(said, SAID, "{suite:?}");
    }
    Verdict::Passed
}

fn without(world: &World) -> Verdict {
    let launch = program("tcpserver", &["-HRl0", "fe80::1", "0", "true"]);
    let said = "tcpserver: fatal: unable to bind: invalid argument\n".to_owned();
    assert_eq!(world.there(|| refused(launch)), (Some(111), said));
    let launch = program("tcpclient", &["-HRl0", "fe80::1", "25", "true"]);
    let said = "tcpclient: unable to connect to fe80::1 port 25: invalid argument\n".to_owned();
    assert_eq!(refused(launch), (Some(111), said));
    Verdict::Passed
}

fn unknown(_: &World) -> Verdict {
    for (program_name, args) in [
        (
            "tcpserver",
            &["-HRl0", "-I", "x9", "fe80::1", "0", "true"][..],
        ),
        ("tcpserver", &["-HRl0", "fe80::1%x9", "0", "true"]),
        ("tcpclient", &["-HRl0", "-I", "x9", "fe80::1", "25", "true"]),
        ("tcpclient", &["-HRl0", "fe80::1%x9", "25", "true"]),
    ] {
        let (code, said) = refused(program(program_name, args));
        assert_eq!(code, Some(111), "{said}");
        let wanted = format!("{program_name}: fatal: unable to find interface x9: ");
        assert!(said.starts_with(&wanted), "{said}");
    }
    Verdict::Passed
}
