//! Clients: as many at once as asked for, each reading to the end.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What clients saw.
pub(crate) struct Seen {
    /// Connections a second.
    pub rate: f64,
    /// From connecting to the first byte, or to the end without one, in seconds; sorted.
    pub waits: Vec<f64>,
}

/// Makes `count` connections to `port`, `at_once` at a time.
pub(crate) fn connect(port: u16, count: usize, at_once: usize) -> Seen {
    let left = AtomicUsize::new(count);
    let start = Instant::now();
    let mut waits: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..at_once)
            .map(|_| scope.spawn(|| client(port, &left)))
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

fn client(port: u16, left: &AtomicUsize) -> Vec<f64> {
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

/// A name server on port 53 of 127.0.0.53 that answers every PTR question with one name, until the process ends.
pub(crate) fn name_server() {
    let socket =
        UdpSocket::bind(("127.0.0.53", 53)).expect("port 53 is free in a namespace of our own");
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let mut answer = packet[..length].to_vec();
            // A response with one answer: the question's name, PTR, IN, 300 seconds, `peer.test`.
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend_from_slice(b"\xc0\x0c\0\x0c\0\x01\0\0\x01\x2c\0\x0b\x04peer\x04test\0");
            let _ = socket.send_to(&answer, client);
        }
    });
}
