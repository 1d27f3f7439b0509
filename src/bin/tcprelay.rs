//! `tcprelay [ options ] host port remote ...`: accepts TCP connections and carries each to a remote.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Group, Voice, group};
use ucspi_tcp::relay::filed::Filed;
use ucspi_tcp::relay::line::{Line, Relaying};
use ucspi_tcp::relay::server;
use ucspi_tcp::relay::source::Source;
use ucspi_tcp::service::UPGRADE;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprelay",
    synopsis: "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] host port remote",
    purpose: "accept TCP connections, and carry each to a remote",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
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
    let mut own = group(&[Relaying::OPTIONS], &mut line.relaying);
    let mut upgrade = group(&[UPGRADE], &mut line.is_upgradable);
    line.tls.read(|tls| {
        let own: &mut [&mut dyn Group; 3] = &mut [&mut own, &mut upgrade, tls];
        line.entrance.take_quietly(arguments, voice, own)
    })?;
    drop((own, upgrade));
    while let Some(remote) = arguments.operand() {
        line.remotes.push(remote);
    }
    if line.remotes.is_empty() && line.relaying.file.is_none() {
        return Err(Error::usage());
    }
    server::run(Source::Line(Box::new(line)), *voice)
}
