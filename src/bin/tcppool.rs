//! `tcppool [ options ] host port program`: accepts TCP connections and has workers answer what they ask.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Group, Voice, group};
use ucspi_tcp::pool::options::Options;
use ucspi_tcp::pool::server::{self, Config};
use ucspi_tcp::service::UPGRADE;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcppool",
    synopsis: "[ -461UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] [ -I interface ] host port program",
    purpose: "accept TCP connections, and have workers answer their queries",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    read(&mut config, arguments, voice)?;
    config.program = arguments.program()?;
    server::run(config, *voice)
}

fn read(config: &mut Config, arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut own: [&mut dyn Group; 2] = [
        &mut group(&[Options::OPTIONS], &mut config.pool),
        &mut group(&[UPGRADE], &mut config.upgrade),
    ];
    config.entrance.take(arguments, voice, &mut own)
}
