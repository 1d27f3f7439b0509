//! What all tests of running programs share: start a program in a prepared world, wait for it with a deadline, write
//! down what it did in a text that is the same on every machine and in every run.
//!
//! Read in this order: `book` (what a scenario is), `scene` (what it can do), `launch` (how a program is started),
//! `transcript` and `names` (how it is written down), `golden`, `play` and `trials` (how it is compared and reported).
#![allow(
    dead_code,
    reason = "each test binary uses its own part of the support"
)]

pub(crate) mod book;
pub(crate) mod capture;
pub(crate) mod cdb;
pub(crate) mod child;
pub(crate) mod code;
pub(crate) mod diff;
pub(crate) mod golden;
pub(crate) mod identd;
pub(crate) mod inspect;
pub(crate) mod launch;
pub(crate) mod names;
pub(crate) mod nameserver;
pub(crate) mod net;
pub(crate) mod nsd;
pub(crate) mod own_net;
pub(crate) mod packet;
pub(crate) mod pidfd;
pub(crate) mod place;
pub(crate) mod play;
pub(crate) mod probe;
pub(crate) mod proc;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod temp;
pub(crate) mod transcript;
pub(crate) mod trials;
pub(crate) mod wait;
pub(crate) mod zone;

use std::sync::OnceLock;
use std::time::Duration;

/// Nothing that a test waits for takes this long, beside whatever else runs on the machine; it only turns a hang into a
/// failure. `$UCSPI_DEADLINE` gives another number of seconds: fewer while a program is being written.
pub(crate) fn deadline() -> Duration {
    static SECONDS: OnceLock<u64> = OnceLock::new();
    let seconds = SECONDS.get_or_init(|| {
        let given = std::env::var("UCSPI_DEADLINE").ok();
        given.map_or(120, |text| {
            text.parse().expect("UCSPI_DEADLINE is a number of seconds")
        })
    });
    Duration::from_secs(*seconds)
}

/// Whether the environment variable `name` is 1.
pub(crate) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

/// Whether the tests may change user and group ids and read what is forbidden to others.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
