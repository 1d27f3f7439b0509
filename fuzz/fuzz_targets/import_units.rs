//! A socket unit of systemd, and its service unit after a byte 255.
#![no_main]

#[path = "import.rs"]
mod import;

use import::{check, file};
use libfuzzer_sys::fuzz_target;
use ucspi_tcp::import::Kind;

fuzz_target!(|input: &[u8]| {
    let mut texts = input.splitn(2, |&byte| byte == 255);
    let socket = texts.next().unwrap_or_default();
    let service = texts.next().unwrap_or_default();
    check(
        &[(Kind::Socket, "units/x.socket", file(socket))],
        &file(service),
    );
});
