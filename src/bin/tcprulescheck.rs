//! `tcprulescheck [ --explain ] rules.cdb [ address [ host [ info ] ] ]`: says what tcpserver would do with a connection
//! from there, or from the peer that the environment describes.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, During, Error, FAILED, Opt, Voice, group};
use ucspi_tcp::rules::{self, Instruction, Peer, Rules, Tried, Verdict};
use ucspi_tcp::sys::{fd, process};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprulescheck",
    synopsis: "rules.cdb",
    purpose: "say what tcpserver's rules mean for [ address [ host [ info ] ] ], or for $TCPREMOTEIP, \
        $TCPREMOTEHOST and $TCPREMOTEINFO",
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
    let asked = match arguments.operand() {
        Some(address) => Asked::named(address, arguments)?,
        None => Asked::described(),
    };
    let path = Path::new(OsStr::from_bytes(&file));
    let mut rules = Rules::new(path.to_owned(), false);
    let answer = rules.explained(asked.peer());
    let (verdict, tried) = answer.during([b"read ", &file[..]].concat())?;
    let mut report = Vec::new();
    if explains {
        list(&tried, &mut report);
    }
    describe(&verdict, &mut report);
    fd::write_all(fd::STDOUT, &report).map_err(|_| Error::silent(FAILED))
}

/// The peer that is asked about.
struct Asked {
    ip: Vec<u8>,
    host: Option<Vec<u8>>,
    info: Option<Vec<u8>>,
}

impl Asked {
    /// The one that the operands name: `address`, and those that follow. An empty one is not known.
    fn named(address: Vec<u8>, arguments: &mut Arguments) -> Result<Self, Error> {
        if rules::address(&address).is_none() {
            return Err(Error::operand([b"not an address: ", &address[..]].concat()));
        }
        let mut known = || arguments.operand().filter(|name| !name.is_empty());
        let (host, info) = (known(), known());
        if arguments.operand().is_some() {
            return Err(Error::usage());
        }
        let ip = address;
        Ok(Self { ip, host, info })
    }

    /// The one that the environment describes.
    fn described() -> Self {
        Self {
            ip: process::variable("TCPREMOTEIP").unwrap_or_else(|| b"0.0.0.0".to_vec()),
            host: process::variable("TCPREMOTEHOST"),
            info: process::variable("TCPREMOTEINFO"),
        }
    }

    fn peer(&self) -> Peer<'_> {
        Peer {
            ip: &self.ip,
            host: self.host.as_deref(),
            info: self.info.as_deref(),
        }
    }
}

/// Appends a line for each key that was tried.
fn list(tried: &[Tried], report: &mut Vec<u8>) {
    for Tried { key, is_hit } in tried {
        let outcome: &[u8] = if *is_hit { b"hit " } else { b"miss " };
        report.extend_from_slice(&[outcome, key, b"\n"].concat());
    }
}

/// Appends the lines for the rule that was found. As in the original, the deny ends them.
fn describe(verdict: &Verdict, report: &mut Vec<u8>) {
    let title = match verdict.rule() {
        Some(address) => [b"rule ", &address[..], b":\n"].concat(),
        None => b"default:\n".to_vec(),
    };
    report.extend_from_slice(&title);
    for instruction in verdict.instructions() {
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
