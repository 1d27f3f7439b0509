//! `time@ [ options ] [ host ... ]`: compares the clocks of hosts with ours (port 37, RFC 868).
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Voice};
use ucspi_tcp::ucspi::clocks::{self, Config};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "time@",
    synopsis: "[ -m seconds ] [ -t timeout ] [ host ... ]",
    purpose: "compare the clocks of hosts with this one",
    options: &[
        Opt::value("m", "seconds", "exit with 1 when a clock differs by more"),
        Opt::value(
            "t",
            "timeout",
            "give each host this many seconds (default 10)",
        ),
    ],
};

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config {
        hosts: Vec::new(),
        timeout: Duration::from_secs(10),
        max_difference: None,
    };
    while let Some(option) = arguments.option()? {
        match option.name {
            "m" => config.max_difference = Some(option.value.number(0..=u32::MAX)?),
            "t" => config.timeout = option.value.seconds()?,
            _ => return Err(Error::usage()),
        }
    }
    config
        .hosts
        .extend(std::iter::from_fn(|| arguments.operand()));
    clocks::run(config, *voice)
}
