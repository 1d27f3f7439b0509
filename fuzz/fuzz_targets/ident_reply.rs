//! An ident server's reply: whatever comes, in whatever pieces, is at most 257 bytes of one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::ucspi::ident::parse;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, reply) = input;
    let info = parse(reply, reply.len());
    assert_eq!(parse(reply, piece.into()), info, "in pieces of {piece}");
    if let Some(info) = info {
        assert!(info.len() <= 257);
        assert!(!info.iter().any(|byte| b" \t\r\n\0".contains(byte)));
        assert!(reply.contains(&b'\n') || reply.len() >= 260);
    }
});
