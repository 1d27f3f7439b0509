//! The architecture, as tables: which room may use which, and which crate.
//!
//! Imports run one way, from the programs down to sys; rules and dns do not know each other. A room is a folder
//! `src/<room>/` or a file `src/<room>.rs`. Everything else in `src` is a file of the map, `lib.rs`. The files of a room
//! make no circle, and what a file shows to others, others use.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::code::{code_only, word};

/// A room, and the rooms that it may name.
const ROOMS: [(&str, &[&str]); 15] = [
    (
        "bin",
        &[
            "relay", "import", "clients", "control", "filter", "smtp", "pool", "tls", "ucspi",
            "service", "rules", "dns", "cli", "sys",
        ],
    ),
    (
        "relay",
        &["tls", "service", "ucspi", "rules", "dns", "cli", "sys"],
    ),
    ("import", &["rules", "cli"]),
    ("pool", &["ucspi", "service", "rules", "dns", "cli", "sys"]),
    ("smtp", &["dns", "cli", "sys"]),
    ("clients", &["tls", "ucspi", "filter", "dns", "cli", "sys"]),
    ("control", &["cli", "sys"]),
    ("filter", &["cli", "sys"]),
    ("tls", &["ucspi", "cli", "sys"]),
    ("ucspi", &["service", "rules", "dns", "cli", "sys"]),
    ("service", &["cli", "sys"]),
    ("rules", &["cli", "sys"]),
    ("dns", &["cli", "sys"]),
    ("cli", &["sys"]),
    ("sys", &[]),
];

/// Crates, each with the rooms that may name it. System calls stand in sys; tokio where somebody waits.
const CRATES: [(&str, &[&str]); 16] = [
    ("nix", &["sys"]),
    ("libc", &["sys"]),
    (
        "tokio",
        &[
            "relay", "clients", "pool", "tls", "ucspi", "service", "dns", "sys",
        ],
    ),
    ("hickory_proto", &["dns"]),
    ("cdb", &["rules"]),
    ("dlmalloc", &["sys"]),
    ("ipnet", &["relay", "import", "rules", "service"]),
    ("memchr", &["relay", "filter", "pool", "rules"]),
    ("rustls", &["tls"]),
    ("aes", &["tls"]),
    ("aws_lc_rs", &["tls"]),
    ("cbc", &["tls"]),
    ("des", &["tls"]),
    ("md5", &["tls"]),
    ("pkcs8", &["tls"]),
    ("zeroize", &["tls"]),
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
fn crates_are_named_by_their_rooms_only() {
    let broken: Vec<String> = sources().iter().flat_map(foreign_crates).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_of_a_room_make_no_circle() {
    let sources = sources();
    let circles: Vec<String> = ROOMS
        .iter()
        .filter_map(|(room, _)| circle(room, &sources))
        .collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn what_a_file_shows_is_used_outside_it() {
    let sources = sources();
    let others: Vec<Source> = ["tests", "fuzz/fuzz_targets", "package"]
        .map(below)
        .into_iter()
        .flatten()
        .collect();
    let idle: Vec<String> = sources
        .iter()
        .flat_map(|source| unused(source, &sources, &others))
        .collect();
    assert!(idle.is_empty(), "\n{}", idle.join("\n"));
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

#[test]
fn checker_finds_a_crate_in_the_wrong_room() {
    let text =
        "use libc::c_int;\nlet x = crate::sys::libc::A;\nfn f() { nix::unistd::getpid(); }\n";
    let found = [
        "src/filter/a.rs:3: filter must not name nix",
        "src/filter/a.rs:1: filter must not name libc",
    ];
    assert_eq!(foreign_crates(&made_up("src/filter/a.rs", text)), found);
    assert_eq!(foreign_crates(&made_up("src/sys/a.rs", text)), [""; 0]);
}

#[test]
fn checker_finds_a_circle_of_files() {
    let top = made_up(
        "src/dns/mod.rs",
        "mod a;\nmod b;\nmod c;\npub use c::Thing;\n",
    );
    let a = made_up("src/dns/a.rs", "use super::b::{self, X};\n");
    let b = made_up("src/dns/b.rs", "use super::{Thing, other};\n");
    let straight = made_up("src/dns/c.rs", "use std::io;\n");
    let bent = made_up("src/dns/c.rs", "fn f() { crate::dns::a::g(); }\n");
    let file = |source: &Source| made_up(&source.path, &source.code);
    let found = circle("dns", &[file(&top), file(&a), file(&b), straight]);
    assert_eq!(found, None);
    let found = circle("dns", &[top, a, b, bent]);
    assert_eq!(found.as_deref(), Some("src/dns: a -> b -> c -> a"));
}

#[test]
fn checker_finds_what_nobody_uses() {
    let shown = "pub fn used() {}\npub(crate) fn idle() -> Part {}\npub struct Part;\n\
                 fn own() { used(); idle(); }\n";
    let sources = [
        made_up("src/dns/a.rs", shown),
        made_up("src/dns/b.rs", "use super::a::used; // idle\n"),
    ];
    let found = unused(&sources[0], &sources, &[]);
    assert_eq!(found, ["src/dns/a.rs:2: nobody else uses idle"]);
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

    /// The name of a file in a room's folder; none for `mod.rs`.
    fn file(&self) -> Option<&str> {
        let (_, file) = self.path.strip_prefix("src/")?.split_once('/')?;
        let file = file.split('/').next()?.trim_end_matches(".rs");
        (file != "mod").then_some(file)
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

fn foreign_crates(source: &Source) -> Vec<String> {
    let room = source.room();
    let mut broken = Vec::new();
    for (name, _) in CRATES.iter().filter(|(_, rooms)| !rooms.contains(&room)) {
        let path = format!("{name}::");
        for (offset, _) in source.code.match_indices(&path) {
            let before = source.code[..offset].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                let line = source.line_of(offset);
                broken.push(format!(
                    "{}:{line}: {room} must not name {name}",
                    source.path
                ));
            }
        }
    }
    broken
}

/// A way through the files of `room` that leads back to where it began.
fn circle(room: &str, sources: &[Source]) -> Option<String> {
    let files: Vec<(&str, &Source)> = sources
        .iter()
        .filter(|source| source.room() == room)
        .filter_map(|source| Some((source.file()?, source)))
        .collect();
    let top = sources
        .iter()
        .find(|source| source.path == format!("src/{room}/mod.rs"));
    let uses = |source: &Source| -> Vec<&str> {
        let mut used = Vec::new();
        for root in ["super::", &format!("crate::{room}::")] {
            for (offset, _) in source.code.match_indices(root) {
                for name in first_segments(&source.code[offset + root.len()..]) {
                    let home = top.and_then(|top| shown_from(name, top));
                    let file = files.iter().find(|(file, _)| *file == home.unwrap_or(name));
                    used.extend(file.map(|(file, _)| *file));
                }
            }
        }
        used.retain(|file| source.file() != Some(file));
        used
    };
    let graph: Vec<(&str, Vec<&str>)> = files
        .iter()
        .map(|(file, source)| (*file, uses(source)))
        .collect();
    let next = |file: &str| {
        &graph
            .iter()
            .find(|(name, _)| *name == file)
            .expect("a file")
            .1
    };
    // Depth first; a file whose ways all end is done.
    let mut done: Vec<&str> = Vec::new();
    for (start, _) in &graph {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((file, at)) = path.pop() {
            let Some(&after) = next(file).get(at) else {
                done.push(file);
                continue;
            };
            path.push((file, at + 1));
            if let Some(begin) = path.iter().position(|(on_it, _)| *on_it == after) {
                let names: Vec<&str> = path[begin..].iter().map(|(file, _)| *file).collect();
                return Some(format!("src/{room}: {} -> {after}", names.join(" -> ")));
            }
            if !done.contains(&after) {
                path.push((after, 0));
            }
        }
    }
    None
}

/// The file from which a room's `mod.rs` shows `name`: `use file::name;` or `use file::{.., name, ..};`.
fn shown_from<'a>(name: &str, top: &'a Source) -> Option<&'a str> {
    for (offset, _) in top.code.match_indices("use ") {
        let statement = top.code[offset + 4..].split(';').next().unwrap_or_default();
        let (file, names) = statement.split_once("::").unwrap_or((statement, ""));
        if names
            .split([',', '{', '}'])
            .any(|shown| shown.trim() == name)
        {
            return Some(file);
        }
    }
    None
}

/// Items that `source` shows to other files, and that no other file names.
fn unused(source: &Source, sources: &[Source], others: &[Source]) -> Vec<String> {
    const KINDS: [&str; 8] = [
        "fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ", "mod ",
    ];
    let mut idle = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        let mut words = line.trim_start();
        let Some(rest) = words.strip_prefix("pub") else {
            continue;
        };
        words = rest
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .map_or(rest, |(_, rest)| rest);
        words = words.trim_start();
        for modifier in ["async ", "unsafe ", "const fn "] {
            let keeps = if modifier == "const fn " { "fn " } else { "" };
            if words.starts_with(modifier) {
                words = &words[modifier.len() - keeps.len()..];
            }
        }
        let Some(name) = KINDS
            .iter()
            .find_map(|kind| words.strip_prefix(kind))
            .map(word)
        else {
            continue;
        };
        let elsewhere = sources.iter().filter(|other| other.path != source.path);
        // A type that stands in what is shown is shown with it.
        let in_signatures = |(at, line): (usize, &str)| {
            at != number && (line.contains("pub ") || line.contains("fn ")) && names(line, name)
        };
        let is_function = name.starts_with(|c: char| c.is_lowercase());
        if !elsewhere
            .chain(others)
            .any(|other| names(&other.code, name))
            && (is_function || !source.code.lines().enumerate().any(in_signatures))
        {
            idle.push(format!(
                "{}:{}: nobody else uses {name}",
                source.path,
                number + 1
            ));
        }
    }
    idle
}

/// True when `name` stands in `code` as a whole word.
fn names(code: &str, name: &str) -> bool {
    let is_part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(offset, _)| {
        let before = code[..offset].chars().next_back();
        let after = code[offset + name.len()..].chars().next();
        !before.is_some_and(is_part_of_a_word) && !after.is_some_and(is_part_of_a_word)
    })
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
            "{}:1: no room called {} is in the table of tests/documents/layout.rs",
            source.path,
            source.room()
        )
    })
}

fn sources() -> Vec<Source> {
    below("src")
}

/// All Rust files below `folder`.
fn below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "{folder} has files");
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
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
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
