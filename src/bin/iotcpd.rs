//! `iotcpd [ options ]`: tcppool behind the command line of iotcpd 1.1.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Value, Voice, group};
use ucspi_tcp::pool::options::Options;
use ucspi_tcp::pool::reports::Style;
use ucspi_tcp::pool::server::{self, Config};
use ucspi_tcp::service::Listening;
use ucspi_tcp::ucspi::entrance::Entrance;
use ucspi_tcp::ucspi::names::Lookups;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "iotcpd",
    synopsis: "[ -hv ] [ -d daemon ] [ -i ipv4 ] [ -I ipv6 ] [ -p port ] [ -n number ] [ -b seconds ] [ -a seconds ]",
    purpose: "share identical daemons that talk on stdin and stdout over one TCP port",
};

/// What iotcpd is asked for.
struct Asked {
    daemon: Vec<u8>,
    ipv4: Option<Vec<u8>>,
    ipv6: Vec<u8>,
    port: u16,
    workers: u32,
    busy: u32,
}

/// Each letter, and its long form.
const OPTIONS: &[Opt<Asked>] = &[
    Opt::question("h", "print this help and exit", |_| {
        Err(Error::asked("help"))
    }),
    Opt::question("v", "print the version and exit", |_| {
        Err(Error::asked("version"))
    }),
    Opt::value("d", "daemon", DAEMON, Asked::daemon),
    Opt::value("daemon", "daemon", DAEMON, Asked::daemon),
    Opt::value("i", "ipv4", IPV4, Asked::ipv4),
    Opt::value("ipv4", "ipv4", IPV4, Asked::ipv4),
    Opt::value("I", "ipv6", IPV6, Asked::ipv6),
    Opt::value("ipv6", "ipv6", IPV6, Asked::ipv6),
    Opt::value("p", "port", PORT, Asked::port),
    Opt::value("port", "port", PORT, Asked::port),
    Opt::value("n", "number", WORKERS, Asked::workers),
    Opt::value("num-daemons", "number", WORKERS, Asked::workers),
    Opt::value("b", "seconds", BUSY, Asked::busy),
    Opt::value("busy-timeout", "seconds", BUSY, Asked::busy),
    Opt::value("a", "seconds", ALARM, Asked::alarm),
    Opt::value("alarm-interval", "seconds", ALARM, Asked::alarm),
];

const DAEMON: &str = "run this, split at blanks (default squidGuard -c sg/adblock.conf)";
const IPV4: &str = "listen at this IPv4 address (default 127.0.0.1)";
const IPV6: &str = "listen at this IPv6 address, unless there is an IPv4 address";
const PORT: &str = "listen on this port (default 9991)";
const WORKERS: &str = "run this many daemons (default 4)";
const BUSY: &str = "end a daemon that takes longer for a query (default 15)";
const ALARM: &str = "taken for compatibility: nothing waits for an alarm";

impl Asked {
    fn daemon(&mut self, value: &Value) -> Result<(), Error> {
        let is_any = |text: &[u8]| words(text).next().is_some().then(|| text.to_vec());
        self.daemon = value.parse("a program", is_any)?;
        Ok(())
    }

    fn ipv4(&mut self, value: &Value) -> Result<(), Error> {
        let address = |text: &[u8]| address::<Ipv4Addr>(text);
        self.ipv4 = Some(value.parse("an IPv4 address, or nothing", address)?);
        Ok(())
    }

    fn ipv6(&mut self, value: &Value) -> Result<(), Error> {
        let address = |text: &[u8]| address::<Ipv6Addr>(text);
        self.ipv6 = value.parse("an IPv6 address, or nothing", address)?;
        Ok(())
    }

    fn port(&mut self, value: &Value) -> Result<(), Error> {
        let port = value.number(1..=65535)?;
        self.port = u16::try_from(port).unwrap_or(u16::MAX);
        Ok(())
    }

    fn workers(&mut self, value: &Value) -> Result<(), Error> {
        self.workers = value.number(1..=10_000)?;
        Ok(())
    }

    fn busy(&mut self, value: &Value) -> Result<(), Error> {
        self.busy = value.number(1..=u32::MAX)?;
        Ok(())
    }

    fn alarm(&mut self, value: &Value) -> Result<(), Error> {
        value.number(1..=u32::MAX).map(drop)
    }

    /// The IPv4 address, if one was given; else the IPv6 address, if one was given.
    fn host(&self) -> Vec<u8> {
        let ipv4 = self.ipv4.clone().filter(|text| !text.is_empty());
        let ipv6 = Some(self.ipv6.clone()).filter(|text| !text.is_empty());
        ipv4.or(ipv6).unwrap_or_else(|| b"127.0.0.1".to_vec())
    }
}

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let mut asked = Asked {
        daemon: b"squidGuard -c sg/adblock.conf".to_vec(),
        ipv4: None,
        ipv6: Vec::new(),
        port: 9991,
        workers: 4,
        busy: 15,
    };
    arguments.be_like_getopt();
    // Words among the options mean nothing, as with getopt_long(3).
    loop {
        arguments.options(&mut [&mut group(&[OPTIONS], &mut asked)])?;
        if arguments.operand().is_none() {
            break;
        }
    }
    let busy = Duration::from_secs(asked.busy.into());
    let config = Config {
        entrance: Entrance {
            host: asked.host(),
            port: asked.port,
            listening: Listening {
                limit: CONNECTIONS,
                backlog: CONNECTIONS,
                ..Listening::default()
            },
            lookups: Lookups {
                remote_host: false,
                ident: false,
                local_host: Some(Vec::new()),
                ..Lookups::default()
            },
            ..Entrance::default()
        },
        program: words(&asked.daemon).map(<[u8]>::to_vec).collect(),
        pool: Options::of_iotcpd(asked.workers, busy),
        style: Style::Iotcpd,
        upgrade: false,
    };
    server::run(config, *voice)
}

/// How many clients may be there at once, and how many more may wait.
const CONNECTIONS: u32 = 1000;

/// The words of a command line without quotes.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
}

/// An address of the kind that is meant, as it was given; or nothing.
fn address<A: std::str::FromStr>(text: &[u8]) -> Option<Vec<u8>> {
    let is_address = std::str::from_utf8(text).is_ok_and(|text| text.parse::<A>().is_ok());
    (text.is_empty() || is_address).then(|| text.to_vec())
}
