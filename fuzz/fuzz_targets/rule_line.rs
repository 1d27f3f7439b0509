//! One line of rules: a fault lies within the line, and what is stored is what instructions are read from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::rules::{Instruction, instructions, parse};

/// What a range can expand to.
const KEYS_MAX: usize = 256;
/// `_` and 32 bits, `^` and 128 bits, or 39 bytes for an IPv6 address; a number of a range has three digits.
const GROWTH_MAX: usize = 129;

fuzz_target!(|line: &[u8]| {
    let rule = match parse(line) {
        Ok(Some(rule)) => rule,
        Ok(None) => return,
        Err(fault) => {
            assert!((1..=line.len() + 1).contains(&fault.column));
            assert!(!fault.expected.is_empty());
            return;
        }
    };
    let mut keys = 0;
    let each = |key: &[u8]| {
        keys += 1;
        assert!(key.len() <= line.len() + GROWTH_MAX);
        Ok::<(), ()>(())
    };
    rule.keys(each).unwrap();
    assert!(keys <= KEYS_MAX);
    assert!(rule.data.is_empty() || rule.data.ends_with(b"\0"));
    let items = rule.data.iter().filter(|&&byte| byte == 0).count();
    assert_eq!(instructions(&rule.data).count(), items);
    let is_denial = rule.data.starts_with(b"D\0");
    let denials = instructions(&rule.data).filter(|item| *item == Instruction::Deny);
    assert_eq!(denials.count(), usize::from(is_denial));
});
