//! A dnsrewrite file and an operand: at least one name, none longer than all that was given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::qualify;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (operand, rules) = input;
    let names = qualify(rules, operand);
    assert!(!names.is_empty());
    for name in names {
        assert!(name.len() <= operand.len() + rules.len());
    }
});
