//! Counting: the connections that are open, of how many that may be, and those that are not decided yet.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// A number of things that are there, and the news that one has left. Clones count the same things.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    now: Cell<u32>,
    left: Notify,
}

/// One of the things counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Count);

impl Count {
    /// Counts one more.
    pub(super) fn enter(&self) -> Counted {
        self.0.now.set(self.0.now.get() + 1);
        Counted(self.clone())
    }

    /// How many are there.
    pub(super) fn now(&self) -> u32 {
        self.0.now.get()
    }

    /// Waits until fewer than `limit` are there; what that is may change meanwhile, see [`Self::look_again`].
    pub(super) async fn below(&self, limit: impl Fn() -> u32) {
        while self.now() >= limit() {
            self.left().await;
        }
    }

    /// Makes those who wait look again.
    pub(super) fn look_again(&self) {
        self.0.left.notify_waiters();
    }

    /// Waits until one leaves.
    pub(super) async fn left(&self) {
        self.0.left.notified().await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.now.set(shared.now.get() - 1);
        shared.left.notify_waiters();
    }
}
