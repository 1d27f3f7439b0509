//! Recorded transcripts in `tests/ipv6/golden/<program>/<scenario>.log`, and `<scenario>.original.log` where ours
//! deliberately differs; as in `tests/golden`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::book::Scenario;
use crate::support::programs::Side;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipv6/golden")
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
///
/// # Errors
///
/// What is left over or missing.
pub(crate) fn check_all<'a>(
    scenarios: impl Iterator<Item = &'a Scenario> + Clone,
) -> Result<(), String> {
    let sides = [Side::Subject, Side::Oracle];
    let known: BTreeSet<_> = scenarios
        .clone()
        .flat_map(|scenario| sides.map(|side| path(scenario, side)))
        .collect();
    let files = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("readable").path())
    };
    let orphans: Vec<PathBuf> = files(folder())
        .flat_map(files)
        .filter(|path| !known.contains(path))
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let text = fs::read_to_string(page).expect("the page is there");
    let headings: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let unexplained: BTreeSet<&str> = scenarios
        .flat_map(|scenario| scenario.differs.iter().copied())
        .filter(|id| !headings.contains(id))
        .collect();
    if orphans.is_empty() && unexplained.is_empty() {
        return Ok(());
    }
    Err(format!(
        "no scenario for these records: {orphans:#?}\ndocs/differences.md lacks {unexplained:#?}"
    ))
}
