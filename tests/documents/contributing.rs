//! CONTRIBUTING.md names what there is: places, checks, test programs, and what a new option needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::readme::{ROOT, read};

fn page() -> String {
    read("CONTRIBUTING.md")
}

/// What stands between single backticks or in an indented block, a piece for each.
fn code(page: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for line in page.lines() {
        match line.strip_prefix("    ") {
            Some(block) => pieces.push(block.to_owned()),
            None => pieces.extend(line.split('`').skip(1).step_by(2).map(str::to_owned)),
        }
    }
    pieces
}

/// The names in a folder.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder of the repository");
    let names = entries.map(|entry| entry.expect("it does not change").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The test programs that cargo finds.
fn test_programs() -> BTreeSet<String> {
    let found = names("tests").into_iter().filter_map(|name| {
        let has_main = Path::new(ROOT).join("tests").join(&name).join("main.rs");
        let alone = name.strip_suffix(".rs").map(str::to_owned);
        alone.or_else(|| has_main.exists().then_some(name))
    });
    found.collect()
}

/// The rows of the tables: what stands in each column.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    rows.map(|row| {
        row.trim_end_matches(" |")
            .split(" | ")
            .map(str::trim)
            .collect()
    })
}

/// The section below `heading`.
fn section<'page>(page: &'page str, heading: &str) -> &'page str {
    let (_, rest) = page.split_once(heading).expect("the page has that section");
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn places_exist() {
    let top: BTreeSet<String> = names("").into_iter().collect();
    let mut count = 0;
    for piece in code(&page()) {
        for word in piece.split([' ', ',', ';']) {
            let first = word.split('/').next().unwrap_or_default();
            // What is built is in no clone; capitals stand for a name.
            let is_place = word.contains('/') && top.contains(first) && first != "target";
            if is_place && !word.contains("PROGRAM") {
                assert!(Path::new(ROOT).join(word).exists(), "{word} in {piece:?}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} places");
}

#[test]
fn every_check_says_how_long_it_takes() {
    let page = page();
    let table = section(&page, "## The quick loop");
    let mut told = BTreeSet::new();
    for row in rows(table) {
        let [checks, time, does] = row[..] else {
            panic!("{row:?}")
        };
        assert!(!time.is_empty() && !does.is_empty(), "{checks}");
        told.extend(code(checks));
    }
    for name in names("ci") {
        assert!(told.contains(&format!("ci/{name}")), "ci/{name}");
    }
}

#[test]
fn every_test_program_is_told_of() {
    let page = page();
    let table = section(&page, "## Where things are");
    let told: BTreeSet<String> = rows(table)
        .flat_map(|row| code(row[0]))
        .filter(|name| !name.contains([' ', '/']))
        .collect();
    let programs = test_programs();
    assert!(
        programs.is_subset(&told),
        "{programs:?} are not all in {told:?}"
    );
}

#[test]
fn commands_of_the_loop_run_something() {
    let programs = test_programs();
    let mut count = 0;
    for piece in code(&page()) {
        let command = piece.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some(at) = words.iter().position(|&word| word == "--test") else {
            continue;
        };
        let Some(&program) = words.get(at + 1) else {
            continue;
        };
        assert!(programs.contains(program), "{piece}");
        if let Some((folder, file)) = words.last().and_then(|last| last.split_once("::")) {
            let file = format!("tests/{program}/{folder}/{file}.rs");
            assert!(Path::new(ROOT).join(&file).exists(), "{file} of {piece:?}");
        }
        count += 1;
    }
    assert!(count > 3, "{count} commands");
}

#[test]
fn steps_for_an_option_name_what_there_is() {
    let page = page();
    let steps = section(&page, "## A new option");
    // In this order, and each in a step of its own.
    let mut rest = steps;
    for part in [
        "src/cli/options.rs",
        "man/PROGRAM.1",
        "package/complete completions",
        "UCSPI_GOLDEN=write-subject",
        "docs/differences.md",
        "CHANGELOG.md",
    ] {
        let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("{part}"));
        rest = behind.split_once('\n').map_or("", |(_, lines)| lines);
    }
    let options = read("src/cli/options.rs");
    for kind in ["flag", "value"] {
        assert!(steps.contains(&format!("`Opt::{kind}`")), "{kind}");
        assert!(
            options.contains(&format!("pub const fn {kind}(")),
            "{kind} is gone"
        );
    }
    let book = read("tests/support/book.rs");
    for mark in ["ours_alone", "differs"] {
        assert!(steps.contains(&format!("`.{mark}(\"id\")`")), "{mark}");
        assert!(
            book.contains(&format!("pub(crate) fn {mark}(")),
            "{mark} is gone"
        );
    }
    assert!(read("tests/support/golden.rs").contains("Ok(\"write-subject\")"));
}

#[test]
fn who_reports_a_fault_is_told_what_is_needed() {
    let page = page();
    let needed = section(&page, "## Reporting a fault");
    for part in ["tcpserver --version", "`-v`", "docs/security.md"] {
        assert!(needed.contains(part), "{part}");
    }
}
