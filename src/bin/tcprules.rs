//! `tcprules rules.cdb rules.tmp < rules`: compiles rules for tcpserver.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Voice};
use ucspi_tcp::rules;
use ucspi_tcp::sys::fd;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprules",
    synopsis: "rules.cdb rules.tmp",
    purpose: "compile rules for tcpserver",
};

fn main() -> ExitCode {
    cli::main_without_options(
        &COMMAND_LINE,
        |arguments: &mut Arguments, voice: &mut Voice| {
            let (Some(cdb), Some(tmp)) = (arguments.operand(), arguments.operand()) else {
                return Err(Error::usage());
            };
            let warn = |text: &str| voice.warn(&[b"warning: ", text.as_bytes()]);
            rules::compile(fd::Stream(fd::STDIN), &cdb, &tmp, warn)
        },
    )
}
