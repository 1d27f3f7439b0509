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

mod scenarios;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use support::book::Scenario;
use support::golden::{self, Mode};
use support::programs::{Programs, Side};
use support::scene::Scene;
use support::trials::{self, Trial, Verdict};

/// The original that the scenarios follow: ucspi-tcp 0.88 without the IPv6 patch.
const ORACLE_PACKAGE: &str = "ucspi-tcp";

fn main() -> ExitCode {
    support::launch::occupy_low_descriptors();
    let scenarios: Arc<Vec<Scenario>> = Arc::new(scenarios::all());
    let mode = Mode::from_env();
    let mut trials = vec![
        trial("golden::every_record_belongs_to_a_scenario", {
            let (scenarios, mode) = (Arc::clone(&scenarios), mode.clone());
            move || scenarios::no_orphans(&scenarios, mode == Ok(Mode::WriteOriginal))
        }),
        trial("differences::every_deliberate_difference_is_explained", {
            let scenarios = Arc::clone(&scenarios);
            move || scenarios::all_explained(&scenarios)
        }),
    ];
    let oracle = Programs::oracle(ORACLE_PACKAGE);
    if let Err(error) = mode.as_ref().map(|_| ()).and(oracle.as_ref().map(|_| ())) {
        let error = error.clone();
        trials.push(trial(
            "oracle::programs_are_where_the_environment_says",
            move || Err(error.clone()),
        ));
    }
    let mode = mode.unwrap_or(Mode::Check);
    let sides = [
        (mode != Mode::WriteOriginal).then(Programs::subject),
        oracle.unwrap_or(None),
    ];
    for programs in sides.into_iter().flatten() {
        for index in 0..scenarios.len() {
            let mark = if programs.side == Side::Oracle {
                " [original]"
            } else {
                ""
            };
            let name = format!("{}{mark}", scenarios[index].title());
            let (scenarios, programs) = (Arc::clone(&scenarios), programs.clone());
            trials.push(Trial {
                name,
                run: Box::new(move || run(&scenarios[index], &programs, mode)),
            });
        }
    }
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    trials::main(args, trials)
}

fn run(scenario: &Scenario, programs: &Programs, mode: Mode) -> Verdict {
    if scenario.needs_root && !support::is_root() {
        return Verdict::Skipped("needs root".to_owned());
    }
    match (scenario.pending, programs.side) {
        (Some(reason), Side::Subject) => {
            let passed = catch_unwind(AssertUnwindSafe(|| act(scenario, programs, mode)))
                .is_ok_and(|done| done.is_ok());
            if passed {
                Verdict::Failed("it passes: remove the mark `.pending(...)`".to_owned())
            } else {
                Verdict::Skipped(format!("pending: {reason}"))
            }
        }
        _ => act(scenario, programs, mode).map_or_else(Verdict::Failed, |()| Verdict::Passed),
    }
}

/// Plays the scenario and compares or records its transcript.
fn act(scenario: &Scenario, programs: &Programs, mode: Mode) -> Result<(), String> {
    let mut scene = Scene::new(scenario.program, programs);
    (scenario.steps)(&mut scene);
    let transcript = scene.into_transcript();
    let path = golden::path(scenario, programs.side);
    let recorded = if mode.records(scenario, programs.side) {
        golden::write(&path, &transcript);
        Ok(())
    } else {
        golden::compare(&path, &transcript)
    };
    let related = match (scenario.adds, programs.side) {
        (Some(prefix), Side::Subject) => {
            golden::compare_but_for(prefix, &golden::path(scenario, Side::Oracle), &transcript)
        }
        _ => Ok(()),
    };
    related.and(recorded)
}

fn trial(name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Trial {
    let run = move || check().map_or_else(Verdict::Failed, |()| Verdict::Passed);
    Trial {
        name: name.to_owned(),
        run: Box::new(run),
    }
}
