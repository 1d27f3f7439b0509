//! The architecture, as a table: which room may use which.
//!
//! Imports run one way: bin -> filter -> ucspi -> {service, rules, dns} -> cli -> sys; rules and dns do not know each other. A
//! room is a folder `src/<room>/` or a file `src/<room>.rs`. Everything else in `src` is a file of the map, `lib.rs`.

#[path = "support/code.rs"]
mod code;

use std::fs;
use std::path::{Path, PathBuf};

use code::{code_only, word};

/// A room, and the rooms that it may name.
const ROOMS: [(&str, &[&str]); 9] = [
    (
        "bin",
        &[
            "filter", "smtp", "ucspi", "service", "rules", "dns", "cli", "sys",
        ],
    ),
    ("smtp", &["dns", "cli", "sys"]),
    ("filter", &["ucspi", "rules", "dns", "cli", "sys"]),
    ("ucspi", &["service", "rules", "dns", "cli", "sys"]),
    ("service", &["cli", "sys"]),
    ("rules", &["cli", "sys"]),
    ("dns", &["cli", "sys"]),
    ("cli", &["sys"]),
    ("sys", &[]),
];

/// The only room that may hold `unsafe` code.
const UNSAFE_ROOM: &str = "sys";

const FORBID: &str = "#![forbid(unsafe_code)]";

#[test]
fn imports_run_one_way() {
    let broken: Vec<String> = sources().iter().flat_map(forbidden_imports).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_room_is_in_the_table() {
    let unknown: Vec<String> = sources().iter().filter_map(unknown_room).collect();
    assert!(unknown.is_empty(), "\n{}", unknown.join("\n"));
}

#[test]
fn unsafe_code_lives_in_one_room() {
    let broken: Vec<String> = sources().iter().flat_map(unsafe_outside).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_other_room_and_program_forbids_unsafe_code_at_its_top() {
    let broken: Vec<String> = sources().iter().filter_map(missing_forbid).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn checker_finds_an_import_that_runs_up() {
    let source = made_up(
        "src/rules/line.rs",
        "use crate::cli::Error;\nuse crate::ucspi::log; // no\n",
    );
    assert_eq!(
        forbidden_imports(&source),
        ["src/rules/line.rs:2: rules must not use ucspi"]
    );
}

#[test]
fn checker_finds_neighbours_that_know_each_other() {
    let source = made_up(
        "src/dns/mod.rs",
        "fn f() {\n    crate::rules::verdict();\n}\n",
    );
    assert_eq!(
        forbidden_imports(&source),
        ["src/dns/mod.rs:2: dns must not use rules"]
    );
}

#[test]
fn checker_finds_every_member_of_a_braced_import() {
    let source = made_up(
        "src/cli/mod.rs",
        "use crate::{\n    sys,\n    ucspi::{log, server},\n    dns,\n};\n",
    );
    let found = [
        "src/cli/mod.rs:1: cli must not use ucspi",
        "src/cli/mod.rs:1: cli must not use dns",
    ];
    assert_eq!(forbidden_imports(&source), found);
}

#[test]
fn checker_finds_imports_of_a_program() {
    let source = made_up(
        "src/bin/tcpserver.rs",
        "use ucspi_tcp::cli;\nuse ucspi_tcp::bin::other;\n",
    );
    assert_eq!(
        forbidden_imports(&source),
        ["src/bin/tcpserver.rs:2: bin must not use bin"]
    );
}

#[test]
fn checker_lets_comments_and_its_own_room_be() {
    let text = "//! Unlike `crate::ucspi`, this is pure.\nuse crate::rules::key; // never crate::dns\n/* crate::dns */\n";
    assert_eq!(
        forbidden_imports(&made_up("src/rules/mod.rs", text)),
        [""; 0]
    );
}

#[test]
fn checker_finds_unsafe_code_but_no_mention_of_it() {
    let text = "#![forbid(unsafe_code)]\n// unsafe { in words }\nlet s = \"unsafe\";\nunsafe { f() };\nlet not_unsafe = 1;\n";
    assert_eq!(
        unsafe_outside(&made_up("src/cli/args.rs", text)),
        ["src/cli/args.rs:4: unsafe code outside sys"]
    );
    assert_eq!(unsafe_outside(&made_up("src/sys/fd.rs", text)), [""; 0]);
}

#[test]
fn checker_finds_a_room_or_program_that_does_not_forbid_unsafe_code() {
    let is_missing = |path: &str, text: &str| missing_forbid(&made_up(path, text)).is_some();
    assert!(is_missing("src/cli/mod.rs", "//! Doc.\nuse std::io;\n"));
    assert!(is_missing("src/dns.rs", "// #![forbid(unsafe_code)]\n"));
    assert!(is_missing("src/bin/argv0.rs", "fn main() {}\n"));
    assert!(!is_missing(
        "src/cli/mod.rs",
        "//! Doc.\n#![forbid(unsafe_code)]\nuse std::io;\n"
    ));
    assert!(!is_missing("src/cli/args.rs", "//! Doc.\n"));
    assert!(!is_missing("src/sys/mod.rs", "//! Doc.\n"));
}

#[test]
fn checker_finds_a_room_that_nobody_planned() {
    assert!(unknown_room(&made_up("src/utils/mod.rs", "")).is_some());
    assert!(unknown_room(&made_up("src/helpers.rs", "")).is_some());
    assert!(unknown_room(&made_up("src/lib.rs", "")).is_none());
    assert!(unknown_room(&made_up("src/dns.rs", "")).is_none());
}

/// A file below `src`, as `src/room/file.rs`, and its text without comments and string contents.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// The folder below `src`, or the name of a file directly in it.
    fn room(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        path.split('/')
            .next()
            .unwrap_or(path)
            .trim_end_matches(".rs")
    }

    fn is_map(&self) -> bool {
        self.path == "src/lib.rs"
    }

    fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }
}

fn forbidden_imports(source: &Source) -> Vec<String> {
    if source.is_map() {
        return Vec::new();
    }
    let room = source.room();
    let allowed = ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map_or(&[][..], |(_, allowed)| *allowed);
    let mut broken = Vec::new();
    for root in ["crate::", "ucspi_tcp::"] {
        for (offset, _) in source.code.match_indices(root) {
            let rest = &source.code[offset + root.len()..];
            for used in first_segments(rest) {
                let is_room = ROOMS.iter().any(|(name, _)| *name == used);
                let own = used == room && room != "bin";
                if is_room && !own && !allowed.contains(&used) {
                    broken.push(format!(
                        "{}:{}: {room} must not use {used}",
                        source.path,
                        source.line_of(offset)
                    ));
                }
            }
        }
    }
    broken
}

/// What is named directly after `crate::`: one word, or each first word of a braced list.
fn first_segments(rest: &str) -> Vec<&str> {
    let Some(list) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let mut depth = 0;
    let mut segments = Vec::new();
    let mut start = 0;
    for (offset, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                segments.push(word(list[start..offset].trim_start()));
                start = offset + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    segments
}

fn unsafe_outside(source: &Source) -> Vec<String> {
    if source.room() == UNSAFE_ROOM {
        return Vec::new();
    }
    let is_part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = source
        .code
        .match_indices("unsafe")
        .filter(|(offset, found)| {
            let before = source.code[..*offset].chars().next_back();
            let after = source.code[offset + found.len()..].chars().next();
            !before.is_some_and(is_part_of_a_word) && !after.is_some_and(is_part_of_a_word)
        });
    uses.map(|(offset, _)| {
        format!(
            "{}:{}: unsafe code outside {UNSAFE_ROOM}",
            source.path,
            source.line_of(offset)
        )
    })
    .collect()
}

/// A program and a room's first file: what the latter forbids is forbidden in all files of the room.
fn missing_forbid(source: &Source) -> Option<String> {
    let room = source.room();
    let is_first = [format!("src/{room}.rs"), format!("src/{room}/mod.rs")].contains(&source.path);
    if source.is_map() || room == UNSAFE_ROOM || !(is_first || room == "bin") {
        return None;
    }
    let declared = source.code.lines().any(|line| line.trim() == FORBID);
    (!declared).then(|| format!("{}:1: {FORBID} is missing", source.path))
}

fn unknown_room(source: &Source) -> Option<String> {
    let known = source.is_map() || ROOMS.iter().any(|(name, _)| *name == source.room());
    (!known).then(|| {
        format!(
            "{}:1: no room called {} is in the table of tests/layout.rs",
            source.path,
            source.room()
        )
    })
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "src has files");
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).expect("sources are readable text");
            let path = path.strip_prefix(root).expect("it was found there");
            made_up(&path.to_string_lossy(), &text)
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn made_up(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        code: code_only(text),
    }
}
