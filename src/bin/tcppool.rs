//! `tcppool [ options ] host port program`: accepts TCP connections and has workers answer what they ask.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Format, Opt, Verbosity, Voice, group};
use ucspi_tcp::pool::options::Options;
use ucspi_tcp::pool::server::{self, Config};
use ucspi_tcp::service::control::Control;
use ucspi_tcp::service::{Drain, Listening, SourceTerms};
use ucspi_tcp::ucspi::account::Account;
use ucspi_tcp::ucspi::host::Reading;
use ucspi_tcp::ucspi::names::Lookups;
use ucspi_tcp::ucspi::{gate, port};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcppool",
    synopsis: "[ -461UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] [ -I interface ] host port program",
    purpose: "accept TCP connections, and have workers answer their queries",
};

const IDENT_TIMEOUT: &[Opt<Lookups>] = &[Lookups::ident_timeout("timeout")];

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    let (mut verbosity, mut format) = (voice.verbosity, voice.format);
    arguments.options(&mut [
        &mut group(&[Reading::OPTIONS], &mut config.reading),
        &mut group(&[Listening::OPTIONS], &mut config.listening),
        &mut group(&[Account::OPTIONS], &mut config.account),
        &mut group(&[gate::Terms::OPTIONS], &mut config.gate),
        &mut group(&[SourceTerms::OPTIONS], &mut config.sources),
        &mut group(
            &[Lookups::PARANOID, Lookups::OPTIONS, IDENT_TIMEOUT],
            &mut config.lookups,
        ),
        &mut group(&[Options::OPTIONS], &mut config.pool),
        &mut group(&[Drain::OPTIONS], &mut config.drain),
        &mut group(&[Control::OPTIONS], &mut config.control),
        &mut group(&[Verbosity::OPTIONS], &mut verbosity),
        &mut group(&[Format::OPTIONS], &mut format),
    ])?;
    (voice.verbosity, voice.format) = (verbosity, format);
    config.host = arguments.operand().ok_or_else(Error::usage)?;
    config.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
    config.program = arguments.program()?;
    server::run(config, *voice)
}
