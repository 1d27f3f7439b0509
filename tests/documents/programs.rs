//! What is installed: every program of the original, under its name, and ours.

#![allow(
    clippy::disallowed_methods,
    reason = "a test of programs must start them"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::programs::{Programs, built_as};

/// What Debian's package ucspi-tcp 0.88-7 has in /usr/bin.
const ORIGINAL: [&str; 17] = [
    "addcr",
    "argv0",
    "date@",
    "delcr",
    "finger@",
    "fixcrio",
    "http@",
    "mconnect",
    "mconnect-io",
    "rblsmtpd",
    "recordio",
    "tcpcat",
    "tcpclient",
    "tcprules",
    "tcprulescheck",
    "tcpserver",
    "who@",
];

/// What is ours alone.
const ADDED: [&str; 14] = [
    "https@",
    "inetd2tcp",
    "iotcpd",
    "spawnd",
    "tcpctl",
    "tcpio",
    "tcppool",
    "tcprelay",
    "tcprelay-conf",
    "time@",
    "tlsc",
    "tlsclient",
    "tlsd",
    "tlsserver",
];

fn expected() -> BTreeSet<String> {
    let names = ORIGINAL.into_iter().chain(ADDED);
    names.map(str::to_owned).collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_program_of_the_original_and_ours_are_built() {
    let sources = fs::read_dir(file("src/bin")).expect("the programs have a folder");
    let built: BTreeSet<String> = sources
        .map(|entry| entry.expect("readable").path())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    // Cargo allows neither '@' nor two spellings of one name.
    let named = expected().iter().map(|name| built_as(name)).collect();
    assert_eq!(built, named);
}

#[test]
fn every_program_is_installed_under_its_name() {
    let list = fs::read_to_string(file("package/commands-base")).expect("the package has a list");
    let installed: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    let names: BTreeSet<String> = installed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names, expected());
    assert_eq!(installed.len(), names.len(), "a name stands there twice");
}

fn program(name: &str) -> PathBuf {
    Programs::subject().path(name)
}

#[test]
fn every_program_is_in_the_one_file() {
    let text = fs::read_to_string(file("package/one.rs")).expect("it is there");
    let rows = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('"'));
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    let needed = expected().into_iter().map(|name| {
        let target = built_as(&name);
        format!("\"{name}\" {target} \"../src/bin/{target}.rs\";")
    });
    assert_eq!(rows, needed.collect());
}

/// What `name` prints when `option` is its only argument.
fn answer(name: &str, option: &str) -> String {
    let outcome = Command::new(program(name))
        .arg(option)
        .stdin(Stdio::null())
        .output()
        .expect("cargo has built it");
    assert!(outcome.status.success(), "{name} {option}");
    assert_eq!(outcome.stderr, b"", "{name} {option}");
    String::from_utf8(outcome.stdout).expect("plain text")
}

#[test]
fn every_program_answers_a_lone_help_and_version() {
    for name in expected() {
        let help = answer(&name, "--help");
        let first = help.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("{name}: ")), "{help}");
        let usage = format!("usage: {name} ");
        assert!(help.lines().any(|line| line.starts_with(&usage)), "{help}");
        for option in ["  --help ", "  --version "] {
            assert!(help.contains(option), "{help}");
        }
        let version = format!("{name} (ucspi-tcp) {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(answer(&name, "--version"), version);
    }
}

/// What `name` says of an option that it does not have, or of no operand, on a terminal or through a pipe.
fn complaint(name: &str, is_on_terminal: bool) -> String {
    let (reader, writer): (OwnedFd, OwnedFd) = if is_on_terminal {
        let pair = nix::pty::openpty(None, None).expect("there are terminals");
        (pair.master, pair.slave)
    } else {
        nix::unistd::pipe().expect("there are descriptors")
    };
    let option = if name == "rblsmtpd" {
        "-Z"
    } else {
        "--no-such-option"
    };
    let mut child = Command::new(program(name))
        .args([option].iter().take(usize::from(name != "argv0")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .expect("cargo has built it");
    assert_eq!(child.wait().expect("it ends").code(), Some(100), "{name}");
    let mut said = vec![0; 1 << 12];
    let length = nix::unistd::read(&reader, &mut said).expect("it has said something");
    String::from_utf8_lossy(&said[..length]).replace("\r\n", "\n")
}

#[test]
fn usage_error_ends_with_a_hint_on_a_terminal_only() {
    for name in [
        "argv0",
        "tcpserver",
        "rblsmtpd",
        "tcprulescheck",
        "time@",
        "tcpctl",
    ] {
        let logged = complaint(name, false);
        assert!(logged.contains(&format!("usage: {name} ")), "{logged}");
        let hint = format!("{name}: try {name} --help\n");
        assert_eq!(complaint(name, true), logged + &hint);
    }
}

#[test]
fn original_has_no_other_program() {
    // Where the original is; elsewhere the table has to do.
    let Some(folder) = std::env::var_os("UCSPI_ORACLE_DIR") else {
        return;
    };
    let Ok(programs) = fs::read_dir(Path::new(&folder).join("ucspi-tcp/usr/bin")) else {
        return;
    };
    let there: BTreeSet<String> = programs
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(there, ORIGINAL.into_iter().map(str::to_owned).collect());
}
