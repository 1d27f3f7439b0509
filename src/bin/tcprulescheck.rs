//! `tcprulescheck [ --explain ] rules.cdb [ address [ host [ info ] ] ]`: says what tcpserver would do with a connection
//! from there, or from the peer that the environment describes. `--replay` asks about all those in a log.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ucspi_tcp::cli::{
    self, Arguments, CommandLine, During, Error, FAILED, Opt, Output, Voice, group,
};
use ucspi_tcp::rules::{self, Instruction, Origin, Peer, Rules, Sets, Tried, Verdict};
use ucspi_tcp::sys::{fd, process};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprulescheck",
    synopsis: "rules.cdb",
    purpose: "say what tcpserver's rules mean for [ address [ host [ info ] ] ], or for $TCPREMOTEIP, \
        $TCPREMOTEHOST and $TCPREMOTEINFO",
};

#[derive(Default)]
struct Config {
    explains: bool,
    source: Option<Vec<u8>>,
    replays: bool,
}

const OPTIONS: &[Opt<Config>] = &[
    Opt::flag(
        "explain",
        "print each key that is tried, in order",
        |config| {
            config.explains = true;
        },
    ),
    Opt::value(
        "source",
        "file",
        "with --explain, say in which line of this file the rule is",
        |config, value| {
            config.source = Some(value.bytes());
            Ok(())
        },
    ),
    Opt::flag(
        "replay",
        "read a log of tcpserver, and say who would now be decided otherwise",
        |config| config.replays = true,
    ),
];

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    let mut sets = Sets::default();
    arguments.options(&mut [
        &mut group(&[OPTIONS], &mut config),
        &mut group(&[Sets::OPTIONS], &mut sets),
    ])?;
    if config.source.is_some() && !config.explains {
        return Err(Error::operand("--source needs --explain"));
    }
    if config.replays && config.explains {
        return Err(Error::operand("--replay and --explain are two commands"));
    }
    let file = arguments.operand().ok_or_else(Error::usage)?;
    let path = Path::new(OsStr::from_bytes(&file));
    let mut rules = Rules::new(path.to_owned(), false);
    if config.replays {
        return replay(rules.in_memory(), arguments, voice);
    }
    let asked = match arguments.operand() {
        Some(address) => Asked::named(address, arguments)?,
        None => Asked::described(),
    };
    let answer = rules.explained(asked.peer());
    let (verdict, tried) = answer.during([b"read ", &file[..]].concat())?;
    let mut report = Vec::new();
    if config.explains {
        list(&tried, &mut report);
    }
    if let Some(source) = &config.source {
        place(&verdict, source, &sets, &mut report)?;
    }
    describe(&verdict, &mut report);
    fd::write_all(fd::STDOUT, &report).map_err(|_| Error::silent(FAILED))
}

/// Exit code of `--replay` when something would be decided otherwise.
const DIFFERS: u8 = 1;

/// Asks about those in the log on descriptor 0.
fn replay(mut rules: Rules, arguments: &Arguments, voice: &Voice) -> Result<(), Error> {
    if arguments.left() > 0 {
        return Err(Error::usage());
    }
    let mut output = Output::default();
    let log = fd::Stream(fd::STDIN);
    let replayed = rules::replay(&mut rules, log, |line| output.line(line))?;
    output.flush()?;
    if replayed.cut > 0 {
        let count = replayed.cut;
        let text = format!("left out {count} connections whose names the log does not hold whole");
        voice.warn(&[b"warning: ", text.as_bytes()]);
    }
    if replayed.connections == 0 {
        voice.warn(&[b"warning: there is no connection in this log"]);
    }
    match replayed.differences {
        0 => Ok(()),
        _ => Err(Error::silent(DIFFERS)),
    }
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

/// Appends a line that says where in `source` the rule is.
fn place(verdict: &Verdict, source: &[u8], sets: &Sets, report: &mut Vec<u8>) -> Result<(), Error> {
    let text = File::open(OsStr::from_bytes(source)).during([b"read ", source].concat())?;
    let text = match rules::origin(verdict, text, source, sets)? {
        None => return Ok(()),
        Some(Origin::Line(line)) => format!(":{line}"),
        Some(Origin::Other(line)) => format!(":{line}, which says something else by now"),
        Some(Origin::Nowhere) => ", which has no such rule".to_owned(),
    };
    report.extend_from_slice(&[b"from ", source, text.as_bytes(), b"\n"].concat());
    Ok(())
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
