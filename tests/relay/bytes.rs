//! What sessions carry.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use crate::world::{Dice, Relay, Remote, until};

/// How many bytes the soak moves: 200 MB, or what the variable says.
fn soak_bytes() -> usize {
    let text = std::env::var("RELAY_SOAK_BYTES").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(200 << 20)
}

/// A byte of stream `seed`, at `at`.
fn pattern(seed: usize, at: usize) -> u8 {
    let mixed = (at + seed * 7919).wrapping_mul(2_654_435_761) >> 13;
    u8::try_from(mixed % 251).expect("less than a byte")
}

/// Sends bytes of stream `seed` in random pieces until it has sent `count`.
fn pour(stream: &mut TcpStream, seed: usize, count: usize) -> std::io::Result<()> {
    let mut dice = Dice(seed as u64 * 2 + 12345);
    let mut at = 0;
    while at < count {
        let most = [10, 3000, 70_000, 400_000][dice.below(4)];
        let length = (1 + dice.below(most)).min(count - at);
        let piece: Vec<u8> = (at..at + length).map(|at| pattern(seed, at)).collect();
        stream.write_all(&piece)?;
        at += length;
    }
    Ok(())
}

/// Receives bytes of stream `seed` until the end; returns how many.
fn drink(stream: &mut TcpStream, seed: usize) -> std::io::Result<usize> {
    let mut room = vec![0; 100_000];
    let mut at = 0;
    loop {
        let length = stream.read(&mut room)?;
        if length == 0 {
            return Ok(at);
        }
        let is_right = room[..length]
            .iter()
            .enumerate()
            .all(|(index, byte)| *byte == pattern(seed, at + index));
        assert!(is_right, "stream {seed} differs after byte {at}");
        at += length;
    }
}

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

fn reset(stream: TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger)
        .expect("a socket");
}

/// Sessions in both directions at once, in random pieces; a third of them ends one direction early, and a third is reset.
#[test]
fn bytes_arrive_unchanged_whatever_ends_how() {
    const STREAMS: usize = 24;
    let each = soak_bytes() / STREAMS / 2;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let relay = Relay::start(&["--threads=3", "-c100"], &[&address]);
    let remote = std::thread::spawn(move || {
        let servers: Vec<_> = (0..STREAMS)
            .map(|_| {
                let (mut stream, _) = listener.accept().expect("a connection");
                std::thread::spawn(move || {
                    let mut seed = [0];
                    stream
                        .read_exact(&mut seed)
                        .expect("the number of the stream");
                    let seed = usize::from(seed[0]);
                    let mut back = stream.try_clone().expect("descriptors");
                    let sender = std::thread::spawn(move || {
                        let result = pour(&mut back, seed + 100, each);
                        if result.is_ok() {
                            back.shutdown(Shutdown::Write)?;
                        }
                        result
                    });
                    let received = drink(&mut stream, seed);
                    let sent = sender.join().expect("no panic");
                    match seed % 3 {
                        // The client reads to the end.
                        0 | 1 => {
                            sent.expect("it is taken");
                            let wanted = if seed % 3 == 0 { each } else { each / 9 };
                            assert_eq!(received.expect("no error"), wanted);
                        }
                        // The client goes away in the middle.
                        _ => assert!(received.is_err() || sent.is_err()),
                    }
                })
            })
            .collect();
        for server in servers {
            server.join().expect("all went well");
        }
    });
    let clients: Vec<_> = (0..STREAMS)
        .map(|seed| {
            let mut stream = relay.connect();
            std::thread::spawn(move || {
                let number = u8::try_from(seed).expect("few streams");
                stream.write_all(&[number]).expect("it is taken");
                let mut out = stream.try_clone().expect("descriptors");
                if seed % 3 == 2 {
                    // The server never sees an end in order.
                    pour(&mut out, seed, each / 3).expect("it is taken");
                    return reset_both(out, stream);
                }
                let count = if seed % 3 == 0 { each } else { each / 9 };
                let sender = std::thread::spawn(move || {
                    pour(&mut out, seed, count).expect("it is taken");
                    out.shutdown(Shutdown::Write).expect("it is open");
                });
                assert_eq!(drink(&mut stream, seed + 100).expect("no error"), each);
                sender.join().expect("all went well");
            })
        })
        .collect();
    for client in clients {
        client.join().expect("all went well");
    }
    remote.join().expect("all went well");
    relay.wait_for("tcprelay: end ", STREAMS);
    assert_eq!(relay.said("status 0 in "), STREAMS * 2 / 3);
}

fn reset_both(one: TcpStream, other: TcpStream) {
    drop(one);
    reset(other);
}

#[test]
fn stalled_readers_cost_bounded_memory() {
    const READERS: usize = 1000;
    const KERNEL_BUFFER: usize = 16 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN).expect("it listens");
    let address = listener.local_addr().expect("it is bound").to_string();
    let relay = Relay::start(&["-c2000"], &[&address]);
    let mut streams = Vec::new();
    for _ in 0..READERS {
        let client = relay.connect();
        let (remote, _) = listener.accept().expect("a connection");
        remote.set_nonblocking(true).expect("a socket");
        // All buffers at their largest are more than the kernel gives to TCP, and it would reset whom it likes.
        setsockopt(&client, sockopt::RcvBuf, &KERNEL_BUFFER).expect("a socket");
        setsockopt(&remote, sockopt::SndBuf, &KERNEL_BUFFER).expect("a socket");
        streams.push((client, remote));
    }
    let zeros = vec![0; 1 << 20];
    // Each remote sends until nothing is taken any more, for all of a second.
    let mut still = 0;
    until("all senders are stopped", || {
        let mut sent = 0;
        for (_, remote) in &mut streams {
            while let Ok(length) = remote.write(&zeros) {
                sent += length;
                // What the kernel holds for 1,000 connections is its own; so many are enough to fill them.
                if sent > 64 << 20 {
                    break;
                }
            }
        }
        still = if sent == 0 { still + 1 } else { 0 };
        (still > 100).then_some(())
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("/proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a line");
    let resident: usize = line
        .trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number");
    // A buffer of 16 KiB for each, and the program.
    assert!(resident < READERS * 16 + 24 * 1024, "{resident} kB");
    let pipes = relay
        .descriptors()
        .iter()
        .filter(|name| name.starts_with("pipe:"))
        .count();
    assert!(pipes <= 2 * 64 + 1, "{pipes}");
    // And one of them can still be served.
    let (client, remote) = &mut streams[READERS - 1];
    remote.shutdown(Shutdown::Write).expect("it is open");
    client.shutdown(Shutdown::Write).expect("it is open");
    let mut room = vec![0; 1 << 20];
    while client.read(&mut room).expect("no error") > 0 {}
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
