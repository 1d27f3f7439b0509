//! What the stored instructions mean, and the rules file as a server keeps it: open, and looked at again before each use.

use std::io;
use std::path::PathBuf;

use super::keys::{Lengths, Peer, search};
use super::store::Reader;
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

/// What the rules say about a peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Do not serve it.
    pub deny: bool,
    /// `name=value`, each for the program's environment, in order; later ones win.
    pub settings: Vec<Vec<u8>>,
}

impl Verdict {
    /// TEMPORARY until rulesf lands.
    pub fn rule(&self) -> Option<Vec<u8>> {
        None
    }

    /// TEMPORARY until rulesf lands.
    pub fn setting(&self, name: &str) -> Option<&[u8]> {
        let mut settings = self.settings.iter().filter_map(|setting| {
            let value = setting.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        });
        settings.next_back()
    }

    /// The verdict that `data` holds.
    ///
    /// # Errors
    /// There is something in it that no compiler writes: a damaged deny must not pass for an allow (`InvalidData`).
    fn of(data: &[u8]) -> io::Result<Self> {
        let mut verdict = Self::default();
        let items = data.split_inclusive(|&byte| byte == 0);
        let mut known = 0;
        for instruction in instructions(data) {
            known += 1;
            match instruction {
                Instruction::Deny => verdict.deny = true,
                Instruction::Set(setting) if setting.contains(&b'=') => {
                    verdict.settings.push(setting.to_vec());
                }
                Instruction::Set(_) => {}
            }
        }
        if items.count() == known {
            Ok(verdict)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

/// A rules file that may be replaced at any time: a rename takes effect with the next question.
#[derive(Debug)]
pub struct Rules {
    path: PathBuf,
    may_be_missing: bool,
    current: Option<Current>,
}

impl Rules {
    /// The rules in the file `path`. A file that does not exist means no rules if `may_be_missing`.
    pub fn new(path: PathBuf, may_be_missing: bool) -> Self {
        Self {
            path,
            may_be_missing,
            current: None,
        }
    }

    /// The file's path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What the rules say about `peer`: allow, without settings, when no key is found.
    ///
    /// # Errors
    /// The file is missing, cannot be read or is damaged: nobody must be let in.
    pub fn verdict(&mut self, peer: Peer<'_>) -> io::Result<Verdict> {
        let data = match self.current()? {
            Some(current) => search(peer, &current.lengths, |key| current.reader.find(key.bytes))?,
            None => None,
        };
        data.map_or_else(|| Ok(Verdict::default()), |data| Verdict::of(&data))
    }

    /// The open file, opened again when the path leads to another one or the file was touched; `None` for a file that
    /// is missing and may be.
    fn current(&mut self) -> io::Result<Option<&Current>> {
        let version = match std::fs::metadata(&self.path) {
            Ok(metadata) => Version::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.may_be_missing => {
                self.current = None;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.version != version)
        {
            self.current = None;
            let reader = Reader::open(&self.path)?;
            let lengths = reader.lengths()?;
            self.current = Some(Current {
                version,
                reader,
                lengths,
            });
        }
        Ok(self.current.as_ref())
    }
}

/// The file as it was when it was opened.
#[derive(Debug)]
struct Current {
    version: Version,
    reader: Reader,
    lengths: Lengths,
}

#[cfg(test)]
mod tests {
    use super::{Verdict, instructions};

    #[test]
    fn deny_does_not_end_the_instructions() {
        let verdict = Verdict::of(b"+A=1\0D\0+B=\0").unwrap();
        assert_eq!(
            verdict,
            Verdict {
                deny: true,
                settings: vec![b"A=1".to_vec(), b"B=".to_vec()]
            }
        );
    }

    #[test]
    fn damaged_instructions_are_no_verdict() {
        assert_eq!(instructions(b"x\0\0+A=1").count(), 0);
        for damaged in [&b"D"[..], b"D\x01", b"E\0", b"\0", b"D\0+A=1", b"+A=1\0x"] {
            assert!(Verdict::of(damaged).is_err(), "{damaged:?}");
        }
        let verdict = Verdict::of(b"+noequals\0Dxyz\0").unwrap();
        assert_eq!(
            verdict,
            Verdict {
                deny: true,
                settings: vec![]
            }
        );
    }
}
