//! Addresses that mean nothing without an interface.

use super::world::World;
use super::{Test, one, program, refused};
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[
    (
        "link_local_address_takes_its_interface_from_option_i",
        option,
    ),
    ("link_local_address_takes_its_interface_from_its_zone", zone),
    ("zone_of_an_address_goes_before_option_i", both),
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
