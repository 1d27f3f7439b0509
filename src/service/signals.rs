//! Signals as events that a task can wait for.

use std::io;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use crate::sys::signal::{Event, Events, Signal};
use crate::sys::watch;

/// Signals that somebody waits for. Each must be blocked; see [`super::Start`].
#[derive(Debug)]
pub(crate) struct Signals(AsyncFd<Events>);

/// How long to wait before signals are asked for again that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

impl Signals {
    /// Those in `signals`. Must be called inside the runtime.
    ///
    /// # Errors
    /// No descriptor for them.
    pub(crate) fn of(signals: &[Signal]) -> io::Result<Self> {
        Events::of(signals).and_then(watch::readable).map(Self)
    }

    /// From here on, no line waits for room in the log once one of them has come.
    pub(super) fn are_heard_beside_the_log(&self) {
        self.0.get_ref().are_heard_beside_the_log();
    }

    /// Waits for at least one of them, and gives those that have come, each once.
    pub(crate) async fn next(&self) -> Vec<Signal> {
        let events = self.events().await;
        events.into_iter().map(|event| event.signal).collect()
    }

    /// As [`next`](Self::next), with who sent them.
    pub(crate) async fn events(&self) -> Vec<Event> {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                // The runtime is going away.
                return std::future::pending().await;
            };
            match self.0.get_ref().pending() {
                // Nothing is lost: they are still pending, and the descriptor stays ready.
                Err(_) => {
                    ready.retain_ready();
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(pending) => {
                    // One that has come since is a new event.
                    ready.clear_ready();
                    if !pending.is_empty() {
                        return pending;
                    }
                }
            }
        }
    }
}
