//! `tcprulescheck rules.cdb`: says what tcpserver would do with the connection that the environment describes.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, During, Error, FAILED, Voice};
use ucspi_tcp::rules::{self, Instruction, Peer, Reader};
use ucspi_tcp::sys::{fd, process};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprulescheck",
    synopsis: "rules.cdb",
    purpose: "say what tcpserver's rules mean for $TCPREMOTEIP",
    options: &[],
};

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, _: &mut Voice) -> Result<(), Error> {
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
    let hit = rules::keys(peer, |key| {
        Ok(reader.find(key)?.map(|data| (key.to_vec(), data)))
    });
    fd::write_all(fd::STDOUT, &report(hit.during(&reading)?)).map_err(|_| Error::silent(FAILED))
}

/// The lines for the rule that was found: (key, data). As in the original, the deny ends them.
fn report(hit: Option<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let Some((key, data)) = hit else {
        return b"default:\nallow connection\n".to_vec();
    };
    let mut lines = [b"rule ", &key[..], b":\n"].concat();
    for instruction in rules::instructions(&data) {
        match instruction {
            Instruction::Set(setting) => {
                lines.extend_from_slice(&[b"set environment variable ", setting, b"\n"].concat());
            }
            Instruction::Deny => {
                lines.extend_from_slice(b"deny connection\n");
                return lines;
            }
        }
    }
    lines.extend_from_slice(b"allow connection\n");
    lines
}
