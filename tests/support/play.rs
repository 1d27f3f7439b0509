//! Plays scenarios on our programs, and on the original ones where they are, and compares or records the transcripts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::book::{self, Scenario};
use super::golden::{self, Mode};
use super::programs::{Programs, Side};
use super::scene::Scene;
use super::trials::{Trial, Verdict};

/// Scenarios that follow one original and are recorded in one folder.
pub(crate) struct Family {
    pub(crate) scenarios: Vec<Scenario>,
    /// The original: the folder below `$UCSPI_ORACLE_DIR`.
    pub(crate) package: &'static str,
    /// Where the transcripts are, below the root of the source.
    pub(crate) records: &'static str,
}

/// One trial for each scenario and each side, `tcpserver::sentence` for ours and `tcpserver::sentence [original]`, and
/// those about the family as a whole.
pub(crate) fn trials(family: Family) -> Vec<Trial> {
    let family = Arc::new(family);
    let mode = Mode::from_env();
    let oracle = Programs::oracle(family.package);
    let mut trials = whole(&family, mode.clone().and(oracle.clone().map(|_| ())));
    let mode = mode.unwrap_or(Mode::Check);
    let sides = [
        (mode != Mode::WriteOriginal).then(Programs::subject),
        oracle.unwrap_or(None),
    ];
    for programs in sides.into_iter().flatten() {
        for (index, scenario) in family.scenarios.iter().enumerate() {
            let mark = match programs.side {
                Side::Subject => "",
                Side::Oracle if scenario.is_ours_alone => continue,
                Side::Oracle => " [original]",
            };
            let (family, programs) = (Arc::clone(&family), programs.clone());
            trials.push(Trial {
                name: format!("{}{mark}", scenario.title()),
                in_own_net: scenario.needs_network,
                run: Box::new(move || run(&family, &family.scenarios[index], &programs, mode)),
            });
        }
    }
    trials
}

/// What must be true of a family, and of the environment.
fn whole(family: &Arc<Family>, environment: Result<(), String>) -> Vec<Trial> {
    let (recorded, explained) = (Arc::clone(family), Arc::clone(family));
    vec![
        trial(
            "oracle::programs_are_where_the_environment_says",
            move || environment.clone(),
        ),
        trial("golden::every_record_belongs_to_a_scenario", move || {
            let remove = Mode::from_env() == Ok(Mode::WriteOriginal);
            golden::no_orphans(recorded.records, &recorded.scenarios, remove)
        }),
        trial(
            "differences::every_deliberate_difference_is_explained",
            move || book::all_explained(&explained.scenarios),
        ),
    ]
}

/// A trial that fails with a sentence.
pub(crate) fn trial(
    name: &str,
    check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> Trial {
    Trial::new(name, move || Verdict::of(check()))
}

fn run(family: &Family, scenario: &Scenario, programs: &Programs, mode: Mode) -> Verdict {
    if scenario.needs_root && !super::is_root() {
        return Verdict::Skipped("needs root".to_owned());
    }
    let act = || act(family.records, scenario, programs, mode);
    match (scenario.pending, programs.side) {
        (Some(reason), Side::Subject) => {
            let passed = catch_unwind(AssertUnwindSafe(act)).is_ok_and(|done| done.is_ok());
            if passed {
                Verdict::Failed("it passes: remove the mark `.pending(...)`".to_owned())
            } else {
                Verdict::Skipped(format!("pending: {reason}"))
            }
        }
        _ => Verdict::of(act()),
    }
}

/// Plays the scenario and compares or records its transcript.
fn act(records: &str, scenario: &Scenario, programs: &Programs, mode: Mode) -> Result<(), String> {
    let mut scene = Scene::new(scenario.program, programs);
    (scenario.steps)(&mut scene);
    let transcript = scene.into_transcript();
    let path = golden::path(records, scenario, programs.side);
    let recorded = if mode.records(scenario, programs.side) {
        golden::write(&path, &transcript);
        Ok(())
    } else {
        golden::compare(&path, &transcript)
    };
    let related = match (scenario.adds, programs.side) {
        (Some(prefix), Side::Subject) => {
            let original = golden::path(records, scenario, Side::Oracle);
            golden::compare_but_for(prefix, &original, &transcript)
        }
        _ => Ok(()),
    };
    related.and(recorded)
}
