//! `addcr`: puts a CR before each LF.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::filter::{carriage_return, stream};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "addcr",
    synopsis: "",
    purpose: "put a carriage return before each line feed",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |_, _| stream(carriage_return::add, |_| {}))
}
