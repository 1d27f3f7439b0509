//! `tlsd [ options ] program`: TLS for one connection, between the client and the program.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine, Verbosity, group};
use ucspi_tcp::tls::options::Terms;
use ucspi_tcp::tls::single;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tlsd",
    synopsis: "[ -qQv ] program",
    purpose: "speak TLS with the client on descriptors 0 and 1, and run a program",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, |arguments, voice| {
        let mut terms = Terms::default();
        let mut verbosity = voice.verbosity;
        terms.read(|tls| {
            let verbosity = &mut group(&[Verbosity::OPTIONS], &mut verbosity);
            arguments.options(&mut [tls, verbosity])
        })?;
        voice.verbosity = verbosity;
        let program = arguments.program()?;
        single::run(&terms, &program, *voice)
    })
}
