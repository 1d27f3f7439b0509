//! A configuration file of the relay: it is read or refused with a place within it, in bounded time and memory.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::relay::config::{Files, Mistake, Sections, read};

/// The file, which may include itself.
struct One<'a>(&'a [u8]);

impl Files for One<'_> {
    fn read(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        match name {
            b"f" => Ok(self.0.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        vec![pattern.to_vec()]
    }
}

fuzz_target!(|text: &[u8]| {
    let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count();
    match read(&One(text), b"f", &Sections::default()) {
        Ok(config) => assert!(config.notes.iter().all(|note| note.starts_with(b"f:"))),
        Err(Mistake(said)) => {
            let place = said.strip_prefix(b"f:");
            let digits = place.map(|place| place.split(|&byte| byte == b':').next().unwrap());
            let line = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let is_place = line.is_some_and(|line: usize| (1..=lines).contains(&line));
            assert!(is_place || said.starts_with(b"unable to read "));
        }
    }
});
