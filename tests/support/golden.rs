//! Recorded transcripts in `<records>/<program>/<scenario>.log`, reviewed like code; `<records>` is `tests/golden` for one
//! family of scenarios, `tests/names/golden` and `tests/ipv6/golden` for others.
//!
//! `<scenario>.log` is what our program must print. Where it deliberately differs from the original, what the original
//! prints stands next to it in `<scenario>.original.log`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::book::Scenario;
use super::diff;
use super::programs::Side;

/// What a run is for, from `$UCSPI_GOLDEN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Compare.
    Check,
    /// `write`: record what the original does.
    WriteOriginal,
    /// `write-subject`: record what ours does, for the scenarios that differ, or that only ours can do.
    WriteSubject,
}

impl Mode {
    /// # Errors
    ///
    /// A sentence when the variable has a value that means nothing.
    pub(crate) fn from_env() -> Result<Self, String> {
        match std::env::var("UCSPI_GOLDEN").as_deref() {
            Err(_) | Ok("" | "check") => Ok(Self::Check),
            Ok("write") => Ok(Self::WriteOriginal),
            Ok("write-subject") => Ok(Self::WriteSubject),
            Ok(other) => Err(format!(
                "UCSPI_GOLDEN={other}: only check, write and write-subject mean something"
            )),
        }
    }

    pub(crate) fn records(self, scenario: &Scenario, side: Side) -> bool {
        match self {
            Self::Check => false,
            Self::WriteOriginal => side == Side::Oracle,
            Self::WriteSubject => {
                let is_ours = !scenario.differs.is_empty() || scenario.is_ours_alone;
                side == Side::Subject && is_ours && scenario.pending.is_none()
            }
        }
    }
}

fn folder(records: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(records)
}

/// Where the transcript of this scenario on this side is recorded.
pub(crate) fn path(records: &str, scenario: &Scenario, side: Side) -> PathBuf {
    let suffix = if side == Side::Oracle && !scenario.differs.is_empty() {
        "original.log"
    } else {
        "log"
    };
    folder(records)
        .join(scenario.program)
        .join(format!("{}.{suffix}", scenario.name))
}

pub(crate) fn write(path: &Path, transcript: &str) {
    fs::create_dir_all(path.parent().expect("goldens live in a folder"))
        .expect("the source tree is writable");
    fs::write(path, transcript).expect("the source tree is writable");
}

/// Ours must print what the original prints and exactly one line more, which begins with `prefix`.
///
/// # Errors
///
/// A readable difference.
pub(crate) fn compare_but_for(
    prefix: &str,
    original: &Path,
    transcript: &str,
) -> Result<(), String> {
    let is_added = |line: &&str| {
        line.strip_prefix("stderr: ")
            .is_some_and(|line| line.starts_with(prefix))
    };
    let added = transcript.lines().filter(is_added).count();
    if added != 1 {
        return Err(format!(
            "{added} lines begin with {prefix:?}, not one:\n{transcript}"
        ));
    }
    let without: String = transcript
        .lines()
        .filter(|line| !is_added(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    compare(original, &without)
}

/// # Errors
///
/// A readable difference.
pub(crate) fn compare(path: &Path, transcript: &str) -> Result<(), String> {
    let shown = path
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap_or(path)
        .display();
    match fs::read_to_string(path) {
        Ok(golden) if golden == transcript => Ok(()),
        Ok(golden) => Err(format!(
            "{shown} (-) and this run (+) differ:\n{}",
            diff::lines(&golden, transcript)
        )),
        Err(_) => Err(format!("there is no {shown}; this run:\n{transcript}")),
    }
}

/// A record that no scenario compares itself with protects nothing. Recording afresh removes such records.
pub(crate) fn no_orphans(
    records: &str,
    scenarios: &[Scenario],
    remove: bool,
) -> Result<(), String> {
    let sides = [Side::Subject, Side::Oracle];
    let known: BTreeSet<_> = scenarios
        .iter()
        .flat_map(|scenario| sides.map(|side| path(records, scenario, side)))
        .collect();
    let files = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("readable").path())
    };
    let found = files(folder(records)).flat_map(files);
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
