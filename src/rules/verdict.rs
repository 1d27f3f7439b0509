//! What the rules say about a peer, and the rules file as a server keeps it: open, and looked at again before and after
//! each use.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::keys::{Key, Lengths, Peer, search};
use super::store::{Reader, damaged};
use crate::sys::file::Version;

/// One stored instruction.
#[derive(Debug, PartialEq, Eq)]
pub enum Instruction<'data> {
    /// Do not serve this peer.
    Deny,
    /// Put this `name=value` into the program's environment.
    Set(&'data [u8]),
}

/// The instructions in `data`, in order. What is not ended by a NUL, and what is neither `D...` nor `+...`, is passed
/// over.
pub fn instructions(data: &[u8]) -> impl Iterator<Item = Instruction<'_>> {
    data.split_inclusive(|&byte| byte == 0)
        .filter_map(|item| match item {
            [b'D', .., 0] => Some(Instruction::Deny),
            [b'+', setting @ .., 0] => Some(Instruction::Set(setting)),
            _ => None,
        })
}

/// Looks whether all of `data` is instructions.
///
/// # Errors
/// There is something in it that no compiler writes: a damaged deny must not pass for an allow (`InvalidData`).
pub(super) fn check(data: &[u8]) -> io::Result<()> {
    let items = data.split_inclusive(|&byte| byte == 0).count();
    if instructions(data).count() == items {
        Ok(())
    } else {
        Err(damaged())
    }
}

/// What the rules say about a peer; the default is to serve it, because there is no rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Do not serve it.
    pub deny: bool,
    key: Option<Key<'static>>,
    data: Vec<u8>,
}

impl Verdict {
    /// The verdict of the rule that `data` holds and that was found under `key`.
    ///
    /// # Errors
    /// As [`check`].
    fn of(key: &Key<'_>, data: Vec<u8>) -> io::Result<Self> {
        check(&data)?;
        let deny = instructions(&data).any(|instruction| instruction == Instruction::Deny);
        Ok(Self {
            deny,
            key: Some(key.kept()),
            data,
        })
    }

    /// The address of the rule, as [`Key::shown`]; `None` when there is no rule for this peer.
    pub fn rule(&self) -> Option<Vec<u8>> {
        self.key.as_ref().map(Key::shown)
    }

    /// The key under which the rule is stored.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.as_ref().map(|key| &*key.bytes)
    }

    /// Whether the rule says this.
    pub(super) fn is_of(&self, data: &[u8]) -> bool {
        self.data == data
    }

    /// All that the rule says, in order.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction<'_>> {
        instructions(&self.data)
    }

    /// What the rule puts into the program's environment: `name=value` each, in order; later ones win.
    pub fn settings(&self) -> impl Iterator<Item = &[u8]> {
        self.instructions()
            .filter_map(|instruction| match instruction {
                Instruction::Set(setting) if setting.contains(&b'=') => Some(setting),
                _ => None,
            })
    }

    /// The value of the setting `name`; the last one, where there are several.
    pub fn setting(&self, name: &str) -> Option<&[u8]> {
        let settings = self.settings().filter_map(|setting| {
            let value = setting.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        });
        settings.last()
    }
}

/// A key that was tried.
#[derive(Debug, PartialEq, Eq)]
pub struct Tried {
    /// As [`Key::shown`].
    pub key: Vec<u8>,
    /// Whether there is a rule for it.
    pub is_hit: bool,
}

/// A rules file that may change at any time: what is renamed onto it takes effect with the next question, and while it
/// is overwritten nobody is let in.
#[derive(Debug)]
pub struct Rules {
    path: PathBuf,
    may_be_missing: bool,
    reads_all: bool,
    known: Option<Known>,
}

/// The file as it was when it was opened.
#[derive(Debug)]
struct Known {
    reader: Reader,
    /// `None` for a file that is damaged, which is then not looked through again.
    lengths: Option<Lengths>,
}

/// How often a look-up is begun: once more when the file was changed meanwhile.
const LOOKS: usize = 2;

impl Rules {
    /// The rules in the file `path`. A file that does not exist means no rules if `may_be_missing`.
    pub fn new(path: PathBuf, may_be_missing: bool) -> Self {
        Self {
            path,
            may_be_missing,
            reads_all: false,
            known: None,
        }
    }

    /// The same, for so many questions that it pays to have all of the file in memory.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self {
            reads_all: true,
            ..self
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the rules say about `peer`: allow, without settings, when no key is found.
    ///
    /// # Errors
    /// The file is missing, cannot be read, is damaged or is being changed: nobody must be let in.
    pub fn verdict(&mut self, peer: Peer<'_>) -> io::Result<Verdict> {
        self.ask(|known| known.verdict(peer, |_, _| {}))
    }

    /// The same, with every key that was tried, in order. A key that is stored in several spellings is told once.
    ///
    /// # Errors
    /// As [`Self::verdict`].
    pub fn explained(&mut self, peer: Peer<'_>) -> io::Result<(Verdict, Vec<Tried>)> {
        self.ask(|known| {
            let mut tried: Vec<Tried> = Vec::new();
            let mut places = BTreeMap::new();
            let verdict = known.verdict(peer, |key, is_hit| {
                let key = key.shown();
                let place = *places.entry(key.clone()).or_insert(tried.len());
                match tried.get_mut(place) {
                    Some(told) => told.is_hit |= is_hit,
                    None => tried.push(Tried { key, is_hit }),
                }
            });
            Ok((verdict?, tried))
        })
    }

    /// What `question` finds in the file; the default without one. What was found while the file changed does not count.
    fn ask<T: Default>(
        &mut self,
        mut question: impl FnMut(&Known) -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..LOOKS {
            let Some(known) = self.known()? else {
                return Ok(T::default());
            };
            let answer = question(known);
            // A slot that is read at its old place from new content looks free, and that would be: no rule.
            if known.reader.is_unchanged()? {
                return answer;
            }
            self.known = None;
        }
        Err(damaged())
    }

    /// The open file, opened again when the path leads to another one or the file was touched; `None` for a file that
    /// is missing and may be.
    fn known(&mut self) -> io::Result<Option<&Known>> {
        let version = match std::fs::metadata(&self.path) {
            Ok(metadata) => Version::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.may_be_missing => {
                self.known = None;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !self
            .known
            .as_ref()
            .is_some_and(|known| known.reader.is_settled() && *known.reader.version() == version)
        {
            self.known = None;
            self.known = Some(Known::open(&self.path, self.reads_all)?);
        }
        Ok(self.known.as_ref())
    }
}

impl Known {
    fn open(path: &Path, reads_all: bool) -> io::Result<Self> {
        let reader = if reads_all {
            Reader::open_whole(path)?
        } else {
            Reader::open(path)?
        };
        let lengths = match reader.inspect() {
            Ok(lengths) => Some(lengths),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(error),
        };
        Ok(Self { reader, lengths })
    }

    /// The verdict about `peer`. Tells `tried` of each key, and whether it was found.
    fn verdict(
        &self,
        peer: Peer<'_>,
        mut tried: impl FnMut(&Key<'_>, bool),
    ) -> io::Result<Verdict> {
        let lengths = self.lengths.as_ref().ok_or_else(damaged)?;
        let end = search(peer, lengths, |key| {
            let found = self.reader.find(&key.bytes).transpose();
            tried(&key, found.is_some());
            match found {
                None => ControlFlow::Continue(()),
                Some(data) => ControlFlow::Break(data.and_then(|data| Verdict::of(&key, data))),
            }
        });
        end.break_value().unwrap_or_else(|| Ok(Verdict::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, instructions};
    use crate::rules::{Lengths, Peer, search};
    use std::ops::ControlFlow;

    fn verdict(data: &[u8]) -> std::io::Result<Verdict> {
        let peer = Peer {
            ip: b"10.0.0.1",
            host: None,
            info: None,
        };
        let end = search(peer, &Lengths::NONE, |key| {
            ControlFlow::Break(Verdict::of(&key, data.to_vec()))
        });
        end.break_value().unwrap()
    }

    #[test]
    fn deny_does_not_end_the_instructions() {
        let verdict = verdict(b"+A=1\0D\0+B=\0+A=2\0+AB=3\0").unwrap();
        assert!(verdict.deny);
        let settings: Vec<_> = verdict.settings().collect();
        assert_eq!(settings, [&b"A=1"[..], b"B=", b"A=2", b"AB=3"]);
        assert_eq!(verdict.setting("A"), Some(&b"2"[..]));
        assert_eq!(verdict.setting("B"), Some(&b""[..]));
        assert_eq!(verdict.setting("C"), None);
        assert_eq!(verdict.rule().as_deref(), Some(&b"10.0.0.1"[..]));
    }

    #[test]
    fn damaged_instructions_are_no_verdict() {
        assert_eq!(instructions(b"x\0\0+A=1").count(), 0);
        for damaged in [&b"D"[..], b"D\x01", b"E\0", b"\0", b"D\0+A=1", b"+A=1\0x"] {
            assert!(verdict(damaged).is_err(), "{damaged:?}");
        }
        let verdict = verdict(b"+noequals\0Dxyz\0").unwrap();
        assert!(verdict.deny);
        assert_eq!(verdict.settings().count(), 0);
    }

    #[test]
    fn no_rule_is_no_denial_and_no_settings() {
        let verdict = Verdict::default();
        assert!(!verdict.deny);
        assert_eq!(verdict.rule(), None);
        assert_eq!(verdict.settings().count(), 0);
    }
}
