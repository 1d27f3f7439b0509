//! Names and ident: every test in a network, and with an `/etc`, that it makes itself.
//!
//! Name servers answer on port 53 and ident servers on port 113 of loopback addresses in a network namespace of the
//! test's own: nothing outside is asked, disturbed or needed, and tests run side by side. Where the system does not
//! permit namespaces each test says that it was skipped; with `UCSPI_NETNS_REQUIRED=1` it fails instead.
//!
//! The scenarios are compared with `tests/names/golden`, live with the original too where `UCSPI_ORACLE_DIR` says that it
//! is; `UCSPI_GOLDEN` records them as `tests/oracle.rs` tells. `ci/names` runs all of it with everything required.

#[path = "names/mod.rs"]
mod names;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use names::{golden, world};
use support::book::Scenario;
use support::golden::Mode;
use support::programs::{Programs, Side};
use support::scene::Scene;
use support::trials::{self, Trial, Verdict};

fn main() -> ExitCode {
    world::prepare();
    support::launch::occupy_low_descriptors();
    let mode = Mode::from_env();
    let oracle = Programs::oracle("ucspi-tcp");
    let mut trials = Vec::new();
    if let Err(error) = mode.as_ref().map(|_| ()).and(oracle.as_ref().map(|_| ())) {
        let error = error.clone();
        trials.push(trial("oracle::environment_is_understood", move || {
            panic!("{error}")
        }));
    }
    let mode = mode.unwrap_or(Mode::Check);
    let scenarios: Arc<Vec<Scenario>> = Arc::new(names::scenarios::all());
    let sides = [
        (mode != Mode::WriteOriginal).then(Programs::subject),
        oracle.unwrap_or(None),
    ];
    for programs in sides.into_iter().flatten() {
        for index in 0..scenarios.len() {
            let mark = match programs.side {
                Side::Subject => "",
                Side::Oracle => " [original]",
            };
            let name = format!("{}{mark}", scenarios[index].title());
            let (scenarios, programs) = (Arc::clone(&scenarios), programs.clone());
            trials.push(Trial {
                name,
                run: Box::new(move || world::within(|| run(&scenarios[index], &programs, mode))),
            });
        }
    }
    if mode == Mode::Check {
        trials.push(trial("golden::every_record_has_its_scenario", move || {
            golden::check_all(&scenarios)
        }));
        for (name, test) in names::tests() {
            trials.push(Trial {
                name,
                run: Box::new(move || world::within(&test)),
            });
        }
    }
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    // These tests mostly wait.
    let threads = "--test-threads=16".to_owned();
    trials::main(std::iter::once(threads).chain(args), trials)
}

fn run(scenario: &Scenario, programs: &Programs, mode: Mode) -> Verdict {
    let mut scene = Scene::new(scenario.program, programs);
    (scenario.steps)(&mut scene);
    let transcript = scene.into_transcript();
    let path = golden::path(scenario, programs.side);
    if mode.records(scenario, programs.side) {
        support::golden::write(&path, &transcript);
        return Verdict::Passed;
    }
    support::golden::compare(&path, &transcript).map_or_else(Verdict::Failed, |()| Verdict::Passed)
}

fn trial(name: &str, check: impl Fn() + Send + Sync + 'static) -> Trial {
    let run = move || {
        check();
        Verdict::Passed
    };
    Trial {
        name: name.to_owned(),
        run: Box::new(run),
    }
}
