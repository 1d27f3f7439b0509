//! What sessions carry.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};

use crate::streams::{drink, pour, reset};
use crate::world::{PATIENCE, Relay, Remote, program, size, until};

#[test]
fn late_answer_of_10_mb_follows_a_half_close() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let remote = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        stream.read_to_end(&mut request).expect("the request");
        assert_eq!(request, b"request");
        pour(&mut stream, 1, 10 << 20).expect("it is taken");
    });
    let relay = Relay::start(&[], &[&address]);
    let mut client = relay.connect();
    client.write_all(b"request").expect("it is taken");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(drink(&mut client, 1).expect("no error"), 10 << 20);
    remote.join().expect("all went well");
    relay.wait_for("status 0 in 7 out 10485760 ms ", 1);
}

#[test]
fn reset_of_either_side_reaches_the_other() {
    for by_client in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let relay = Relay::start(&[], &[&address]);
        let client = relay.connect();
        let (remote, _) = listener.accept().expect("a connection");
        relay.wait_for("tcprelay: ok 1 ", 1);
        let (gone, mut left) = if by_client {
            (client, remote)
        } else {
            (remote, client)
        };
        reset(gone);
        let error = left.read(&mut [0]).expect_err("not an end in order");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        relay.wait_for("tcprelay: end 1 status 28416 ", 1);
    }
}

/// They read from a UNIX socket: that takes little for each, where TCP would take megabytes from what all connections share.
#[test]
fn stalled_readers_cost_bounded_memory() {
    // What each client sends: more than the kernel holds on the way to the remote, and we may hold.
    const SENT: usize = 1 << 20;
    const PASSED_ON_MAX: usize = 512 << 10;
    let readers = size("RELAY_STALLED", 100);
    let folder = crate::temp::TempDir::new();
    let path = folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a folder of our own");
    let relay = Relay::start(&["-c2000"], &[&format!("unix:{}", path.display())]);
    let mut streams = Vec::new();
    for _ in 0..readers {
        let client = relay.connect();
        let (remote, _) = listener.accept().expect("a connection");
        client.set_nonblocking(true).expect("a socket");
        streams.push((client, remote));
    }
    relay.wait_for("tcprelay: ok ", readers);
    let before = relay.resident();
    let zeros = vec![0; SENT];
    let mut sent = vec![0; readers];
    until("all clients have sent", || {
        for ((client, _), sent) in streams.iter_mut().zip(&mut sent) {
            while let Ok(length @ 1..) = client.write(&zeros[*sent..]) {
                *sent += length;
            }
        }
        sent.iter().all(|sent| *sent == SENT).then_some(())
    });
    until("all are stalled", || {
        let passed_on = passed_on(&relay);
        let are_stalled = |count: &usize| *count < PASSED_ON_MAX;
        assert!(passed_on.iter().all(are_stalled), "{passed_on:?}");
        let have_begun = passed_on.iter().all(|count| *count > 0);
        (have_begun && passed_on.len() == readers).then_some(())
    });
    // A buffer of 16 KiB for each, and what the allocator and the threads take for themselves.
    let grown = relay.resident().saturating_sub(before);
    assert!(grown < readers * 17 + 1024, "{grown} kB");
    let pipes = relay
        .descriptors()
        .iter()
        .filter(|name| name.starts_with("pipe:"))
        .count();
    assert!(pipes <= 2 * 64 + 1, "{pipes}");
    // And one of them can still be served.
    let (client, remote) = &mut streams[readers - 1];
    client.shutdown(Shutdown::Write).expect("it is open");
    let mut all = Vec::new();
    remote.read_to_end(&mut all).expect("no error");
    assert!(all == zeros, "{} bytes", all.len());
}

/// What each session has brought to its remote so far.
fn passed_on(relay: &Relay) -> Vec<usize> {
    relay.signal(Signal::SIGUSR2);
    let log = relay.log();
    let counts: std::collections::HashMap<_, _> = log
        .lines()
        .filter_map(|line| {
            let (session, rest) = line
                .strip_prefix("tcprelay: session ")?
                .split_once(" to ")?;
            let (count, _) = rest.split_once(" in ")?.1.split_once(' ')?;
            Some((session.to_owned(), count.parse().ok()?))
        })
        .collect();
    counts.into_values().collect()
}

#[test]
fn idle_sessions_end() {
    let a = Remote::new("A");
    let relay = Relay::start(&["--idle-timeout=1"], &[&a.operand()]);
    let mut client = relay.connect();
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an end in order");
    assert_eq!(all, b"A");
    relay.wait_for("tcprelay: end 1 status 28416 in 0 out 1 ", 1);
}

#[test]
fn unix_sockets_are_remotes_too() {
    let folder = crate::temp::TempDir::new();
    let path = folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a folder of our own");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the request");
        all.reverse();
        stream.write_all(&all).expect("it is taken");
    });
    let relay = Relay::start(&[], &[&format!("unix:{}", path.display())]);
    assert_eq!(relay.ask(b"abc"), b"cba");
    thread.join().expect("all went well");
}

/// Sends a stream with two urgent bytes in it, all of it there before any of it is read, and what follows later.
fn send_with_urgent_bytes(sender: &mut TcpStream, relay: &Relay, length: usize) -> Vec<u8> {
    sender.set_write_timeout(Some(PATIENCE)).expect("a limit");
    relay.signal(Signal::SIGSTOP);
    let start = vec![b'x'; length];
    sender.write_all(&start).expect("it fits");
    for (bytes, flags) in [
        (&b"!"[..], MsgFlags::MSG_OOB),
        (b"y", MsgFlags::empty()),
        (b"?", MsgFlags::MSG_OOB),
        (b"z", MsgFlags::empty()),
    ] {
        send(sender.as_raw_fd(), bytes, flags).expect("it fits");
    }
    relay.signal(Signal::SIGCONT);
    sender.write_all(&start).expect("it is taken");
    [&start[..], b"!y?z", &start].concat()
}

#[test]
fn urgent_bytes_keep_their_place_and_stop_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let relay = Relay::start(&["--threads=1"], &[&address]);
    // As much as one read takes, and as much as makes it a splice.
    for length in [2, 40_000] {
        let mut client = relay.connect();
        let (mut remote, _) = listener.accept().expect("a connection");
        remote.set_read_timeout(Some(PATIENCE)).expect("a limit");
        // A telnet server needs the IAC DM of a client, and the client that of the server.
        for is_back in [false, true] {
            let (from, to) = if is_back {
                (&mut remote, &mut client)
            } else {
                (&mut client, &mut remote)
            };
            let sent = send_with_urgent_bytes(from, &relay, length);
            let mut received = vec![0; sent.len()];
            let read = to.read_exact(&mut received);
            assert!(read.is_ok(), "{length} {is_back}: {read:?}");
            assert!(received == sent, "{length} {is_back}");
        }
    }
}

/// The relay of those who have a server and a client: `tcpserver host port tcpclient host port tcpio`.
#[test]
fn tcpio_carries_all_bytes_and_each_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let remote = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        assert_eq!(drink(&mut stream, 3).expect("no error"), 300_000);
        // Its client has ended and waits.
        pour(&mut stream, 4, 1 << 20).expect("it is taken");
    });
    let mut command = std::process::Command::new(program("tcpserver"));
    command.args(["-1vRHl0", "127.0.0.1", "0"]);
    command.arg(program("tcpclient"));
    command.args(["-RHl0", "127.0.0.1", &port.to_string()]);
    command.arg(program("tcpio"));
    let server = Relay::run(crate::temp::TempDir::new(), command);
    let mut client = server.connect();
    pour(&mut client, 3, 300_000).expect("it is taken");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(drink(&mut client, 4).expect("no error"), 1 << 20);
    remote.join().expect("all went well");
    server.wait_for(" status 0\n", 1);
}
