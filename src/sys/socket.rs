//! TCP sockets: the calls and options that the standard library does not offer.

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{
    self as nix_socket, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    setsockopt, sockopt,
};

use super::{check, fd};

/// A non-blocking TCP socket of the family of `address`. socket(2).
pub fn stream(address: IpAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    Ok(nix_socket::socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Lets `socket` bind an address that old connections still use. SO_REUSEADDR, socket(7).
pub fn reuse_address(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::ReuseAddr, &true)?)
}

/// Lets an IPv6 socket serve IPv4 too, whatever the system's default is. IPV6_V6ONLY, ipv6(7).
pub fn serve_ipv4_too(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::Ipv6V6Only, &false)?)
}

/// The number of the network interface called `name`. if_nametoindex(3).
pub fn interface_number(name: &[u8]) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

/// The name of the network interface with this number, or the number where it has gone. if_indextoname(3).
pub fn interface_name(number: u32) -> Vec<u8> {
    let name = nix::net::if_::if_indextoname(number);
    name.map_or_else(|_| number.to_string().into(), CString::into_bytes)
}

/// Gives `socket` its local address. bind(2).
pub fn bind(socket: impl AsFd, address: SocketAddr) -> io::Result<()> {
    Ok(nix_socket::bind(
        socket.as_fd().as_raw_fd(),
        &storage(address),
    )?)
}

/// Starts listening with a queue of `backlog` connections (the kernel caps it). listen(2).
pub fn listen(socket: impl AsFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: the call takes no pointer.
    check(unsafe { libc::listen(socket.as_fd().as_raw_fd(), backlog) })?;
    Ok(())
}

/// The next connection of the listening socket, blocking and close-on-exec, and the peer's address. accept4(2).
///
/// Not repeated when interrupted: the caller decides about every error.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let (connection, peer) = with_address(|address, length| {
        // SAFETY: `address` has room for `length` bytes (`with_address`), and both are the call's to write.
        check(unsafe { libc::accept4(listener.as_raw_fd(), address, length, libc::SOCK_CLOEXEC) })
    })?;
    // SAFETY: accept4 gave this descriptor just now, so nothing else owns it.
    let connection = unsafe { OwnedFd::from_raw_fd(connection) };
    Ok((connection, peer.ok_or_else(unknown)?))
}

/// The address of this end. getsockname(2).
pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let (_, address) = with_address(|address, length| {
        // SAFETY: `address` has room for `length` bytes (`with_address`), and both are the call's to write.
        check(unsafe { libc::getsockname(socket.as_fd().as_raw_fd(), address, length) })
    })?;
    address.ok_or_else(unknown)
}

/// Drops the IP options (source routes) that the peer's packets brought, so that answers do not follow them. IP_OPTIONS, ip(7).
pub fn clear_ip_options(socket: impl AsFd) -> io::Result<()> {
    // SAFETY: a null pointer is valid for a length of 0.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            std::ptr::null(),
            0,
        )
    })?;
    Ok(())
}

/// Sends small writes at once. TCP_NODELAY, tcp(7).
pub fn no_delay(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::TcpNoDelay, &true)?)
}

/// Sends some of `bytes` without waiting (EAGAIN when there is no room) and without SIGPIPE. send(2).
pub fn send_now(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    fd::retry(|| {
        // SAFETY: pointer and length are of the same slice, which the call only reads.
        let sent = unsafe {
            libc::send(
                socket.as_fd().as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                flags,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    })
}

/// Drops what has come in and was not read, up to 64 KiB: a socket that is closed with such bytes resets the connection, and
/// the peer may lose what was sent to it last. recv(2)
pub fn discard(socket: impl AsFd) {
    let mut room = [0_u8; 4096];
    for _ in 0..16 {
        // SAFETY: pointer and length are of the same array, which the call fills.
        let length = unsafe {
            libc::recv(
                socket.as_fd().as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT,
            )
        };
        if length <= 0 {
            return;
        }
    }
}

/// Takes what has come, at most `room` full, without waiting (EAGAIN when there is nothing); 0 is the end. recv(2).
pub fn receive_now(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    fd::retry(|| {
        // SAFETY: pointer and length are of the same slice, which is the call's to write.
        let received = unsafe {
            libc::recv(
                socket.as_fd().as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    })
}

/// Ends what this end sends; the other end may go on. shutdown(2).
pub fn send_no_more(socket: impl AsFd) -> io::Result<()> {
    Ok(nix_socket::shutdown(
        socket.as_fd().as_raw_fd(),
        nix_socket::Shutdown::Write,
    )?)
}

/// Makes closing `socket` break the connection, so that the peer sees that it has not got all. SO_LINGER, socket(7).
pub fn reset_on_close(socket: impl AsFd) -> io::Result<()> {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(&socket, sockopt::Linger, &at_once)?)
}

/// Runs `call` with room for a socket address and gives its answer with the internet address that it wrote.
fn with_address(
    call: impl Fn(*mut libc::sockaddr, *mut libc::socklen_t) -> io::Result<i32>,
) -> io::Result<(i32, Option<SocketAddr>)> {
    let mut room = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
    let answer = call(room.as_mut_ptr().cast(), &raw mut length)?;
    // SAFETY: `room` is zeroed, so initialised whatever the call wrote, and `length` bytes of it are the address.
    let address = unsafe { SockaddrStorage::from_raw(room.as_ptr().cast(), Some(length)) };
    Ok((answer, address.and_then(|address| internet(&address))))
}

/// The address is of no family that TCP has.
fn unknown() -> io::Error {
    io::Error::from_raw_os_error(libc::EAFNOSUPPORT)
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })
}

fn storage(address: SocketAddr) -> SockaddrStorage {
    match address {
        SocketAddr::V4(address) => address.into(),
        SocketAddr::V6(address) => address.into(),
    }
}
