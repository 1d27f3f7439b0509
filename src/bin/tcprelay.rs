//! `tcprelay [ options ] host port remote ...`: accepts TCP connections and carries each to a remote.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Verbosity, Voice, group};
use ucspi_tcp::relay::filed::Filed;
use ucspi_tcp::relay::line::{Line, Relaying};
use ucspi_tcp::relay::server;
use ucspi_tcp::relay::source::Source;
use ucspi_tcp::service::{Drain, Listening, SourceTerms};
use ucspi_tcp::ucspi::account::Account;
use ucspi_tcp::ucspi::host::Reading;
use ucspi_tcp::ucspi::names::Lookups;
use ucspi_tcp::ucspi::{gate, port};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprelay",
    synopsis: "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] host port remote",
    purpose: "accept TCP connections, and carry each to a remote",
};

const IDENT_TIMEOUT: &[Opt<Lookups>] = &[Lookups::ident_timeout("timeout")];

pub(crate) fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    // One or two operands and no long option: a file.
    let mut words = arguments.clone();
    let mut filed = Filed::default();
    if !words.has_long_option("check-only")
        && words
            .options(&mut [&mut group(&[Filed::OPTIONS], &mut filed)])
            .is_ok()
        && (filed.is_version || [1, 2].contains(&words.left()))
    {
        return server::run_file(filed, &mut words, voice);
    }
    let mut line = Line::default();
    let mut verbosity = voice.verbosity;
    line.tls.read(|tls| {
        arguments.options(&mut [
            &mut group(&[Reading::OPTIONS], &mut line.house.reading),
            &mut group(&[Listening::OPTIONS], &mut line.house.listening),
            &mut group(&[Account::OPTIONS], &mut line.house.account),
            &mut group(&[gate::Terms::OPTIONS], &mut line.house.gate),
            &mut group(&[SourceTerms::OPTIONS], &mut line.house.sources),
            &mut group(
                &[Lookups::PARANOID, Lookups::OPTIONS, IDENT_TIMEOUT],
                &mut line.house.lookups,
            ),
            &mut group(&[Drain::OPTIONS], &mut line.house.drain),
            &mut group(&[Relaying::OPTIONS], &mut line.relaying),
            tls,
            &mut group(&[Verbosity::OPTIONS], &mut verbosity),
        ])
    })?;
    voice.verbosity = verbosity;
    line.host = arguments.operand().ok_or_else(Error::usage)?;
    line.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
    while let Some(remote) = arguments.operand() {
        line.remotes.push(remote);
    }
    if line.remotes.is_empty() && line.relaying.file.is_none() {
        return Err(Error::usage());
    }
    server::run(Source::Line(Box::new(line)), *voice)
}
