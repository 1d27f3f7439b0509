//! Plays scenarios on our programs, and on the original ones where they are, and compares or records the transcripts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::book::Scenario;
use super::golden::{self, Mode};
use super::programs::{Programs, Side};
use super::scene::Scene;
use super::trials::{Trial, Verdict};

/// The original that the scenarios follow: ucspi-tcp 0.88 without the IPv6 patch.
const ORACLE_PACKAGE: &str = "ucspi-tcp";

/// Runs a scenario where it needs to be run.
pub(crate) type Stage = fn(&(dyn Fn() -> Verdict + Send + Sync)) -> Verdict;

/// One trial for each of the scenarios that `selects` and each side: `tcpserver::sentence` for ours,
/// `tcpserver::sentence [original]`. Each runs on `stage`.
pub(crate) fn trials(
    scenarios: &Arc<Vec<Scenario>>,
    selects: fn(&Scenario) -> bool,
    stage: Stage,
) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mode = Mode::from_env();
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
            let scenario = &scenarios[index];
            let is_beyond = scenario.is_ours_alone && programs.side == Side::Oracle;
            if !selects(scenario) || is_beyond {
                continue;
            }
            let mark = if programs.side == Side::Oracle {
                " [original]"
            } else {
                ""
            };
            let name = format!("{}{mark}", scenario.title());
            let (scenarios, programs) = (Arc::clone(scenarios), programs.clone());
            trials.push(Trial {
                name,
                run: Box::new(move || stage(&|| run(&scenarios[index], &programs, mode))),
            });
        }
    }
    trials
}

/// A trial that fails with a sentence.
pub(crate) fn trial(
    name: &str,
    check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> Trial {
    let run = move || check().map_or_else(Verdict::Failed, |()| Verdict::Passed);
    Trial {
        name: name.to_owned(),
        run: Box::new(run),
    }
}

fn run(scenario: &Scenario, programs: &Programs, mode: Mode) -> Verdict {
    if scenario.needs_root && !super::is_root() {
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
