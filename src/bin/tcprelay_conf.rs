//! `tcprelay-conf [ -i child_id ] [ -I id ] configuration-file [ id ]`: the command lines of tcprelay for a file of
//! event-driven-servers.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use ucspi_tcp::cli::{
    self, Arguments, CommandLine, During, Error, Opt, Output, PERMANENT, Voice, group, shell,
};
use ucspi_tcp::import::{self, Entry};
use ucspi_tcp::relay::config::{Access, Mistake, Sections};
use ucspi_tcp::relay::filed;
use ucspi_tcp::relay::words::{self, Command};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcprelay-conf",
    synopsis: "[ -i child_id ] [ -I id ] configuration-file [ id ]",
    purpose: "print the command lines of tcprelay for a configuration file of event-driven-servers",
};

const OPTIONS: &[Opt<Sections>] = &[
    Opt::value(
        "i",
        "child_id",
        "relay as this section says (default tcprelay)",
        |sections, value| {
            sections.relay = Some(value.bytes());
            Ok(())
        },
    ),
    Opt::value(
        "I",
        "id",
        "listen as this section says (default spawnd)",
        |sections, value| {
            sections.master = value.bytes();
            Ok(())
        },
    ),
];

/// Exit code when something has no equal.
const LEFT_OUT: u8 = 1;

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut sections = Sections::default();
    arguments.options(&mut [&mut group(&[OPTIONS], &mut sections)])?;
    let file = arguments.operand().ok_or_else(Error::usage)?;
    if let Some(id) = arguments.operand() {
        sections.master = id;
    }
    if arguments.left() > 0 {
        return Err(Error::usage());
    }
    File::open(OsStr::from_bytes(&file)).during([b"read ", &file[..]].concat())?;
    let lines = filed::read(&file, &sections).and_then(|config| words::lines(&file, &config));
    let lines = lines.map_err(|Mistake(text)| Error::with_code(text, PERMANENT))?;
    let rules = rules(&lines.access, &file)?;
    let mut output = Output::default();
    for (is_missing, note) in &lines.notes {
        let what: &[u8] = if *is_missing {
            b"missing"
        } else {
            b"different"
        };
        output.line(&[b"# ", what, b": ", &plain(note), b"\n"].concat())?;
    }
    if !rules.is_empty() {
        output.line(b"tcprules rules.cdb rules.tmp <<'END' || exit\n")?;
        output.line(&[&rules[..], b"END\n"].concat())?;
    }
    for command in &lines.commands {
        output.line(&written(command, !rules.is_empty()))?;
    }
    output.flush()?;
    let missing = lines.notes.iter().filter(|(is_missing, _)| *is_missing);
    let missing: Vec<&Vec<u8>> = missing.map(|(_, note)| note).collect();
    for note in &missing {
        voice.warn(&[&plain(note)]);
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::silent(LEFT_OUT))
    }
}

/// Who may connect, as rules; empty for everybody.
fn rules(access: &[Access], file: &[u8]) -> Result<Vec<u8>, Error> {
    if access.is_empty() {
        return Ok(Vec::new());
    }
    let entry = |access: &Access| Entry {
        permits: access.permits,
        is_negated: access.is_negated,
        network: access.network,
    };
    let list: Vec<Entry> = access.iter().map(entry).collect();
    import::admission(&list, file).ok_or_else(|| {
        let text = [file, b": too many of permit and deny, too much entangled"].concat();
        Error::with_code(text, PERMANENT)
    })
}

/// A listener as lines of a shell.
fn written(command: &Command, has_rules: bool) -> Vec<u8> {
    let own = |words: &[Vec<u8>]| shell::line(words.iter().map(Vec::as_slice));
    let rules: &[u8] = if has_rules { b" -x rules.cdb" } else { b"" };
    let parts = [
        b"# ",
        &plain(&command.place)[..],
        b"\n",
        &own(&command.options),
        rules,
        b" \\\n  ",
        &own(&command.operands),
        b"\n",
    ];
    parts.concat()
}

/// Text of a file for one line.
fn plain(text: &[u8]) -> Vec<u8> {
    let is_control = |byte: u8| byte.is_ascii_control();
    text.iter()
        .map(|&byte| if is_control(byte) { b'?' } else { byte })
        .collect()
}
