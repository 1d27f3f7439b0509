//! `finger@ [ host [ user ] ]`: shows what is told about a user there (port 79, RFC 1288).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::{Show, converse};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "finger@",
    synopsis: "[ host [ user ] ]",
    purpose: "show what a host tells about a user",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let user = arguments.operand().unwrap_or_default();
        let request = [&user[..], b"\r\n"].concat();
        converse(host, b"79", &request, &mut Show::default(), voice)
    })
}
