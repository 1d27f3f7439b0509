//! JSON, written by hand: one object in one line. RFC 8259.
//!
//! Foreign bytes cannot break a line or leave their string: what is not UTF-8 is U+FFFD, and control bytes are escaped.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::sys::clock;

/// An object that is being written: `{"name":value,...`
#[derive(Debug)]
pub struct Json(String);

impl Default for Json {
    fn default() -> Self {
        // Ample for an event of a log.
        let mut text = String::with_capacity(512);
        text.push('{');
        Self(text)
    }
}

impl Json {
    /// An event that happens now: `time` (RFC 3339 in UTC, with microseconds) and `event`.
    pub fn event(event: &str) -> Self {
        let time = clock::utc(SystemTime::now());
        Self::default()
            .text("time", time.as_bytes())
            .text("event", event.as_bytes())
    }

    /// Adds a string.
    #[must_use]
    pub fn text(mut self, name: &str, value: &[u8]) -> Self {
        self.name(name);
        self.string(value);
        self
    }

    /// Adds a string, or null for one that is not known.
    #[must_use]
    pub fn known(self, name: &str, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.value(name, "null"),
        }
    }

    /// Adds what is written as JSON already: a number, `true`, `null`, an array.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a number, or null for one that is not known.
    #[must_use]
    pub fn number<T: std::fmt::Display>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.value(name, value),
            None => self.value(name, "null"),
        }
    }

    /// Adds a list of objects.
    #[must_use]
    pub fn list(mut self, name: &str, items: impl IntoIterator<Item = Self>) -> Self {
        self.name(name);
        let items: Vec<String> = items.into_iter().map(Self::done).collect();
        self.0.push('[');
        self.0.push_str(&items.join(","));
        self.0.push(']');
        self
    }

    /// The whole object.
    pub fn done(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// The whole object and a line feed.
    pub fn line(self) -> Vec<u8> {
        let mut line = self.done();
        line.push('\n');
        line.into()
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Names are ours, and plain.
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn string(&mut self, value: &[u8]) {
        self.0.push('"');
        if value.iter().all(is_plain) {
            // Most are: addresses, words.
            self.0.push_str(str::from_utf8(value).unwrap_or_default());
            self.0.push('"');
            return;
        }
        for chunk in value.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => self.0.extend(['\\', c]),
                    c if c.is_control() => {
                        let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                    }
                    c => self.0.push(c),
                }
            }
            if !chunk.invalid().is_empty() {
                self.0.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.0.push('"');
    }
}

/// True for a byte that stands for itself in a string.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn object_has_strings_numbers_and_lists_in_order() {
        let inner = [1, 2].map(|n| Json::default().value("n", n));
        let object = Json::default()
            .text("a", b"b")
            .number("c", Some(-7))
            .number::<u8>("d", None)
            .known("e", None)
            .known("f", Some(b""))
            .list("g", inner);
        assert_eq!(
            object.line(),
            b"{\"a\":\"b\",\"c\":-7,\"d\":null,\"e\":null,\"f\":\"\",\"g\":[{\"n\":1},{\"n\":2}]}\n"
        );
        assert_eq!(Json::default().done(), "{}");
    }

    #[test]
    fn no_byte_leaves_its_string_or_its_line() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [
            &all[..],
            b"\"}\n{\"x\":\"",
            b"\\\\\"\\",
            b"\xc3",
            "\u{85}\u{2028}\u{e9}".as_bytes(),
        ] {
            let line = String::from_utf8(Json::default().text("t", text).line()).unwrap();
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let inside = line.strip_prefix("{\"t\":\"").unwrap();
            let inside = inside.strip_suffix("\"}\n").unwrap();
            let mut escaped = false;
            for c in inside.chars() {
                assert!(!c.is_control() && (escaped || c != '"'), "{line}");
                escaped = c == '\\' && !escaped;
            }
            assert!(!escaped);
        }
    }
}
