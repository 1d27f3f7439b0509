//! tcpclient: connect to one of a host's addresses, describe the connection, become the program.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::connect::connect;
use super::environ::Changes;
use super::{address, port};
use crate::cli::{During, Error, FAILED, Voice, exec, reason};
use crate::sys::{fd, process, random, signal, socket};

/// What the command line of tcpclient asks for.
#[derive(Debug)]
pub struct Config {
    /// An address, a name, or `0` for this machine.
    pub host: Vec<u8>,
    /// A number, or a service name.
    pub port: Vec<u8>,
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
    /// `$TCPLOCALHOST`, if it is given.
    pub local_host: Option<Vec<u8>>,
    /// Look up the server's name.
    pub remote_host: bool,
    /// Ask the server's ident server.
    pub ident: bool,
    /// How long to wait for the ident server.
    pub ident_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            port: Vec::new(),
            program: Vec::new(),
            local_ip: None,
            local_port: 0,
            timeouts: [Duration::from_secs(2), Duration::from_secs(58)],
            no_delay: false,
            local_host: None,
            remote_host: true,
            ident: true,
            ident_timeout: Duration::from_secs(26),
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
    let port = port::port(&config.port)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start")?;
    let (connection, changes) = runtime.block_on(connection(config, port, voice))?;
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
async fn connection(config: &Config, port: u16, voice: Voice) -> Result<(OwnedFd, Changes), Error> {
    let mut addresses = addresses(&config.host)?;
    random::shuffle(&mut addresses);
    let connection = first_that_connects(config, &addresses, port, voice).await?;
    if config.no_delay {
        // As the original: a socket that does not take the option is used without it.
        let _ = socket::no_delay(&connection);
    }
    let local = socket::local_address(&connection).during("get local address")?;
    let remote = socket::peer_address(&connection).during("get remote address")?;
    let mut changes = Changes::default();
    changes.set("PROTO", b"TCP");
    changes.set("TCPLOCALPORT", local.port().to_string().as_bytes());
    changes.set("TCPLOCALIP", local.ip().to_string().as_bytes());
    changes.set_if_known("TCPLOCALHOST", config.local_host.as_deref());
    changes.set("TCPREMOTEPORT", remote.port().to_string().as_bytes());
    changes.set("TCPREMOTEIP", remote.ip().to_string().as_bytes());
    voice.tell(&[format!("connected to {} port {}", remote.ip(), remote.port()).as_bytes()]);
    changes.set_if_known("TCPREMOTEHOST", None);
    changes.set_if_known("TCPREMOTEINFO", None);
    Ok((connection, changes))
}

/// The addresses of the host operand.
fn addresses(host: &[u8]) -> Result<Vec<IpAddr>, Error> {
    if host.is_empty() || host == b"0" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
    }
    let found = address::literal(host).filter(|addresses| !addresses.is_empty());
    let found = found.ok_or_else(|| Error::fatal([b"no IP address for ", host].concat()))?;
    Ok(found.into_iter().map(IpAddr::V4).collect())
}

/// Tries the addresses in turn; those that were too slow get a second, longer try. A single address gets the time of
/// both at once.
async fn first_that_connects(
    config: &Config,
    addresses: &[IpAddr],
    port: u16,
    voice: Voice,
) -> Result<OwnedFd, Error> {
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
            let remote = SocketAddr::new(ip, port);
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
                    let place = format!("{ip} port {port}: ");
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
