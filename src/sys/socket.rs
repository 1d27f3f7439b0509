//! TCP sockets: the calls and options that the standard library does not offer.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;

use nix::sys::socket::{
    self as nix_socket, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    getsockopt, setsockopt, sockopt,
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

/// A non-blocking stream socket of the family of `address`, of TCP or of SCTP. socket(2), sctp(7)
///
/// # Errors
/// No descriptors; for SCTP also a kernel without it (EPROTONOSUPPORT).
pub fn open(address: IpAddr, is_sctp: bool) -> io::Result<OwnedFd> {
    if !is_sctp {
        return stream(address);
    }
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointer.
    let socket = check(unsafe { libc::socket(family, kind, libc::IPPROTO_SCTP) })?;
    // SAFETY: socket gave this descriptor just now, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
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

/// True when `socket` listens. SO_ACCEPTCONN, socket(7).
pub fn is_listening(socket: impl AsFd) -> bool {
    nix_socket::getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false)
}

/// How the kernel finds out that the other side is gone; what is `None` is as the system has it. tcp(7)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How many probes without an answer. TCP_KEEPCNT
    pub count: Option<u32>,
    /// After how many seconds without a byte it begins. TCP_KEEPIDLE
    pub idle: Option<u32>,
    /// Seconds between probes. TCP_KEEPINTVL
    pub interval: Option<u32>,
}

/// Has the kernel find out in this way when the other side is gone. SO_KEEPALIVE, socket(7).
pub fn keep_alive_by(socket: impl AsFd, keepalive: &Keepalive) -> io::Result<()> {
    keep_alive(&socket)?;
    if let Some(count) = keepalive.count {
        setsockopt(&socket, sockopt::TcpKeepCount, &count)?;
    }
    if let Some(idle) = keepalive.idle {
        setsockopt(&socket, sockopt::TcpKeepIdle, &idle)?;
    }
    if let Some(interval) = keepalive.interval {
        setsockopt(&socket, sockopt::TcpKeepInterval, &interval)?;
    }
    Ok(())
}

/// Sets the class of service of what a socket of the family of `address` sends. IP_TOS, ip(7); IPV6_TCLASS, ipv6(7).
pub fn set_class(socket: impl AsFd, address: IpAddr, class: u8) -> io::Result<()> {
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6TClass, &class.into())?;
        // For IPv4 connections to it.
        let _ = setsockopt(&socket, sockopt::Ipv4Tos, &class.into());
    } else {
        setsockopt(&socket, sockopt::Ipv4Tos, &class.into())?;
    }
    Ok(())
}

/// Binds `socket` to the network device called `name`. SO_BINDTODEVICE, socket(7).
pub fn bind_to_device(socket: impl AsFd, name: &[u8]) -> io::Result<()> {
    let name = OsString::from_vec(name.to_vec());
    Ok(setsockopt(&socket, sockopt::BindToDevice, &name)?)
}

/// The path to which a UNIX socket is bound. getsockname(2)
pub fn local_path(socket: impl AsFd) -> Option<Vec<u8>> {
    let address =
        nix_socket::getsockname::<nix_socket::UnixAddr>(socket.as_fd().as_raw_fd()).ok()?;
    Some(address.path()?.as_os_str().as_bytes().to_vec())
}

/// The address by which a peer at a UNIX socket goes: it is on this machine, and has no port.
pub const PATH_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A non-blocking UNIX socket bound to `path`, where a socket that was left behind is removed first. unix(7)
///
/// # Errors
/// The path is too long, or something else is there.
pub fn bind_to_path(path: &[u8]) -> io::Result<OwnedFd> {
    let address = nix_socket::UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = nix_socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let name = std::path::Path::new(OsStr::from_bytes(path));
    let is_socket = |data: std::fs::Metadata| data.file_type().is_socket();
    if std::fs::symlink_metadata(name).is_ok_and(is_socket) {
        std::fs::remove_file(name)?;
    }
    nix_socket::bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// The next connection of the listening socket, blocking and close-on-exec, and the peer's address; [`PATH_PEER`] when it
/// has none. accept4(2).
///
/// Not repeated when interrupted: the caller decides about every error.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let (connection, peer) = with_address(|address, length| {
        // SAFETY: `address` has room for `length` bytes (`with_address`), and both are the call's to write.
        check(unsafe { libc::accept4(listener.as_raw_fd(), address, length, libc::SOCK_CLOEXEC) })
    })?;
    // SAFETY: accept4 gave this descriptor just now, so nothing else owns it.
    let connection = unsafe { OwnedFd::from_raw_fd(connection) };
    Ok((connection, peer.unwrap_or(PATH_PEER)))
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

/// Has the kernel find out when the other side is gone. SO_KEEPALIVE, socket(7).
pub fn keep_alive(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::KeepAlive, &true)?)
}

/// Gives `socket` a local address, and leaves the port to the moment when it is connected: so the same port serves for
/// several remotes. IP_BIND_ADDRESS_NO_PORT, ip(7).
pub fn bind_without_port(socket: impl AsFd, address: IpAddr) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // An old kernel without it chooses the port now.
    // SAFETY: pointer and length are of one int, which the call only reads.
    unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    bind(socket, SocketAddr::new(address, 0))
}

/// Begins to connect a non-blocking `socket`, and tells whether it is connected already; if not, it can be written when it
/// is, or when that has failed ([`connected`]). connect(2)
///
/// # Errors
/// The connection failed.
pub fn connect_now(socket: impl AsFd, address: SocketAddr) -> io::Result<bool> {
    connect_storage(socket, &storage(address))
}

fn connect_storage(socket: impl AsFd, address: &dyn SockaddrLike) -> io::Result<bool> {
    match nix_socket::connect(socket.as_fd().as_raw_fd(), address) {
        Ok(()) => Ok(true),
        // On this machine it mostly is by now.
        Err(nix::Error::EINPROGRESS | nix::Error::EINTR) => {
            let peer = nix_socket::getpeername::<SockaddrStorage>(socket.as_fd().as_raw_fd());
            Ok(peer.is_ok())
        }
        Err(error) => Err(error.into()),
    }
}

/// A non-blocking socket on the way to the UNIX socket `path`, as [`connect_now`]. unix(7)
///
/// # Errors
/// No descriptors; the path is too long; the connection failed.
pub fn connect_to_path(path: &[u8]) -> io::Result<(OwnedFd, bool)> {
    let address = nix_socket::UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = nix_socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let is_connected = connect_storage(&socket, &address)?;
    Ok((socket, is_connected))
}

/// What became of a connection that was begun. SO_ERROR, socket(7).
///
/// # Errors
/// It failed.
pub fn connected(socket: impl AsFd) -> io::Result<()> {
    match nix_socket::getsockopt(&socket, sockopt::SocketError)? {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Has urgent bytes of TCP stand in the stream like all others, where they came; connections inherit that from a listener.
/// SO_OOBINLINE, socket(7); RFC 6093 section 6.
pub fn urgent_in_line(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::OobInline, &true)?)
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
        if receive_now(&socket, &mut room).map_or(true, |length| length == 0) {
            return;
        }
    }
}

/// Takes what has come, at most `room` full, without waiting (EAGAIN when there is nothing); 0 is the end. recv(2).
pub fn receive_now(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    receive(socket, room, libc::MSG_DONTWAIT)
}

/// The same, but all stays there to be taken. MSG_PEEK, recv(2).
pub fn peek_now(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    receive(socket, room, libc::MSG_DONTWAIT | libc::MSG_PEEK)
}

fn receive(socket: impl AsFd, room: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    fd::retry(|| {
        // SAFETY: pointer and length are of the same slice, which is the call's to write.
        let received = unsafe {
            libc::recv(
                socket.as_fd().as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                flags,
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    })
}

/// Two sockets that are connected with each other, for a stream of bytes. socketpair(2)
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    connected_pair(SockType::Stream)
}

/// Two sockets that are connected with each other, for messages: one write(2) is one message, one read(2) gives one, and 0
/// bytes when the other end is gone. socketpair(2), SOCK_SEQPACKET in unix(7).
pub fn pair_for_messages() -> io::Result<(OwnedFd, OwnedFd)> {
    connected_pair(SockType::SeqPacket)
}

fn connected_pair(kind: SockType) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(nix_socket::socketpair(
        AddressFamily::Unix,
        kind,
        None,
        flags,
    )?)
}

/// True when `fd` is a socket for a stream of bytes. SO_TYPE, socket(7).
pub fn is_stream(fd: impl AsFd) -> bool {
    getsockopt(&fd, sockopt::SockType).is_ok_and(|kind| kind == SockType::Stream)
}

/// Drops what has come as long as it does not begin with `first`; gives how many bytes that were. recv(2), MSG_PEEK
pub fn discard_until(socket: impl AsFd, first: u8) -> usize {
    let mut dropped = 0;
    let mut room = [0_u8; 4096];
    loop {
        // SAFETY: pointer and length are of the same array, which the call fills.
        let seen = unsafe {
            libc::recv(
                socket.as_fd().as_raw_fd(),
                room.as_mut_ptr().cast(),
                room.len(),
                libc::MSG_DONTWAIT | libc::MSG_PEEK,
            )
        };
        let seen = &room[..usize::try_from(seen).unwrap_or(0)];
        let wrong = seen.iter().position(|&byte| byte == first);
        let wrong = wrong.unwrap_or(seen.len());
        if wrong == 0 {
            return dropped;
        }
        dropped += wrong;
        let _ = receive_now(&socket, &mut room[..wrong]);
    }
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

/// Closes `socket` with a reset: the other side's next call fails, and nothing of the connection stays.
pub fn reset(socket: OwnedFd) {
    // A socket that does not take it (a UNIX one resets by itself what was not read) is closed all the same.
    let _ = reset_on_close(socket);
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
