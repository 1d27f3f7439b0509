//! `who@ [ host ]`: shows who is logged in there (port 11, systat).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Show, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "who@",
    synopsis: "[ host ]",
    purpose: "show who is logged in on a host",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        converse(host, b"11", b"", &mut Show::default(), voice)
    })
}
