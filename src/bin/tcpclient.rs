//! `tcpclient [ options ] host port program`: makes a TCP connection and runs a program on descriptors 6 and 7.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Verbosity, Voice, number};
use ucspi_tcp::dns::literal;
use ucspi_tcp::ucspi::client::{self, Config};
use ucspi_tcp::ucspi::port;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpclient",
    synopsis: "[ -hHrRdDqQv ] [ -i localip ] [ -p localport ] [ -T timeoutconn ] [ -l localname ] \
               [ -t timeoutinfo ] host port program",
    purpose: "make a TCP connection, and run a program on descriptors 6 and 7",
    options: &[
        Opt::flag("4", "use IPv4 only"),
        Opt::flag(
            "6",
            "show IPv4 connections as IPv6: PROTO=TCP6, ::ffff:1.2.3.4",
        ),
        Opt::flag("h", "look up the remote name (default)"),
        Opt::flag("H", "do not look up the remote name"),
        Opt::flag(
            "r",
            "ask the server's ident server for $TCPREMOTEINFO (default)",
        ),
        Opt::flag("R", "do not ask the ident server"),
        Opt::flag("d", "let the kernel gather small writes (default)"),
        Opt::flag("D", "send small writes at once (TCP_NODELAY)"),
        Opt::flag("q", "say nothing, not even why it ends"),
        Opt::flag("Q", "say what goes wrong (default)"),
        Opt::flag("v", "say what happens"),
        Opt::value("i", "localip", "connect from this address"),
        Opt::value("p", "localport", "connect from this port"),
        Opt::value(
            "T",
            "timeoutconn",
            "give an address x seconds, or x+y with a second try (default 2+58)",
        ),
        Opt::value(
            "l",
            "localname",
            "use this $TCPLOCALHOST, do not look it up",
        ),
        Opt::value(
            "t",
            "timeoutinfo",
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
    ],
};

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    client::forget_inherited();
    let mut config = Config::default();
    let mut verbosity = Verbosity::Errors;
    while let Some(option) = arguments.option()? {
        match option.name {
            "4" => config.reading.ipv4_only = true,
            "6" => config.as_ipv6 = true,
            "h" => config.lookups.remote_host = true,
            "H" => config.lookups.remote_host = false,
            "r" => config.lookups.ident = true,
            "R" => config.lookups.ident = false,
            "d" => config.no_delay = false,
            "D" => config.no_delay = true,
            "q" => verbosity = Verbosity::Quiet,
            "Q" => verbosity = Verbosity::Errors,
            "v" => verbosity = Verbosity::Everything,
            "i" => {
                let address = literal::address(&option.value.bytes());
                config.local_ip = Some(address.ok_or_else(Error::bare_option)?);
            }
            "p" => config.local_port = option.value.parse("a port from 0 to 65535", local_port)?,
            "T" => config.timeouts = option.value.parse("seconds, as x or x+y", timeouts)?,
            "l" => config.lookups.local_host = Some(option.value.bytes()),
            "t" => config.lookups.ident_timeout = option.value.seconds()?,
            "I" => config.reading.interface = Some(option.value.bytes()),
            "lookup-timeout" => config.lookups.timeout = Some(option.value.seconds()?),
            _ => return Err(Error::usage()),
        }
    }
    voice.verbosity = verbosity;
    config.host = arguments.operand().ok_or_else(Error::usage)?;
    config.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
    config.program = arguments.program()?;
    client::run(&config, *voice)
}

fn local_port(text: &[u8]) -> Option<u16> {
    u16::try_from(number(text)?).ok()
}

/// `x`, `x+y` or `+y`: seconds for the first try of an address and for the second.
fn timeouts(text: &[u8]) -> Option<[Duration; 2]> {
    let seconds = |text| Some(Duration::from_secs(number(text)?.into()));
    match text.iter().position(|&byte| byte == b'+') {
        None => Some([seconds(text)?, Duration::ZERO]),
        Some(0) => Some([Duration::ZERO, seconds(&text[1..])?]),
        Some(plus) => Some([seconds(&text[..plus])?, seconds(&text[plus + 1..])?]),
    }
}
