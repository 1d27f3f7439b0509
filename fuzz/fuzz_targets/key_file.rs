//! A file of certificates and keys: it is read or refused in one line, and certificates are the same with keys or without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::tls::unlock::{certificates, open};

/// A file of this kind says itself how many hours it takes to open it.
const SLOW: &[u8] = b"ENCRYPTED PRIVATE KEY";

fuzz_target!(|text: &[u8]| {
    let is_slow = text.windows(SLOW.len()).any(|part| part == SLOW);
    let passphrase = (!is_slow).then_some(&b"secret"[..]);
    match open(text, passphrase) {
        Ok(found) => assert_eq!(certificates(text), Ok(found.certificates)),
        Err(why) => assert!(!why.contains(char::is_control), "{why:?}"),
    }
});
