//! hosts.allow, and hosts.deny after a byte 255, for a service that tcpd wraps.
#![no_main]

#[path = "import.rs"]
mod import;

use import::{check, file};
use libfuzzer_sys::fuzz_target;
use ucspi_tcp::import::Kind;

fuzz_target!(|input: &[u8]| {
    let mut texts = input.splitn(2, |&byte| byte == 255);
    let allow = file(texts.next().unwrap_or_default());
    let deny = file(texts.next().unwrap_or_default());
    let tables = [
        (Kind::Allow, "hosts.allow", allow),
        (Kind::Deny, "hosts.deny", deny),
    ];
    check(&tables, &file(b""));
    let line = file(b"smtp stream tcp nowait mail /usr/sbin/tcpd in.smtpd\n");
    let [allow, deny] = tables;
    check(
        &[(Kind::Inetd, "inetd.conf", line), allow, deny],
        &file(b""),
    );
});
