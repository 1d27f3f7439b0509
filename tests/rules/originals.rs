//! Files that the originals made, in `tests/rules/originals`: our tcprulescheck says of them what the originals' own say.
//!
//! * `<name>.rules` are rules, `<name>.cdb` is what the original's tcprules makes of them;
//! * `<name>.answers` are questions (`? address host info`, `-` for what is not set) and what its tcprulescheck says;
//! * `<name>.ours` are questions on which we differ on purpose, each with its id in `docs/differences.md`, and what we
//!   say; `<name>.theirs` is what the original says.
//!
//! `a` is ucspi-tcp, `b` is ucspi-tcp-ipv6. Where `UCSPI_ORACLE_DIR` says that the originals are, they are asked again;
//! `UCSPI_GOLDEN=write` then records their files and answers, `UCSPI_GOLDEN=write-subject` records ours.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::diff;
use crate::support::golden::Mode;
use crate::support::launch::Launch;
use crate::support::programs::{Programs, Side};
use crate::support::temp::TempDir;

const ORIGINALS: [(&str, &str); 2] = [("a", "ucspi-tcp"), ("b", "ucspi-tcp-ipv6")];

fn file(name: &str, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rules/originals/{name}.{kind}"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode() -> Mode {
    Mode::from_env().expect("the environment is right")
}

/// `questions` again, each with what tcprulescheck of `programs` says of `cdb`.
fn answered(programs: &Programs, cdb: &Path, questions: &str) -> String {
    let mut text = String::new();
    for line in questions.lines() {
        let Some(question) = line.strip_prefix("? ") else {
            if line.starts_with('#') {
                text.push_str(&format!("{line}\n"));
            }
            continue;
        };
        let mut launch = Launch::new(programs.path("tcprulescheck"), "tcprulescheck", [cdb]);
        let names = ["TCPREMOTEIP", "TCPREMOTEHOST", "TCPREMOTEINFO"];
        for (name, value) in names.iter().zip(question.split(' ')) {
            if value != "-" {
                launch = launch.env(name, value);
            }
        }
        let outcome = launch.spawn(Path::new("/")).expect("it is there").outcome();
        assert!(
            outcome.status.success(),
            "{question}: {outcome:?}",
            outcome = outcome.status
        );
        let said = String::from_utf8_lossy(&outcome.stdout);
        text.push_str(&format!("{line}\n{said}"));
    }
    text
}

/// Compares what `programs` says to the questions in `path` with what is recorded there, or records it.
fn check(programs: &Programs, cdb: &Path, questions: &Path, path: &Path) {
    let said = answered(programs, cdb, &read(questions));
    let records = match mode() {
        Mode::Check => false,
        Mode::WriteOriginal => programs.side == Side::Oracle,
        Mode::WriteSubject => {
            programs.side == Side::Subject && path.extension().is_some_and(|kind| kind == "ours")
        }
    };
    if records {
        fs::write(path, said).expect("the source tree is writable");
        return;
    }
    let recorded = read(path);
    assert!(
        said == recorded,
        "{}\n{}",
        path.display(),
        diff::lines(&recorded, &said)
    );
}

#[test]
fn files_of_the_originals_mean_what_their_own_programs_say() {
    for (name, _) in ORIGINALS {
        let answers = file(name, "answers");
        check(&Programs::subject(), &file(name, "cdb"), &answers, &answers);
    }
}

#[test]
fn deliberate_differences_in_reading_are_these() {
    for (name, _) in ORIGINALS {
        let ours = file(name, "ours");
        check(&Programs::subject(), &file(name, "cdb"), &ours, &ours);
        let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md"));
        for line in read(&ours).lines() {
            if let Some(id) = line.strip_prefix("# ") {
                assert!(
                    page.contains(&format!("### {id}\n")),
                    "docs/differences.md lacks {id}"
                );
            }
        }
    }
}

#[test]
fn originals_still_make_and_read_these_files() {
    for (name, package) in ORIGINALS {
        let Some(original) = Programs::oracle(package).expect("the environment is right") else {
            continue;
        };
        let folder = TempDir::new();
        let rules = fs::read(file(name, "rules")).expect("it is there");
        let launch =
            Launch::new(original.path("tcprules"), "tcprules", ["cdb", "tmp"]).input(rules);
        let outcome = launch.spawn(folder.path()).expect("it is there").outcome();
        assert!(outcome.status.success());
        let made = fs::read(folder.path().join("cdb")).expect("it was just written");
        let cdb = file(name, "cdb");
        if mode() == Mode::WriteOriginal {
            fs::write(&cdb, &made).expect("the source tree is writable");
        }
        assert!(
            made == fs::read(&cdb).expect("it is there"),
            "{}",
            cdb.display()
        );
        let answers = file(name, "answers");
        check(&original, &cdb, &answers, &answers);
        check(&original, &cdb, &file(name, "ours"), &file(name, "theirs"));
    }
}
