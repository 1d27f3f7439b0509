//! Queries and replies: wherever the bytes are cut, the same is found, and never beyond the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::pool::frame::{Fault, Found, Frame, Scanner};

const NAMES: [&str; 11] = [
    "line", "crlf", "lines:1", "lines:3", "blank", "dot", "nul", "netstring", "len4", "idle:5", "eof",
];

/// Scans pieces until there is an answer.
fn scan<'a>(
    frame: Frame,
    limit: u64,
    pieces: impl Iterator<Item = &'a [u8]>,
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

fuzz_target!(|input: &[u8]| {
    let [name, limit, size, bytes @ ..] = input else {
        return;
    };
    let frame = Frame::parse(NAMES[usize::from(*name) % NAMES.len()].as_bytes()).unwrap();
    let limit = u64::from(*limit);
    let whole = scan(frame, limit, [bytes].into_iter());
    assert_eq!(whole, scan(frame, limit, bytes.chunks(1)));
    assert_eq!(whole, scan(frame, limit, bytes.chunks(usize::from(*size) + 1)));
    if let Ok(Some(end)) = whole {
        assert!(end <= bytes.len() && (limit == 0 || end as u64 <= limit));
        // What was found is found again, and a number comes out as it went in.
        assert_eq!(scan(frame, 0, [&bytes[..end]].into_iter()), Ok(Some(end)));
        let numbered = frame.replace_front(&bytes[..end], 0, b"17 ").unwrap();
        let (number, rest) = frame.take_number(&numbered).unwrap();
        assert_eq!((number, &rest[..]), (17, &bytes[..end]));
    }
});
