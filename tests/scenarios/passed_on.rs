//! What reaches a program that others start: one home for what all of them are asked.

use nix::sys::signal::Signal;

use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::probe;
use crate::support::process::Outcome;
use crate::support::scene::Scene;

/// A program that shows the words it was called with.
pub(crate) const WORDS: [&str; 7] = [
    "sh",
    "-c",
    "tr '\\0' '|' </proc/$$/cmdline; :",
    "",
    "--",
    "-x",
    "two words",
];

/// An environment in which an order can be seen, with a name twice and an entry that is no variable.
pub(crate) fn odd_environment(launch: Launch) -> Launch {
    launch
        .env("Z", "1")
        .env("A", "2")
        .env("Z", "3")
        .env_entry("odd")
        .env("E", "")
}

/// Signals that nobody ignores by default, SIGCHLD apart: who waits for a child cannot.
pub(crate) const IGNORED: [Signal; 4] = [
    Signal::SIGPIPE,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
];

/// With a mask that nobody has by default.
pub(crate) fn odd_signals(launch: Launch, ignored: &[Signal]) -> Launch {
    let launch = launch.blocking(Signal::SIGUSR1);
    ignored.iter().copied().fold(launch, Launch::ignoring)
}

/// Writes down what `probe::SIGNALS` printed.
pub(crate) fn note_signals(s: &mut Scene, outcome: &Outcome) {
    note(s, outcome, probe::signals);
}

/// Writes down what `probe::DESCRIPTORS` printed.
pub(crate) fn note_descriptors(s: &mut Scene, outcome: &Outcome) {
    note(s, outcome, probe::descriptors);
}

fn note(s: &mut Scene, outcome: &Outcome, read: impl Fn(&str) -> Vec<String>) {
    s.note_lines(
        "program sees",
        &read(&String::from_utf8_lossy(&outcome.stdout)),
    );
}

/// Plays one connection: the options, the program, what else the start is given.
type Play = fn(&mut Scene, &[&str], &[&str], &dyn Fn(Launch) -> Launch);

/// The variables of a connection, in their order, for tcpclient and tcpserver; `letters` keep look-ups away.
pub(crate) fn variables(book: &mut Book, letters: &'static str, play: Play) {
    for (name, local) in [
        ("local_name_may_be_empty", ""),
        ("local_name_is_not_looked_at", "a b%c:\t"),
    ] {
        book.add(name, move |s| {
            play(s, &[letters, "-l", local], &["env"], &|launch| launch)
        });
    }
    let options = format!("{letters}l0");
    for (name, program, with) in VARIABLES {
        let options = options.clone();
        let scenario = book.add(*name, move |s| play(s, &[&options], program, with));
        if *name == COPIES {
            scenario.differs("copies-of-variables");
        }
    }
}

/// Of several copies of a variable the original removes some.
const COPIES: &str = "every_entry_of_a_name_is_removed";

/// A program that shows its environment, and the one that it is started with.
type Variables = (&'static str, &'static [&'static str], fn(Launch) -> Launch);

const VARIABLES: &[Variables] = &[
    (
        "program_sees_exactly_the_documented_environment",
        &["env"],
        |launch| launch,
    ),
    (
        "stale_variables_are_replaced_or_removed",
        &["env"],
        |launch| {
            let stale = [
                "PROTO",
                "TCPLOCALIP",
                "TCPLOCALPORT",
                "TCPLOCALHOST",
                "TCPREMOTEIP",
                "TCPREMOTEPORT",
                "TCPREMOTEHOST",
                "TCPREMOTEINFO",
            ];
            stale
                .into_iter()
                .fold(launch.env("A", "1"), |launch, name| {
                    launch.env(name, "stale")
                })
                .env("Z", "2")
        },
    ),
    (
        "removed_entry_is_filled_with_the_last_one",
        &["env"],
        |launch| {
            launch
                .env("A", "1")
                .env("TCPREMOTEINFO", "stale")
                .env("B", "2")
                .env("C", "3")
        },
    ),
    (COPIES, &["env"], |launch| {
        launch
            .env("TCPREMOTEINFO", "one")
            .env("PROTO", "one")
            .env("TCPREMOTEINFO", "two")
            .env("PROTO", "two")
    }),
    ("names_that_only_begin_alike_are_kept", &["env"], |launch| {
        launch
            .env("PROTOCOL", "x")
            .env("TCPREMOTEHOSTS", "x")
            .env("TCPREMOTE", "x")
            .env("XPROTO", "x")
    }),
    (
        "odd_entries_pass_through",
        &["cat", "/proc/self/environ"],
        |launch| {
            launch
                .env_entry("noequal")
                .env_entry("")
                .env_entry("=empty")
                .env_entry("PROTO")
                .env_entry(b"\xff=\xfe")
        },
    ),
    (
        "empty_environment_gets_only_the_documented_variables",
        &["env"],
        Launch::empty_env,
    ),
];
