//! A certificate in DER: what is told of it can stand in a log, and does not depend on what comes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::tls::der::{subject, validity};

fuzz_target!(|der: &[u8]| {
    let longer = [der, b"more"].concat();
    if let Some(times) = validity(der) {
        for time in &times {
            assert!(time.len() == 14 && time.iter().all(u8::is_ascii_digit));
        }
        assert_eq!(validity(&longer), Some(times));
    }
    if let Some(line) = subject(der) {
        assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
        // A byte of an object identifier has at most 20 digits and a dot.
        assert!(line.len() <= 21 * der.len());
        assert_eq!(subject(&longer), Some(line));
    }
});
