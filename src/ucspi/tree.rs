//! All that one connection has started: its program, and what that started.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::cli::Opt;
use crate::service::{Stage, Stages};
use crate::sys::cgroup::Cgroup;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;

/// How long a connection may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// From when its program starts to when it is asked to end.
    pub(super) time: Duration,
    /// From then to when it is ended.
    pub(super) patience: Duration,
}

/// The option for how long a connection may last.
pub const MAX_TIME: &[Opt<Option<Duration>>] = &[Opt::value(
    "max-time",
    "seconds",
    "send a program SIGTERM after this long, and SIGKILL as --kill says (5)",
    |time, value| {
        *time = Some(value.seconds()?);
        Ok(())
    },
)];

/// The processes of one connection.
#[derive(Debug)]
pub(super) struct Tree {
    /// The program's own process.
    pid: Pid,
    /// It leads a process group of this number.
    leads_group: bool,
    /// They are in a control group of their own.
    cgroup: Option<Cgroup>,
    /// When it has lasted long enough, and is asked to end.
    asks: Option<Instant>,
    /// How long it then has to end.
    patience: Duration,
    /// When it is ended.
    kills: Option<Instant>,
    /// What it was last told.
    stage: Stage,
}

/// How often to look whether a tree is gone, of whose end we do not hear.
const PAUSE: Duration = Duration::from_millis(50);
/// How often while nobody has asked it to end.
const LONG_PAUSE: Duration = Duration::from_secs(1);

impl Tree {
    /// The tree of `pid`, which has just been started.
    pub(super) fn new(
        pid: Pid,
        leads_group: bool,
        cgroup: Option<Cgroup>,
        lifetime: Option<Lifetime>,
    ) -> Self {
        let asks = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime.time));
        Self {
            pid,
            leads_group,
            cgroup,
            asks,
            patience: lifetime
                .map(|lifetime| lifetime.patience)
                .unwrap_or_default(),
            kills: None,
            stage: Stage::Serve,
        }
    }

    /// Waits until it has to be told something, by `stages` or because it has lasted long enough, and tells it.
    pub(super) async fn be_told(&mut self, stages: &Stages) {
        let stage = tokio::select! {
            stage = stages.after(self.stage) => stage,
            stage = self.time_is_up() => stage,
        };
        self.tell(stage);
    }

    async fn time_is_up(&mut self) -> Stage {
        // In boxes: connections without a limit do not pay for the room of a clock.
        if let Some(at) = self.asks {
            Box::pin(sleep_until(at)).await;
            self.asks = None;
            self.kills = Instant::now().checked_add(self.patience);
            return self.stage.max(Stage::Ask);
        }
        match self.kills {
            Some(at) => Box::pin(sleep_until(at)).await,
            None => std::future::pending().await,
        }
        self.kills = None;
        Stage::Kill
    }

    fn tell(&mut self, stage: Stage) {
        self.stage = stage;
        let signal = match stage {
            Stage::Serve | Stage::Leave => return,
            Stage::Ask => Signal::SIGTERM,
            Stage::Kill => Signal::SIGKILL,
        };
        if let Some(cgroup) = &self.cgroup {
            cgroup.send(signal);
        }
        let _ = if self.leads_group {
            process::send_to_group(self.pid, signal)
        } else {
            process::send(self.pid, signal)
        };
    }

    /// True when somebody of it is there, once the program has ended. A process group keeps its number as long as there is
    /// anybody in it.
    pub(super) fn is_there(&self) -> bool {
        let is_populated = self.cgroup.as_ref().is_some_and(Cgroup::is_populated);
        is_populated || self.leads_group && process::send_to_group(self.pid, None).is_ok()
    }

    /// Waits until nobody of it is left, once the program has ended. Returns at once if nobody would tell it to end.
    pub(super) async fn is_gone(&mut self, stages: &Stages) {
        while (self.was_told() || self.has_lifetime()) && self.is_there() {
            let pause = if self.was_told() { PAUSE } else { LONG_PAUSE };
            let _ = timeout(pause, self.be_told(stages)).await;
        }
    }

    /// True when its lifetime will end.
    pub(super) fn has_lifetime(&self) -> bool {
        self.asks.is_some()
    }

    /// True when it was told to end.
    pub(super) fn was_told(&self) -> bool {
        self.stage >= Stage::Ask
    }
}
