//! `tlsserver [ options ] host port program`: tcpserver, with TLS between the client and the program.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine, Group, group};
use ucspi_tcp::tls::options::Terms;
use ucspi_tcp::tls::server;
use ucspi_tcp::ucspi::server::{Config, Options};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tlsserver",
    synopsis: "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] host port program",
    purpose: "accept TCP connections, speak TLS, and run a program for each",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, |arguments, voice| {
        let (mut config, mut terms) = (Config::default(), Terms::default());
        terms.read(|tls| {
            let max_time = &mut group(&[Options::OPTIONS], &mut config.options);
            let own: &mut [&mut dyn Group; 2] = &mut [max_time, tls];
            config.entrance.take(arguments, voice, own)
        })?;
        config.program = arguments.program()?;
        server::run(config, &terms, *voice)
    })
}
