//! `mconnect [ host [ port ] ]`: talks to a line-based server (port 25 if none is given).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine, Voice};
use ucspi_tcp::clients;
use ucspi_tcp::sys::signal::{self, Signal};
use ucspi_tcp::ucspi::client;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "mconnect",
    synopsis: "[ host [ port ] ]",
    purpose: "talk to a mail server, or another one that is line-based",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, voice| {
        let host = arguments.operand().unwrap_or(b"0".to_vec());
        let port = arguments.operand().unwrap_or(b"25".to_vec());
        *voice = Voice::new("tcpclient");
        let connection = client::dial(host, &port, *voice)?;
        signal::ignore(Signal::SIGPIPE);
        // As the original, whatever ends the talk ends it well.
        let _ = clients::mconnect(&connection, &connection);
        Ok(())
    })
}
