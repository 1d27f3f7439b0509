//! All that one connection has started: its program, and what that started.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::service::{Packer, Stage, Stages, Unpacker};
use crate::sys::cgroup::{Cgroup, Cgroups};
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

    /// All of it.
    pub(super) fn pack(&self, to: &mut Packer) {
        let left = |at: Option<Instant>| at.map(|at| at.duration_since(Instant::now()));
        to.number(self.pid.unsigned_abs());
        to.number(self.leads_group);
        let folder = self.cgroup.as_ref().and_then(Cgroup::folder);
        to.maybe(folder, |to, folder| to.bytes(folder.as_os_str().as_bytes()));
        to.maybe(left(self.asks), Packer::duration);
        to.duration(self.patience);
        to.maybe(left(self.kills), Packer::duration);
        to.number(self.was_told());
    }

    /// One that was packed. Its group is one of `cgroups`.
    pub(super) fn unpack(from: &mut Unpacker<'_>, cgroups: Option<&Cgroups>) -> Option<Self> {
        let at = |from: &mut Unpacker<'_>| {
            let left = from.maybe(Unpacker::duration)?;
            Some(left.and_then(|left| Instant::now().checked_add(left)))
        };
        let cgroup = |from: &mut Unpacker<'_>| from.maybe(|from| Some(from.bytes()?.to_vec()));
        Some(Self {
            pid: from.number::<u32>()?.try_into().ok()?,
            leads_group: from.number::<u8>()? != 0,
            cgroup: cgroup(from)?
                .zip(cgroups)
                .map(|(folder, cgroups)| cgroups.again(OsString::from_vec(folder).into())),
            asks: at(from)?,
            patience: from.duration()?,
            kills: at(from)?,
            stage: if from.number::<u8>()? == 0 {
                Stage::Serve
            } else {
                Stage::Ask
            },
        })
    }

    /// The pid of its first process.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has to be told something, by `stages` or because it has lasted long enough, and tells it; or until
    /// it is let go of, which is true.
    pub(super) async fn be_told(&mut self, stages: &Stages) -> bool {
        let stage = tokio::select! {
            stage = stages.after(self.stage) => stage,
            stage = self.time_is_up() => stage,
        };
        if stage == Stage::Recall {
            return true;
        }
        self.tell(stage);
        false
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
            Stage::Serve | Stage::Recall | Stage::Leave => return,
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

    /// Waits until nobody of it is left, once the program has ended, or until it is let go of, which is true. Returns at
    /// once if nobody would tell it to end.
    pub(super) async fn is_gone(&mut self, stages: &Stages) -> bool {
        while self.will_be_told() && self.is_there() {
            let pause = if self.was_told() { PAUSE } else { LONG_PAUSE };
            if timeout(pause, self.be_told(stages)).await == Ok(true) {
                return true;
            }
        }
        false
    }

    /// True when somebody tells it to end, or has.
    pub(super) fn will_be_told(&self) -> bool {
        self.was_told() || self.asks.is_some()
    }

    /// True when it was told to end.
    pub(super) fn was_told(&self) -> bool {
        self.stage >= Stage::Ask
    }
}
