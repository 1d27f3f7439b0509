//! A trial of the file that is to replace this process: whether it could serve, while this one does.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::service::{State, Successor};
use crate::sys::limit::Descriptors;
use crate::sys::process::Pid;
use crate::sys::signal::Mask;

/// Trials, one at a time.
pub(super) struct Trials {
    file: Vec<u8>,
    /// What this process was started with: its signal mask, and its limits where it has changed them.
    mask: Mask,
    limits: Option<Descriptors>,
    child: Rc<Child>,
    now: Option<Pin<Box<Trial>>>,
}

type Trial = dyn Future<Output = Result<Successor, String>>;

/// The child that tries, and the news that it has ended.
#[derive(Default)]
struct Child {
    pid: Cell<Option<Pid>>,
    ended: Notify,
}

impl Trials {
    /// Of `file`.
    pub(super) fn new(file: Vec<u8>, mask: Mask, limits: Option<Descriptors>) -> Self {
        Self {
            file,
            mask,
            limits,
            child: Rc::default(),
            now: None,
        }
    }

    /// Begins one, unless one is on.
    pub(super) fn begin(&mut self) {
        let (file, limits, child) = (self.file.clone(), self.limits, Rc::clone(&self.child));
        // Sessions and listeners are not part of a trial.
        let state = State {
            mask: self.mask,
            listeners: Vec::new(),
            control: None,
            limit: 0,
            rest: Vec::new(),
        };
        let trial = async move {
            let ended = |pid| {
                child.pid.set(Some(pid));
                child.gone()
            };
            Successor::tried(&file, &state, limits, ended).await
        };
        self.now.get_or_insert_with(|| Box::pin(trial));
    }

    /// True while one is on.
    pub(super) fn are_on(&self) -> bool {
        self.now.is_some()
    }

    /// Waits until the one that is on is over; gives why not, if the file cannot serve.
    pub(super) async fn over(&mut self) -> Result<(), String> {
        let Some(trial) = &mut self.now else {
            return std::future::pending().await;
        };
        let tried = trial.await;
        self.now = None;
        tried?.is_as_tried()
    }

    /// Gives up the one that is on.
    pub(super) fn give_up(&mut self) {
        self.now = None;
    }

    /// The child `pid` has ended.
    pub(super) fn ended(&self, pid: Pid) {
        if self.child.pid.get() == Some(pid) {
            self.child.pid.set(None);
            self.child.ended.notify_waiters();
        }
    }
}

impl Child {
    /// Waits until it has ended.
    async fn gone(self: &Rc<Self>) {
        while self.pid.get().is_some() {
            self.ended.notified().await;
        }
    }
}
