//! `tcpcat [ host [ port ] ]`: shows all that a server sends (port 17 if none is given).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Raw, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpcat",
    synopsis: "[ host [ port ] ]",
    purpose: "show all that a server sends",
};

pub(crate) fn main() -> ExitCode {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let port = arguments.operand().unwrap_or(b"17".to_vec());
        converse(host, &port, b"", &mut Raw, voice)
    })
}
