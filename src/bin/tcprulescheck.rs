//! `tcprulescheck [ --explain ] rules.cdb`: says what tcpserver would do with the connection that the environment
//! describes.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, During, Error, FAILED, Opt, Voice, group};
use ucspi_tcp::rules::{self, Instruction, Lengths, Peer, Reader};
use ucspi_tcp::sys::{fd, process};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprulescheck",
    synopsis: "rules.cdb",
    purpose: "say what tcpserver's rules mean for $TCPREMOTEIP, $TCPREMOTEHOST and $TCPREMOTEINFO",
};

const OPTIONS: &[Opt<bool>] = &[Opt::flag(
    "explain",
    "print each key that is tried, in order",
    |explains| *explains = true,
)];

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, _: &mut Voice) -> Result<(), Error> {
    let mut explains = false;
    arguments.options(&mut [&mut group(&[OPTIONS], &mut explains)])?;
    let file = arguments.operand().ok_or_else(Error::usage)?;
    let reading = [b"read ", &file[..]].concat();
    let reader = Reader::open(Path::new(OsStr::from_bytes(&file))).during(&reading)?;
    let ip = process::variable("TCPREMOTEIP").unwrap_or_else(|| b"0.0.0.0".to_vec());
    let host = process::variable("TCPREMOTEHOST");
    let info = process::variable("TCPREMOTEINFO");
    let peer = Peer {
        ip: &ip,
        host: host.as_deref(),
        info: info.as_deref(),
    };
    let mut report = Vec::new();
    let hit = rules::search(peer, &Lengths::ALL, |key| {
        let data = reader.find(key.bytes)?;
        if explains {
            let outcome: &[u8] = if data.is_some() { b"hit " } else { b"miss " };
            report.extend_from_slice(&[outcome, &key.shown(), b"\n"].concat());
        }
        Ok(data.map(|data| (key.shown(), data)))
    });
    describe(hit.during(&reading)?, &mut report);
    fd::write_all(fd::STDOUT, &report).map_err(|_| Error::silent(FAILED))
}

/// Appends the lines for the rule that was found: (address, data). As in the original, the deny ends them.
fn describe(hit: Option<(Vec<u8>, Vec<u8>)>, report: &mut Vec<u8>) {
    let Some((address, data)) = hit else {
        report.extend_from_slice(b"default:\nallow connection\n");
        return;
    };
    report.extend_from_slice(&[b"rule ", &address[..], b":\n"].concat());
    for instruction in rules::instructions(&data) {
        match instruction {
            Instruction::Set(setting) => {
                let parts = [b"set environment variable ", setting, b"\n"];
                report.extend_from_slice(&parts.concat());
            }
            Instruction::Deny => {
                report.extend_from_slice(b"deny connection\n");
                return;
            }
        }
    }
    report.extend_from_slice(b"allow connection\n");
}
