//! Making one connection, bounded in time: for tcpclient and for asking ident servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use crate::sys::errno;

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
) -> io::Result<io::Result<TcpStream>> {
    let socket = if remote.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return Ok(Err(error)),
    };
    if !local.ip().is_unspecified() {
        socket.bind(local)?;
    } else if local.port() != 0 {
        // The wildcard of the family of `remote`.
        let any = if remote.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        socket.bind((any, local.port()).into())?;
    }
    let attempt = tokio::time::timeout(limit + SLACK, socket.connect(remote));
    Ok(attempt
        .await
        .unwrap_or_else(|_| Err(io::Error::from_raw_os_error(errno::ETIMEDOUT))))
}
