//! `tcpcat [ host [ port ] ]`: shows all that a server sends (port 17 if none is given).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Raw, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpcat",
    synopsis: "[ host [ port ] ]",
    purpose: "show all that a server sends",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let port = arguments.operand().unwrap_or(b"17".to_vec());
        converse(host, &port, b"", &mut Raw, voice)
    })
}
