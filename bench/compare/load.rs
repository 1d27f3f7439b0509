//! Clients.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};

/// What clients saw.
pub(crate) struct Seen {
    /// Connections a second.
    pub rate: f64,
    /// From connecting to the first byte, or to the end without one, in seconds; sorted.
    pub waits: Vec<f64>,
}

/// Makes `count` connections to `port`, `at_once` at a time, each of those on a thread of its own; each says `words`, if
/// there are any, and no more.
pub(crate) fn connect(port: u16, count: usize, at_once: usize, words: &[u8]) -> Seen {
    let left = AtomicUsize::new(count);
    let start = Instant::now();
    let mut waits: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..at_once)
            .map(|_| scope.spawn(|| client(port, &left, words)))
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client ends well"))
            .collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    waits.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = count as f64 / seconds;
    Seen { rate, waits }
}

fn client(port: u16, left: &AtomicUsize, words: &[u8]) -> Vec<f64> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut waits = Vec::new();
    let mut room = [0; 256];
    while left
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).expect("the server takes connections");
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit can be set");
        if !words.is_empty() {
            stream.write_all(words).expect("the program reads");
            stream.shutdown(Shutdown::Write).expect("it is connected");
        }
        let mut first = None;
        while let Ok(length) = stream.read(&mut room) {
            first.get_or_insert_with(|| start.elapsed().as_secs_f64());
            if length == 0 {
                break;
            }
        }
        waits.push(first.unwrap_or_else(|| start.elapsed().as_secs_f64()));
    }
    waits
}

/// Opens a connection from `address`, and waits for the first byte if `answers`. One that is dropped is opened again: with
/// thousands of processes the original drops one now and then.
pub(crate) fn open(address: Ipv4Addr, port: u16, answers: bool) -> TcpStream {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        let mut stream = open_from(address, port);
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a limit can be set");
        if !answers || stream.read_exact(&mut [0]).is_ok() {
            return stream;
        }
    }
    panic!("the server drops {TRIES} connections in a row");
}

fn open_from(address: Ipv4Addr, port: u16) -> TcpStream {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    let from = SockaddrIn::from(SocketAddrV4::new(address, 0));
    bind(socket.as_raw_fd(), &from).expect("all of 127.0.0.0/8 is ours");
    let to = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    nix::sys::socket::connect(socket.as_raw_fd(), &to).expect("the server takes connections");
    TcpStream::from(socket)
}

/// Whose name nobody tells.
pub(crate) const NAMELESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A name server on port 53 of 127.0.0.53 that answers every PTR question with one name, but those about [`NAMELESS`]
/// never, until the process ends.
pub(crate) fn name_server() {
    let socket =
        UdpSocket::bind(("127.0.0.53", 53)).expect("port 53 is free in a namespace of our own");
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let mut answer = packet[..length].to_vec();
            if answer.get(12..14) == Some(b"\x012") {
                continue;
            }
            // A response with one answer: the question's name, PTR, IN, 300 seconds, `peer.test`.
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend_from_slice(b"\xc0\x0c\0\x0c\0\x01\0\0\x01\x2c\0\x0b\x04peer\x04test\0");
            let _ = socket.send_to(&answer, client);
        }
    });
}
