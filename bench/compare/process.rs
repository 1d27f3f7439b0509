//! Starting programs and reading what they cost.

use std::ffi::OsStr;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// User and system time of a process and of the children that it has waited for, in seconds.
pub(crate) type Cpu = f64;

/// Runs `command` to its end and gives what it cost.
pub(crate) fn cost(command: &mut Command) -> Cpu {
    let mut child = command.spawn().expect("the program starts");
    wait(&mut child)
}

/// Runs `command` to its end, and gives what the process cost that it left behind.
pub(crate) fn cost_of_orphan(command: &mut Command) -> Cpu {
    // SAFETY: takes no pointer. Orphans become children of this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    // Who was left behind before does not count.
    // SAFETY: nothing is written where a null pointer is; the children that are waited for elsewhere have been.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    let mut child = command.spawn().expect("the program starts");
    wait(&mut child);
    wait_for(-1)
}

/// Waits for `child` and gives what it cost.
pub(crate) fn wait(child: &mut Child) -> Cpu {
    wait_for(i32::try_from(child.id()).expect("a pid"))
}

/// Waits for the child `pid`, or for any with -1.
fn wait_for(pid: i32) -> Cpu {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are of locals with room for what the call writes; the child is ours and not waited for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert!(
        waited > 0 && [waited, -1].contains(&pid),
        "the child can be waited for"
    );
    // SAFETY: zeroed bytes are a valid rusage, and the call has filled it.
    let usage = unsafe { usage.assume_init() };
    #[allow(
        clippy::cast_precision_loss,
        reason = "seconds and microseconds of a short run"
    )]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Memory that only the process `pid` uses, with its page tables, in kilobytes; none when it has ended.
pub(crate) fn memory_of(pid: u32) -> f64 {
    let dirty = field(pid, "smaps_rollup", "Private_Dirty:");
    let tables = field(pid, "status", "VmPTE:");
    dirty
        .zip(tables)
        .map_or(0.0, |(dirty, tables)| dirty + tables)
}

/// All memory that the process `pid` uses, shared or not, in kilobytes; none when it has ended.
pub(crate) fn resident_size_of(pid: u32) -> f64 {
    field(pid, "status", "VmRSS:").unwrap_or_default()
}

/// The number behind `name` in a file of the process `pid` below /proc.
fn field(pid: u32, file: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many descriptors the process `pid` has.
pub(crate) fn descriptors_of(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The CPU time of this thread, from a moment on.
pub(crate) struct Clock(TimeSpec);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Self::now())
    }

    pub(crate) fn seconds(&self) -> Cpu {
        Duration::from(Self::now() - self.0).as_secs_f64()
    }

    fn now() -> TimeSpec {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("there is such a clock")
    }
}

/// The time that the process `pid` alone has run, in seconds, by the scheduler's own clock.
pub(crate) fn run_time_of(pid: u32) -> Cpu {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("/proc");
    let number = text.split_whitespace().next().expect("a number");
    number.parse::<f64>().expect("nanoseconds") / 1e9
}

/// The time that the process `pid` has run, with all threads that it ever had, in seconds. clock_getcpuclockid(3)
pub(crate) fn process_time_of(pid: u32) -> Cpu {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    let clock = nix::time::clock_getcpuclockid(pid).expect("it runs");
    Duration::from(clock.now().expect("there is such a clock")).as_secs_f64()
}

/// The children of the process `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("/proc");
    let numbers = text.split_whitespace();
    numbers.map(|word| word.parse().expect("a pid")).collect()
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts `tcpserver` of `folder` with `options`, serving `program`; its log goes to `log`.
    pub(crate) fn start(
        folder: &Path,
        options: &[&str],
        program: &[impl AsRef<OsStr>],
        log: Stdio,
    ) -> Self {
        Self::of(&folder.join("tcpserver"), options, program, log)
    }

    /// The same for `server`, which takes arguments like tcpserver.
    pub(crate) fn of(
        server: &Path,
        options: &[&str],
        program: &[impl AsRef<OsStr>],
        log: Stdio,
    ) -> Self {
        let mut command = Command::new(server);
        command
            .arg("-1")
            .args(options)
            .args(["127.0.0.1", "0"])
            .args(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        command.process_group(0);
        let mut child = command.spawn().expect("the server starts");
        let mut line = String::new();
        let mut stdout = child.stdout.take().expect("stdout is a pipe");
        stdout.read_to_string(&mut line).expect("it says its port");
        Self {
            child,
            port: line.trim().parse().expect("a port"),
        }
    }

    /// The log, when it goes to a pipe.
    pub(crate) fn log(&mut self) -> impl Read + Send + use<> {
        self.child.stderr.take().expect("the log is a pipe")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server and gives what it and its children cost.
    pub(crate) fn end(mut self) -> Cpu {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: takes no pointer; the process is ours and not waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        wait(&mut self.child)
    }

    /// Ends the server with all that it started, at once: look-ups that wait would wait on.
    pub(crate) fn kill(mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: takes no pointer; the group is that of the server, which is not waited for.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        wait(&mut self.child);
    }
}
