//! A hosts file and a name: no address twice, none without the name in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::hosts;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (name, text) = input;
    let found = hosts(text, name);
    for (index, address) in found.iter().enumerate() {
        assert!(!found[..index].contains(address));
    }
});
