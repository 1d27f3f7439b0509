//! The sum of refusals, for a log without a line for each: one line a second at most.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::cli::{Json, Voice};
use crate::service::{ByReason, Reason};

/// How long refusals are gathered.
const PAUSE: Duration = Duration::from_secs(1);

/// Refusals that have not been told yet.
#[derive(Debug)]
pub(super) struct Sum(Rc<Untold>);

#[derive(Debug)]
struct Untold {
    voice: Voice,
    counts: Cell<ByReason>,
}

impl Sum {
    pub(super) fn new(voice: Voice) -> Self {
        let counts = Cell::default();
        Self(Rc::new(Untold { voice, counts }))
    }

    /// One more was refused.
    pub(super) fn add(&self, reason: Reason) {
        let mut counts = self.0.counts.get();
        let is_first = counts.iter().all(|&count| count == 0);
        counts[reason as usize] += 1;
        self.0.counts.set(counts);
        if is_first {
            // Told also when the server ends before that.
            let told = Told(Rc::clone(&self.0));
            tokio::task::spawn_local(async move {
                tokio::time::sleep(PAUSE).await;
                drop(told);
            });
        }
    }
}

/// Tells the sum when it is dropped.
struct Told(Rc<Untold>);

impl Drop for Told {
    fn drop(&mut self) {
        let counts = self.0.counts.take();
        let told = || {
            let all = Reason::ALL.into_iter().zip(counts);
            all.filter(|(_, count)| *count > 0)
        };
        let words: String = told()
            .map(|(reason, count)| format!(" {} {count}", reason.word()))
            .collect();
        self.0.voice.warn_as(&[b"refused:", words.as_bytes()], || {
            let event = Json::event("refused");
            told().fold(event, |event, (reason, count)| {
                event.value(reason.word(), count)
            })
        });
    }
}
