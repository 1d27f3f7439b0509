//! tcprulescheck and recordio under failing calls: no wrong answer, no lost byte that nobody is told of.

use crate::crowd::state;
use crate::fault::{Calls, Fault, may_trace, traced};
use crate::matrix::{self, Row, Trial, row};
use crate::support::launch::Input;
use crate::support::process::describe;
use crate::world::{self, World, children, eventually, lossy};

const CHECK_ROWS: &[Row] = &[
    row(
        "openat",
        "rules.cdb",
        &[
            "EACCES", "EMFILE", "ENFILE", "EIO", "ENOMEM", "EPERM", "EINTR", "ENOENT",
        ],
    ),
    row("statx", "", &["EIO", "ENOMEM"]),
    row("pread64", "", &["EIO", "EINTR", "retval=0"]),
    row(
        "write",
        "write(1, ",
        &["EPIPE", "ENOSPC", "EIO", "EINTR", "retval=0", "EAGAIN"],
    ),
];

/// The answer about a peer that is denied: that, or no answer and why.
fn check(world: &World, fault: Option<&Fault>) -> Trial {
    let launch = traced(world, fault, "tcprulescheck", &["rules.cdb", "127.0.0.2"]);
    let outcome = world
        .start(launch.env("TCPREMOTEIP", "127.0.0.2"))
        .outcome();
    let log = lossy(&outcome.stderr);
    let answer = lossy(&outcome.stdout);
    assert!(!answer.contains("allow"), "{answer}");
    let outcome = match outcome.status.code() {
        Some(0) => {
            let is_cut = fault.is_some_and(|fault| fault.what.contains("retval"));
            assert!(is_cut || answer.ends_with("deny connection\n"), "{answer}");
            "the right answer (0)"
        }
        Some(111) => "no answer and why (111)",
        _ => panic!("{}: {log}", describe(outcome.status)),
    };
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome,
        log,
    }
}

#[test]
fn rule_check_under_failing_calls_never_gives_a_wrong_answer() {
    let Some(world) = world::with(&["strace"]) else {
        return;
    };
    if may_trace(&world) {
        world.rules("127.0.0.0/30:deny\n127.0.0.0/29:allow\n:allow\n");
        matrix::run("tcprulescheck", CHECK_ROWS, matrix::MANY, |fault| {
            check(&world, fault)
        });
    }
}

/// In the process that becomes the program.
const RECORD_ROWS: &[Row] = &[
    row("pipe2", "", &["EMFILE", "ENFILE", "ENOMEM"]).saying("unable to create pipe: {}\n"),
    row("clone", "", &["EAGAIN", "ENOMEM"]).saying("unable to fork: {}\n"),
    row("dup2", "", &["EMFILE", "EBUSY", "EINTR"]),
    row("close", "", &["EIO"]),
];

/// All that goes in comes out, or the program does not run and recordio says why.
fn record(world: &World, fault: Option<&Fault>) -> Trial {
    let input = "one line\nand another\n";
    let launch = traced(world, fault, "recordio", &["/bin/cat"]).input(input);
    let outcome = world.start(launch).outcome();
    let log = lossy(&outcome.stderr);
    let output = lossy(&outcome.stdout);
    let is_close = fault.is_some_and(|fault| fault.call == "close");
    let outcome = match outcome.status.code() {
        Some(0) => {
            assert_eq!(output, input, "{log}");
            assert!(
                log.contains(" > and another+\n") || log.contains(" > and another \n"),
                "{log}"
            );
            "all was passed on (0)"
        }
        Some(111) => {
            assert_eq!(output, "");
            // The pump may have said that it saw the end.
            assert!(log.contains("recordio: fatal: unable to "), "{log}");
            "it did not start and said why (111)"
        }
        _ => panic!("{}: {log} {is_close}", describe(outcome.status)),
    };
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome,
        log,
    }
}

#[test]
fn recorder_under_failing_calls_passes_all_on_or_does_not_start() {
    let Some(world) = world::with(&["strace", "cat"]) else {
        return;
    };
    if may_trace(&world) {
        matrix::run("recordio", RECORD_ROWS, matrix::MANY, |fault| {
            record(&world, fault)
        });
    }
}

/// In the pump, while it pumps.
const PUMP_FAILURES: [(&str, &str); 13] = [
    ("poll", "EINTR"),
    ("poll", "ENOMEM"),
    ("poll", "EINVAL"),
    ("read", "EINTR"),
    ("read", "EIO"),
    ("read", "EAGAIN"),
    ("read", "ECONNRESET"),
    ("write", "EINTR"),
    ("write", "EIO"),
    ("write", "EPIPE"),
    ("write", "ENOSPC"),
    ("write", "EAGAIN"),
    ("write", "EFBIG"),
];
/// A pump that fails ends; so do its calls.
const PUMP_CALLS_MAX: usize = 20_000;

#[test]
fn failing_pump_ends_and_so_does_its_program() {
    let Some(world) = world::with(&["strace", "cat"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let input: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    let mut table = matrix::Table::new("recordio's pump");
    let positions = if matrix::is_full() { 6 } else { 1 };
    for (call, error) in PUMP_FAILURES {
        for first in 1..=positions {
            let recordio = world.program("recordio", ["/bin/cat"]).stdin(Input::Pipe);
            let mut recordio = world.start(recordio);
            let mut pump = None;
            eventually("the pump waits", || {
                pump = children(recordio.pid()).first().copied();
                pump.is_some_and(|pump| state(pump) == 'S')
            });
            let pump = pump.unwrap_or_default().to_string();
            let fault = format!("--inject={call}:error={error}:when={first}");
            let words = ["-o", "trace", "-s", "8", &fault, "-p", &pump];
            let tracer = world.start(world.program("strace", words));
            eventually("strace is attached", || {
                let said = tracer.stderr.as_ref().map(|text| lossy(&text.so_far()));
                said.is_some_and(|said| said.contains("attached"))
            });
            recordio.feed(input.clone().into_bytes());
            let output = lossy(&recordio.outcome().stdout);
            let _ = tracer.outcome();
            assert!(input.starts_with(&output), "{call} {error}: {output}");
            let trace = std::fs::read(world.path("trace")).expect("strace has written it");
            let trace = lossy(&trace);
            let calls = trace.lines().count();
            assert!(calls < PUMP_CALLS_MAX, "{call} {error}: {calls} calls");
            let outcome = if !trace.contains("(INJECTED)") {
                matrix::DID_NOT_OCCUR
            } else if output == input {
                "all was passed on"
            } else {
                "it ended, and nothing was made up"
            };
            table.add_named(call, error, 1, outcome);
        }
    }
    table.assert_calls_are_made();
    table.print();
}
