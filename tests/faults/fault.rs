//! One fault: which call fails, how, and at which of its occurrences; and what the tracer saw of the run.

use std::fs;
use std::path::Path;

use crate::support::launch::Launch;
use crate::world::{self, World, eventually, lossy};

/// What strace is told to do to a call. strace(1), "Tampering".
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: &'static str,
    /// `error=EMFILE`, `retval=0`, `signal=KILL`.
    pub(crate) what: String,
    /// The first occurrence of the call that it hits, from 1.
    pub(crate) first: usize,
    /// How many occurrences in a row.
    pub(crate) span: usize,
}

impl Fault {
    pub(crate) fn option(&self) -> String {
        let last = self.first + self.span - 1;
        let when = if self.span == 1 {
            self.first.to_string()
        } else {
            format!("{}..{last}", self.first)
        };
        format!("--inject={}:{}:when={when}", self.call, self.what)
    }

    /// The errno that it makes, if it makes one.
    pub(crate) fn errno(&self) -> Option<i32> {
        let name = self.what.strip_prefix("error=")?;
        ERRORS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, errno)| *errno)
    }
}

/// What glibc and musl ask of the kernel by different calls. The first is the job's name: tests say that, and what the
/// program calls is found in its trace.
const JOBS: [&[&str]; 4] = [
    &["clone", "clone3", "fork"],
    &["epoll_wait", "epoll_pwait"],
    &["openat", "open"],
    &["statx", "stat", "fstat"],
];

/// The calls that do `job`.
///
/// # Panics
///
/// When that is another name than the job's.
fn spellings(job: &'static str) -> Vec<&'static str> {
    assert_eq!(self::job(job), job, "what a job is called");
    let known = JOBS.iter().find(|calls| calls[0] == job);
    known.map_or(vec![job], |calls| calls.to_vec())
}

/// The job that `call` does.
pub(crate) fn job(call: &str) -> &str {
    let known = JOBS.iter().find(|calls| calls.contains(&call));
    known.map_or(call, |calls| calls[0])
}

/// Those whose words the tests compare.
const ERRORS: [(&str, i32); 14] = [
    ("EACCES", libc::EACCES),
    ("EADDRINUSE", libc::EADDRINUSE),
    ("EADDRNOTAVAIL", libc::EADDRNOTAVAIL),
    ("EAGAIN", libc::EAGAIN),
    ("EIO", libc::EIO),
    ("EMFILE", libc::EMFILE),
    ("ENFILE", libc::ENFILE),
    ("ENOBUFS", libc::ENOBUFS),
    ("ENOENT", libc::ENOENT),
    ("ENOMEM", libc::ENOMEM),
    ("ENOSPC", libc::ENOSPC),
    ("EPERM", libc::EPERM),
    ("ECONNRESET", libc::ECONNRESET),
    ("EPIPE", libc::EPIPE),
];

/// True where strace is there and may trace; otherwise that has been said.
pub(crate) fn may_trace(world: &World) -> bool {
    let trial = ["-D", "-o", "/dev/null", "true"];
    let may = world.run("strace", trial).status.success();
    if !may {
        world::skip("strace may not trace here");
    }
    may
}

/// `program`, traced into the file `trace`, with `fault`. The process is the program itself, not strace: its id and its
/// exit status are the program's.
pub(crate) fn traced(world: &World, fault: Option<&Fault>, program: &str, args: &[&str]) -> Launch {
    // A program that it becomes is let go.
    traced_by(world, &["-b", "execve"], fault, program, args)
}

/// The same, and its threads are traced too.
pub(crate) fn traced_with_threads(
    world: &World,
    fault: Option<&Fault>,
    program: &str,
    args: &[&str],
) -> Launch {
    traced_by(world, &["-f"], fault, program, args)
}

fn traced_by(
    world: &World,
    how: &[&str],
    fault: Option<&Fault>,
    program: &str,
    args: &[&str],
) -> Launch {
    let _ = fs::remove_file(world.path("trace"));
    let words = ["-D", "-o", "trace"].iter().chain(how);
    let mut words: Vec<String> = words.map(|&word| word.to_owned()).collect();
    words.extend(fault.map(Fault::option));
    words.push(world.our(program));
    words.extend(args.iter().map(|&arg| arg.to_owned()));
    world.program("strace", words)
}

/// The calls of a traced program that has ended, in order.
pub(crate) struct Calls(Vec<String>);

impl Calls {
    /// Waits until the tracer has written the last line of `path`.
    pub(crate) fn of_ended(path: &Path) -> Self {
        let mut text = String::new();
        eventually("the trace is complete", || {
            text = lossy(&fs::read(path).unwrap_or_default());
            text.ends_with('\n')
                && text
                    .lines()
                    .map(call_of)
                    .next_back()
                    .is_some_and(is_the_end)
        });
        Self(text.lines().map(|line| call_of(line).to_owned()).collect())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// By which call, and at which of its occurrences, from 1, `job` is done with `text` among the arguments and the
    /// answer, once the program's own code runs: what the dynamic loader does is not ours.
    pub(crate) fn occurrences(&self, job: &'static str, text: &str) -> Vec<(&'static str, usize)> {
        let start = self.0.iter().position(|line| line.contains("F_GETFD"));
        let start = start.unwrap_or(0);
        // A call that is failed is not made. So a peer would wait for a close that failed, which the kernel's never do.
        let first_peer = |line: &String| job == "close" && is_call(line, "accept4");
        let end = self.0.iter().position(first_peer);
        let lines = &self.0[..end.unwrap_or(self.0.len())];
        let mut found = Vec::new();
        for call in spellings(job) {
            let all = lines.iter().enumerate();
            let all = all.filter(|(_, line)| is_call(line, call));
            // strace counts each call by itself.
            let numbered = all.zip(1..);
            let ours = numbered.filter(|((at, line), _)| *at >= start && line.contains(text));
            found.extend(ours.map(|((at, _), number)| (at, call, number)));
        }
        found.sort_unstable();
        found
            .into_iter()
            .map(|(_, call, number)| (call, number))
            .collect()
    }

    /// Every call, and how often it occurs, the loader's too, but the exec that starts it all and the exit that ends it.
    pub(crate) fn all(&self) -> Vec<(String, usize)> {
        let mut all: Vec<(String, usize)> = Vec::new();
        for line in &self.0 {
            let Some((name, _)) = line.split_once('(') else {
                continue;
            };
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_name || name == "execve" {
                continue;
            }
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => all.push((name.to_owned(), 1)),
            }
        }
        all
    }

    /// The names of these calls, in the order in which they were made.
    pub(crate) fn in_order(&self, calls: &[&str]) -> Vec<String> {
        let lines = self.0.iter();
        let names = lines.flat_map(|line| calls.iter().filter(move |call| is_call(line, call)));
        names.map(|&name| name.to_owned()).collect()
    }

    /// The calls that were tampered with.
    pub(crate) fn injected(&self) -> Vec<&str> {
        let injected = self.0.iter().filter(|line| line.contains("(INJECTED)"));
        injected.map(String::as_str).collect()
    }

    /// The lines of the calls that do `job`.
    pub(crate) fn text(&self, job: &'static str) -> String {
        let calls = spellings(job);
        let lines = self.0.iter();
        let lines = lines.filter(|line| calls.iter().any(|call| is_call(line, call)));
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        lines.join("\n")
    }
}

/// A line without the thread whose call it is, if it says that.
fn call_of(line: &str) -> &str {
    let rest = line.trim_start_matches(|byte: char| byte.is_ascii_digit());
    rest.trim_start_matches(' ')
}

fn is_call(line: &str, call: &str) -> bool {
    line.strip_prefix(call)
        .is_some_and(|rest| rest.starts_with('('))
}

fn is_the_end(line: &str) -> bool {
    line.starts_with("+++ exited with")
        || line.starts_with("+++ killed by")
        || line.contains("<detached ...>")
}
