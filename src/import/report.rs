//! What is said of a conversion: where something stood, what has no equal, what is wrong.

use std::fmt;

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Vec<u8>,
    /// From 1; 0 is the whole file.
    pub line: usize,
}

impl Place {
    pub(super) fn new(file: &[u8], line: usize) -> Self {
        let file = file.to_vec();
        Self { file, line }
    }
}

/// `file:line`, or `file`.
impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown(&self.file);
        match self.line {
            0 => write!(to, "{file}"),
            line => write!(to, "{file}:{line}"),
        }
    }
}

/// A word of a foreign file in a line for people: bytes that are no text become `?`.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

/// Something that the one who runs the service should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where it stood.
    pub place: Place,
    /// What it is about, and what becomes of it.
    pub text: String,
    /// It has no equal: it was left out.
    pub is_missing: bool,
}

impl Note {
    /// Something without an equal.
    pub(super) fn missing(place: Place, text: impl Into<String>) -> Self {
        let (text, is_missing) = (text.into(), true);
        Self {
            place,
            text,
            is_missing,
        }
    }

    /// Something whose equal does not behave alike.
    pub(super) fn different(place: Place, text: impl Into<String>) -> Self {
        let (text, is_missing) = (text.into(), false);
        Self {
            place,
            text,
            is_missing,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.place, self.text)
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// What was expected there, to follow the word "expected".
    pub expected: String,
}

impl Fault {
    pub(super) fn at(place: &Place, expected: impl Into<String>) -> Self {
        let (place, expected) = (place.clone(), expected.into());
        Self { place, expected }
    }
}
