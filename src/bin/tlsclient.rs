//! `tlsclient [ options ] host port program`: makes a TLS connection and runs a program on descriptors 6 and 7.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::tls::client;
use ucspi_tcp::tls::options::Trust;
use ucspi_tcp::ucspi::client::{Config, forget_inherited};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tlsclient",
    synopsis: "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] [ -l localname ] \
               [ -t timeoutinfo ] host port program",
    purpose: "make a TLS connection, and run a program on descriptors 6 and 7",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, |arguments, voice| {
        forget_inherited();
        let mut trust = Trust::default();
        let config = trust.read(|tls| Config::read(arguments, tls, voice))?;
        client::run(&config, &trust, *voice)
    })
}
