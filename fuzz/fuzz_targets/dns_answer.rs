//! A packet that passes for an answer: names in it are harmless text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::answer;

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
/// The bounds that src/dns/packet.rs promises.
const RECORDS_MAX: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some((choice, packet)) = input.split_first() else {
        return;
    };
    let kind = [A, PTR, TXT, AAAA][usize::from(choice % 4)];
    let Some(records) = answer(packet, b"a.test", kind) else {
        return;
    };
    assert!(records.len() <= if kind == PTR { 1 } else { RECORDS_MAX });
    for record in records {
        // A name may be read from the same bytes again and again, and an address is written out.
        let most = if kind == PTR { 4 * 255 } else { packet.len().max(45) };
        assert!(record.len() <= most);
        if kind == PTR {
            assert!(record.iter().all(
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\')
            ));
        }
    }
});
