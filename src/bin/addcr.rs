//! `addcr`: puts a CR before each LF.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::filter::{carriage_return, stream};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "addcr",
    synopsis: "",
    purpose: "put a carriage return before each line feed",
};

pub(crate) fn main() -> ExitCode {
    cli::main_without_options(&COMMAND_LINE, |_, _| stream(carriage_return::add, |_| {}))
}
