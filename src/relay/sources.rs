//! How many sessions each client's address has.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The counts. Only addresses that somebody wants counted are kept, and those without sessions are forgotten.
#[derive(Debug, Default)]
pub(super) struct Sources(RefCell<HashMap<IpAddr, Arc<AtomicU32>>>);

/// One session of an address, until it is dropped, on whatever thread.
#[derive(Debug)]
pub(super) struct Visit(Arc<AtomicU32>);

/// From how many addresses on it is looked whether some can be forgotten.
const SWEEP_MIN: usize = 64;

impl Sources {
    /// Counts one more session of `ip`; `None` when it has `max` already.
    pub(super) fn enter(&self, ip: IpAddr, max: u32) -> Option<Visit> {
        let mut counts = self.0.borrow_mut();
        // Before the table grows, so that each sweep is paid for by as many new addresses.
        if counts.len() == counts.capacity() && counts.len() >= SWEEP_MIN {
            counts.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        let count = counts.entry(ip).or_default();
        if count.load(Ordering::Relaxed) >= max {
            return None;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Some(Visit(Arc::clone(count)))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Sources;

    #[test]
    fn address_has_as_many_sessions_as_it_may() {
        let sources = Sources::default();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let first = sources.enter(ip, 2).unwrap();
        let _second = sources.enter(ip, 2).unwrap();
        assert!(sources.enter(ip, 2).is_none());
        assert!(sources.enter(IpAddr::from([10, 0, 0, 2]), 2).is_some());
        drop(first);
        assert!(sources.enter(ip, 2).is_some());
    }

    #[test]
    fn addresses_without_sessions_are_forgotten() {
        let sources = Sources::default();
        let _kept = sources.enter(IpAddr::from([10, 0, 0, 1]), 9).unwrap();
        for number in 0..100_000_u32 {
            let ip = IpAddr::from(number.to_be_bytes());
            drop(sources.enter(ip, 1).unwrap());
        }
        assert!(sources.0.borrow().len() < 1000);
        assert!(sources.enter(IpAddr::from([10, 0, 0, 1]), 1).is_none());
    }
}
