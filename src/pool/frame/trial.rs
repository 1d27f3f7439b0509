//! Scans pieces one after another. This file is of the tests and of the fuzz target.

use super::{Fault, Found, Frame, Scanner};

/// How many bytes of the pieces the frame has; `None` when they are too few.
pub(super) fn scan<'a>(
    frame: Frame,
    limit: u64,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<usize>, Fault> {
    scan_with(frame, limit, pieces, |scanner| scanner)
}

/// The same, by what `renewed` makes of the scanner after each piece.
pub(super) fn scan_with<'a>(
    frame: Frame,
    limit: u64,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    renewed: impl Fn(Scanner) -> Scanner,
) -> Result<Option<usize>, Fault> {
    let mut scanner = Scanner::new(frame, limit);
    let mut before = 0;
    for piece in pieces {
        match scanner.scan(piece)? {
            Found::End(end) => return Ok(Some(before + end)),
            Found::More => before += piece.len(),
        }
        scanner = renewed(scanner);
    }
    Ok(None)
}
