//! `http@ [ host [ page [ port ] ] ]`: shows a page (RFC 1945).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Body, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "http@",
    synopsis: "[ host [ page [ port ] ] ]",
    purpose: "show a page of a web server",
};

pub(crate) fn main() -> ExitCode {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let page = arguments.operand().unwrap_or_default();
        let port = arguments.operand().unwrap_or(b"80".to_vec());
        let is_bare_ipv6 = host.contains(&b':') && host.first() != Some(&b'[');
        let (open, close): (&[u8], &[u8]) = if is_bare_ipv6 {
            (b"[", b"]")
        } else {
            (b"", b"")
        };
        let request = [
            b"GET /",
            &page[..],
            b" HTTP/1.0\r\nHost: ",
            open,
            &host,
            close,
            b":",
            &port,
            b"\r\n\r\n",
        ];
        let request = request.concat();
        converse(host, &port, &request, &mut Body::default(), voice)
    })
}
