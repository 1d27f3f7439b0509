//! Recorded transcripts in `tests/names/golden/<program>/<scenario>.log`, and `<scenario>.original.log` where ours
//! deliberately differs; as in `tests/golden`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::book::Scenario;
use crate::support::programs::Side;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/names/golden")
}

/// Where the transcript of this scenario on this side is recorded.
pub(crate) fn path(scenario: &Scenario, side: Side) -> PathBuf {
    let suffix = if side == Side::Oracle && !scenario.differs.is_empty() {
        "original.log"
    } else {
        "log"
    };
    folder()
        .join(scenario.program)
        .join(format!("{}.{suffix}", scenario.name))
}

/// Every record belongs to a scenario, and every difference has its heading in `docs/differences.md`.
pub(crate) fn check_all(scenarios: &[Scenario]) {
    let known: BTreeSet<_> = scenarios
        .iter()
        .flat_map(|scenario| {
            [Side::Subject, Side::Oracle]
                .into_iter()
                .map(|side| path(scenario, side))
        })
        .collect();
    let folders = fs::read_dir(folder()).into_iter().flatten();
    let files = folders.flat_map(|folder| {
        fs::read_dir(folder.expect("readable").path())
            .into_iter()
            .flatten()
    });
    let orphans: Vec<PathBuf> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| !known.contains(path))
        .collect();
    assert!(
        orphans.is_empty(),
        "no scenario for these records: {orphans:#?}"
    );

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let text = fs::read_to_string(page).expect("the page is there");
    let headings: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let unexplained: BTreeSet<&str> = scenarios
        .iter()
        .flat_map(|scenario| scenario.differs.iter().copied())
        .filter(|id| !headings.contains(id))
        .collect();
    assert!(
        unexplained.is_empty(),
        "docs/differences.md lacks {unexplained:#?}"
    );
}
