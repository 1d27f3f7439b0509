//! `tcpclient [ options ] host port program`: makes a TCP connection and runs a program on descriptors 6 and 7.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::ucspi::client::{self, Config};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpclient",
    synopsis: "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] [ -l localname ] \
               [ -t timeoutinfo ] host port program",
    purpose: "make a TCP connection, and run a program on descriptors 6 and 7",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, |arguments, voice| {
        client::forget_inherited();
        let config = Config::read(arguments, &mut [], voice)?;
        client::run(&config, *voice)
    })
}
