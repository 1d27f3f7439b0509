//! The children of a server: making one for a connection, and learning how each ended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::service::{Signals, Stage, Stages};
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;
use crate::sys::spawn::{PidLine, Spawner};

/// All children that are running, each with the connection that waits for it.
#[derive(Debug)]
pub(super) struct Children {
    spawner: RefCell<Spawner>,
    running: RefCell<HashMap<Pid, oneshot::Sender<i32>>>,
}

/// A child that was made.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    status: oneshot::Receiver<i32>,
    /// What the child starts is of a group that it leads.
    leads_group: bool,
    /// What it was last told.
    stage: Stage,
}

/// How often to look whether a group is gone, of whose end we do not hear.
const PAUSE: Duration = Duration::from_millis(50);

impl Children {
    pub(super) fn new(spawner: Spawner) -> Self {
        Self {
            spawner: RefCell::new(spawner),
            running: RefCell::default(),
        }
    }

    /// Makes the child that serves `connection`; see [`Spawner::spawn`].
    ///
    /// # Errors
    /// No process could be made.
    pub(super) fn spawn<'a>(
        &self,
        connection: BorrowedFd<'_>,
        environment: impl IntoIterator<Item = &'a CStr>,
        lines: &mut [PidLine],
    ) -> io::Result<Child> {
        let mut spawner = self.spawner.borrow_mut();
        let pid = spawner.spawn(connection, environment, lines)?;
        let (ended, status) = oneshot::channel();
        self.running.borrow_mut().insert(pid, ended);
        Ok(Child {
            pid,
            status,
            leads_group: spawner.has_own_groups(),
            stage: Stage::Serve,
        })
    }

    /// Starts a task that reaps each child that has ended and wakes the connection that waits for it.
    ///
    /// A child that we did not make (one of the process that we were before an exec, an orphan where we are process 1) is
    /// reaped and means nothing.
    ///
    /// # Errors
    /// No descriptor for SIGCHLD.
    pub(super) fn reap_always(self: &Rc<Self>) -> io::Result<()> {
        let ends = Signals::of(&[Signal::SIGCHLD])?;
        let children = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                children.reap();
                ends.next().await;
            }
        });
        Ok(())
    }

    fn reap(&self) {
        let mut running = self.running.borrow_mut();
        while let Ok(Some((pid, status))) = process::reap() {
            if let Some(ended) = running.remove(&pid) {
                let _ = ended.send(status);
            }
        }
    }
}

impl Child {
    /// The raw wait status, when the child has ended, as `stages` may ask it to.
    pub(super) async fn ended(&mut self, stages: &Stages) -> i32 {
        loop {
            tokio::select! {
                // First: a child that was reaped must not be sent a signal, which might be another's.
                biased;
                // The sender lives in `Children::running` until it has sent.
                status = &mut self.status => return status.unwrap_or_default(),
                stage = stages.after(self.stage) => self.tell(stage),
            }
        }
    }

    /// Waits, once `stages` has asked, until all that the child started has ended too, if it leads a group; to be called when
    /// the child has.
    pub(super) async fn has_left_nobody(mut self, stages: &Stages) {
        // A group keeps its number as long as there is anybody in it.
        while self.leads_group
            && stages.now() > Stage::Serve
            && process::send_to_group(self.pid, None).is_ok()
        {
            if let Ok(stage) = timeout(PAUSE, stages.after(self.stage)).await {
                self.tell(stage);
            }
        }
    }

    fn tell(&mut self, stage: Stage) {
        self.stage = stage;
        let signal = match stage {
            Stage::Serve => return,
            Stage::Ask => Signal::SIGTERM,
            Stage::Kill => Signal::SIGKILL,
        };
        let _ = if self.leads_group {
            process::send_to_group(self.pid, signal)
        } else {
            process::send(self.pid, signal)
        };
    }
}
