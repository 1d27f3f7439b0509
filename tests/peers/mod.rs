//! The small programs with real programs of others at the other end, each test in a network of its own.
//!
//! Debian's packages: efingerd, micro-httpd, xinetd, openbsd-inetd, postfix, swaks, nsd. Where one is not installed its tests say that
//! they were skipped; with `UCSPI_COMPONENTS_REQUIRED=1` they fail instead. They are looked for in `$PATH`, /usr/sbin and
//! /usr/bin.

pub(crate) mod clocks;
mod mail;
mod pages;
mod policy;

use crate::support::trials::{Trial, Verdict};

/// A test, or the program that it needs and that is not there.
type Test = fn() -> Result<(), String>;

pub(crate) fn trials() -> Vec<Trial> {
    let tests = [pages::TESTS, clocks::TESTS, mail::TESTS, policy::TESTS].concat();
    let trial = |(name, test): (&str, Test)| {
        let run = move || match test() {
            Ok(()) => Verdict::Passed,
            Err(missing) => Verdict::cannot(missing, "UCSPI_COMPONENTS_REQUIRED"),
        };
        Trial::new(name, run).in_own_net()
    };
    tests.into_iter().map(trial).collect()
}
