//! Making one connection, bounded in time: for tcpclient and for asking ident servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::fd::{self, PollFd, PollFlags};
use crate::sys::{errno, socket};

/// The kernel's and our clocks may differ by so much; a limit of 0 still lets a connection on this machine happen.
const SLACK: Duration = Duration::from_millis(20);

/// Connects from `local` (any address and port where it is unspecified) to `remote`.
///
/// # Errors
/// The outer one: `local` cannot be had. The inner one: the connection failed, or took longer than `limit` (ETIMEDOUT).
pub(crate) async fn connect(
    remote: SocketAddr,
    local: SocketAddr,
    limit: Duration,
) -> io::Result<io::Result<tokio::net::TcpStream>> {
    let socket = if remote.is_ipv4() {
        tokio::net::TcpSocket::new_v4()
    } else {
        tokio::net::TcpSocket::new_v6()
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(place) = place(remote, local) {
        socket.bind(place)?;
    }
    let attempt = tokio::time::timeout(limit + SLACK, socket.connect(remote));
    Ok(attempt.await.unwrap_or_else(|_| Err(too_slow())))
}

/// The same without a runtime: nothing else is waited for. The connection blocks.
///
/// # Errors
/// As [`connect`].
pub(super) fn connect_alone(
    remote: SocketAddr,
    local: SocketAddr,
    limit: Duration,
) -> io::Result<io::Result<TcpStream>> {
    let socket = match socket::stream(remote.ip()) {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(place) = place(remote, local) {
        socket::bind(&socket, place)?;
    }
    let attempt = || {
        if !socket::connect_now(&socket, remote)? {
            let mut writable = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            if !fd::poll_within(&mut writable, limit + SLACK)? {
                return Err(too_slow());
            }
            socket::connected(&socket)?;
        }
        Ok(())
    };
    Ok(attempt().and_then(|()| {
        let connection = TcpStream::from(socket);
        connection.set_nonblocking(false)?;
        Ok(connection)
    }))
}

/// Where a socket on the way from `local` to `remote` has to be bound, if anywhere.
fn place(remote: SocketAddr, local: SocketAddr) -> Option<SocketAddr> {
    if !local.ip().is_unspecified() {
        Some(local)
    } else if local.port() != 0 {
        // The wildcard of the family of `remote`.
        let any = if remote.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        Some((any, local.port()).into())
    } else {
        None
    }
}

fn too_slow() -> io::Error {
    io::Error::from_raw_os_error(errno::ETIMEDOUT)
}
