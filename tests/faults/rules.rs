//! tcprules under failing calls, on a full disk, and killed at every one of its calls: the old file or the new one,
//! whole, always.

use std::fs;

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, may_trace, traced};
use crate::matrix::{self, Row, Table, Trial, is_full, row};
use crate::support::process::describe;
use crate::world::{self, World, lossy};

const OLD_RULES: &str = ":deny\n";
/// Enough for several writes.
const NEW_RULES: usize = 900;

/// The file before and after a run that nothing disturbs.
struct Files {
    old: Vec<u8>,
    new: Vec<u8>,
    rules: String,
}

/// Makes the file `rules.cdb` the old one; `other.cdb` shows what it will be.
fn files(world: &World) -> Files {
    let mut rules = String::new();
    for number in 0..NEW_RULES {
        rules += &format!(
            "10.{}.{}.:allow,NUMBER=\"{number}\"\n",
            number / 200,
            number % 200
        );
    }
    rules += ":deny\n";
    let compile = |rules: &str, cdb: &str| {
        let launch = world.program("tcprules", [cdb, "tmp"]).input(rules);
        world.succeed(launch);
        fs::read(world.path(cdb)).expect("it was just made")
    };
    Files {
        old: compile(OLD_RULES, "old.cdb"),
        new: compile(&rules, "other.cdb"),
        rules,
    }
}

impl Files {
    fn reset(&self, world: &World) {
        world.write("rules.cdb", &self.old);
        let _ = fs::remove_file(world.path("rules.tmp"));
    }

    /// Which of the two `rules.cdb` is.
    fn which(&self, world: &World) -> &'static str {
        let found = fs::read(world.path("rules.cdb")).expect("there is always a file");
        if found == self.old {
            "the old file"
        } else {
            assert!(
                found == self.new,
                "neither the old file nor the new one, but {} bytes",
                found.len()
            );
            "the new file"
        }
    }
}

const OPERANDS: [&str; 2] = ["rules.cdb", "rules.tmp"];

/// A traced run that ends by itself: with 0 and the new file, or with 111, one line, and the old file.
fn trial(world: &World, files: &Files, fault: Option<&Fault>) -> Trial {
    files.reset(world);
    let launch = traced(world, fault, "tcprules", &OPERANDS).input(&files.rules);
    let outcome = world.start(launch).outcome();
    let log = lossy(&outcome.stderr);
    let outcome = match outcome.status.code() {
        Some(0) => {
            assert_eq!(files.which(world), "the new file", "with status 0");
            "the new file (0)"
        }
        Some(111) => {
            assert_eq!(files.which(world), "the old file", "with status 111");
            assert!(log.starts_with("tcprules: fatal: unable to "), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
            "the old file and why (111)"
        }
        _ => panic!("{}: {log}", describe(outcome.status)),
    };
    Trial {
        calls: Calls::of_ended(&world.path("trace")),
        outcome,
        log,
    }
}

const ROWS: &[Row] = &[
    row(
        "openat",
        "rules.tmp",
        &[
            "EACCES", "EMFILE", "ENFILE", "ENOSPC", "EIO", "EPERM", "ENOMEM",
        ],
    )
    .saying("unable to create rules.tmp: {}\n"),
    row("openat", "rules.tmp", &["EINTR"]),
    row("read", "read(0, ", &["EIO", "EAGAIN"]).saying("unable to read input: {}\n"),
    row("read", "read(0, ", &["EINTR"]).spanning(&[1, 3]),
    row("write", "write(4, ", &["ENOSPC", "EIO", "EACCES"])
        .saying("unable to write to rules.tmp: {}\n"),
    row("write", "write(4, ", &["EDQUOT", "EFBIG", "retval=0"]),
    row("write", "write(4, ", &["EINTR"]).spanning(&[1, 3]),
    row("lseek", "", &["EIO", "ENOMEM"]),
    row("fsync", "", &["EIO", "ENOSPC"]),
    row("fcntl", "F_DUPFD", &["EMFILE"]).saying("unable to write to rules.tmp: {}\n"),
    row("rename", "", &["EACCES", "EIO", "ENOSPC", "EPERM"])
        .saying("unable to move rules.tmp to rules.cdb: {}\n"),
    row("rename", "", &["EXDEV", "EBUSY", "EROFS", "EDQUOT"]),
    row("statx", "", &["EIO", "ENOMEM"]),
    row("close", "", &["EIO", "EINTR"]),
];

#[test]
fn failing_call_leaves_the_old_rules_or_the_new() {
    let Some(world) = world::with(&["strace"]) else {
        return;
    };
    if may_trace(&world) {
        let files = files(&world);
        matrix::run("tcprules", ROWS, matrix::MANY, |fault| {
            trial(&world, &files, fault)
        });
    }
}

#[test]
fn run_that_is_killed_at_any_call_leaves_the_old_rules_or_the_new() {
    let Some(world) = world::with(&["strace"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let files = files(&world);
    let base = trial(&world, &files, None);
    let mut table = Table::new("tcprules, killed");
    let all = base.calls.all();
    let all = all
        .iter()
        .flat_map(|(call, count)| (1..=*count).map(move |first| (call, first)));
    let stride = if is_full() { 1 } else { 9 };
    for (call, first) in all.step_by(stride) {
        files.reset(&world);
        let fault = Fault {
            // A name from the trace, for as long as the tests run.
            call: call.clone().leak(),
            what: "signal=KILL".to_owned(),
            first,
            span: 1,
        };
        let launch = traced(&world, Some(&fault), "tcprules", &OPERANDS).input(&files.rules);
        let outcome = world.start(launch).outcome();
        let status = describe(outcome.status);
        assert_eq!(status, "killed: SIGKILL", "{call} {first}");
        table.add(&fault, files.which(&world));
    }
    table.print();
}

#[test]
fn disk_that_is_full_at_any_byte_leaves_the_old_rules() {
    let Some(world) = world::with(&[]) else {
        return;
    };
    let files = files(&world);
    let size = files.new.len();
    // Real short writes: a file may be that long and no longer.
    let stride = if is_full() { 499 } else { 4999 };
    for limit in (0..size).step_by(stride).chain([size - 1]) {
        for is_killed in [false, true] {
            files.reset(&world);
            let launch = world.program("tcprules", OPERANDS).input(&files.rules);
            let launch = launch.limit(Resource::RLIMIT_FSIZE, limit as u64);
            let launch = if is_killed {
                launch
            } else {
                launch.ignoring(Signal::SIGXFSZ)
            };
            let outcome = world.start(launch).outcome();
            let log = lossy(&outcome.stderr);
            let expected = if is_killed {
                "killed: SIGXFSZ"
            } else {
                assert_eq!(
                    log, "tcprules: fatal: unable to write to rules.tmp: file too big\n",
                    "{limit}"
                );
                "exit: 111"
            };
            assert_eq!(describe(outcome.status), expected, "{limit}");
            assert_eq!(files.which(&world), "the old file", "{limit}");
        }
    }
    files.reset(&world);
    let launch = world.program("tcprules", OPERANDS).input(&files.rules);
    world.succeed(launch.limit(Resource::RLIMIT_FSIZE, size as u64));
    assert_eq!(files.which(&world), "the new file");
}
