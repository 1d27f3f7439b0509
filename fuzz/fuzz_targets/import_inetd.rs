//! inetd.conf.
#![no_main]

#[path = "import.rs"]
mod import;

use import::{check, file};
use libfuzzer_sys::fuzz_target;
use ucspi_tcp::import::Kind;

fuzz_target!(|text: &[u8]| check(&[(Kind::Inetd, "inetd.conf", file(text))], &file(b"")));
