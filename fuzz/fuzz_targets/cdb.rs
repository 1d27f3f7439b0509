//! A peer and the bytes of a database, perhaps hostile: the reader agrees with another one that keeps to memory, and
//! each look-up ends.
#![no_main]

#[path = "../../tests/rules/reader.rs"]
mod model;

use std::fs;
use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::rules::{Lengths, Peer, Reader, Rules, instructions, search};

/// A length of this is nothing, not even an empty text.
const NOTHING: u8 = 255;

/// The address, the host, the info and the file in `input`, which begins with the lengths of the first three.
fn parts(input: &[u8]) -> Option<(&[u8], Option<&[u8]>, Option<&[u8]>, &[u8])> {
    let (lengths, mut rest) = input.split_first_chunk::<3>()?;
    let mut next = |length: u8| {
        let (part, after) = rest.split_at_checked(usize::from(length) % usize::from(NOTHING))?;
        rest = after;
        Some(Some(part).filter(|_| length != NOTHING))
    };
    let [ip, host, info] = [next(lengths[0])?, next(lengths[1])?, next(lengths[2])?];
    Some((ip.unwrap_or_default(), host, info, rest))
}

fuzz_target!(|input: &[u8]| {
    let Some((ip, host, info, bytes)) = parts(input) else {
        return;
    };
    let name = format!("ucspi-tcp-fuzz-cdb.{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, bytes).unwrap();
    let Ok(reader) = Reader::open(&path) else {
        assert!(bytes.len() < 2048);
        return;
    };
    let lengths = reader.inspect();
    let peer = Peer { ip, host, info };
    let mut keys = 0;
    let hit = search(peer, &Lengths::ALL, |key| {
        keys += 1;
        let found = reader.find(&key.bytes);
        let wanted = model::find(bytes, &key.bytes);
        assert_eq!(found.as_ref().ok().map(Option::as_deref), wanted.ok());
        assert!(!key.shown().is_empty() || key.bytes.is_empty());
        found.transpose().map_or(ControlFlow::Continue(()), ControlFlow::Break)
    });
    let dots = |text: &[u8]| text.iter().filter(|&&byte| byte == b'.').count();
    assert!(keys <= 400 + dots(ip) + host.map_or(0, dots));
    if let Some(Ok(data)) = &hit.break_value() {
        assert!(data.len() <= bytes.len());
        assert!(instructions(data).count() <= data.len());
    }
    // What is not whole lets nobody in, and the other way round.
    let verdict = Rules::new(path, false).verdict(peer);
    assert!(lengths.is_ok() || verdict.is_err());
});
