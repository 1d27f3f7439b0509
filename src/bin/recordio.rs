//! `recordio program [ arg ... ]`: runs a program and writes all that it reads and writes to descriptor 2.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Voice};
use ucspi_tcp::filter::{Recorder, wrap};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "recordio",
    synopsis: "program [ arg ... ]",
    purpose: "record the input and output of a program",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments: &mut Arguments, _: &mut Voice| {
        wrap(&arguments.program()?, Recorder::new)
    })
}
