//! Waiting for what cannot be waited for otherwise.

use std::time::{Duration, Instant};

use super::deadline;

/// Asks again and again until `done` says so.
///
/// # Panics
///
/// When the deadline passes.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    had(what, || done().then_some(()));
}

/// The same for something that is there in the end.
pub(crate) fn had<T>(what: &str, mut get: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + deadline();
    loop {
        if let Some(result) = get() {
            return result;
        }
        assert!(Instant::now() < limit, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
