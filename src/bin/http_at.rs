//! `http@ [ host [ page [ port ] ] ]`: shows a page (RFC 1945).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Body, converse, page_request};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "http@",
    synopsis: "[ host [ page [ port ] ] ]",
    purpose: "show a page of a web server",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let page = arguments.operand().unwrap_or_default();
        let port = arguments.operand().unwrap_or(b"80".to_vec());
        let request = page_request(&host, &page, &port);
        converse(host, &port, &request, &mut Body::default(), voice)
    })
}
