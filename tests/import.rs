//! inetd2tcp: what becomes of the files of other super-servers.
//!
//! `import/files/KIND/CASE` has files made after public ones, ten of each kind; `import/expected/KIND/CASE` is what is
//! printed of them (`UCSPI_GOLDEN=write` writes it). That what is made runs, is tested by `package/import.sh`.
#![allow(
    clippy::disallowed_methods,
    reason = "a test of programs must start them"
)]

#[path = "import/cases.rs"]
mod cases;
#[path = "rules/dice.rs"]
#[allow(dead_code, reason = "each test binary uses its own part of the dice")]
mod dice;
#[path = "import/folders.rs"]
mod folders;
#[path = "import/hosts.rs"]
mod hosts;
#[path = "import/printed.rs"]
mod printed;
#[allow(dead_code, reason = "one side is tested here")]
#[path = "support/programs.rs"]
mod programs;
#[path = "support/temp.rs"]
mod temp;

use std::io::Write as _;

/// Says that a test could not be done here; a failure where nothing may be left out.
fn skip(why: &str) {
    let required = std::env::var_os("UCSPI_COMPONENTS_REQUIRED").is_some_and(|value| value == "1");
    assert!(!required, "UCSPI_COMPONENTS_REQUIRED=1, but {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
