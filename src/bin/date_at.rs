//! `date@ [ host ]`: shows what time it is there (port 13, RFC 867).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Show, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "date@",
    synopsis: "[ host ]",
    purpose: "show what time it is on a host",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        converse(host, b"13", b"", &mut Show::default(), voice)
    })
}
