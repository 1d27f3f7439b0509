//! How often a service accepts connections; what is too much waits in the listen queue.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::rate::{Bucket, Moment, Rate};

/// The pace of a service. Clones are of the same one.
#[derive(Clone, Debug)]
pub(super) struct Pace(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    rate: Rate,
    began: Instant,
    bucket: Cell<Bucket>,
    put_back: Notify,
}

/// What a connection has taken; put back when this is dropped, unless it was spent.
#[derive(Debug)]
pub(super) struct Paid(Option<Pace>);

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self(Rc::new(Shared {
            rate,
            began: Instant::now(),
            bucket: Cell::default(),
            put_back: Notify::new(),
        }))
    }

    fn now(&self) -> Moment {
        Moment::after(self.0.began.elapsed())
    }

    /// Waits until one more may come.
    pub(super) async fn ready(&self) {
        loop {
            let wait = self.0.bucket.get().wait(self.0.rate, self.now());
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.0.put_back.notified() => {}
            }
        }
    }

    /// One more has come.
    pub(super) fn pay(&self) -> Paid {
        let mut bucket = self.0.bucket.get();
        bucket.take(self.0.rate, self.now());
        self.0.bucket.set(bucket);
        Paid(Some(self.clone()))
    }
}

impl Paid {
    /// It was needed.
    pub(super) fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if let Some(Pace(shared)) = &self.0 {
            let mut bucket = shared.bucket.get();
            bucket.put_back(shared.rate);
            shared.bucket.set(bucket);
            shared.put_back.notify_waiters();
        }
    }
}
