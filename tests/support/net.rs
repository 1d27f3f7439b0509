//! The other end of the programs' connections: sockets bound to chosen loopback addresses, every wait bounded.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, listen,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::{deadline, pidfd};

/// Connects to `port` of this machine from whichever port the kernel gives, also one that was used just now: so that
/// as many as one likes may come one after the other.
///
/// # Errors
///
/// Where nobody listens.
pub(crate) fn connect_to(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(bounded)
}

/// Connects from `source` to `port` on `target`, from any free port that is not `taken`.
///
/// The kernel soon gives the port of a closed connection away again, and then one number would have two names.
///
/// # Errors
///
/// Where nobody listens.
pub(crate) fn connect_from(
    source: Ipv4Addr,
    target: Ipv4Addr,
    port: u16,
    taken: impl Fn(u16) -> bool,
) -> nix::Result<TcpStream> {
    connect_with(source, target, port, taken, &[])
}

/// The same, with IP options in every packet.
pub(crate) fn connect_with(
    source: Ipv4Addr,
    target: Ipv4Addr,
    port: u16,
    taken: impl Fn(u16) -> bool,
    ip_options: &[u8],
) -> nix::Result<TcpStream> {
    let mut refused = Vec::new();
    let socket = loop {
        let socket = tcp_socket();
        bind(socket.as_raw_fd(), &address(source, 0)).expect("every 127.x.y.z is ours to bind");
        if !taken(local_port(&socket)) {
            break socket;
        }
        refused.push(socket);
    };
    setsockopt(&socket, sockopt::SendTimeout, &time_limit()).expect("a connect can be bounded");
    pidfd::set_ip_options(&socket, ip_options);
    connect(socket.as_raw_fd(), &address(target, port))?;
    Ok(bounded(TcpStream::from(socket)))
}

/// A listening socket on a free port of `ip` whose `accept` gives up in the end.
pub(crate) fn listener(ip: Ipv4Addr) -> TcpListener {
    listener_at(ip, 0)
}

/// A listening socket, and what keeps its port from all clients, which could get it at another address: transcripts know
/// ports by their numbers.
pub(crate) fn listener_alone(ip: Ipv4Addr) -> (TcpListener, OwnedFd) {
    let limit = std::time::Instant::now() + deadline();
    loop {
        let (held, port) = reserve_port(Ipv4Addr::UNSPECIFIED);
        if let Ok(listener) = TcpListener::bind((ip, port)) {
            return (listener, held);
        }
        assert!(std::time::Instant::now() < limit, "no port is free");
    }
}

/// A listening socket on this port, which is free only in a network of our own.
///
/// A process that another test is just making has a copy of a listener until its exec: one that was closed before may
/// still be there for a moment.
pub(crate) fn listener_at(ip: Ipv4Addr, port: u16) -> TcpListener {
    let limit = std::time::Instant::now() + deadline();
    loop {
        match TcpListener::bind((ip, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                assert!(std::time::Instant::now() < limit, "port {port} is in use");
                std::thread::yield_now();
            }
            listener => break listener.expect("a free port on the loopback interface"),
        }
    }
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    setsockopt(listener, sockopt::ReceiveTimeout, &time_limit()).expect("an accept can be bounded");
    bounded(listener.accept().expect("the program connects in time").0)
}

/// Holds a free port of `ip` without listening: a program that sets SO_REUSEADDR can still listen there, so the port
/// cannot be lost to another test in between.
pub(crate) fn reserve_port(ip: Ipv4Addr) -> (OwnedFd, u16) {
    let socket = tcp_socket();
    setsockopt(&socket, sockopt::ReuseAddr, &true).expect("a new socket takes SO_REUSEADDR");
    bind(socket.as_raw_fd(), &address(ip, 0)).expect("a free port on the loopback interface");
    let port = local_port(&socket);
    (socket, port)
}

/// A listener that answers nobody any more: its queue is full, so the kernel drops further connection requests.
pub(crate) fn silent_listener(ip: Ipv4Addr) -> (OwnedFd, u16, Vec<OwnedFd>) {
    let socket = tcp_socket();
    bind(socket.as_raw_fd(), &address(ip, 0)).expect("a free port on the loopback interface");
    let port = local_port(&socket);
    listen(&socket, Backlog::new(0).expect("0 is a backlog")).expect("a bound socket listens");
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let client = tcp_socket();
        setsockopt(&client, sockopt::SendTimeout, &TimeVal::milliseconds(200))
            .expect("a connect can be bounded");
        // The last ones of these do not get through: that is the point.
        let _ = connect(client.as_raw_fd(), &address(ip, port));
        waiting.push(client);
    }
    (socket, port, waiting)
}

/// Sends all bytes, or as many as the other end takes.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    if let Err(error) = stream.write_all(bytes) {
        assert!(is_closed(&error), "cannot send: {error}");
    }
}

pub(crate) fn half_close(stream: &TcpStream) {
    stream
        .shutdown(Shutdown::Write)
        .expect("the connection is open");
}

/// Everything up to the end of the stream; a reset counts as its end.
pub(crate) fn receive_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(
            is_closed(&error),
            "the other end neither sends nor closes: {error}"
        );
    }
    bytes
}

/// Everything up to and with the next line feed, or to the end of the stream.
pub(crate) fn receive_line(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while bytes.last() != Some(&b'\n') {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => bytes.push(byte[0]),
            Err(error) => {
                assert!(is_closed(&error), "no line came: {error}");
                break;
            }
        }
    }
    bytes
}

/// Whether descriptor `fd` of process `pid`, a socket, has TCP_NODELAY set.
pub(crate) fn is_nodelay(pid: u32, fd: i32) -> bool {
    let socket = pidfd::descriptor_of(pid, fd).expect("a child's descriptors can be looked at");
    nix::sys::socket::getsockopt(&socket, sockopt::TcpNoDelay).expect("it is a TCP socket")
}

/// How many bytes of IP options descriptor `fd` of process `pid`, a socket, sends with every packet.
pub(crate) fn ip_options_bytes(pid: u32, fd: i32) -> usize {
    let socket = pidfd::descriptor_of(pid, fd).expect("a child's descriptors can be looked at");
    pidfd::ip_options(&socket).len()
}

/// Nothing, not even an end, comes for a while.
pub(crate) fn is_silent(stream: &TcpStream) -> bool {
    const A_WHILE: std::time::Duration = std::time::Duration::from_millis(100);
    stream
        .set_read_timeout(Some(A_WHILE))
        .expect("it is not zero");
    let peeked = stream.peek(&mut [0]);
    stream
        .set_read_timeout(Some(deadline()))
        .expect("the deadline is not zero");
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Makes the close of this stream a reset.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(stream, sockopt::Linger, &at_once).expect("a connection takes SO_LINGER");
}

/// Exactly `count` bytes, or those before the end of the stream.
pub(crate) fn receive_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count);
    let limit = u64::try_from(count).expect("a length in memory");
    if let Err(error) = stream.take(limit).read_to_end(&mut bytes) {
        assert!(is_closed(&error), "too few bytes come: {error}");
    }
    bytes
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn bounded(stream: TcpStream) -> TcpStream {
    stream
        .set_read_timeout(Some(deadline()))
        .expect("the deadline is not zero");
    stream
        .set_write_timeout(Some(deadline()))
        .expect("the deadline is not zero");
    stream
}

fn tcp_socket() -> OwnedFd {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("the system has TCP")
}

fn local_port(socket: &OwnedFd) -> u16 {
    getsockname::<SockaddrIn>(socket.as_raw_fd())
        .expect("a bound socket has a name")
        .port()
}

fn address(ip: Ipv4Addr, port: u16) -> SockaddrIn {
    SockaddrIn::from(SocketAddrV4::new(ip, port))
}

fn time_limit() -> TimeVal {
    TimeVal::seconds(i64::try_from(deadline().as_secs()).expect("the deadline is short"))
}
