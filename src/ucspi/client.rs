//! tcpclient: connect to one of a host's addresses, describe the connection, become the program.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::connect::connect;
use super::environ::Changes;
use super::host;
use super::names::{Lookups, Names, look_up};

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
            local_ip: None,
            local_port: 0,
            timeouts: [Duration::from_secs(2), Duration::from_secs(58)],
            no_delay: false,
            lookups: Lookups::default(),
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start")?;
    let (connection, changes) = LocalSet::new().block_on(&runtime, connection(config, voice))?;
    // The runtime's descriptors are closed before the connection takes its numbers, which may be theirs.
    drop(runtime);
    let connection = fd::move_to(connection, READ).during("set up descriptor 6")?;
    fd::copy_to(connection, WRITE).during("set up descriptor 7")?;
    signal::set_default(libc::SIGPIPE);
    let environment: Vec<CString> = changes
        .apply(&process::environment())
        .into_iter()
        .map(Into::into)
        .collect();
    exec(&config.program[0], &config.program, &environment)
}

/// Makes the connection, and the changes to the environment that describe it.
async fn connection(config: &Config, voice: Voice) -> Result<(OwnedFd, Changes), Error> {
    let resolver = Resolver::new(config.lookups.limit());
    let addresses = addresses(&config.host, &resolver).await?;
    let connection = first_that_connects(config, &addresses, voice).await?;
    if config.no_delay {
        // As the original: a socket that does not take the option is used without it.
        let _ = connection.set_nodelay(true);
    }
    let local = connection.local_addr().during("get local address")?;
    let remote = connection.peer_addr().during("get remote address")?;
    voice.tell(&[format!("connected to {} port {}", remote.ip(), remote.port()).as_bytes()]);
    let names = look_up(&config.lookups, &resolver, local, remote).await;
    let connection = connection.into_std().and_then(|connection| {
        connection.set_nonblocking(false)?;
        Ok(connection.into())
    });
    Ok((
        connection.during("set up descriptor 6")?,
        describe(local, remote, &names),
    ))
}

/// The environment's entries for the connection, in the original's order.
fn describe(local: SocketAddr, remote: SocketAddr, names: &Names) -> Changes {
    let mut changes = Changes::default();
    changes.set("PROTO", b"TCP");
    changes.set("TCPLOCALPORT", local.port().to_string().as_bytes());
    changes.set("TCPLOCALIP", local.ip().to_string().as_bytes());
    changes.set_if_known("TCPLOCALHOST", names.local_host.as_deref());
    changes.set("TCPREMOTEPORT", remote.port().to_string().as_bytes());
    changes.set("TCPREMOTEIP", remote.ip().to_string().as_bytes());
    changes.set_if_known("TCPREMOTEHOST", names.remote_host.as_deref());
    changes.set_if_known("TCPREMOTEINFO", names.remote_info.as_deref());
    changes
}

/// The addresses of the host operand; `0` and nothing are this machine.
async fn addresses(host: &[u8], resolver: &Resolver) -> Result<Vec<IpAddr>, Error> {
    let operand = if host.is_empty() || host == b"0" {
        b"127.0.0.1"
    } else {
        host
    };
    host::addresses(operand, host, resolver).await
}

/// Tries the addresses in turn; those that were too slow get a second, longer try. A single address gets the time of
/// both at once.
async fn first_that_connects(
    config: &Config,
    addresses: &[IpAddr],
    voice: Voice,
) -> Result<TcpStream, Error> {
    let [first, second] = config.timeouts;
    let rounds: &[Duration] = match addresses {
        [_] => &[first + second],
        _ if second.is_zero() => &[first],
        _ => &[first, second],
    };
    let mut candidates = addresses.to_vec();
    for (round, limit) in rounds.iter().enumerate() {
        let mut slow = Vec::new();
        for ip in candidates {
            let remote = SocketAddr::new(ip, config.port);
            let local_ip = config.local_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            let local = SocketAddr::new(local_ip, config.local_port);
            match connect(remote, local, *limit).await.during("bind socket")? {
                Ok(connection) => return Ok(connection),
                Err(error)
                    if error.kind() == std::io::ErrorKind::TimedOut && round + 1 < rounds.len() =>
                {
                    slow.push(ip)
                }
                Err(error) => {
                    let place = format!("{ip} port {}: ", config.port);
                    voice.warn(&[
                        b"unable to connect to ",
                        place.as_bytes(),
                        reason(&error).as_bytes(),
                    ]);
                }
            }
        }
        candidates = slow;
    }
    Err(Error::silent(FAILED))
}
