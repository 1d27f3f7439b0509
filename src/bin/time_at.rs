//! `time@ [ options ] [ host ... ]`: compares the clocks of hosts with ours (port 37, RFC 868).
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Voice, group};
use ucspi_tcp::clients::clocks::{self, Config};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "time@",
    synopsis: "[ -m seconds ] [ -t timeout ] [ host ... ]",
    purpose: "compare the clocks of hosts with this one",
};

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    arguments.options(&mut [&mut group(&[Config::OPTIONS], &mut config)])?;
    config
        .hosts
        .extend(std::iter::from_fn(|| arguments.operand()));
    clocks::run(config, *voice)
}
