//! `fixcrio program [ arg ... ]`: runs a program and puts a CR before each LF that has none, both ways.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::filter::{carriage_return::Fix, wrap};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "fixcrio",
    synopsis: "program [ arg ... ]",
    purpose: "put a carriage return before each line feed without one, in a program's input and output",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |arguments, _| {
        wrap(&arguments.program()?, |_| Fix::default())
    })
}
