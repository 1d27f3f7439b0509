//! The rule folders of ipsvd and of s6: names and texts, by turns, between bytes 255. What a name begins with says what it is.
#![no_main]

#[path = "import.rs"]
mod import;

use std::collections::BTreeMap;

use import::{check, file};
use libfuzzer_sys::fuzz_target;
use ucspi_tcp::import::{Kind, Tree};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|&byte| byte == 255);
    let mut instructions = BTreeMap::new();
    let mut rules: [BTreeMap<Vec<u8>, Tree>; 3] = Default::default();
    while let (Some(name), Some(text)) = (parts.next(), parts.next()) {
        let mode = name
            .first()
            .map_or(0o644, |&byte| if byte == b'!' { 0o000 } else { 0o644 });
        let text = text.to_vec();
        instructions.insert(
            name.to_vec(),
            Tree::File {
                mode,
                text: text.clone(),
            },
        );
        let kind = if name.contains(&b':') {
            1
        } else {
            usize::from(!name.contains(&b'_')) * 2
        };
        let verdict: &[u8] = if text.starts_with(b"deny") {
            b"deny"
        } else {
            b"allow"
        };
        let variables = BTreeMap::from([(b"NAME".to_vec(), file(&text))]);
        let actions = [
            (verdict.to_vec(), file(b"")),
            (b"env".to_vec(), Tree::Folder(variables)),
        ];
        rules[kind].insert(name.to_vec(), Tree::Folder(BTreeMap::from(actions)));
    }
    check(
        &[(Kind::Ipsvd, "instructions", Tree::Folder(instructions))],
        &file(b""),
    );
    let [ip4, ip6, names] = rules.map(Tree::Folder);
    let kinds = [
        (b"ip4".to_vec(), ip4),
        (b"ip6".to_vec(), ip6),
        (b"reversedns".to_vec(), names),
    ];
    check(
        &[(Kind::S6, "rules", Tree::Folder(BTreeMap::from(kinds)))],
        &file(b""),
    );
});
