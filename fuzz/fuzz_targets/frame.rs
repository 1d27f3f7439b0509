//! Queries and replies: wherever the bytes are cut, the same is found, and never beyond the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trial::scan;
use ucspi_tcp::pool::frame::{Fault, Found, Frame, Scanner};

const NAMES: [&str; 11] = [
    "line", "crlf", "lines:1", "lines:3", "blank", "dot", "nul", "netstring", "len4", "idle:5", "eof",
];

#[path = "../../src/pool/frame/trial.rs"]
mod trial;

fuzz_target!(|input: &[u8]| {
    let [name, limit, size, bytes @ ..] = input else {
        return;
    };
    let frame = Frame::parse(NAMES[usize::from(*name) % NAMES.len()].as_bytes()).unwrap();
    let limit = u64::from(*limit);
    let whole = scan(frame, limit, [bytes]);
    assert_eq!(whole, scan(frame, limit, bytes.chunks(1)));
    assert_eq!(whole, scan(frame, limit, bytes.chunks(usize::from(*size) + 1)));
    if let Ok(Some(end)) = whole {
        assert!(end <= bytes.len() && (limit == 0 || end as u64 <= limit));
        // What was found is found again, and a number comes out as it went in.
        assert_eq!(scan(frame, 0, [&bytes[..end]]), Ok(Some(end)));
        let numbered = frame.replace_front(&bytes[..end], 0, b"17 ").unwrap();
        let (number, rest) = frame.take_number(&numbered).unwrap();
        assert_eq!((number, &rest[..]), (17, &bytes[..end]));
    }
});
