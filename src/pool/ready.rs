//! The line with which a worker says that it is ready.

use crate::service::{Packer, Unpacker};

/// How much of a line has been seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineMatch {
    matched: usize,
    is_another: bool,
}

impl LineMatch {
    /// Where `line` ends in `piece`, after its line feed; lines before it are passed over. A carriage return may stand
    /// before the line feed.
    pub(super) fn find(&mut self, line: &[u8], piece: &[u8]) -> Option<usize> {
        for (at, &byte) in piece.iter().enumerate() {
            let is_complete = !self.is_another && self.matched == line.len();
            match byte {
                b'\n' if is_complete => return Some(at + 1),
                b'\n' => *self = Self::default(),
                b'\r' if is_complete => {}
                _ if line.get(self.matched) == Some(&byte) => self.matched += 1,
                _ => self.is_another = true,
            }
        }
        None
    }

    pub(super) fn pack(&self, to: &mut Packer) {
        to.number(self.matched as u64);
        to.number(self.is_another);
    }

    /// One that was packed.
    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            matched: from.number()?,
            is_another: from.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LineMatch;

    #[test]
    fn ready_line_is_found_among_others_in_any_pieces() {
        let text = b"loading\nis ready\nready?\n\nready\r\nmore";
        for size in 1..=text.len() {
            let mut line = LineMatch::default();
            let mut before = 0;
            let mut found = None;
            for piece in text.chunks(size) {
                found = line.find(b"ready", piece).map(|end| before + end);
                if found.is_some() {
                    break;
                }
                before += piece.len();
            }
            assert_eq!(found, Some(text.len() - 4), "pieces of {size}");
        }
        assert_eq!(LineMatch::default().find(b"", b"x\n\n"), Some(3));
    }
}
