//! `tlsc [ options ] program`: TLS on the connection on descriptors 6 and 7, for a program that gets it there.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine, Verbosity, group};
use ucspi_tcp::tls::client;
use ucspi_tcp::tls::options::Trust;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tlsc",
    synopsis: "[ -qQv ] program",
    purpose: "speak TLS with the server on descriptors 6 and 7, and run a program there",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, |arguments, voice| {
        let mut trust = Trust::default();
        let mut verbosity = voice.verbosity;
        trust.read(|tls| {
            let verbosity = &mut group(&[Verbosity::OPTIONS], &mut verbosity);
            arguments.options(&mut [tls, verbosity])
        })?;
        voice.verbosity = verbosity;
        let program = arguments.program()?;
        client::run_inherited(&trust, &program, *voice)
    })
}
