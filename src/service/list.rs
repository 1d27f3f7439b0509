//! The list of connections that are open, for who asks. Kept only where somebody may ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One connection, as text for people and programs.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// When it was accepted.
    pub(crate) arrived: Instant,
    /// The number under which the log knows it, and the process that serves it, once it is decided.
    pub(crate) number: Option<i32>,
    /// Whence it comes: `IP:PORT`.
    pub(crate) remote: String,
    /// Where it came in.
    pub(crate) local: Option<String>,
    /// The name of the remote end; foreign bytes.
    pub(crate) host: Option<Vec<u8>>,
    /// What the ident server said; foreign bytes.
    pub(crate) info: Option<Vec<u8>>,
    /// The address of the rule that matched.
    pub(crate) rule: Option<Vec<u8>>,
}

/// A list. Clones are of the same one, on any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct List(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    rows: HashMap<u64, Row>,
    next: u64,
}

/// The place of one connection in the list, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    list: List,
    place: u64,
}

impl List {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Nothing that holds it can panic half way: the process ends at a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub(crate) fn add(&self, row: Row) -> Listed {
        let mut rows = self.rows();
        let place = rows.next;
        rows.next += 1;
        rows.rows.insert(place, row);
        drop(rows);
        Listed {
            list: self.clone(),
            place,
        }
    }

    /// All connections, the oldest first, but no more than `limit`.
    pub(crate) fn oldest(&self, limit: usize) -> Vec<Row> {
        let rows = self.rows();
        let mut all: Vec<_> = rows.rows.iter().collect();
        if all.len() > limit {
            all.select_nth_unstable_by_key(limit, |(place, _)| **place);
            all.truncate(limit);
        }
        all.sort_by_key(|(place, _)| **place);
        all.into_iter().map(|(_, row)| row.clone()).collect()
    }
}

impl Listed {
    /// Changes what is known of it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.list.rows().rows.get_mut(&self.place) {
            change(row);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.rows().rows.remove(&self.place);
    }
}
