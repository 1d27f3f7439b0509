//! `tcpserver [ options ] host port program`: accepts TCP connections and runs a program for each.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Verbosity, Voice, number};
use ucspi_tcp::sys::process;
use ucspi_tcp::ucspi::server::{self, Config};
use ucspi_tcp::ucspi::{account, port};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpserver",
    synopsis: "[ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] [ -B banner ] [ -g gid ] [ -u uid ] \
               [ -b backlog ] [ -l localname ] [ -t timeout ] host port program",
    purpose: "accept TCP connections, and run a program for each",
    options: &[
        Opt::flag("4", "use IPv4 only"),
        Opt::flag(
            "6",
            "show IPv4 connections as IPv6: PROTO=TCP6, ::ffff:1.2.3.4",
        ),
        Opt::flag("1", "print the port, and a line feed, on descriptor 1"),
        Opt::flag("U", "take the user and the group from $UID and $GID"),
        Opt::flag("X", "with -x: serve everybody when the rules do not exist"),
        Opt::flag(
            "p",
            "paranoid: forget a remote name that does not lead back to the address",
        ),
        Opt::flag("P", "not paranoid (default)"),
        Opt::flag("h", "look up the remote name (default)"),
        Opt::flag("H", "do not look up the remote name"),
        Opt::flag(
            "r",
            "ask the peer's ident server for $TCPREMOTEINFO (default)",
        ),
        Opt::flag("R", "do not ask the ident server"),
        Opt::flag("o", "leave IP options alone"),
        Opt::flag(
            "O",
            "clear IP options: do not follow source routes (default)",
        ),
        Opt::flag("d", "let the kernel gather small writes (default)"),
        Opt::flag("D", "send small writes at once (TCP_NODELAY)"),
        Opt::flag("q", "say nothing, not even why it ends"),
        Opt::flag("Q", "say what goes wrong (default)"),
        Opt::flag("v", "say what happens"),
        Opt::value(
            "c",
            "limit",
            "serve at most this many connections at once (default 40)",
        ),
        Opt::value("x", "rules.cdb", "follow these rules, compiled by tcprules"),
        Opt::value("B", "banner", "send this to every peer at once"),
        Opt::value(
            "g",
            "gid",
            "become this group, a number or a name, once the port is bound",
        ),
        Opt::value(
            "u",
            "uid",
            "become this user, a number or a name, once the port is bound",
        ),
        Opt::value(
            "b",
            "backlog",
            "let this many connections wait (default 20)",
        ),
        Opt::value(
            "l",
            "localname",
            "use this $TCPLOCALHOST, do not look it up",
        ),
        Opt::value(
            "t",
            "timeout",
            "wait this many seconds for the ident server (default 26)",
        ),
        Opt::value(
            "I",
            "interface",
            "use this interface for link-local addresses",
        ),
        Opt::value(
            "lookup-timeout",
            "seconds",
            "give all look-ups of a connection this long (default 30, or -t)",
        ),
        Opt::value(
            "drain",
            "seconds",
            "at SIGTERM, wait for the programs, at most this long",
        ),
        Opt::value(
            "kill",
            "seconds",
            "then send them SIGTERM, and after this long SIGKILL",
        ),
    ],
};

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut config = Config::default();
    let mut verbosity = Verbosity::Errors;
    while let Some(option) = arguments.option()? {
        match option.name {
            "4" => config.reading.ipv4_only = true,
            "6" => config.gate.as_ipv6 = true,
            "1" => config.listening.print_port = true,
            "U" => {
                config.privileges.uid = inherited_id("UID")?.unwrap_or(config.privileges.uid);
                config.privileges.gid = inherited_id("GID")?.unwrap_or(config.privileges.gid);
            }
            "X" => config.gate.rules_may_be_missing = true,
            "p" => config.gate.lookups.paranoid = true,
            "P" => config.gate.lookups.paranoid = false,
            "h" => config.gate.lookups.remote_host = true,
            "H" => config.gate.lookups.remote_host = false,
            "r" => config.gate.lookups.ident = true,
            "R" => config.gate.lookups.ident = false,
            "o" => config.gate.clear_ip_options = false,
            "O" => config.gate.clear_ip_options = true,
            "d" => config.gate.no_delay = false,
            "D" => config.gate.no_delay = true,
            "q" => verbosity = Verbosity::Quiet,
            "Q" => verbosity = Verbosity::Errors,
            "v" => verbosity = Verbosity::Everything,
            "c" => config.listening.limit = option.value.number(1..=u32::MAX)?,
            "x" => config.gate.rules = Some(option.value.bytes()),
            "B" => config.gate.banner = option.value.bytes(),
            "g" => {
                config.privileges.gid = option
                    .value
                    .parse("a number or the name of a group", account::group)?
            }
            "u" => {
                let user = option
                    .value
                    .parse("a number or the name of a user", account::user)?;
                config.privileges.uid = user.uid;
                config.privileges.gid = user
                    .gid
                    .filter(|_| config.privileges.gid == 0)
                    .unwrap_or(config.privileges.gid);
            }
            "b" => config.listening.backlog = option.value.number(0..=u32::MAX)?,
            "l" => config.gate.lookups.local_host = Some(option.value.bytes()),
            "t" => config.gate.lookups.ident_timeout = option.value.seconds()?,
            "I" => config.reading.interface = Some(option.value.bytes()),
            "drain" => config.drain.get_or_insert_default().wait = option.value.seconds()?,
            "kill" => config.drain.get_or_insert_default().kill = Some(option.value.seconds()?),
            "lookup-timeout" => config.gate.lookups.timeout = Some(option.value.seconds()?),
            _ => return Err(Error::usage()),
        }
    }
    voice.verbosity = verbosity;
    config.host = arguments.operand().ok_or_else(Error::usage)?;
    config.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
    config.program = arguments.program()?;
    server::run(config, *voice)
}

/// The number in the environment variable `name`, if it is set.
fn inherited_id(name: &str) -> Result<Option<u32>, Error> {
    let Some(value) = process::variable(name) else {
        return Ok(None);
    };
    match number(&value) {
        Some(id) => Ok(Some(id)),
        None => Err(Error::operand(
            [
                b"option -U needs a number in $",
                name.as_bytes(),
                b", not \"",
                &value,
                b"\"",
            ]
            .concat(),
        )),
    }
}
