//! The programs whose ports are fixed: scenarios as in `tests/oracle.rs`, and tests against scripted servers, each in a
//! network that the test makes itself.
//!
//! Where the system does not permit namespaces each test says that it was skipped; with `UCSPI_NETNS_REQUIRED=1` it fails
//! instead. The other variables are those of `tests/oracle.rs`.

#[path = "clients/http_at.rs"]
mod http_at;
mod own_net;
mod scenarios;
mod support;
#[path = "clients/time_at.rs"]
mod time_at;

use std::process::ExitCode;
use std::sync::Arc;

use own_net::world;
use support::golden::Mode;
use support::{play, trials};

fn main() -> ExitCode {
    world::prepare();
    support::launch::occupy_low_descriptors();
    let mut trials = play::trials(
        &Arc::new(scenarios::all()),
        |scenario| scenario.needs_network,
        |run| world::within(run),
    );
    if Mode::from_env() == Ok(Mode::Check) {
        trials.extend(http_at::trials());
        trials.extend(time_at::trials());
    }
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    trials::main(args, trials)
}
