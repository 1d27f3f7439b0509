//! The children of a server: making one for a connection, and learning how each ended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::sys::process::{self, Pid};
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
}

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
        let pid = self
            .spawner
            .borrow_mut()
            .spawn(connection, environment, lines)?;
        let (ended, status) = oneshot::channel();
        self.running.borrow_mut().insert(pid, ended);
        Ok(Child { pid, status })
    }

    /// Reaps every child that has ended and wakes the connection that waits for it.
    ///
    /// A child that we did not make (one of the process that we were before an exec) is reaped and means nothing.
    pub(super) fn reap(&self) {
        let mut running = self.running.borrow_mut();
        while let Ok(Some((pid, status))) = process::reap() {
            if let Some(ended) = running.remove(&pid) {
                let _ = ended.send(status);
            }
            if running.is_empty() {
                return;
            }
        }
    }

    /// Sends `signal` to every child that is running.
    pub(super) fn send(&self, signal: Signal) {
        for &pid in self.running.borrow().keys() {
            // It has not been reaped, so the number is still its own.
            let _ = process::send(pid, signal);
        }
    }
}

impl Child {
    /// The raw wait status, when the child has ended.
    pub(super) async fn ended(self) -> i32 {
        // The sender lives in `Children::running` until it has sent.
        self.status.await.unwrap_or_default()
    }
}
