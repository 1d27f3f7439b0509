//! Two networks joined by a wire, made for each test: a server in the one, a client in the other.

mod dns;
mod families;
mod git;
mod link_local;
mod names;
mod without_ipv6;
mod world;

use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::launch::Launch;
use crate::support::place::text;
use crate::support::process::{Outcome, Process};
use crate::support::programs::Programs;
use crate::support::temp::TempDir;
use crate::support::trials::{Trial, Verdict};
use world::World;

pub(crate) type Test = fn(&World) -> Verdict;

/// All tests, each in networks of its own.
pub(crate) fn trials() -> Vec<Trial> {
    let tests = [
        families::TESTS,
        link_local::TESTS,
        without_ipv6::TESTS,
        names::TESTS,
        git::TESTS,
    ];
    let trial = |&(name, test): &(&str, Test)| {
        let trial = Trial::new(name, move || world::within(test));
        trial.of("networks").in_own_net()
    };
    tests.concat().iter().map(trial).collect()
}

/// Ours, and ucspi-tcp-ipv6 where `UCSPI_ORACLE_DIR` says that it is.
fn suites() -> impl Iterator<Item = Programs> {
    let oracle = Programs::oracle("ucspi-tcp-ipv6").expect("the environment is right");
    [Some(Programs::subject()), oracle].into_iter().flatten()
}

/// One of our programs.
fn program(name: &str, args: &[&str]) -> Launch {
    Launch::new(Programs::subject().path(name), name, args)
}

fn start(launch: Launch) -> Process {
    launch.spawn(Path::new("/")).expect("the program is there")
}

/// A tcpserver in the other network.
struct Server {
    process: Process,
    port: String,
}

impl Server {
    /// `tcpserver -1vHRl0 args env`; the args end in the host and the port 0.
    fn of_env(world: &World, args: &[&str]) -> Self {
        Self::start(
            world,
            program("tcpserver", &[&["-1vHRl0"], args, &["env"]].concat()),
        )
    }

    fn start(world: &World, launch: Launch) -> Self {
        let process = world.there(|| start(launch));
        let line = process.stdout.as_ref().expect("a pipe").first_line();
        let port = String::from_utf8_lossy(&line).trim().to_owned();
        if port.parse::<u16>().is_err() {
            let said = process.outcome().stderr;
            panic!(
                "the server did not start: {}",
                String::from_utf8_lossy(&said)
            );
        }
        Self { process, port }
    }

    /// Ends it; its log.
    fn log(mut self) -> String {
        self.process.signal(Signal::SIGTERM);
        self.process.wait();
        text(&self.process.outcome().stderr)
    }
}

/// Runs `tcpclient options host port` here, with a program that prints its own environment, each line behind `here `,
/// and then what it receives.
fn client(options: &[&str], host: &str, port: &str) -> Outcome {
    let print = ["sh", "-c", "env | sed 's/^/here /'; cat <&6"];
    let args = [&["-vHRl0"], options, &[host, port], &print].concat();
    start(program("tcpclient", &args)).outcome()
}

/// One client of one server: all `lines`, in which `%` is the port, must be printed by the two programs or in the log,
/// and none that starts with one of `not`.
fn one(
    world: &World,
    serving: &[&str],
    options: &[&str],
    host: &str,
    lines: &[&str],
    not: &[&str],
) {
    let server = Server::of_env(world, serving);
    let outcome = client(options, host, &server.port);
    let port = server.port.clone();
    let log = server.log();
    let all = format!("{}{}{log}", text(&outcome.stdout), text(&outcome.stderr));
    for line in lines {
        let line = line.replace('%', &port);
        assert!(
            all.lines().any(|other| other == line),
            "no line {line} in\n{all}"
        );
    }
    for start in not {
        assert!(
            !all.lines().any(|other| other.starts_with(start)),
            "a line {start}... in\n{all}"
        );
    }
}

/// Starts a program that must end by itself: its exit code and what it said.
fn refused(launch: Launch) -> (Option<i32>, String) {
    let outcome = start(launch).outcome();
    (outcome.status.code(), text(&outcome.stderr))
}

/// A compiled file of these rules.
fn rules(text: &str) -> (TempDir, String) {
    let folder = TempDir::new();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (cdb, tmp) = (path("rules.cdb"), path("rules.tmp"));
    let outcome = start(program("tcprules", &[&cdb, &tmp]).input(text)).outcome();
    assert!(outcome.status.success());
    (folder, cdb)
}
