//! A name as text: what is printed is harmless, and read again it is the same name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::name;

fuzz_target!(|text: &[u8]| {
    if let Some(printed) = name(text) {
        assert!(!printed.is_empty() && printed.len() <= 4 * 255);
        assert!(printed.iter().all(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\')
        ));
        assert_eq!(name(&printed).as_ref(), Some(&printed));
    }
});
