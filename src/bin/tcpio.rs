//! `tcpio`: copies between descriptors 0 and 1 and a connection on 6 and 7.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine, During};
use ucspi_tcp::filter;
use ucspi_tcp::sys::signal::{self, Signal};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpio",
    synopsis: "",
    purpose: "copy between descriptors 0 and 1 and a connection on 6 and 7",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |_, _| {
        signal::ignore(Signal::SIGPIPE);
        filter::io().during("copy")
    })
}
