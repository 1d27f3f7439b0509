//! `argv0 realname program [ arg ... ]`: runs `realname` under another `argv[0]`.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Voice};
use ucspi_tcp::sys::process;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "argv0",
    synopsis: "realname program [ arg ... ]",
    purpose: "run a program with a given 0th argument",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main_without_options(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, _: &mut Voice) -> Result<(), Error> {
    let realname = arguments.operand().ok_or_else(Error::usage)?;
    cli::exec(&realname, &arguments.program()?, &process::environment())
}
