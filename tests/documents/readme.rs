//! README.md does what it says: its commands and its example are run, what it names exists.
//!
//! `ci/first-command` runs the first command where nothing is built yet; here the programs of this build are used. The
//! test command cannot run itself.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::launch::{Input, Launch};
use crate::support::net;
use crate::support::programs::Programs;
use crate::support::temp::TempDir;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn read(file: &str) -> String {
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

/// What the shell prints that is given `text` all at once, as somebody pastes it, in a folder of its own.
fn pasted(text: &str) -> String {
    let folder = TempDir::new();
    let launch = shell(["-s"]).stdin(Input::Bytes(text.as_bytes().to_vec()));
    let process = launch.spawn(folder.path()).expect("there is a shell");
    let outcome = process.outcome();
    let errors = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(errors, "", "{text}");
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

#[test]
fn example_prints_what_is_promised_however_it_is_pasted() {
    let example = &blocks("# ucspi-tcp", "sh")[1];
    let promise = &blocks("# ucspi-tcp", "text")[0];
    for _ in 0..20 {
        assert_eq!(pasted(example), *promise);
    }
}

#[test]
fn programs_get_into_the_path_by_the_line_that_says_so() {
    let line = &blocks("# ucspi-tcp", "sh")[0];
    let (build, path) = line.split_once(" && ").expect("two commands");
    assert_eq!(build, "cargo build --bins");
    let shown = pasted(&format!("PWD=/clone\n{path}echo \"$PATH\"\n"));
    let expected = format!(
        "/clone/target/debug:{}:/usr/bin:/bin\n",
        programs().display()
    );
    assert_eq!(shown, expected);
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
        .and_then(|port| port.strip_suffix('/')?.parse().ok())
        .unwrap_or_else(|| panic!("no address, but {line:?}"));
    let ask = |last_two: [u8; 2]| {
        let source = Ipv4Addr::new(127, 0, last_two[0], last_two[1]);
        let mut stream = net::connect_from(source, Ipv4Addr::LOCALHOST, port, |_| false)
            .expect("the server listens");
        net::send(&mut stream, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        String::from_utf8_lossy(&net::receive_all(&mut stream)).into_owned()
    };
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!DOCTYPE html>\n";
    for (from, title) in [([0, 1], "ucspi-tcp"), ([0, 2], "Deliberate differences")] {
        let page = ask(from);
        assert!(page.starts_with(head), "{page}");
        assert!(page.contains(&format!("<h1>{title}")), "{page}");
        assert!(page.ends_with(">\n"), "{page}");
    }
    assert_eq!(ask([1, 1]), "");
    process.signal(Signal::SIGTERM);
    let outcome = process.outcome();
    let log = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(0), "{log}");
    assert!(log.contains("until Ctrl-C\n"), "{log}");
    assert_eq!(log.matches("tcpserver: ok ").count(), 2, "{log}");
    assert_eq!(log.matches("tcpserver: deny ").count(), 1, "{log}");
}

#[test]
fn first_command_says_when_the_port_is_taken() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let port = taken.local_addr().expect("it is bound").port();
    let outcome = shell(["-c", &format!("exec examples/serve {port}")])
        .spawn(Path::new(ROOT))
        .expect("there is a shell")
        .outcome();
    let errors = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(111), "{errors}");
    let expected = format!(
        "examples/serve: port {port} cannot be had; another one can: examples/serve 8001\n"
    );
    assert!(errors.contains(&expected), "{errors}");
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
        "CONTRIBUTING.md",
        "docs/decisions.md",
        "docs/differences.md",
        "docs/migrating.md",
        "docs/security.md",
        "docs/unsafe.md",
        "examples/balancer/README.md",
        "examples/perlipc/README.md",
        "examples/pool/README.md",
        "examples/relay/README.md",
        "examples/run/README.md",
        "examples/services/README.md",
        "examples/tls/README.md",
        "package/README.md",
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
