//! A packet that passes for an answer: names in it are harmless text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::answer;

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;

fuzz_target!(|input: &[u8]| {
    let Some((choice, packet)) = input.split_first() else {
        return;
    };
    let kind = [A, PTR, TXT][usize::from(choice % 3)];
    let Some(records) = answer(packet, b"a.test", kind) else {
        return;
    };
    for record in records {
        assert!(record.len() <= packet.len() * 4);
        if kind == PTR {
            assert!(record.iter().all(
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\')
            ));
        }
    }
});
