//! Scans pieces one after another. This file is of the tests and of the fuzz target.

use super::{Fault, Found, Frame, Scanner};

/// How many bytes of the pieces the frame has; `None` when they are too few.
pub(super) fn scan<'a>(
    frame: Frame,
    limit: u64,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<usize>, Fault> {
    let mut scanner = Scanner::new(frame, limit);
    let mut before = 0;
    for piece in pieces {
        match scanner.scan(piece)? {
            Found::End(end) => return Ok(Some(before + end)),
            Found::More => before += piece.len(),
        }
    }
    Ok(None)
}
