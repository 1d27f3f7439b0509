//! The listener: the bound, listening socket, and what an error of accept(2) means.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::cli::{During, Error, Voice, reason};
use crate::sys::socket::Keepalive;
use crate::sys::{errno, file, socket, watch};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At one address, or at any address of one family.
    Address(SocketAddr),
    /// At any address of both families, on this port.
    Anywhere(u16),
    /// At a UNIX socket of this name.
    Path(Vec<u8>),
}

impl Place {
    /// True when `socket` listens there.
    pub(crate) fn is_of(&self, socket: &OwnedFd) -> bool {
        let is_port = |wanted: u16, port: u16| wanted == 0 || wanted == port;
        match (self, socket::local_address(socket)) {
            (Self::Address(wanted), Ok(address)) => {
                wanted.ip() == address.ip() && is_port(wanted.port(), address.port())
            }
            (Self::Anywhere(port), Ok(address)) => {
                address.ip().is_unspecified() && is_port(*port, address.port())
            }
            (Self::Path(path), _) => socket::local_path(socket).is_some_and(|name| name == *path),
            _ => false,
        }
    }
}

impl Display for Place {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            Self::Anywhere(port) => write!(out, ":0 port {port}"),
            Self::Path(path) => String::from_utf8_lossy(path).fmt(out),
        }
    }
}

/// How to listen, and what connections inherit from the listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// How many connections may wait to be accepted.
    pub(crate) backlog: u32,
    /// By SCTP instead of TCP.
    pub(crate) is_sctp: bool,
    /// Have the kernel find out when a peer is gone, and how.
    pub(crate) keepalive: Option<Keepalive>,
    /// Urgent bytes of TCP stand in the stream like all others.
    pub(crate) urgent_in_line: bool,
    /// The class of service of what is sent, from 0 to 63.
    pub(crate) dscp: Option<u8>,
    /// Only from this network device.
    pub(crate) device: Option<Vec<u8>>,
    /// The mode of a UNIX socket.
    pub(crate) mode: Option<u32>,
    /// Whose a UNIX socket is: user and group.
    pub(crate) owner: [Option<u32>; 2],
}

/// A bound socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    /// Where it is bound, with the port that the kernel chose if none was asked for.
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Binds `place` and listens, with a queue of `backlog` connections. A kernel without IPv6 serves IPv4 where both
    /// were asked for, with a warning.
    ///
    /// # Errors
    /// 111, with the original's messages.
    pub(crate) fn bind(place: &Place, manner: &Manner, voice: Voice) -> Result<Self, Error> {
        let any = |ip: IpAddr, port| SocketAddr::new(ip, port);
        match *place {
            Place::Path(ref path) => Self::bind_path(path, manner),
            Place::Address(address) => Self::bind_one(address, false, manner),
            Place::Anywhere(port) if ipv6_is_missing() => {
                voice.warn(&[b"warning: this kernel has no IPv6, serving IPv4 only"]);
                Self::bind_one(any(Ipv4Addr::UNSPECIFIED.into(), port), false, manner)
            }
            Place::Anywhere(port) => {
                Self::bind_one(any(Ipv6Addr::UNSPECIFIED.into(), port), true, manner)
            }
        }
    }

    fn bind_one(address: SocketAddr, is_dual: bool, manner: &Manner) -> Result<Self, Error> {
        if address.is_ipv6() && ipv6_is_missing() {
            return Err(Error::fatal("unable to bind: this kernel has no IPv6"));
        }
        let socket = socket::open(address.ip(), manner.is_sctp).during("create socket")?;
        // The original goes on without it, and so do we: binding says what matters.
        let _ = socket::reuse_address(&socket);
        if is_dual {
            socket::serve_ipv4_too(&socket).during("serve IPv4 too")?;
        }
        if let Some(keepalive) = &manner.keepalive {
            socket::keep_alive_by(&socket, keepalive).during("set keepalive")?;
        }
        if manner.urgent_in_line {
            socket::urgent_in_line(&socket).during("take urgent bytes in line")?;
        }
        if let Some(dscp) = manner.dscp {
            socket::set_class(&socket, address.ip(), dscp << 2).during("set DSCP")?;
        }
        if let Some(device) = &manner.device {
            let doing = [b"bind to device ", &device[..]].concat();
            socket::bind_to_device(&socket, device).during(doing)?;
        }
        socket::bind(&socket, address).during("bind")?;
        let address = socket::local_address(&socket).during("get local address")?;
        socket::listen(&socket, manner.backlog).during("listen")?;
        Ok(Self { socket, address })
    }

    /// A UNIX socket; one that was left there goes first.
    fn bind_path(path: &[u8], manner: &Manner) -> Result<Self, Error> {
        let socket = socket::bind_to_path(path).during([b"bind to ", path].concat())?;
        let [user, group] = manner.owner;
        file::own(path, manner.mode, user, group).during([b"set owner of ", path].concat())?;
        socket::listen(&socket, manner.backlog).during("listen")?;
        Ok(Self {
            socket,
            address: socket::PATH_PEER,
        })
    }

    /// Where all of `listeners` are: the address of one; any address and port of several, whose connections know more.
    pub(crate) fn common_address(listeners: &[Self]) -> SocketAddr {
        match listeners {
            [one] => one.address,
            _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        }
    }

    /// Where they are, for people.
    pub(crate) fn addresses(listeners: &[Self]) -> String {
        let all: Vec<String> = listeners.iter().map(|it| it.address.to_string()).collect();
        all.join(" ")
    }

    /// A socket that listens already.
    pub(crate) fn from_inherited(socket: OwnedFd) -> Self {
        let address = socket::local_address(&socket).unwrap_or(socket::PATH_PEER);
        Self { socket, address }
    }

    /// Another descriptor of the same socket, which listens for as long as one of them is open.
    ///
    /// # Errors
    /// No more descriptors.
    pub(crate) fn copy(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// Gives the listener to the runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(super) fn watch(self) -> io::Result<Acceptor> {
        Ok(Acceptor {
            socket: watch::readable(self.socket)?,
            failures: 0,
            failed: None,
        })
    }
}

/// True when no IPv6 socket can be had, or IPv6 is switched off by net.ipv6.conf.all.disable_ipv6, with which the kernel
/// binds the wildcard all the same, and then nobody comes. ip-sysctl.
fn ipv6_is_missing() -> bool {
    let switch = std::fs::read("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    switch.is_ok_and(|text| text.starts_with(b"1"))
        || socket::stream(Ipv6Addr::UNSPECIFIED.into()).is_err_and(|error| {
            matches!(
                error.raw_os_error(),
                Some(errno::EAFNOSUPPORT | errno::EINVAL)
            )
        })
}

/// Takes connections out of the listen queue.
pub(super) struct Acceptor {
    socket: AsyncFd<OwnedFd>,
    /// Errors in a row that a new connection may mend.
    failures: u32,
    /// When errors that last were last met.
    failed: Option<Instant>,
}

/// Errors of single connections that are taken in a row before they count as an episode.
const FAILURES_MAX: u32 = 16;
/// Errors that are no further apart are of one episode: with every connection that ends, one more may be accepted.
const EPISODE: Duration = Duration::from_secs(60);
/// How long to wait in an episode before the next try, unless a slot becomes free.
const PAUSE: Duration = Duration::from_secs(1);

impl Acceptor {
    /// The next connection, once `has_room` for it. `freed` is a future that resolves when a descriptor or memory may have
    /// become free.
    ///
    /// No error ends this or makes it spin. One of a single connection (it was reset, say) is passed over. One that
    /// lasts (no descriptors, no memory) is warned of once, and accepting pauses.
    pub(super) async fn accept<F: Future<Output = ()>>(
        &mut self,
        voice: Voice,
        has_room: impl Fn() -> bool,
        freed: impl Fn() -> F,
    ) -> (OwnedFd, SocketAddr) {
        loop {
            match self.accept_once(&has_room).await {
                Ok(accepted) => {
                    self.failures = 0;
                    return accepted;
                }
                Err(error) if is_of_one_connection(&error) && self.failures < FAILURES_MAX => {
                    self.failures += 1
                }
                Err(error) => {
                    let before = self.failed.replace(Instant::now());
                    if before.is_none_or(|before| before.elapsed() > EPISODE) {
                        let why = reason(&error).as_bytes();
                        voice.warn(&[
                            b"warning: unable to accept connections: ",
                            why,
                            b"; trying again",
                        ]);
                    }
                    let _ = tokio::time::timeout(PAUSE, freed()).await;
                }
            }
        }
    }

    async fn accept_once(&self, has_room: impl Fn() -> bool) -> io::Result<(OwnedFd, SocketAddr)> {
        loop {
            let mut ready = self.socket.readable().await?;
            if !has_room() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            if let Ok(answer) = ready.try_io(|socket| socket::accept(socket.as_fd())) {
                return answer;
            }
        }
    }
}

/// Errors that say something of the connection that was to be accepted, not of us. accept(2), "Error handling".
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            errno::ECONNABORTED
                | errno::EINTR
                | errno::EPROTO
                | errno::EPERM
                | errno::ENETDOWN
                | errno::ENOPROTOOPT
                | errno::EHOSTDOWN
                | errno::ENONET
                | errno::EHOSTUNREACH
                | errno::EOPNOTSUPP
                | errno::ENETUNREACH
        )
    )
}
