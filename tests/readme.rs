//! README.md does what it says: its commands and its example are run, what it names exists.
//!
//! `ci/first-command` runs the first command where nothing is built yet; here the programs of this build are used. The
//! test command cannot run itself.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use support::launch::{Input, Launch};
use support::net;
use support::programs::Programs;
use support::temp::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(file: &str) -> String {
    let path = Path::new(ROOT).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of `kind` after the line `heading`, without their fences.
fn blocks(heading: &str, kind: &str) -> Vec<String> {
    let readme = read("README.md");
    let (_, section) = readme
        .split_once(heading)
        .unwrap_or_else(|| panic!("README.md has no {heading:?}"));
    let fence = format!("```{kind}\n");
    let parts = section.split(&fence).skip(1);
    parts
        .filter_map(|part| part.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

/// A shell whose programs are ours.
fn shell<'a>(args: impl IntoIterator<Item = &'a str>) -> Launch {
    let programs = programs();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    Launch::new("/bin/sh".into(), "sh", args)
        .empty_env()
        .env("PATH", path)
        .env("UCSPI_PROGRAMS", programs.to_string_lossy().as_bytes())
}

fn programs() -> PathBuf {
    let tcpserver = Programs::subject().path("tcpserver");
    tcpserver.parent().expect("it is in a folder").to_path_buf()
}

#[test]
fn example_prints_what_is_promised() {
    let example = &blocks("# ucspi-tcp", "sh")[0];
    let promise = &blocks("# ucspi-tcp", "text")[0];
    assert_eq!(example.lines().count(), 6, "it is short");
    // Whatever port is free; it stays ours in between.
    let (_reserved, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
    let example = example.replace("7000", &port.to_string());
    let (until_it_listens, then) = example
        .split_once(" &\n")
        .expect("the server is started in the background");
    let folder = TempDir::new();
    let mut process = shell(["-s"])
        .stdin(Input::Pipe)
        .spawn(folder.path())
        .expect("there is a shell");
    let mut stdin = process.stdin.take().expect("it reads from a pipe");
    let mut type_in = |text: &str| {
        std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("the shell reads on");
    };
    type_in(&format!("{until_it_listens} &\n"));
    let stderr = process.stderr.as_ref().expect("it is a pipe");
    stderr.wait_for("tcpserver: status: 0/40", 1);
    type_in(then);
    drop(stdin);
    let outcome = process.outcome();
    assert_eq!(
        String::from_utf8_lossy(&outcome.stdout),
        *promise,
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
}

#[test]
fn first_command_serves_this_page_under_rules() {
    let command = blocks("## First steps", "sh")[0].trim_end().to_owned();
    let process = shell(["-c", &format!("exec {command} 0")])
        .spawn(Path::new(ROOT))
        .expect("there is a shell");
    let line = process.stdout.as_ref().expect("it is a pipe").first_line();
    let line = String::from_utf8_lossy(&line).into_owned();
    let port = line
        .trim_end()
        .strip_prefix("http://127.0.0.1:")
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("no address, but {line:?}"));
    let ask = |last_two: [u8; 2]| {
        let source = Ipv4Addr::new(127, 0, last_two[0], last_two[1]);
        let mut stream = net::connect_from(source, Ipv4Addr::LOCALHOST, port, |_| false)
            .expect("the server listens");
        net::send(&mut stream, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        String::from_utf8_lossy(&net::receive_all(&mut stream)).into_owned()
    };
    let page = |file: &str| {
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
        format!("{head}{}", read(file))
    };
    assert_eq!(ask([0, 1]), page("README.md"));
    assert_eq!(ask([0, 2]), page("docs/differences.md"));
    assert_eq!(ask([1, 1]), "");
    process.signal(Signal::SIGTERM);
    let outcome = process.outcome();
    let log = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(0), "{log}");
    assert_eq!(log.matches("tcpserver: ok ").count(), 2, "{log}");
    assert_eq!(log.matches("tcpserver: deny ").count(), 1, "{log}");
}

#[test]
fn second_command_is_the_one_that_every_change_must_pass() {
    let command = blocks("## First steps", "sh")[1].trim_end().to_owned();
    assert!(
        read("ci/check")
            .lines()
            .any(|line| line == format!("step {command}")),
        "ci/check does not run {command:?}"
    );
}

#[test]
fn programs_in_the_table_are_those_that_exist() {
    let readme = read("README.md");
    let named = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .filter(|(name, _)| !name.starts_with('-'))
        .map(|(name, _)| name.to_owned());
    let mut named: Vec<String> = named.collect();
    named.sort();
    let bins = fs::read_dir(Path::new(ROOT).join("src/bin")).expect("programs are in src/bin");
    let mut existing: Vec<String> = bins
        .map(|bin| bin.expect("the folder does not change").path())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .map(|name| name.replace("_at", "@").replace('_', "-"))
        .collect();
    existing.sort();
    assert_eq!(named, existing);
}

#[test]
fn links_lead_to_files_that_exist() {
    for page in [
        "README.md",
        "CHANGELOG.md",
        "docs/decisions.md",
        "docs/differences.md",
    ] {
        let folder = Path::new(ROOT).join(page);
        let folder = folder.parent().expect("it is in a folder");
        let text = read(page);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target.split('#').next().unwrap_or(target))
            .filter(|target| !target.contains("://") && !target.is_empty());
        for target in targets {
            assert!(folder.join(target).exists(), "{page} links to {target}");
        }
    }
}
