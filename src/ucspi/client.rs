//! tcpclient: connect to one of a host's addresses, describe the connection, become the program.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::connect::connect_alone;
use super::environ::Changes;
use super::facts::{self, Facts, Order};
use super::host::{Reading, WRONG_FAMILY};
use super::names::{Lookups, Names, look_up};
use super::port;
use super::proxy::{Header, Version};

use crate::cli::{
    Arguments, During, Error, FAILED, Group, Opt, Verbosity, Voice, exec, group, number, reason,
};
use crate::dns::{Resolver, literal};
use crate::sys::runtime::Late;
use crate::sys::signal::{self, Signal};
use crate::sys::{fd, process};

/// What the command line of tcpclient asks for.
#[derive(Debug)]
pub struct Config {
    /// An address, a name, or `0` for this machine.
    pub host: Vec<u8>,
    /// The port to connect to.
    pub port: u16,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How addresses are to be understood, and shown.
    pub reading: Reading,
    /// From where to connect, and how.
    pub connecting: Connecting,
    /// What to look up about the connection.
    pub lookups: Lookups,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            port: 0,
            program: Vec::new(),
            reading: Reading::default(),
            connecting: Connecting::default(),
            lookups: Lookups {
                ident_is_last: true,
                ..Lookups::default()
            },
        }
    }
}

const IDENT_TIMEOUT: &[Opt<Lookups>] = &[Lookups::ident_timeout("timeoutinfo")];

impl Config {
    /// Reads a command line: options, `more` among them, host, port and program. How much is said goes to `voice`.
    ///
    /// # Errors
    /// Usage, 100.
    pub fn read(
        arguments: &mut Arguments,
        more: &mut dyn Group,
        voice: &mut Voice,
    ) -> Result<Self, Error> {
        let mut config = Self::default();
        let mut verbosity = voice.verbosity;
        arguments.options(&mut [
            &mut group(&[Reading::OPTIONS], &mut config.reading),
            &mut group(&[Connecting::OPTIONS], &mut config.connecting),
            &mut group(&[Lookups::OPTIONS, IDENT_TIMEOUT], &mut config.lookups),
            more,
            &mut group(&[Verbosity::OPTIONS], &mut verbosity),
        ])?;
        voice.verbosity = verbosity;
        config.host = arguments.operand().ok_or_else(Error::usage)?;
        config.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
        config.program = arguments.program()?;
        Ok(config)
    }
}

/// From where to connect, and how.
#[derive(Debug)]
pub struct Connecting {
    /// The local address to connect from.
    pub local_ip: Option<IpAddr>,
    /// The local port to connect from; 0 for any.
    pub local_port: u16,
    /// How long the first try of each address may take, and the second of those that took longer.
    pub timeouts: [Duration; 2],
    /// Send small writes at once.
    pub no_delay: bool,
    /// Begin with a PROXY header of this version.
    pub send_proxy: Option<Version>,
}

impl Default for Connecting {
    fn default() -> Self {
        Self {
            local_ip: None,
            local_port: 0,
            timeouts: [Duration::from_secs(2), Duration::from_secs(58)],
            no_delay: false,
            send_proxy: None,
        }
    }
}

impl Connecting {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("d", "let the kernel gather small writes (default)", |it| {
            it.no_delay = false
        }),
        Opt::flag("D", "send small writes at once (TCP_NODELAY)", |it| {
            it.no_delay = true;
        }),
        Opt::value("i", "localip", "connect from this address", |it, value| {
            let address = literal::address(&value.bytes());
            it.local_ip = Some(address.ok_or_else(Error::bare_option)?);
            Ok(())
        }),
        Opt::value("p", "localport", "connect from this port", |it, value| {
            it.local_port = value.parse("a port from 0 to 65535", local_port)?;
            Ok(())
        }),
        Opt::value(
            "T",
            "timeoutconn",
            "give an address x seconds, or x+y with a second try (default 2+58)",
            |it, value| {
                it.timeouts = value.parse("seconds, as x or x+y", timeouts)?;
                Ok(())
            },
        ),
        Opt::value(
            "send-proxy",
            "version",
            "begin with a PROXY header, 1 or 2, made of $TCPREMOTEIP and so on",
            |it, value| {
                it.send_proxy = Some(value.parse(Version::FORM, Version::parse)?);
                Ok(())
            },
        ),
    ];
}

fn local_port(text: &[u8]) -> Option<u16> {
    u16::try_from(number(text)?).ok()
}

/// `x`, `x+y` or `+y`: seconds for the first try of an address and for the second.
pub(crate) fn timeouts(text: &[u8]) -> Option<[Duration; 2]> {
    let seconds = |text| Some(Duration::from_secs(number(text)?.into()));
    match text.iter().position(|&byte| byte == b'+') {
        None => Some([seconds(text)?, Duration::ZERO]),
        Some(0) => Some([Duration::ZERO, seconds(&text[1..])?]),
        Some(plus) => Some([seconds(&text[..plus])?, seconds(&text[plus + 1..])?]),
    }
}

/// The descriptor from which the program reads the connection.
pub(crate) const READ: i32 = 6;
/// The descriptor to which the program writes.
pub(crate) const WRITE: i32 = 7;

/// Closes what was inherited on the program's two descriptors. Called first, as the original does: the other end of an
/// inherited connection does not wait for this one.
pub fn forget_inherited() {
    fd::close_inherited(READ);
    fd::close_inherited(WRITE);
}

/// Connects and becomes the program; returns only when that fails.
///
/// # Errors
/// 100 for a wrong operand, 111 otherwise, with the original's messages.
pub fn run(config: &Config, voice: Voice) -> Result<(), Error> {
    let (connection, changes) = open(config, voice)?;
    let connection = fd::move_to(connection, READ).during("set up descriptor 6")?;
    fd::copy_to(connection, WRITE).during("set up descriptor 7")?;
    signal::set_default(Signal::SIGPIPE);
    let environment = changes.made(&process::environment());
    exec(&config.program[0], &config.program, &environment)
}

/// A connection to `host` and `port` about which nothing is looked up; messages and errors as in [`run`].
///
/// # Errors
/// As [`run`], but for the program's.
pub fn dial(host: Vec<u8>, port: &[u8], voice: Voice) -> Result<OwnedFd, Error> {
    let config = Config {
        host,
        port: port::port(port)?,
        lookups: Lookups {
            local_host: Some(b"0".to_vec()),
            remote_host: false,
            ident: false,
            ..Lookups::default()
        },
        ..Config::default()
    };
    Ok(open(&config, voice)?.0)
}

/// Makes the connection, and the changes to the environment that describe it. Where nothing has to be looked up there is
/// no runtime; where there was one, it and its descriptors are gone afterwards.
///
/// # Errors
/// As [`run`], but for the program's.
pub(crate) fn open(config: &Config, voice: Voice) -> Result<(OwnedFd, Changes), Error> {
    let runtime = Late::default();
    let resolver = Resolver::new(config.lookups.limit());
    let host = &config.host[..];
    let operand = if matches!(host, b"" | b"0") {
        b"127.0.0.1"
    } else {
        host
    };
    let addresses = match config.reading.spelled(operand, host, &resolver)? {
        Some(addresses) => addresses,
        None => {
            let addresses = config.reading.addresses(operand, host, &resolver);
            runtime.wait(addresses).during("start")??
        }
    };
    let mut connection = first_that_connects(config, addresses, voice)?;
    if let Some(version) = config.connecting.send_proxy {
        let header = Header::of_variables(process::variable).write(version);
        // Nothing has been sent before: there is room for it.
        connection.write_all(&header).during("send PROXY header")?;
    }
    if config.connecting.no_delay {
        // As the original: a socket that does not take the option is used without it.
        let _ = connection.set_nodelay(true);
    }
    let local = connection.local_addr().during("get local address")?;
    let remote = connection.peer_addr().during("get remote address")?;
    let shown = shown(remote, config);
    voice.tell(&[format!("connected to {shown}").as_bytes()]);
    let names = if config.lookups.are_needed() {
        let names = look_up(&config.lookups, &resolver, local, remote);
        runtime.wait(names).during("start")?
    } else {
        Names::given(&config.lookups)
    };
    let facts = Facts::of(local, remote, names, config.reading.as_ipv6);
    Ok((connection.into(), facts.changes(Order::PortFirst)))
}

/// An address and a port, as messages have them.
fn shown(address: SocketAddr, config: &Config) -> String {
    let ip = facts::shown(address.ip(), config.reading.as_ipv6);
    format!("{ip} port {}", address.port())
}

/// Tries the addresses in turn; those that were too slow get a second, longer try. A single address gets the time of
/// both at once. Addresses of a family that cannot be used, because of `-4` or of the address behind `-i` (of which `::`
/// is any), are passed over.
fn first_that_connects(
    config: &Config,
    addresses: Vec<SocketAddr>,
    voice: Voice,
) -> Result<TcpStream, Error> {
    let unable = |mut remote: SocketAddr, why: &str| {
        remote.set_port(config.port);
        let place = shown(remote, config);
        voice.warn(&[
            b"unable to connect to ",
            place.as_bytes(),
            b": ",
            why.as_bytes(),
        ]);
    };
    let Connecting {
        local_ip,
        local_port,
        timeouts: [first, second],
        ..
    } = config.connecting;
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let local = config.reading.local(local_ip.unwrap_or(any), local_port)?;
    let (mut candidates, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|remote| {
        let is_any = matches!(local_ip, None | Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        let is_reached = is_any || remote.is_ipv4() == local.is_ipv4();
        is_reached && config.reading.can_use(*remote)
    });
    if candidates.is_empty() {
        others
            .into_iter()
            .for_each(|remote| unable(remote, WRONG_FAMILY));
    }
    let rounds: &[Duration] = match candidates[..] {
        [_] => &[first + second],
        _ if second.is_zero() => &[first],
        _ => &[first, second],
    };
    for (round, &limit) in rounds.iter().enumerate() {
        let is_last = round + 1 == rounds.len();
        let mut slow = Vec::new();
        for mut remote in candidates {
            remote.set_port(config.port);
            match connect_alone(remote, local, limit).during("bind socket")? {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind() == ErrorKind::TimedOut && !is_last => slow.push(remote),
                Err(error) => unable(remote, reason(&error)),
            }
        }
        candidates = slow;
    }
    Err(Error::silent(FAILED))
}
