//! A started program that never outlives its test.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::mpsc;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::capture::Capture;
use super::deadline;

/// A running program, leader of its own process group; killed with its group and reaped on drop.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<Capture>,
    pub(crate) stderr: Option<Capture>,
    ended: Option<ExitStatus>,
}

/// All that a program left when it was over.
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) status: ExitStatus,
}

impl Process {
    pub(crate) fn watch(mut child: Child) -> Self {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(Capture::of);
        let stderr = child.stderr.take().map(Capture::of);
        Self {
            child,
            stdin,
            stdout,
            stderr,
            ended: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port that a server prints first, started with `-1`; waits for it.
    ///
    /// # Panics
    ///
    /// When the first line is none.
    pub(crate) fn port(&self) -> u16 {
        let stdout = self.stdout.as_ref().expect("the port comes on stdout");
        let line = String::from_utf8_lossy(&stdout.first_line()).into_owned();
        let port = line.trim_end().parse();
        port.unwrap_or_else(|_| panic!("no port comes, but {line:?}"))
    }

    /// Writes all of `bytes` to the program in the background, then closes its stdin.
    pub(crate) fn feed(&mut self, bytes: Vec<u8>) {
        let mut stdin = self
            .stdin
            .take()
            .expect("the program was started with a pipe as stdin");
        // A program may end without reading all of it: the write error is part of normal life.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(pid_of(&self.child), signal).expect("the process is ours and not yet reaped");
    }

    /// Waits for the program's end, reaps it, and returns how it ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let pid = pid_of(&self.child);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // The thread only watches; the zombie stays until this guard reaps it, so its pid cannot be reused.
            let result = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let _ = tell.send(result);
        });
        let watched = told.recv_timeout(deadline());
        assert!(watched.is_ok(), "the program did not end in time");
        let status = self.child.wait().expect("the child is ours");
        self.ended = Some(status);
        status
    }

    /// Waits for the end of the program and of its output, which its children may hold open for longer.
    pub(crate) fn outcome(mut self) -> Outcome {
        let status = self.wait();
        let all =
            |capture: &Option<Capture>| capture.as_ref().map_or_else(Vec::new, Capture::to_end);
        Outcome {
            stdout: all(&self.stdout),
            stderr: all(&self.stderr),
            status,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // The group's leader is not reaped, so the group is still the one that we made.
            let _ = killpg(pid_of(&self.child), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// `exit: 100` or `killed: SIGTERM`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit: {code}"),
        (None, Some(number)) => {
            let name = Signal::try_from(number)
                .map_or_else(|_| number.to_string(), |signal| signal.to_string());
            format!("killed: {name}")
        }
        (None, None) => format!("neither exit nor signal: {status:?}"),
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid is a small positive number"))
}

/// The memory that a process has in use, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    size(pid, "VmRSS:")
}

/// The most memory that a process has had in use, in KiB.
pub(crate) fn most_resident(pid: u32) -> u64 {
    size(pid, "VmHWM:")
}

/// A line of /proc/pid/status. proc(5).
fn size(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a size")
}
