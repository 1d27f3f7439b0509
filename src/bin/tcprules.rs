//! `tcprules [ --set=name=file ] rules.cdb rules.tmp < rules`: compiles rules for tcpserver. `--check` says what is odd
//! about them, `--diff` what they change.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ucspi_tcp::cli::{
    self, Arguments, CommandLine, During, Error, Opt, Output, PERMANENT, Voice, group,
};
use ucspi_tcp::rules::{self, Health, Sets};
use ucspi_tcp::sys::fd;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprules",
    synopsis: "rules.cdb rules.tmp",
    purpose: "compile rules for tcpserver; --check [ rules ] and --diff old.cdb rules look at them",
};

#[derive(Default)]
struct Config {
    checks: bool,
    compares: bool,
    is_json: bool,
}

const OPTIONS: &[Opt<Config>] = &[
    Opt::flag(
        "check",
        "say what is odd about rules, and compile nothing",
        |config| {
            config.checks = true;
        },
    ),
    Opt::flag("json", "say it in JSON", |config| config.is_json = true),
    Opt::flag(
        "diff",
        "say what rules change against compiled ones",
        |config| {
            config.compares = true;
        },
    ),
];

/// Exit code of `--check` with findings, and of `--diff` with differences.
const FOUND: u8 = 1;

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
    match config {
        Config {
            checks: true,
            compares: true,
            ..
        } => Err(Error::operand("--check and --diff are two commands")),
        Config {
            checks: false,
            is_json: true,
            ..
        } => Err(Error::operand("--json needs --check")),
        Config { checks: true, .. } => check(config.is_json, &sets, arguments),
        Config { compares: true, .. } => compare(&sets, arguments),
        _ => compile(&sets, arguments, voice),
    }
}

fn compile(sets: &Sets, arguments: &mut Arguments, voice: &Voice) -> Result<(), Error> {
    let (Some(cdb), Some(tmp)) = (arguments.operand(), arguments.operand()) else {
        return Err(Error::usage());
    };
    let warn = |text: &str| voice.warn(&[b"warning: ", text.as_bytes()]);
    rules::compile(fd::Stream(fd::STDIN), sets, &cdb, &tmp, warn)
}

fn check(is_json: bool, sets: &Sets, arguments: &mut Arguments) -> Result<(), Error> {
    let file = arguments.operand();
    if arguments.left() > 0 {
        return Err(Error::usage());
    }
    let mut output = Output::default();
    let say = |line: &[u8]| output.line(line);
    let health = match file {
        Some(name) => rules::check(open(&name)?, &name, sets, is_json, say),
        None => {
            let input = fd::Stream(fd::STDIN);
            rules::check(input, b"input", sets, is_json, say)
        }
    };
    let health = health?;
    output.flush()?;
    match health {
        Health::Clean => Ok(()),
        Health::Odd => Err(Error::silent(FOUND)),
        Health::Wrong => Err(Error::silent(PERMANENT)),
    }
}

fn compare(sets: &Sets, arguments: &mut Arguments) -> Result<(), Error> {
    let (Some(old), Some(new)) = (arguments.operand(), arguments.operand()) else {
        return Err(Error::usage());
    };
    if arguments.left() > 0 {
        return Err(Error::usage());
    }
    let mut output = Output::default();
    let say = |line: &[u8]| output.line(line);
    let old = Path::new(OsStr::from_bytes(&old));
    let differs = rules::diff(old, open(&new)?, &new, sets, say)?;
    output.flush()?;
    if differs {
        Err(Error::silent(FOUND))
    } else {
        Ok(())
    }
}

fn open(name: &[u8]) -> Result<impl Read + use<>, Error> {
    let path = OsStr::from_bytes(name);
    File::open(path).during([b"read ", name].concat())
}
