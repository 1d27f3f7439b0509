//! IPv6: the programs compared with ucspi-tcp-ipv6, the rules for IPv6 and prefixes, and two networks joined by a wire.
//!
//! The scenarios of `ipv6::patch` run on ours and, where `UCSPI_ORACLE_DIR` says that it is, live on ucspi-tcp-ipv6, as
//! `tests/oracle.rs` does with ucspi-tcp; those of `ipv6::ours` are about what no original can do, and run on ours alone.
//! Both are compared with `tests/ipv6/golden`, which `UCSPI_GOLDEN` records.
//!
//! The tests of `ipv6::networks` make two network namespaces. Where the system does not permit that, each says that it
//! was skipped; with `UCSPI_NETNS_REQUIRED=1` it fails instead.

#[path = "ipv6/mod.rs"]
mod ipv6;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use ipv6::{golden, networks, ours, patch};
use support::book::Scenario;
use support::golden::Mode;
use support::programs::{Programs, Side};
use support::scene::Scene;
use support::trials::{self, Trial, Verdict};

/// The original that these scenarios follow.
const ORACLE_PACKAGE: &str = "ucspi-tcp-ipv6";

fn main() -> ExitCode {
    support::launch::occupy_low_descriptors();
    let mode = Mode::from_env().expect("UCSPI_GOLDEN means something");
    let oracle = Programs::oracle(ORACLE_PACKAGE).expect("the original is where it must be");
    let (shared, ours) = (Arc::new(patch::all()), Arc::new(ours::all()));
    let mut trials = vec![Trial {
        name: "golden::every_record_has_its_scenario".to_owned(),
        run: {
            let (shared, ours) = (Arc::clone(&shared), Arc::clone(&ours));
            Box::new(move || passed(golden::check_all(shared.iter().chain(ours.iter()))))
        },
    }];
    if mode != Mode::WriteOriginal {
        add(&mut trials, &shared, &Programs::subject(), mode);
        // Nobody else can record these.
        let record = mode == Mode::WriteSubject;
        add(
            &mut trials,
            &ours,
            &Programs::subject(),
            if record { Mode::WriteOriginal } else { mode },
        );
    }
    if let Some(oracle) = oracle {
        add(&mut trials, &shared, &oracle, mode);
    }
    if mode == Mode::Check {
        trials.extend(networks::all().into_iter().map(|(name, test)| Trial {
            name: format!("networks::{name}"),
            run: Box::new(move || networks::within(test)),
        }));
    }
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned());
    trials::main(args, trials)
}

/// A trial for each scenario, on these programs.
fn add(trials: &mut Vec<Trial>, scenarios: &Arc<Vec<Scenario>>, programs: &Programs, mode: Mode) {
    let mark = match programs.side {
        Side::Subject => "",
        Side::Oracle => " [original]",
    };
    for (index, scenario) in scenarios.iter().enumerate() {
        let (scenarios, programs) = (Arc::clone(scenarios), programs.clone());
        trials.push(Trial {
            name: format!("{}{mark}", scenario.title()),
            run: Box::new(move || run(&scenarios[index], &programs, mode)),
        });
    }
}

fn run(scenario: &Scenario, programs: &Programs, mode: Mode) -> Verdict {
    let mut scene = Scene::new(scenario.program, programs);
    (scenario.steps)(&mut scene);
    let transcript = scene.into_transcript();
    let path = golden::path(scenario, programs.side);
    if mode == Mode::WriteOriginal || mode.records(scenario, programs.side) {
        support::golden::write(&path, &transcript);
        return Verdict::Passed;
    }
    passed(support::golden::compare(&path, &transcript))
}

fn passed(result: Result<(), String>) -> Verdict {
    result.map_or_else(Verdict::Failed, |()| Verdict::Passed)
}
