//! Counting: the slots that the concurrency limit gives out, and the connections that are not decided yet.

use std::cell::Cell;

use tokio::sync::Notify;

/// How many connections are open, of how many that may be.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) limit: u32,
    taken: Count,
}

impl Slots {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            taken: Count::default(),
        }
    }

    /// Waits until a slot is free.
    pub(super) async fn free(&self) {
        self.taken.below(self.limit).await;
    }

    /// Waits until a slot is given back.
    pub(super) async fn freed(&self) {
        self.taken.left.notified().await;
    }

    /// Takes a slot; it is given back when the guard is dropped.
    pub(super) fn take(&self) -> Counted<'_> {
        self.taken.enter()
    }

    /// How many slots are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.now.get()
    }
}

/// A number of things that are there, and the news that one has left.
#[derive(Debug, Default)]
pub(super) struct Count {
    now: Cell<u32>,
    left: Notify,
}

/// One of the things counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a Count);

impl Count {
    pub(super) fn enter(&self) -> Counted<'_> {
        self.now.set(self.now.get() + 1);
        Counted(self)
    }

    /// Waits until fewer than `limit` are there.
    pub(super) async fn below(&self, limit: u32) {
        while self.now.get() >= limit {
            self.left.notified().await;
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
        self.0.left.notify_waiters();
    }
}
