//! `delcr`: drops the CR before each LF.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::cell::RefCell;

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::filter::{carriage_return::Delete, stream};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "delcr",
    synopsis: "",
    purpose: "drop the carriage return before each line feed",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |_, _| {
        let delete = RefCell::new(Delete::default());
        stream(
            |bytes, out| delete.borrow_mut().change(bytes, out),
            |out| delete.borrow_mut().finish(out),
        )
    })
}
