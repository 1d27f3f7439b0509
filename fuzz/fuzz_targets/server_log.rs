//! A server's log, read back: under rules that let everybody in, what differs is what was denied.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::rules::{Rules, replay};

fuzz_target!(|log: &[u8]| {
    let mut rules = Rules::new("/nonexistent/rules.cdb".into(), true);
    let mut count = 0;
    let replayed = replay(&mut rules, log, |line| {
        let line = std::str::from_utf8(line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, number, "deny", "->", "allow"] = words[..] else {
            panic!("{line}");
        };
        count += number.parse::<u64>().unwrap();
        Ok(())
    });
    let replayed = replayed.unwrap();
    assert_eq!(count, replayed.differences);
    assert!(count <= replayed.connections);
});
