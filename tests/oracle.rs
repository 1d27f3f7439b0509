//! Every scenario on our programs, and on the original ones where `UCSPI_ORACLE_DIR` says that they are.
//!
//! * `cargo test --test oracle` compares our programs with the recorded transcripts in `tests/golden`.
//! * `ci/oracle` fetches the originals and compares them with the same transcripts, live, in the same run.
//! * `UCSPI_GOLDEN=write ci/oracle` records what the originals do; `UCSPI_GOLDEN=write-subject cargo test --test oracle`
//!   records what ours do, only for scenarios that carry `.differs(...)`. Then review the difference.
//! * `UCSPI_SUBJECT_DIR` names another directory of programs to test in place of ours.
//!
//! * `UCSPI_DEADLINE` gives the seconds after which a wait is a failure.
//!
//! A scenario is one named result per side: `tcpserver::sentence` for ours, `tcpserver::sentence [original]`.

mod own_net;
mod scenarios;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use support::golden::Mode;
use support::{book, golden, play, trials};

fn main() -> ExitCode {
    support::launch::occupy_low_descriptors();
    let scenarios = Arc::new(scenarios::all());
    let all = [Arc::clone(&scenarios), Arc::clone(&scenarios)];
    let [recorded, explained] = all;
    let mut trials = vec![
        play::trial("golden::every_record_belongs_to_a_scenario", move || {
            golden::no_orphans(&recorded, Mode::from_env() == Ok(Mode::WriteOriginal))
        }),
        play::trial(
            "differences::every_deliberate_difference_is_explained",
            move || book::all_explained(&explained),
        ),
    ];
    trials.extend(play::trials(
        &scenarios,
        |scenario| !scenario.needs_network,
        |run| run(),
    ));
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    trials::main(args, trials)
}
