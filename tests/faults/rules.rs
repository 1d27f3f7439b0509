//! tcprules under failing calls, on a full disk, and killed at every one of its calls: the old file or the new one,
//! whole, always.

use std::fs;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::fault::{Calls, Fault, may_trace, traced};
use crate::matrix::{self, Row, Table, Trial, is_full, row};
use crate::support::launch::Input;
use crate::support::process::describe;
use crate::world::{self, World, eventually, lossy};

const OLD_RULES: &str = ":deny\n";
/// Enough for several writes.
const NEW_RULES: usize = 3000;

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
    row("write", "write(3, ", &["ENOSPC", "EIO", "EACCES"])
        .saying("unable to write to rules.tmp: {}\n"),
    row("write", "write(3, ", &["EDQUOT", "EFBIG", "retval=0"]),
    row("write", "write(3, ", &["EINTR"]).spanning(&[1, 3]),
    row("pwrite64", "", &["ENOSPC", "EIO", "retval=0"]),
    row("pwrite64", "", &["EINTR"]).spanning(&[1, 3]),
    row("fsync", "", &["EIO", "ENOSPC"]),
    row("flock", "", &["EINTR", "ENOLCK", "EOPNOTSUPP"]),
    row("ftruncate", "", &["EIO", "EFBIG", "EINTR"]),
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

/// Two files of rules that both deny 127.0.0.2 and have no slot in the same place; too large to be read at once.
fn other_layouts(world: &World) -> [Vec<u8>; 2] {
    [(10, 2000), (12, 2600)].map(|(network, count)| {
        let others = (0..count).map(|n| format!("{network}.{}.{}.7:allow\n", n / 200, n % 200));
        let rules: String = others.chain(["127.0.0.2:deny\n".to_owned()]).collect();
        let file = world.rules(&rules);
        fs::read(world.path(&file)).expect("it was just made")
    })
}

#[test]
fn file_overwritten_before_any_read_of_a_look_up_never_allows() {
    let Some(world) = world::with(&["strace"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let [old, new] = other_layouts(&world);
    let arguments = ["rules.cdb", "127.0.0.2"];
    let stopped = "--- stopped by SIGSTOP ---";
    for call in ["pread64", "read"] {
        let mut first = 1;
        // Each read in turn, until there are no more.
        loop {
            world.write("rules.cdb", &old);
            let fault = Fault {
                call,
                what: "signal=STOP".to_owned(),
                first,
                span: 1,
            };
            let process = world.start(traced(&world, Some(&fault), "tcprulescheck", &arguments));
            let trace = world.path("trace");
            let mut text = String::new();
            eventually("it stops or ends", || {
                text = lossy(&fs::read(&trace).unwrap_or_default());
                text.contains(stopped) || text.contains("+++ exited with")
            });
            let is_stopped = text.contains(stopped);
            if is_stopped {
                // In place, as cp does.
                world.write("rules.cdb", &new);
                process.signal(Signal::SIGCONT);
            }
            let outcome = process.outcome();
            let said = lossy(&[outcome.stdout, outcome.stderr].concat());
            assert!(
                said.ends_with("deny connection\n") || said.ends_with(": protocol error\n"),
                "{call} {first}: {said}"
            );
            if !is_stopped {
                break;
            }
            first += 1;
        }
        assert!(first > 1, "{call}");
    }
}

#[test]
fn second_run_with_the_same_temporary_file_waits_for_the_first() {
    let Some(world) = world::with(&[]) else {
        return;
    };
    let files = files(&world);
    files.reset(&world);
    let compile = |input| world.start(world.program("tcprules", OPERANDS).stdin(input));
    let mut first = compile(Input::Pipe);
    let has_locked = || {
        let file = fs::File::open(world.path("rules.tmp")).ok()?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        lock.is_err().then_some(())
    };
    eventually("the first has its file", || has_locked().is_some());
    let mut second = compile(Input::Bytes(OLD_RULES.into()));
    let descriptors = format!("/proc/{}/fd", second.pid());
    eventually("the second is at the same file, or has ended", || {
        let Ok(entries) = fs::read_dir(&descriptors) else {
            return true;
        };
        let mut links = entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link.ends_with("rules.tmp"))
    });
    first.feed(files.rules.clone().into_bytes());
    let first = first.outcome();
    assert_eq!(
        describe(first.status),
        "exit: 0",
        "{}",
        lossy(&first.stderr)
    );
    assert!(second.wait().success());
    assert_eq!(
        files.which(&world),
        "the old file",
        "the second was the last"
    );
}

#[test]
fn folder_is_synced_after_the_rename() {
    let Some(world) = world::with(&["strace"]) else {
        return;
    };
    if !may_trace(&world) {
        return;
    }
    let files = files(&world);
    files.reset(&world);
    let launch = traced(&world, None, "tcprules", &OPERANDS).input(&files.rules);
    assert!(world.start(launch).outcome().status.success());
    let calls = Calls::of_ended(&world.path("trace")).in_order(&["fsync", "rename"]);
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    assert_eq!(calls, ["fsync", "rename", "fsync"]);
}
