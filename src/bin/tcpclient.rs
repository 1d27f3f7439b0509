//! `tcpclient [ options ] host port program`: makes a TCP connection and runs a program on descriptors 6 and 7.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Verbosity, Voice, group};
use ucspi_tcp::ucspi::client::{self, Config, Connecting};
use ucspi_tcp::ucspi::host::Reading;
use ucspi_tcp::ucspi::names::Lookups;
use ucspi_tcp::ucspi::port;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpclient",
    synopsis: "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] [ -l localname ] \
               [ -t timeoutinfo ] host port program",
    purpose: "make a TCP connection, and run a program on descriptors 6 and 7",
};

const IDENT_TIMEOUT: &[Opt<Lookups>] = &[Lookups::ident_timeout("timeoutinfo")];

pub(crate) fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    client::forget_inherited();
    let mut config = Config::default();
    let mut verbosity = voice.verbosity;
    arguments.options(&mut [
        &mut group(&[Reading::OPTIONS], &mut config.reading),
        &mut group(&[Connecting::OPTIONS], &mut config.connecting),
        &mut group(&[Lookups::OPTIONS, IDENT_TIMEOUT], &mut config.lookups),
        &mut group(&[Verbosity::OPTIONS], &mut verbosity),
    ])?;
    voice.verbosity = verbosity;
    config.host = arguments.operand().ok_or_else(Error::usage)?;
    config.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
    config.program = arguments.program()?;
    client::run(&config, *voice)
}
