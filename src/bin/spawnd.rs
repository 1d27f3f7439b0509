//! `spawnd [ options ] configuration-file [ id ]`: tcprelay with the files of event-driven-servers.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Voice, group};
use ucspi_tcp::relay::filed::Filed;
use ucspi_tcp::relay::server;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "spawnd",
    synopsis: "[ -PvbfD1 ] [ -d level ] [ -i child_id ] [ -I id ] [ -p pidfile ] configuration-file [ id ]",
    purpose: "relay as a configuration file of event-driven-servers says",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut filed = Filed::default();
    arguments.options(&mut [&mut group(&[Filed::OPTIONS], &mut filed)])?;
    server::run_file(filed, arguments, voice)
}
