//! A running tcpserver of ours, without a transcript.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::HERE;
use crate::support::deadline;
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::process::{Outcome, Process};
use crate::support::programs::Programs;
use crate::support::temp::TempDir;

/// Where clients come from that look whether anybody listens.
pub(crate) const POLLER: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// Listens on 127.0.0.1; killed on drop.
pub(crate) struct Daemon {
    process: Process,
    pub(crate) port: u16,
    _work: TempDir,
}

impl Daemon {
    /// Starts `tcpserver -1 options 127.0.0.1 0 program`.
    pub(crate) fn start(
        options: &[&str],
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        Self::start_at("0", options, program, with)
    }

    /// The same at a port that was another server's before.
    pub(crate) fn start_at(
        port: &str,
        options: &[&str],
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        Self::launch(with(tcpserver(&arguments(options, port, program))))
    }

    /// Starts `tcpserver options host 0 program`, which does not get as far as listening.
    pub(crate) fn start_unbound(
        options: &[&str],
        host: &str,
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let words = [options, &[host, "0"], program].concat();
        Self::unbound(with(tcpserver(&words)))
    }

    /// The same from a shell: `set_up` ends in `exec "$@"`.
    pub(crate) fn start_from_shell(set_up: &str, options: &[&str], program: &[&str]) -> Self {
        let path = Programs::subject().path("tcpserver");
        let path = path.to_str().expect("build folders are plain text");
        let words = [
            &["-c", set_up, "sh", path][..],
            &arguments(options, "0", program),
        ]
        .concat();
        let launch = Launch::new(PathBuf::from("/bin/sh"), "sh", words);
        Self::launch(launch.env("DNSCACHEIP", super::NAME_SERVER.to_string()))
    }

    fn launch(launch: Launch) -> Self {
        let mut daemon = Self::unbound(launch);
        let stdout = daemon.process.stdout.as_ref();
        let line = stdout.expect("the port comes on stdout").first_line();
        let line = String::from_utf8_lossy(&line).into_owned();
        let port = line.trim_end().parse();
        daemon.port = port.unwrap_or_else(|_| panic!("no port comes, but {line:?}"));
        daemon
    }

    fn unbound(launch: Launch) -> Self {
        let work = TempDir::new();
        let process = launch
            .spawn(work.path())
            .expect("the program can be started");
        Self {
            port: 0,
            process,
            _work: work,
        }
    }

    /// Runs `tcpclient arguments` to its end.
    pub(crate) fn run_client(arguments: &[&str], with: impl FnOnce(Launch) -> Launch) -> Outcome {
        let work = TempDir::new();
        let path = Programs::subject().path("tcpclient");
        let launch = with(Launch::new(path, "tcpclient", arguments));
        launch
            .spawn(work.path())
            .expect("the program can be started")
            .outcome()
    }

    pub(crate) fn connect(&self, from: Ipv4Addr) -> TcpStream {
        net::connect_from(from, HERE, self.port, |_| false).expect("the server listens")
    }

    /// Waits until nobody listens any more.
    pub(crate) fn wait_until_refused(&self) {
        let limit = std::time::Instant::now() + deadline();
        while net::connect_from(POLLER, HERE, self.port, |_| false).is_ok() {
            assert!(std::time::Instant::now() < limit, "the server listens on");
            std::thread::yield_now();
        }
    }

    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        self.process
            .stderr
            .as_ref()
            .expect("the log is a pipe")
            .wait_for(text, count);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The group of the server and of all that it starts.
    pub(crate) fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.pid()).expect("a pid"))
    }

    /// The whole log, when the last of those who have it open has ended.
    pub(crate) fn log_to_end(&self) -> String {
        let log = self.process.stderr.as_ref().expect("the log is a pipe");
        String::from_utf8_lossy(&log.to_end()).into_owned()
    }

    /// Waits for the end of the server, not of its programs.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().code()
    }

    /// Ends the server by SIGTERM, which must end it with 0; gives its log.
    pub(crate) fn terminate(self) -> String {
        self.signal(Signal::SIGTERM);
        let outcome = self.process.outcome();
        assert_eq!(outcome.status.code(), Some(0));
        String::from_utf8_lossy(&outcome.stderr).into_owned()
    }

    /// Ends the server and its copy that finishes what it was looking up; gives its log.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.exit_code(), Some(0));
        // Where there is no copy, the group is gone.
        let _ = killpg(self.group(), Signal::SIGTERM);
        self.log_to_end()
    }

    /// The memory that the server would give back if it ended. proc_pid_smaps(5).
    pub(crate) fn pss_bytes(&self) -> u64 {
        let text = self.proc("smaps_rollup");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        1024 * number.unwrap_or_else(|| panic!("no Pss in {text:?}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How many descriptors the server has.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        open.expect("the server runs").count()
    }

    /// How many child processes the server has.
    pub(crate) fn children(&self) -> usize {
        let pid = self.process.pid();
        self.proc(&format!("task/{pid}/children"))
            .split_whitespace()
            .count()
    }

    pub(crate) fn soft_limit_of_descriptors(&self) -> String {
        let text = self.proc("limits");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|rest| rest.split_whitespace().next());
        soft.unwrap_or_else(|| panic!("no such limit in {text:?}"))
            .to_owned()
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.process.pid());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn arguments<'a>(options: &[&'a str], port: &'a str, program: &[&'a str]) -> Vec<&'a str> {
    [&["-1"], options, &["127.0.0.1", port], program].concat()
}

fn tcpserver(words: &[&str]) -> Launch {
    Launch::new(Programs::subject().path("tcpserver"), "tcpserver", words)
}
