//! tcpclient: connect to one of a host's addresses, describe the connection, become the program.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::connect::connect;
use super::environ::Changes;
use super::facts::{self, Facts, Order};
use super::host::Reading;
use super::names::{Lookups, look_up};
use super::port;

use crate::cli::{During, Error, FAILED, Voice, exec, reason};
use crate::dns::Resolver;
use crate::sys::{fd, process, signal};

/// What the command line of tcpclient asks for.
#[derive(Debug)]
pub struct Config {
    /// An address, a name, or `0` for this machine.
    pub host: Vec<u8>,
    /// The port to connect to.
    pub port: u16,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How the host is to be understood.
    pub reading: Reading,
    /// Show an IPv4 connection as IPv6.
    pub as_ipv6: bool,
    /// The local address to connect from.
    pub local_ip: Option<IpAddr>,
    /// The local port to connect from; 0 for any.
    pub local_port: u16,
    /// How long the first try of each address may take, and the second of those that took longer.
    pub timeouts: [Duration; 2],
    /// Send small writes at once.
    pub no_delay: bool,
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
            as_ipv6: false,
            local_ip: None,
            local_port: 0,
            timeouts: [Duration::from_secs(2), Duration::from_secs(58)],
            no_delay: false,
            lookups: Lookups {
                ident_is_last: true,
                ..Lookups::default()
            },
        }
    }
}

/// The descriptor from which the program reads the connection.
const READ: i32 = 6;
/// The descriptor to which the program writes.
const WRITE: i32 = 7;

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
    signal::set_default(libc::SIGPIPE);
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

/// Makes the connection, and the changes to the environment that describe it. The runtime, and its descriptors, are gone
/// afterwards.
fn open(config: &Config, voice: Voice) -> Result<(OwnedFd, Changes), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start")?;
    LocalSet::new().block_on(&runtime, connection(config, voice))
}

async fn connection(config: &Config, voice: Voice) -> Result<(OwnedFd, Changes), Error> {
    let resolver = Resolver::new(config.lookups.limit());
    let host = &config.host[..];
    let operand = if matches!(host, b"" | b"0") {
        b"127.0.0.1"
    } else {
        host
    };
    let addresses = config.reading.addresses(operand, host, &resolver).await?;
    let connection = first_that_connects(config, addresses, voice).await?;
    if config.no_delay {
        // As the original: a socket that does not take the option is used without it.
        let _ = connection.set_nodelay(true);
    }
    let local = connection.local_addr().during("get local address")?;
    let remote = connection.peer_addr().during("get remote address")?;
    let shown = shown(remote, config);
    voice.tell(&[format!("connected to {shown}").as_bytes()]);
    let names = look_up(&config.lookups, &resolver, local, remote).await;
    let facts = Facts::of(local, remote, names, config.as_ipv6);
    let connection = connection.into_std().and_then(|connection| {
        connection.set_nonblocking(false)?;
        Ok(connection.into())
    });
    let connection = connection.during("set up descriptor 6")?;
    Ok((connection, facts.changes(Order::PortFirst)))
}

/// An address and a port, as messages have them.
fn shown(address: SocketAddr, config: &Config) -> String {
    let ip = facts::shown(address.ip(), config.as_ipv6);
    format!("{ip} port {}", address.port())
}

/// Tries the addresses in turn; those that were too slow get a second, longer try. A single address gets the time of
/// both at once. Addresses of a family that cannot be used, because of `-4` or of the address behind `-i` (of which `::`
/// is any), are passed over.
async fn first_that_connects(
    config: &Config,
    addresses: Vec<SocketAddr>,
    voice: Voice,
) -> Result<TcpStream, Error> {
    let unable = |mut remote: SocketAddr, error: &io::Error| {
        remote.set_port(config.port);
        let place = shown(remote, config);
        let why = reason(error).as_bytes();
        voice.warn(&[b"unable to connect to ", place.as_bytes(), b": ", why]);
    };
    let local_ip = config.local_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let local = config.reading.local(local_ip, config.local_port)?;
    let (mut candidates, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|remote| {
        let is_any = matches!(
            config.local_ip,
            None | Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        );
        let is_reached = is_any || remote.is_ipv4() == local.is_ipv4();
        is_reached && config.reading.can_use(*remote)
    });
    if candidates.is_empty() {
        let error = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        others.into_iter().for_each(|remote| unable(remote, &error));
    }
    let [first, second] = config.timeouts;
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
            match connect(remote, local, limit).await.during("bind socket")? {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind() == ErrorKind::TimedOut && !is_last => slow.push(remote),
                Err(error) => unable(remote, &error),
            }
        }
        candidates = slow;
    }
    Err(Error::silent(FAILED))
}
