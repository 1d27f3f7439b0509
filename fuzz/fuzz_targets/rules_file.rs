//! A whole file of rules without a fault: it is compiled to a database in which every rule is found, and which differs in
//! nothing from its source.
#![no_main]

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::rules::{Health, Reader, Sets, check, compile, diff, parse};

fuzz_target!(|text: &[u8]| {
    let rules = text.split_inclusive(|&byte| byte == b'\n').map(parse);
    // A file with a fault is for the target `rule_line`: the writer keeps what it has (a descriptor too) until the end
    // of the process then, which a fuzzer does not wait for.
    let Ok(rules) = rules.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let name = format!("ucspi-tcp-fuzz-rules.{}", std::process::id());
    let cdb = std::env::temp_dir().join(name);
    let tmp = cdb.with_extension("tmp");
    let mut warnings = 0;
    let warn = |_: &str| warnings += 1;
    compile(text, &Sets::default(), cdb.as_os_str().as_bytes(), tmp.as_os_str().as_bytes(), warn).unwrap();
    let remarks = rules.iter().flatten().map(|rule| rule.remarks.len());
    assert!(warnings <= remarks.sum::<usize>());
    // The first of a key counts.
    let mut wanted = HashMap::new();
    for rule in rules.iter().flatten() {
        let each = |key: &[u8]| {
            wanted.entry(key.to_vec()).or_insert(&rule.data);
            Ok::<(), ()>(())
        };
        rule.keys(each).unwrap();
    }
    let reader = Reader::open(&cdb).unwrap();
    reader.inspect().unwrap();
    for (key, data) in wanted {
        assert_eq!(reader.find(&key).unwrap().as_deref(), Some(&data[..]));
    }
    let health = check(text, b"rules", &Sets::default(), true, |_| Ok(())).unwrap();
    assert_ne!(health, Health::Wrong);
    let differs = diff(&cdb, text, b"rules", &Sets::default(), |line| panic!("{line:?}"));
    assert!(!differs.unwrap());
});
