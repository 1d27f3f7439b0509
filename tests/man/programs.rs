//! What the programs say about themselves, and the way to run them.
#![allow(
    clippy::disallowed_methods,
    reason = "a test of programs must start them"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::page::Key;
use crate::support::programs::{Programs, built_as};
use crate::support::temp::TempDir;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The programs of the package.
pub(crate) fn names() -> Vec<String> {
    let list = read("package/commands-base");
    list.lines().map(str::to_owned).collect()
}

/// A folder with links to the programs, under the names by which they are installed.
pub(crate) fn install(folder: &Path) {
    let programs = Programs::subject();
    for name in names() {
        symlink(programs.path(&name), folder.join(name)).expect("an empty folder");
    }
}

/// A line of `--help`.
pub(crate) struct Described {
    pub(crate) name: String,
    value: Option<String>,
    text: String,
}

impl Described {
    pub(crate) fn key(&self) -> Key {
        (self.name.clone(), self.value.clone())
    }

    /// `40` of "(default 40)", nothing of "(default)".
    pub(crate) fn default(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once("(default")?;
        let value = rest.split([',', ')']).next()?;
        Some(value.trim())
    }
}

/// The options in a program's `--help`; none for a program that takes every word for an operand.
pub(crate) fn options(name: &str) -> Vec<Described> {
    if !has_options(name) {
        return Vec::new();
    }
    let help = help(name);
    let lines = help.lines().filter_map(|line| line.strip_prefix("  -"));
    lines.map(described).collect()
}

/// True if the source has a table of options.
pub(crate) fn has_options(name: &str) -> bool {
    !source(name).contains("main_without_options(")
}

fn help(name: &str) -> String {
    let program = Programs::subject().path(name);
    let outcome = run(
        program.to_str().expect("a plain path"),
        &["--help".to_owned()],
    );
    let outcome = outcome.expect("cargo has built it");
    assert!(outcome.status.success(), "{name} --help");
    outcome.text()
}

/// What follows the first hyphen: `c limit   text` or `-drain=seconds   text`.
fn described(line: &str) -> Described {
    let (option, text) = line.split_once("  ").unwrap_or((line, ""));
    let option = option.strip_prefix('-').unwrap_or(option);
    // A wide option has only one blank after it.
    let mut words = option.splitn(3, [' ', '=']);
    let name = words.next().unwrap_or_default().to_owned();
    Described {
        name,
        value: words.next().map(str::to_owned),
        text: text.to_owned(),
    }
}

/// The options that the usage line shows.
pub(crate) fn usage_options(name: &str) -> Vec<Key> {
    let mut found = Vec::new();
    for group in groups(&usage(name)) {
        let Some(option) = group.strip_prefix('-') else {
            continue;
        };
        match option.split_once(' ') {
            Some((name, value)) => found.push((name.to_owned(), Some(value.to_owned()))),
            None => found.extend(option.chars().map(|letter| (letter.to_string(), None))),
        }
    }
    found
}

/// The contents of `[ ... ]`.
fn groups(usage: &str) -> Vec<String> {
    let pieces = usage.split("[ ").skip(1);
    pieces
        .map(|piece| piece.split(" ]").next().unwrap_or_default().to_owned())
        .collect()
}

/// Without `arg`, as in the pages.
pub(crate) fn usage_operands(name: &str) -> Vec<String> {
    let mut usage = usage(name);
    for group in groups(&usage) {
        if group.starts_with('-') {
            usage = usage.replacen(&format!("[ {group} ]"), "", 1);
        }
    }
    let words = usage.split_ascii_whitespace();
    words
        .filter(|word| !matches!(*word, "[" | "]" | "arg" | "..."))
        .map(str::to_owned)
        .collect()
}

/// The operands that a program does not do without.
pub(crate) fn needed_operands(name: &str) -> Vec<String> {
    let mut depth = 0;
    let usage = usage(name);
    let words = usage.split_ascii_whitespace().filter(|word| {
        depth += i32::from(*word == "[") - i32::from(*word == "]");
        depth == 0 && !matches!(*word, "]" | "...")
    });
    words.map(str::to_owned).collect()
}

/// What follows the name in the usage line.
fn usage(name: &str) -> String {
    let source = source(name);
    let (_, rest) = source.split_once("synopsis: \"").expect("a usage line");
    let (text, _) = rest.split_once('"').expect("a closed string");
    let lines: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
    lines.concat()
}

fn source(name: &str) -> String {
    read(&format!("src/bin/{}.rs", built_as(name)))
}

/// How a command ended, and what it printed.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    output: Vec<u8>,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// Runs a command in the source folder; nothing if there is no such command.
pub(crate) fn run(program: &str, arguments: &[String]) -> Option<Outcome> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    collect(&mut command)
}

/// Runs a script in a folder, with the programs and then the usual ones in PATH.
pub(crate) fn run_script(script: &Path, arguments: &[&str], folder: &Path, bin: &Path) -> Outcome {
    let mut command = shell("sh", folder, bin);
    collect(command.arg(script).args(arguments)).expect("there is a shell")
}

/// Runs the words `text` in bash, which knows the hosts in the file `hosts`; none where there is no bash.
pub(crate) fn run_in_bash(text: &str, folder: &Path, bin: &Path) -> Option<Outcome> {
    let mut command = shell("bash", folder, bin);
    collect(command.args(["-c", text]).env("HOSTFILE", "hosts"))
}

fn shell(name: &str, folder: &Path, bin: &Path) -> Command {
    let mut command = Command::new(name);
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        bin.display()
    );
    command.current_dir(folder).stdin(Stdio::null());
    command.env("PATH", path).env("LC_ALL", "C");
    command
}

fn collect(command: &mut Command) -> Option<Outcome> {
    let folder = TempDir::new();
    let path = folder.path().join("output");
    let file = fs::File::create(&path).expect("an empty folder");
    let copy = file.try_clone().expect("a free descriptor");
    let status = command.stdout(file).stderr(copy).status().ok()?;
    let output = fs::read(path).expect("just written");
    Some(Outcome { status, output })
}

/// Says that a test could not be done here; a failure if `variable` is 1.
pub(crate) fn skip(variable: &str, why: &str) {
    let required = std::env::var_os(variable).is_some_and(|value| value == "1");
    assert!(!required, "{variable}=1, but {why}");
    // A test that is left out should not be silent; a closed stderr is nobody's concern.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
