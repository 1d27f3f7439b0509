//! What the pool answers to signals.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Server;
use super::queue::Condition;
use super::worker::Worker;
use crate::cli::Voice;
use crate::service::Signals;
use crate::sys::signal::Signal;
use crate::sys::{clock, fd};

/// Whose answers to signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// tcppool's: reports on descriptor 2.
    #[default]
    Tcppool,
    /// iotcpd's: reports on descriptor 1, SIGINT ends at once.
    Iotcpd,
}

impl Style {
    /// What it answers to, besides the signals that end every service.
    pub(super) fn signals(self) -> &'static [Signal] {
        match self {
            Self::Tcppool => &[Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2],
            Self::Iotcpd => &[
                Signal::SIGHUP,
                Signal::SIGUSR1,
                Signal::SIGUSR2,
                Signal::SIGINT,
            ],
        }
    }
}

/// Who answers signals.
pub(super) struct Reports {
    style: Style,
    /// Where reports go, if not to descriptor 2.
    descriptor: Option<OwnedFd>,
    voice: Voice,
    server: Rc<Server>,
    /// SIGUSR2 asks for something else: lines about workers follow the statistics.
    is_upgradable: bool,
}

impl Reports {
    pub(super) fn new(
        style: Style,
        descriptor: Option<OwnedFd>,
        voice: Voice,
        server: Rc<Server>,
        is_upgradable: bool,
    ) -> Self {
        Self {
            style,
            descriptor,
            voice,
            server,
            is_upgradable,
        }
    }

    /// Answers signals, until one of them ends it all.
    pub(super) async fn answer(&self, told: &Signals) {
        let crew = &self.server.crew;
        loop {
            for signal in told.next().await {
                match signal {
                    Signal::SIGHUP => crew.replace(),
                    Signal::SIGUSR1 => {
                        self.say(&crew.statistics(self.server.clients.get()));
                        if self.is_upgradable {
                            self.say(&self.workers());
                        }
                    }
                    Signal::SIGUSR2 => self.say(&self.workers()),
                    _ => return,
                }
            }
        }
    }

    /// What a reader does not take is lost.
    fn say(&self, text: &str) {
        let _ = match &self.descriptor {
            Some(descriptor) => fd::write_all(descriptor, text.as_bytes()),
            None => fd::write_all(fd::STDERR, text.as_bytes()),
        };
    }

    fn workers(&self) -> String {
        match self.style {
            Style::Tcppool => self.lines(),
            Style::Iotcpd => self.registers(),
        }
    }

    /// `tcppool: worker PID STATE queries NUMBER seconds AGE`
    fn lines(&self) -> String {
        let mut lines = String::new();
        let name = self.voice.name();
        self.server.crew.each_worker(|worker, condition| {
            let (pid, given) = (worker.pid, worker.given.get());
            let (state, age) = (condition.word(), worker.started.elapsed().as_secs());
            let _ = writeln!(
                lines,
                "{name}: worker {pid} {state} queries {given} seconds {age}"
            );
        });
        lines
    }

    /// iotcpd's lines, in which a query has no process of its own, and its client no number.
    fn registers(&self) -> String {
        const MARK: &str = " --- internal regs - 8< -------\n";
        let mut lines = String::from(MARK);
        let mut at = 0;
        self.server.crew.each_worker(|worker, condition| {
            let _ = write_registers(&mut lines, at, worker, condition);
            at += 1;
        });
        lines + MARK
    }
}

fn write_registers(
    lines: &mut String,
    at: usize,
    worker: &Worker,
    condition: Condition,
) -> std::fmt::Result {
    // The numbers of iotcpd's states; one that leaves will be spawned again.
    let status = match condition {
        Condition::Ready => 1,
        Condition::Busy => 2,
        Condition::Leaving => 4,
        Condition::Starting => 8,
    };
    let (stdin, stdout) = worker.descriptors();
    let start = worker.busy_since().map_or(Duration::ZERO, |since| {
        clock::monotonic().saturating_sub(since.elapsed())
    });
    writeln!(lines, "d[{at}].status = {status}")?;
    writeln!(lines, "d[{at}].producer_pipe_fd[PIPE_END_WRITE] = {stdin}")?;
    writeln!(lines, "d[{at}].consumer_pipe_fd[PIPE_END_READ] = {stdout}")?;
    writeln!(lines, "d[{at}].daemon_pid = {}", worker.pid)?;
    writeln!(lines, "d[{at}].client_pid = -1")?;
    writeln!(lines, "d[{at}].client_fd = -1")?;
    writeln!(lines, "d[{at}].start.tv_sec = {}", start.as_secs())?;
    writeln!(lines, "d[{at}].start.tv_nsec = {}", start.subsec_nanos())?;
    writeln!(lines)
}
