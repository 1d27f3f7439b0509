//! Counting: the connections that are open, of how many that may be, and those that are not decided yet.
//!
//! What is counted may end on another thread than it began on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::cli::{Json, Voice};

/// A number of things that are there, and the news that one has left. Clones count the same things.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: AtomicU32,
    left: Notify,
}

/// One of the things counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Count);

impl Count {
    /// Counts one more.
    pub(super) fn enter(&self) -> Counted {
        self.add();
        Counted(self.clone())
    }

    fn add(&self) {
        self.0.now.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.look_again();
    }

    /// How many are there.
    pub(super) fn now(&self) -> u32 {
        self.0.now.load(Ordering::Relaxed)
    }

    /// Waits until fewer than `limit` are there; what that is may change meanwhile, see [`Self::look_again`].
    pub(super) async fn below(&self, limit: impl Fn() -> u32) {
        loop {
            // Before the look: of one that leaves on another thread it is heard.
            let left = self.0.left.notified();
            if self.now() < limit() {
                return;
            }
            left.await;
        }
    }

    /// Makes those who wait look again.
    fn look_again(&self) {
        self.0.left.notify_waiters();
    }

    /// Waits until one leaves.
    pub(super) async fn left(&self) {
        self.0.left.notified().await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// The tasks of connections that there are.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Count);

impl Tasks {
    /// Counts one more.
    pub(crate) fn enter(&self) -> Counted {
        self.0.enter()
    }

    /// Waits until there is none; false when one stays.
    pub(crate) async fn are_over(&self) -> bool {
        timeout(RECALL_LIMIT, self.0.below(|| 1)).await.is_ok()
    }
}

/// How long it may take until all connections have been let go of, which is done at once.
pub(super) const RECALL_LIMIT: Duration = Duration::from_secs(1);

/// The slots of a service. Clones are of the same service.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Numbered>);

#[derive(Debug)]
struct Numbered {
    open: Count,
    limit: AtomicU32,
    voice: Voice,
    /// Nobody hears how many connections are open: the process that they were connections of has ended, or the next one has not
    /// all of them yet.
    is_silent: AtomicBool,
}

/// The slot of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    /// `limit` slots, of which nobody hears yet.
    pub(super) fn new(limit: u32, voice: Voice) -> Self {
        Self(Arc::new(Numbered {
            open: Count::default(),
            limit: AtomicU32::new(limit),
            voice,
            is_silent: AtomicBool::new(true),
        }))
    }

    /// The connections that have a slot.
    pub(super) fn open(&self) -> &Count {
        &self.0.open
    }

    /// How many there may be.
    pub(super) fn limit(&self) -> u32 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Lets there be `limit` from now on. Those that are taken stay so.
    pub(super) fn set_limit(&self, limit: u32) {
        self.0.limit.store(limit, Ordering::Relaxed);
        self.0.open.look_again();
        self.tell_status();
    }

    /// Says no more how many connections are open, or does again.
    pub(super) fn be_silent(&self, is_silent: bool) {
        self.0.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// True when as many are taken as may be.
    pub(super) fn are_taken(&self) -> bool {
        self.0.open.now() >= self.limit()
    }

    /// Waits until one is free.
    pub(super) async fn free(&self) {
        self.0.open.below(|| self.limit()).await;
    }

    /// Takes one, whether or not one is free.
    pub(super) fn take(&self) -> Slot {
        self.0.open.add();
        self.tell_status();
        Slot(self.clone())
    }

    /// Says how many connections are open, of how many that may be.
    pub(super) fn tell_status(&self) {
        let voice = &self.0.voice;
        let is_silent = self.0.is_silent.load(Ordering::Relaxed);
        if voice.tells_everything() && !is_silent {
            let status = format!("status: {}/{}", self.0.open.now(), self.limit());
            voice.tell_as(&[status.as_bytes()], || self.status());
        }
    }

    /// The same as an event.
    pub(super) fn status(&self) -> Json {
        Json::event("status")
            .value("open", self.0.open.now())
            .value("limit", self.limit())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Self(slots) = self;
        slots.0.open.remove();
        slots.tell_status();
    }
}
