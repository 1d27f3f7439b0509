//! How a program is started: arguments and environment to the byte, descriptors, signals, limits, user.
//!
//! `std::process::Command` only makes the process and its pipes. The rest happens between fork and exec, in the order
//! in which the scenario asked for it, and ends in our own `execve`: Command would sort the environment, drop
//! duplicates, and cannot pass a malformed entry. Every program starts with default signal dispositions, an empty
//! signal mask, umask 022 and no descriptor above 2, whoever runs the tests.
#![allow(
    unsafe_code,
    reason = "what happens between fork and exec is for the caller to vouch for"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place where tests make processes"
)]

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::child::{Exec, Step, start_from_defaults};
use super::process::Process;

/// A program about to be started.
pub(crate) struct Launch {
    path: PathBuf,
    argv: Vec<CString>,
    env: Vec<CString>,
    input: Input,
    stdout: Output,
    stderr: Output,
    steps: Vec<Step>,
    description: Vec<String>,
    unprivileged: bool,
}

pub(crate) enum Input {
    /// Exactly these bytes, then end of file.
    Bytes(Vec<u8>),
    /// A pipe that stays open until the scenario closes it.
    Pipe,
    File(File),
    Closed,
}

pub(crate) enum Output {
    Captured,
    File(File),
    Closed,
}

impl Launch {
    /// `path` under the name `name`, with nothing in its environment but `PATH=/usr/bin:/bin`.
    pub(crate) fn new<A: AsRef<OsStr>>(
        path: PathBuf,
        name: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut argv = vec![c_string(name.as_bytes())];
        argv.extend(
            args.into_iter()
                .map(|arg| c_string(arg.as_ref().as_bytes())),
        );
        Self {
            path,
            argv,
            env: vec![c_string(b"PATH=/usr/bin:/bin")],
            input: Input::Bytes(Vec::new()),
            stdout: Output::Captured,
            stderr: Output::Captured,
            steps: Vec::new(),
            description: Vec::new(),
            unprivileged: false,
        }
    }

    /// Runs the program under another `argv[0]`.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.argv[0] = c_string(name.as_bytes());
        self
    }

    pub(crate) fn env(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut entry = format!("{name}=").into_bytes();
        entry.extend_from_slice(value.as_ref());
        self.env_entry(entry)
    }

    /// Adds an entry as it is: a second one of the same name, or one without `=`.
    pub(crate) fn env_entry(mut self, entry: impl AsRef<[u8]>) -> Self {
        self.env.push(c_string(entry.as_ref()));
        self
    }

    /// Removes all entries so far, `PATH` too.
    pub(crate) fn empty_env(mut self) -> Self {
        self.env.clear();
        self.described("with an empty environment")
    }

    pub(crate) fn stdin(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    pub(crate) fn input(self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin(Input::Bytes(bytes.as_ref().to_vec()))
    }

    pub(crate) fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    pub(crate) fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Starts the program without this descriptor.
    pub(crate) fn closed(self, fd: i32) -> Self {
        match fd {
            0 => self.stdin(Input::Closed),
            1 => self.stdout(Output::Closed),
            2 => self.stderr(Output::Closed),
            _ => self.step(Step::Close(fd)),
        }
        .described(format!("with descriptor {fd} closed"))
    }

    /// Starts the program with `file` as descriptor `fd`.
    pub(crate) fn inherit(self, fd: i32, file: impl Into<OwnedFd>) -> Self {
        self.step(Step::Inherit(file.into(), fd))
            .described(format!("with descriptor {fd} open"))
    }

    pub(crate) fn ignoring(self, signal: Signal) -> Self {
        self.step(Step::Ignore(signal))
            .described(format!("ignoring {signal}"))
    }

    pub(crate) fn blocking(self, signal: Signal) -> Self {
        self.step(Step::Block(signal))
            .described(format!("blocking {signal}"))
    }

    pub(crate) fn limit(self, resource: Resource, limit: u64) -> Self {
        self.step(Step::Limit(resource, limit))
            .described(format!("with {resource:?} {limit}"))
    }

    /// The same, but for the hard limit, up to which the program may go.
    pub(crate) fn soft_limit(self, resource: Resource, limit: u64) -> Self {
        self.step(Step::SoftLimit(resource, limit))
            .described(format!("with soft {resource:?} {limit}"))
    }

    pub(crate) fn umask(self, mask: u32) -> Self {
        self.step(Step::Umask(Mode::from_bits_truncate(mask)))
            .described(format!("with umask {mask:03o}"))
    }

    /// Starts the program as a member of these groups; only root can.
    pub(crate) fn groups(self, groups: &[u32]) -> Self {
        self.step(Step::Groups(groups.to_vec()))
            .described(format!("in the groups {groups:?}"))
    }

    /// Runs the program as an ordinary user: when the tests run as root, as user and group 65534, else as they are.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        let launch = if super::is_root() {
            self.step(Step::Become(65534))
        } else {
            self
        };
        launch.described("as an ordinary user")
    }

    /// Starts the program where `/dev` is empty; only root can.
    pub(crate) fn without_devices(self) -> Self {
        self.step(Step::HideDevices).described("without devices")
    }

    pub(crate) fn is_unprivileged(&self) -> bool {
        self.unprivileged
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn described(mut self, text: impl Into<String>) -> Self {
        self.description.push(text.into());
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the program from elsewhere, under the same name.
    pub(crate) fn relocated(mut self, path: PathBuf) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn argv(&self) -> impl Iterator<Item = &[u8]> {
        self.argv.iter().map(|arg| arg.to_bytes())
    }

    /// The environment without the `PATH` that everybody gets.
    pub(crate) fn extra_env(&self) -> impl Iterator<Item = &[u8]> {
        self.env
            .iter()
            .map(|entry| entry.to_bytes())
            .filter(|entry| *entry != b"PATH=/usr/bin:/bin")
    }

    pub(crate) fn description(&self) -> &[String] {
        &self.description
    }

    pub(crate) fn stdin_bytes(&self) -> Option<&[u8]> {
        if let Input::Bytes(bytes) = &self.input {
            Some(bytes)
        } else {
            None
        }
    }

    /// Starts the program with `dir` as its working directory.
    pub(crate) fn spawn(self, dir: &Path) -> io::Result<Process> {
        occupy_low_descriptors();
        let mut steps = self.steps;
        let mut command = Command::new(&self.path);
        command.current_dir(dir).process_group(0);
        let (stdin, bytes) = match self.input {
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::Pipe => (Stdio::piped(), None),
            Input::File(file) => (Stdio::from(file), None),
            Input::Closed => {
                steps.push(Step::Close(0));
                (Stdio::null(), None)
            }
        };
        command.stdin(stdin);
        command.stdout(stdio(self.stdout, 1, &mut steps));
        command.stderr(stdio(self.stderr, 2, &mut steps));
        let exec = Exec::new(
            c_string(self.path.as_os_str().as_bytes()),
            self.argv,
            self.env,
        );
        let prepare = move || {
            start_from_defaults()?;
            for step in &steps {
                step.take()?;
            }
            Err(exec.run())
        };
        // SAFETY: the closure only makes system calls on memory that was prepared before the fork; it allocates nothing.
        unsafe { command.pre_exec(prepare) };
        let child = {
            let _nobody_writes = no_fork_meets_an_open_file();
            command.spawn()?
        };
        let mut process = Process::watch(child);
        if let Some(bytes) = bytes {
            process.feed(bytes);
        }
        Ok(process)
    }
}

/// Held while a process is made and while a file is written.
///
/// A process made by another thread inherits a file just open for writing until its exec, and until then a program in
/// that file is `text busy`.
pub(crate) fn no_fork_meets_an_open_file() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps descriptors 3 to 19 of the harness taken, so that a step on descriptor 5 of the child never hits the pipe
/// through which `Command` learns that the exec failed.
pub(crate) fn occupy_low_descriptors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        while let Ok(file) = File::open("/dev/null") {
            let low = file.as_raw_fd() < 20;
            if !low {
                return;
            }
            std::mem::forget(file);
        }
    });
}

fn stdio(output: Output, fd: i32, steps: &mut Vec<Step>) -> Stdio {
    match output {
        Output::Captured => Stdio::piped(),
        Output::File(file) => Stdio::from(file),
        Output::Closed => {
            steps.push(Step::Close(fd));
            Stdio::null()
        }
    }
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no argument or variable can hold a NUL")
}
