//! The small programs with real programs of others at the other end, each test in a network that it makes itself.
//!
//! Debian's packages: efingerd, micro-httpd, xinetd, openbsd-inetd, swaks, nsd. Where one is not installed its tests say that
//! they were skipped; with `UCSPI_COMPONENTS_REQUIRED=1` they fail instead. They are looked for in `$PATH`, /usr/sbin and
//! /usr/bin. Namespaces are as in `tests/clients.rs`.

#[path = "peers/clocks.rs"]
mod clocks;
#[path = "peers/mail.rs"]
mod mail;
mod own_net;
#[path = "peers/pages.rs"]
mod pages;
mod support;

use std::ffi::OsStr;
use std::process::ExitCode;

use own_net::world;
use support::trials::{self, Trial, Verdict};

/// A test, or the program that it needs and that is not there.
type Test = fn() -> Result<(), String>;

fn main() -> ExitCode {
    world::prepare();
    support::launch::occupy_low_descriptors();
    let tests = [pages::TESTS, clocks::TESTS, mail::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| Trial {
        name: name.to_owned(),
        run: Box::new(move || world::within(|| verdict(test()))),
    });
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    trials::main(args, trials.collect())
}

fn verdict(done: Result<(), String>) -> Verdict {
    let required = std::env::var_os("UCSPI_COMPONENTS_REQUIRED");
    match done {
        Ok(()) => Verdict::Passed,
        Err(missing) if required.as_deref() == Some(OsStr::new("1")) => Verdict::Failed(missing),
        Err(missing) => Verdict::Skipped(missing),
    }
}
