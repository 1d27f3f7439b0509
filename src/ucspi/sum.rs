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
            let untold = Rc::clone(&self.0);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(PAUSE).await;
                untold.tell();
            });
        }
    }

    /// Tells what has not been told yet, because the server ends.
    pub(super) fn tell(&self) {
        self.0.tell();
    }
}

impl Untold {
    fn tell(&self) {
        let counts = self.counts.take();
        if counts.iter().all(|&count| count == 0) {
            return;
        }
        let told = || {
            let all = Reason::ALL.into_iter().zip(counts);
            all.filter(|(_, count)| *count > 0)
        };
        let words: String = told()
            .map(|(reason, count)| format!(" {} {count}", reason.word()))
            .collect();
        self.voice.warn_as(&[b"refused:", words.as_bytes()], || {
            let event = Json::event("refused");
            told().fold(event, |event, (reason, count)| {
                event.value(reason.word(), count)
            })
        });
    }
}
