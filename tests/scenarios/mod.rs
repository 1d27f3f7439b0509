//! What the programs do, as scenarios: the list of their names is the specification.

mod argv0;
mod exec;
mod recordio;
mod tcpclient;
mod tcprules;
mod tcprulescheck;
mod tcpserver;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::book::{Book, Scenario};
use crate::support::golden;
use crate::support::programs::Side;

type Fill = fn(&mut Book);

/// All scenarios of all programs.
pub(crate) fn all() -> Vec<Scenario> {
    let fill: [(&'static str, Fill); 6] = [
        ("argv0", argv0::fill),
        ("recordio", recordio::fill),
        ("tcpclient", tcpclient::fill),
        ("tcprules", tcprules::fill),
        ("tcprulescheck", tcprulescheck::fill),
        ("tcpserver", tcpserver::fill),
    ];
    fill.into_iter()
        .flat_map(|(program, fill)| {
            let mut book = Book::of(program);
            fill(&mut book);
            book.scenarios
        })
        .collect()
}

/// A record that no scenario compares itself with protects nothing. Recording afresh removes such records.
pub(crate) fn no_orphans(scenarios: &[Scenario], remove: bool) -> Result<(), String> {
    let known: BTreeSet<_> = scenarios
        .iter()
        .flat_map(|scenario| {
            [
                golden::path(scenario, Side::Subject),
                golden::path(scenario, Side::Oracle),
            ]
        })
        .collect();
    let found = fs::read_dir(golden::folder())
        .into_iter()
        .flatten()
        .flat_map(|folder| {
            fs::read_dir(folder.expect("readable").path())
                .into_iter()
                .flatten()
        })
        .map(|file| file.expect("readable").path());
    let mut orphans = Vec::new();
    for path in found.filter(|path| !known.contains(path)) {
        if remove {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        } else {
            orphans.push(path.display().to_string());
        }
    }
    if orphans.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "no scenario for these records:\n{}",
            orphans.join("\n")
        ))
    }
}

/// Every id given to `.differs` has a heading `### id` in `docs/differences.md`.
pub(crate) fn all_explained(scenarios: &[Scenario]) -> Result<(), String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let text = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let headings: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::trim)
        .collect();
    let used = scenarios
        .iter()
        .flat_map(|scenario| scenario.differs.iter().map(move |id| (*id, scenario)));
    let missing: Vec<String> = used
        .filter(|(id, _)| !headings.contains(id))
        .map(|(id, scenario)| format!("### {id} (used by {})", scenario.title()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "docs/differences.md lacks:\n{}",
            missing.join("\n")
        ))
    }
}
