//! Scripted name servers and ident servers, and what the programs make of them.
//!
//! Each test has a network and an `/etc` of its own (`support::own_net`), with name servers on port 53 and ident servers on
//! port 113 of loopback addresses. `scenarios` are compared with the original, the other files test what ours promises
//! beyond it. `ci/names` runs all of it with everything required.

/// Lists the tests of a file: functions that panic when something is wrong.
macro_rules! tests {
    ($($name:ident,)*) => {
        pub(crate) fn tests() -> super::Tests {
            vec![$((stringify!($name), $name as fn())),*]
        }
    };
}

pub(crate) mod asking;
pub(crate) mod daemon;
pub(crate) mod descriptors;
pub(crate) mod ends;
pub(crate) mod gate;
pub(crate) mod hostile;
pub(crate) mod many;
pub(crate) mod proxied;
pub(crate) mod real;
pub(crate) mod scenarios;

use std::net::Ipv4Addr;

use crate::support::play::Family;
use crate::support::trials::{self, Trial};
pub(crate) use crate::support::{identd, nameserver, own_net as world, packet, zone};

/// Where the programs listen.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where clients come from, and where tcpclient goes.
pub(crate) const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where the name server is, and a second one.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
pub(crate) const SECOND_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 54);

/// Tests with their names.
pub(crate) type Tests = Vec<(&'static str, fn())>;

/// The tests that are no scenarios.
pub(crate) fn trials() -> Vec<Trial> {
    let rooms: [(&str, Tests); 6] = [
        ("asking", asking::tests()),
        ("many", many::tests()),
        ("hostile", hostile::tests()),
        ("ends", ends::tests()),
        ("proxied", proxied::tests()),
        ("descriptors", descriptors::tests()),
    ];
    let mut all = vec![Trial::new(
        "real::both_ends_are_known_to_each_other",
        real::both_ends_are_known_to_each_other,
    )];
    for (room, tests) in rooms {
        let trials = trials::of_tests(&tests).into_iter();
        all.extend(trials.map(|trial| trial.of(room)));
    }
    all.into_iter().map(Trial::in_own_net).collect()
}

/// The scenarios, with their records.
pub(crate) fn family() -> Family {
    let mut scenarios = scenarios::all();
    for scenario in &mut scenarios {
        scenario.needs_network();
    }
    Family {
        scenarios,
        package: "ucspi-tcp",
        records: "tests/names/golden",
    }
}
