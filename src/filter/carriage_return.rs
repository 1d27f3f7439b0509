//! Carriage returns: put before line feeds, or taken away.
//!
//! Each change takes bytes in pieces of any size and appends what becomes of them; it remembers what it must from one
//! piece to the next. Source: addcr(1), delcr(1), fixcrio(1) of the original, and observed runs.

use super::pump::Observer;
use crate::sys::places::places;

/// addcr: a CR before every LF, also where there is one already.
pub fn add(bytes: &[u8], out: &mut Vec<u8>) {
    rewrite(bytes, out, &Edit::Insert, |block, _| places(block, b'\n'));
}

/// delcr: one CR directly before an LF is dropped, any other one is kept.
#[derive(Debug, Default)]
pub struct Delete {
    /// The last byte was a CR, which is held back.
    holds_cr: bool,
}

impl Delete {
    /// Changes a piece.
    pub fn change(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some((&first, _)) = bytes.split_first() else {
            return;
        };
        if std::mem::take(&mut self.holds_cr) && first != b'\n' {
            out.push(b'\r');
        }
        let mut rest = bytes;
        if let [before @ .., b'\r'] = rest {
            self.holds_cr = true;
            rest = before;
        }
        rewrite(rest, out, &Edit::Drop, |block, next| {
            let crs = places(block, b'\r');
            if crs == 0 {
                return 0;
            }
            crs & (places(block, b'\n') >> 1 | u64::from(next == b'\n') << LAST)
        });
    }

    /// At the end: what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.holds_cr) {
            out.push(b'\r');
        }
    }
}

/// fixcrio: in both directions a CR before each LF that has none.
#[derive(Debug, Default)]
pub struct Fix {
    /// For each direction: the last byte was a CR.
    after_cr: [bool; 2],
    changed: Vec<u8>,
}

impl Observer for Fix {
    fn packet(&mut self, way: usize, bytes: &mut Vec<u8>) {
        self.changed.clear();
        let mut after_cr = self.after_cr[way];
        rewrite(bytes, &mut self.changed, &Edit::Insert, |block, _| {
            let crs = places(block, b'\r');
            let after_crs = crs << 1 | u64::from(after_cr);
            after_cr = crs >> LAST == 1;
            places(block, b'\n') & !after_crs
        });
        if let Some(last) = bytes.last() {
            self.after_cr[way] = *last == b'\r';
        }
        std::mem::swap(bytes, &mut self.changed);
    }

    fn end(&mut self, _: usize) {}
}

/// How many bytes are looked at, and copied, at a time.
const BLOCK_BYTES: usize = 64;
/// The number of a block's last byte.
const LAST: usize = BLOCK_BYTES - 1;

/// What is done at a place.
enum Edit {
    /// A CR is put before the byte.
    Insert,
    /// The byte is left out.
    Drop,
}

/// Appends `bytes` to `out`, with an edit at the places that `find` gives for each block and the byte behind it: a bit for
/// each, the lowest for the block's first byte. Behind the last byte there are NULs.
///
/// Lines are short. So nothing is copied but whole blocks, which takes no call and no loop: the block as it stands, and
/// at each place, once more, what follows from there.
fn rewrite(
    bytes: &[u8],
    out: &mut Vec<u8>,
    edit: &Edit,
    mut find: impl FnMut(&[u8; BLOCK_BYTES], u8) -> u64,
) {
    let mut last = [0; 2 * BLOCK_BYTES];
    for at in (0..bytes.len()).step_by(BLOCK_BYTES) {
        let rest = &bytes[at..];
        let two = if let Some(two) = rest.first_chunk() {
            two
        } else {
            last[..rest.len()].copy_from_slice(rest);
            last[rest.len()..].fill(0);
            &last
        };
        let from = |place: usize| -> &[u8; BLOCK_BYTES] {
            let block = two[place..].first_chunk();
            block.expect("a place in the first of two blocks")
        };
        // Where in `out` this block ends.
        let mut end = out.len() + BLOCK_BYTES;
        out.extend_from_slice(from(0));
        let mut found = find(from(0), two[BLOCK_BYTES]);
        while found != 0 {
            let place = found.trailing_zeros() as usize;
            found &= found - 1;
            out.truncate(end + place - BLOCK_BYTES);
            match edit {
                Edit::Insert => {
                    out.push(b'\r');
                    out.extend_from_slice(from(place));
                    end += 1;
                }
                Edit::Drop => {
                    out.extend_from_slice(from(place + 1));
                    end -= 1;
                }
            }
        }
        out.truncate(end);
    }
    out.truncate(out.len() - (bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len()));
}

/// mconnect-io: a CR before every LF on the way to the network, nothing on the way back.
#[derive(Debug)]
pub struct AddOneWay {
    /// The direction that is changed.
    pub way: usize,
}

impl Observer for AddOneWay {
    fn packet(&mut self, way: usize, bytes: &mut Vec<u8>) {
        if way == self.way {
            let mut changed = Vec::with_capacity(bytes.len() + bytes.len() / 16 + 1);
            add(bytes, &mut changed);
            *bytes = changed;
        }
    }

    fn end(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pump::Observer;
    use super::{Delete, Fix, add};

    /// `bytes` cut before each of the places in `cuts`.
    fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        ends.windows(2)
            .map(|pair| bytes[pair[0]..pair[1]].to_vec())
            .collect()
    }

    fn added(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        pieces(bytes, cuts)
            .iter()
            .for_each(|piece| add(piece, &mut out));
        out
    }

    fn deleted(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut change, mut out) = (Delete::default(), Vec::new());
        pieces(bytes, cuts)
            .iter()
            .for_each(|piece| change.change(piece, &mut out));
        change.finish(&mut out);
        out
    }

    fn fixed(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut change = Fix::default();
        let mut out = Vec::new();
        for mut piece in pieces(bytes, cuts) {
            change.packet(0, &mut piece);
            out.extend(piece);
        }
        out
    }

    #[test]
    fn bytes_are_those_of_the_original() {
        assert_eq!(added(b"a\nb\r\nc", &[]), b"a\r\nb\r\r\nc");
        assert_eq!(deleted(b"a\r\nb\r\r\nc\rd\r", &[]), b"a\nb\r\nc\rd\r");
        assert_eq!(fixed(b"a\nb\r\nc\n", &[]), b"a\r\nb\r\nc\r\n");
    }

    /// Byte by byte, as plainly as can be.
    fn model(bytes: &[u8]) -> [Vec<u8>; 3] {
        let (mut add, mut delete, mut fix) = (Vec::new(), Vec::new(), Vec::new());
        for (at, &byte) in bytes.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| bytes[before]);
            if byte == b'\n' {
                add.push(b'\r');
                if before != Some(b'\r') {
                    fix.push(b'\r');
                }
            }
            add.push(byte);
            fix.push(byte);
            if byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
                delete.push(byte);
            }
        }
        [add, delete, fix]
    }

    proptest! {
        #[test]
        fn no_split_of_reads_changes_the_outcome(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..400),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let outcome = [added(&bytes, &cuts), deleted(&bytes, &cuts), fixed(&bytes, &cuts)];
            prop_assert_eq!(outcome, model(&bytes));
        }
    }
}
