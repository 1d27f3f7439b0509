//! Peers that do wrong before there is a session: each is closed in time, has one line, and holds no slot.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::net::receive_all;
use crate::world::{Server, echo, open, pki, say, trusting};

/// What a client sends first.
pub(crate) fn hello() -> Vec<u8> {
    let name = ServerName::try_from("a.example").expect("a name");
    let mut client = ClientConnection::new(trusting(), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a vector takes all");
    hello
}

#[test]
fn who_does_not_speak_tls_is_closed_in_time_with_one_line() {
    let hello = hello();
    // A record may have 2^14 bytes; a handshake message more, but not without end.
    let oversized = [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
    let mut endless = Vec::new();
    for _ in 0..20 {
        // A ClientHello of 16 MB in records of the usual size.
        endless.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        endless.extend_from_slice(&[1, 0xff, 0xff, 0xff]);
        endless.resize(endless.len() + 0x4000 - 4, 0);
    }
    let mut garbage = vec![0x16, 3, 3, 0, 200];
    garbage.extend((0..200).map(|n: u32| u8::try_from(n * 37 % 256).expect("small")));
    let closes: &[u8] = &[];
    for (what, bytes, leaves, why) in [
        ("nothing", closes, false, "timed out"),
        ("nothing at all", closes, true, "the peer has closed"),
        (
            "half a hello",
            &hello[..hello.len() / 2],
            false,
            "timed out",
        ),
        (
            "half a hello, and leaves",
            &hello[..hello.len() / 2],
            true,
            "the peer has closed",
        ),
        ("one byte", &hello[..1], false, "timed out"),
        (
            "a question in plain",
            b"GET / HTTP/1.0\r\n\r\n",
            false,
            "this is not TLS",
        ),
        (
            "SSL 2",
            b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
            false,
            "this is not TLS",
        ),
        (
            "a record that is too large",
            &oversized,
            false,
            "received corrupt message of type MessageTooLarge",
        ),
        (
            "a hello without end",
            &endless,
            false,
            "received corrupt message of type HandshakePayloadTooLarge",
        ),
        (
            "garbage in a record",
            &garbage,
            false,
            "received corrupt message of type HandshakePayloadTooLarge",
        ),
        (
            "an alert",
            b"\x15\x03\x03\x00\x02\x02\x28",
            false,
            "received",
        ),
    ] {
        // The only slot.
        let is_slow = why == "timed out";
        let time = if is_slow { "0.2" } else { "100" };
        let time = format!("--tls-timeout={time}");
        let server = Server::start(&["-c1", &time], &["cat"]);
        let mut stream = server.connect();
        let _ = stream.write_all(bytes);
        if leaves {
            stream.shutdown(Shutdown::Write).expect("it is open");
        }
        let answer = receive_all(&mut stream);
        // Who speaks is told what was wrong, RFC 8446 section 6; rustls leaves out who announces too long a message.
        let is_told = matches!(answer[..], [21, 3, 3, 0, 2, 2, _]);
        let is_wrong = why.starts_with("received corrupt") || why == "this is not TLS";
        let is_left_out = why.ends_with("HandshakePayloadTooLarge");
        assert_eq!(is_told, is_wrong && !is_left_out, "{what}: {answer:x?}");
        server.wait_for("end ", 1);
        let said = server.said(" tls ");
        assert_eq!(said.len(), 1, "{what}: {said:?}");
        let expected = format!("tlsserver: tls failed {why}");
        assert!(said[0].starts_with(&expected), "{what}: {said:?}");
        assert_eq!(server.said(" end "), ["tlsserver: end status"], "{what}");
        // At the start, and now: the slot is free.
        server.wait_for("status: 0/1", 2);
    }
}

#[test]
fn slow_clients_delay_nobody() {
    let server = Server::start(&["-c20"], &["cat"]);
    let hello = hello();
    let slow: Vec<TcpStream> = (0..10)
        .map(|bytes| {
            let mut stream = server.connect();
            stream.write_all(&hello[..bytes * 10]).expect("it listens");
            stream
        })
        .collect();
    assert_eq!(say(server.session(), b"quick"), b"quick");
    // Byte by byte it works as well.
    let mut session = open(server.connect(), "a.example", trusting());
    let mut first = Vec::new();
    session
        .conn
        .write_tls(&mut first)
        .expect("a vector takes all");
    session.sock.set_nodelay(true).expect("a TCP socket");
    for byte in first {
        session.sock.write_all(&[byte]).expect("it listens");
    }
    assert_eq!(say(session, b"slow"), b"slow");
    drop(slow);
}

/// A stream that remembers what was written to it.
struct Recorder<'a>(&'a mut TcpStream, Vec<u8>);

impl std::io::Read for Recorder<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(room)
    }
}

impl std::io::Write for Recorder<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = self.0.write(bytes)?;
        self.1.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How many; `$UCSPI_TLS_MUTATIONS` gives another number.
const MUTATIONS: u32 = 1500;

#[test]
fn mutations_of_a_handshake_crash_nothing_and_hold_nothing() {
    let server = Server::start(&["-c100", "--tls-timeout=5"], &["cat"]);
    no_mutation_harms(&server);
}

#[test]
fn mutations_of_a_handshake_crash_no_relay_and_hold_nothing() {
    let both = pki().option("cert", "a.both");
    let options = ["-c100", "--tls-timeout=5", "--tls", &both, "--threads=2"];
    no_mutation_harms(&Server::relay(&options, &[&echo()]));
}

/// What a client sends for a handshake with `server` and an end.
fn recorded(server: &Server) -> Vec<u8> {
    let mut session = open(server.connect(), "a.example", trusting());
    let mut stream = Recorder(&mut session.sock, Vec::new());
    while session.conn.is_handshaking() {
        session.conn.complete_io(&mut stream).expect("a handshake");
    }
    session.conn.send_close_notify();
    session.conn.write_tls(&mut stream).expect("it listens");
    stream.1
}

/// Sends `server`, which has 100 slots, many mutations of a handshake.
fn no_mutation_harms(server: &Server) {
    let given = std::env::var("UCSPI_TLS_MUTATIONS").ok();
    let count = given.map_or(MUTATIONS, |text| text.parse().expect("a number"));
    let whole = recorded(server);
    assert!(whole.len() > 200);
    // xorshift, so that each run does the same.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut dice = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(sides).expect("small")).expect("small")
    };
    for number in 0..count {
        let mut mutated = whole.clone();
        for _ in 0..=dice(3) {
            let place = dice(mutated.len());
            match dice(4) {
                0 => mutated[place] ^= 1 << dice(8),
                1 => mutated[place] = u8::try_from(dice(256)).expect("small"),
                2 => drop(mutated.drain(place..(place + dice(20)).min(mutated.len()))),
                _ => mutated.truncate(place.max(1)),
            }
            if mutated.is_empty() {
                mutated.push(22);
            }
        }
        let mut stream = server.connect();
        let _ = stream.write_all(&mutated);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // A reset is an answer too; silence is none, and the deadline ends it.
        if let Err(error) = stream.read_to_end(&mut answer) {
            let is_reset = error.kind() == std::io::ErrorKind::ConnectionReset;
            assert!(is_reset, "mutation {number}: {error}\n{mutated:x?}");
        }
    }
    // Each has its end, and the first one too: no slot is lost.
    server.wait_for(": end ", usize::try_from(count).expect("small") + 1);
    assert_eq!(say(server.session(), b"alive"), b"alive");
    assert!(!server.log().contains("internal error"), "{}", server.log());
}
