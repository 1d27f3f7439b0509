//! Scripted name servers and ident servers, and what the programs make of them.
//!
//! `world` makes the network, `packet`, `zone` and `nameserver` the answers of DNS, `identd` those of ident; `scenarios`
//! are compared with the original, the other files test what ours promises beyond it.

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
pub(crate) mod golden;
pub(crate) mod hostile;
pub(crate) mod identd;
pub(crate) mod many;
pub(crate) mod nameserver;
pub(crate) mod packet;
pub(crate) mod real;
pub(crate) mod scenarios;
pub(crate) mod world;
pub(crate) mod zone;

use std::net::Ipv4Addr;

use crate::support::trials::Verdict;

/// Where the programs listen.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where clients come from, and where tcpclient goes.
pub(crate) const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where the name server is, and a second one.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
pub(crate) const SECOND_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 54);

pub(crate) type Test = Box<dyn Fn() -> Verdict + Send + Sync>;
/// Tests with their names.
pub(crate) type Tests = Vec<(&'static str, fn())>;

/// The tests that are no scenarios.
pub(crate) fn tests() -> Vec<(String, Test)> {
    let rooms: [(&str, Tests); 5] = [
        ("asking", asking::tests()),
        ("many", many::tests()),
        ("hostile", hostile::tests()),
        ("ends", ends::tests()),
        ("descriptors", descriptors::tests()),
    ];
    let mut all: Vec<(String, Test)> = Vec::new();
    for (room, tests) in rooms {
        for (name, test) in tests {
            let run = move || {
                test();
                Verdict::Passed
            };
            all.push((format!("{room}::{name}"), Box::new(run)));
        }
    }
    all.push((
        "real::both_ends_are_known_to_each_other".to_owned(),
        Box::new(real::both_ends_are_known_to_each_other),
    ));
    all
}
