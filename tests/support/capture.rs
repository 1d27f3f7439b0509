//! What a program writes into a pipe, collected while it runs.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use super::deadline;

/// The bytes read from a pipe so far; a thread of its own reads on until the last writer has closed it. Of an output that is
/// too long for that, those lines of it that are kept.
#[derive(Clone)]
pub(crate) struct Capture {
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
    keeps: Option<Keeps>,
    /// With `keeps`, a line that has not ended.
    begun: Vec<u8>,
}

/// Looks at a line, and says whether it is kept.
type Keeps = Box<dyn FnMut(&str) -> bool + Send>;

impl Seen {
    fn take(&mut self, more: &[u8]) {
        let Some(keeps) = &mut self.keeps else {
            self.bytes.extend_from_slice(more);
            return;
        };
        self.begun.extend_from_slice(more);
        let mut from = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.begun[from..]) {
            let line = &self.begun[from..=from + length];
            if keeps(String::from_utf8_lossy(line).trim_end()) {
                self.bytes.extend_from_slice(line);
            }
            from += line.len();
        }
        self.begun.drain(..from);
    }
}

impl Capture {
    pub(crate) fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let capture = Self {
            shared: Arc::default(),
        };
        let writer = capture.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut seen = writer.lock();
                seen.take(&buffer[..count]);
                seen.ended = count == 0;
                writer.shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        capture
    }

    /// From now on `keeps` looks at each line, once, and says whether it is kept.
    pub(crate) fn keep_only(&self, keeps: impl FnMut(&str) -> bool + Send + 'static) {
        let mut seen = self.lock();
        let end = memchr::memrchr(b'\n', &seen.bytes).map_or(0, |at| at + 1);
        seen.begun = seen.bytes.split_off(end);
        seen.keeps = Some(Box::new(keeps));
    }

    /// All bytes up to the end of the pipe.
    pub(crate) fn to_end(&self) -> Vec<u8> {
        self.wait("the end of the output", |_, ended| ended)
    }

    /// The bytes of the first line, with its line feed.
    pub(crate) fn first_line(&self) -> Vec<u8> {
        let mut bytes = self.wait("a line", |bytes, ended| ended || bytes.contains(&b'\n'));
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |at| at + 1);
        bytes.truncate(end);
        bytes
    }

    /// Waits until `count` finished lines contain `text`.
    ///
    /// # Panics
    ///
    /// When the deadline passes or the pipe ends first; the message shows what was there instead.
    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        let found = |bytes: &[u8]| lines_with(bytes, text) >= count;
        let what = format!("{count} lines with {text:?}");
        let bytes = self.wait(&what, |bytes, ended| ended || found(bytes));
        assert!(
            found(&bytes),
            "the output ended before {what}:\n{}",
            String::from_utf8_lossy(&bytes)
        );
    }

    /// The bytes so far.
    pub(crate) fn so_far(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Waits until `count` bytes have come, or the end.
    pub(crate) fn wait_for_bytes(&self, count: usize) {
        self.wait(&format!("{count} bytes"), |bytes, ended| {
            ended || bytes.len() >= count
        });
    }

    /// How many finished lines contain `text` so far.
    pub(crate) fn count(&self, text: &str) -> usize {
        lines_with(&self.lock().bytes, text)
    }

    fn wait(&self, what: &str, done: impl Fn(&[u8], bool) -> bool) -> Vec<u8> {
        let limit = Instant::now() + deadline();
        let mut seen = self.lock();
        while !done(&seen.bytes, seen.ended) {
            let left = limit.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}; so far:\n{}",
                String::from_utf8_lossy(&seen.bytes)
            );
            seen = self
                .shared
                .1
                .wait_timeout(seen, left)
                .expect("no reader thread panics")
                .0;
        }
        seen.bytes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().expect("no reader thread panics")
    }
}

fn lines_with(bytes: &[u8], text: &str) -> usize {
    let lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    lines
        .filter(|line| {
            line.windows(text.len())
                .any(|window| window == text.as_bytes())
        })
        .count()
}
