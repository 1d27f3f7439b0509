//! `mconnect-io`: connects descriptors 0 and 1 with a line-based server on 7 and 6.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, CommandLine};
use ucspi_tcp::clients::mconnect;
use ucspi_tcp::sys::fd;
use ucspi_tcp::sys::signal::{self, Signal};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "mconnect-io",
    synopsis: "",
    purpose: "talk to a line-based server on descriptors 6 and 7",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, |_, _| {
        signal::ignore(Signal::SIGPIPE);
        // As the original: who cannot speak may still hear, and without a network there is nothing to do.
        if fd::inherited(7).is_err() {
            fd::occupy(7);
        }
        if let (Ok(input), Ok(output)) = (fd::inherited(6), fd::inherited(7)) {
            let _ = mconnect(input, output);
        }
        Ok(())
    })
}
