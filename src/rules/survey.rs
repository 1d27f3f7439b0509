//! All keys of a file at once, in the order of the addresses that they mean: who decides about which addresses.

use std::collections::{BTreeMap, HashMap};

use memchr::memchr;

use super::place::{EXACT, Named, Place, Rank, Row, place};
use super::verdict::{Instruction, instructions};

/// What rules do with a peer: the number of one of the [`Deeds`].
pub(super) type Deed = u32;

/// All that rules do: instructions, each in one form for all that mean the same.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Those that came first: of rules, most do one of a few things.
    known: HashMap<Vec<u8>, Deed>,
}

/// How many deeds are told from each other when they come.
const KNOWN_MAX: usize = 4096;

impl Deeds {
    /// The number of what `data` says.
    pub(super) fn of(&mut self, data: &[u8]) -> Deed {
        if let Some(&deed) = self.known.get(data) {
            return deed;
        }
        let plain = plain(data);
        let known = self.known.get(&plain).copied();
        let deed = known.unwrap_or_else(|| {
            self.bytes.extend_from_slice(&plain);
            self.ends.push(self.bytes.len());
            u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
        });
        if self.known.len() < KNOWN_MAX {
            self.known.insert(data.to_vec(), deed);
            self.known.insert(plain, deed);
        }
        deed
    }

    /// What a deed is: `D` and a NUL where it denies, then each setting that counts.
    pub(super) fn data(&self, deed: Deed) -> &[u8] {
        let at = deed as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }

    pub(super) fn is_same(&self, one: Deed, other: Deed) -> bool {
        one == other || self.data(one) == self.data(other)
    }

    pub(super) fn denies(&self, deed: Deed) -> bool {
        self.data(deed).starts_with(b"D")
    }
}

/// Instructions without what changes nothing: settings that a later one overwrites, and their order.
fn plain(data: &[u8]) -> Vec<u8> {
    let mut settings = BTreeMap::new();
    let mut plain = Vec::new();
    for instruction in instructions(data) {
        match instruction {
            Instruction::Deny => plain = b"D\0".to_vec(),
            Instruction::Set(setting) => {
                // Without a name it is no variable.
                if let Some(equals) = memchr(b'=', setting) {
                    settings.insert(&setting[..equals], setting);
                }
            }
        }
    }
    for setting in settings.values() {
        plain.extend([b"+", *setting, b"\0"].concat());
    }
    plain
}

/// A key that means a row of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    start: u128,
    pub(super) deed: Deed,
    /// The number of the rule in its file.
    pub(super) rule: u32,
    depth: u8,
    rank: Rank,
}

/// A key that means those with a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    at: usize,
    length: u32,
    rank: Rank,
    pub(super) named: Named,
    pub(super) deed: Deed,
    pub(super) rule: u32,
}

/// All keys of a file.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Each before those that come before it where both hold an address.
    pub(super) entries: Vec<Entry>,
    /// By their text; of equal ones, the first that is tried comes first.
    pub(super) names: Vec<Name>,
    texts: Vec<u8>,
    /// The empty key, and those that come after it and never count.
    pub(super) everybody: Vec<(Deed, u32)>,
}

/// Addresses that are next to each other and obey the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u128,
    pub(super) last: u128,
    /// The place of the entry; `None` where only the empty key is left.
    pub(super) entry: Option<usize>,
}

impl Survey {
    /// Adds a key of `rule`, which does `deed`; false if it means nobody.
    pub(super) fn add(&mut self, key: &[u8], deed: Deed, rule: u32) -> bool {
        match place(key) {
            Place::Everybody => self.everybody.push((deed, rule)),
            Place::Row(Row { start, depth, rank }) => self.entries.push(Entry {
                start,
                deed,
                rule,
                depth,
                rank,
            }),
            Place::Name(text, rank, named) => {
                let at = self.texts.len();
                self.texts.extend_from_slice(&text);
                // No record is longer than 1 MiB.
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.names.push(Name {
                    at,
                    length,
                    rank,
                    named,
                    deed,
                    rule,
                });
            }
            Place::Nobody => return false,
        }
        true
    }

    /// Puts all in order. Of equal keys, the first that was added counts.
    pub(super) fn sort(&mut self) {
        // The place where they were added is the last word.
        let order = |entry: &Entry| (entry.start, entry.depth, u8::MAX - entry.rank);
        self.entries.reverse();
        self.entries.sort_by_key(order);
        let texts = &self.texts;
        self.names.sort_by(|one, other| {
            (text(texts, one), one.rank).cmp(&(text(texts, other), other.rank))
        });
    }

    /// The key of a name, in its only spelling.
    pub(super) fn text(&self, name: &Name) -> &[u8] {
        text(&self.texts, name)
    }

    /// The names, without those whose key is tried after an equal one.
    pub(super) fn distinct(&self) -> impl Iterator<Item = &Name> {
        let mut before: Option<&[u8]> = None;
        self.names.iter().filter(move |name| {
            let text = self.text(name);
            before.replace(text) != Some(text)
        })
    }

    /// All addresses, from the first to the last.
    pub(super) fn spans(&self) -> Spans<'_> {
        Spans {
            entries: &self.entries,
            next: 0,
            around: Vec::new(),
            at: Some(0),
        }
    }

    /// Whether there is a key of one of these kinds.
    pub(super) fn has(&self, named: &[Named]) -> bool {
        self.names.iter().any(|name| named.contains(&name.named))
    }
}

fn text<'a>(texts: &'a [u8], name: &Name) -> &'a [u8] {
    &texts[name.at..name.at + name.length as usize]
}

/// The way through all addresses.
pub(super) struct Spans<'a> {
    entries: &'a [Entry],
    /// The place of the next entry.
    next: usize,
    /// The places of those whose rows hold `at`, the one that decides last.
    around: Vec<usize>,
    /// The first address that is not told yet.
    at: Option<u128>,
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let first = self.at?;
        // Rows lie within each other or apart.
        while self
            .around
            .pop_if(|entry| self.entries[*entry].row().last() < first)
            .is_some()
        {}
        while self
            .entries
            .get(self.next)
            .is_some_and(|entry| entry.start == first)
        {
            self.around.push(self.next);
            self.next += 1;
        }
        let entry = self.around.last().copied();
        let end = entry.map_or(u128::MAX, |entry| self.entries[entry].row().last());
        let next = self.entries.get(self.next).map(|entry| entry.start);
        let last = next.map_or(end, |next| end.min(next - 1));
        self.at = last.checked_add(1);
        Some(Span { first, last, entry })
    }
}

impl Entry {
    pub(super) fn row(&self) -> Row {
        Row {
            start: self.start,
            depth: self.depth,
            rank: self.rank,
        }
    }

    /// An address, not a prefix.
    pub(super) fn is_exact(&self) -> bool {
        self.depth == EXACT
    }
}
