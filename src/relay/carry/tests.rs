//! Sessions of real sockets, without anybody around them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{Carrier, Ended, How, PIPES_MAX, Wire};

/// A client and a remote, with a carrier between them.
struct World {
    carrier: Carrier<u32>,
    ended: Vec<Ended<u32>>,
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    (one, other)
}

impl World {
    fn new() -> Self {
        Self {
            carrier: Carrier::new(PIPES_MAX).unwrap(),
            ended: Vec::new(),
        }
    }

    /// A session: its outer ends, the client's and the remote's, non-blocking.
    fn session(&mut self, idle: Option<Duration>) -> (TcpStream, TcpStream) {
        let ((client, ours), (remote, theirs)) = (pair(), pair());
        for socket in [&client, &ours, &remote, &theirs] {
            socket.set_nonblocking(true).unwrap();
        }
        let number = u32::try_from(self.carrier.len()).unwrap();
        let ended = &mut self.ended;
        let added = self.carrier.add(
            Wire::Plain(ours.into()),
            Wire::Plain(theirs.into()),
            idle,
            number,
            &mut |it| {
                ended.push(it);
            },
        );
        added.unwrap();
        (client, remote)
    }

    /// Lets the carrier work until `done`.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < deadline, "it does not happen");
            let ended = &mut self.ended;
            let turn = self
                .carrier
                .turn(Some(Duration::from_millis(5)), &mut |it| ended.push(it));
            turn.unwrap();
        }
    }

    /// What `socket` receives, until its end or error.
    fn receive(&mut self, socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
        let mut received = Vec::new();
        let mut error = None;
        self.until(|_| {
            let mut buffer = vec![0; 1 << 16];
            match socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(length) => received.extend_from_slice(&buffer[..length]),
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => {
                    error = Some(why.kind());
                    return true;
                }
            }
            false
        });
        (received, error)
    }

    /// Sends all of `bytes`.
    fn send(&mut self, socket: &mut TcpStream, mut bytes: &[u8]) {
        self.until(|_| {
            if let Ok(length) = socket.write(bytes) {
                bytes = &bytes[length..];
            }
            bytes.is_empty()
        });
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 7 + at / 251) % 256).unwrap())
        .collect()
}

#[test]
fn request_and_late_answer_arrive_after_a_half_close() {
    let mut world = World::new();
    let (mut client, mut remote) = world.session(None);
    client.write_all(b"request").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.receive(&mut remote), (b"request".to_vec(), None));
    let answer = pattern(10 << 20);
    let sender = answer.clone();
    let sending = std::thread::spawn(move || {
        remote.set_nonblocking(false).unwrap();
        remote.write_all(&sender).unwrap();
    });
    let (received, error) = world.receive(&mut client);
    assert!(received == answer && error.is_none());
    sending.join().unwrap();
    world.until(|world| !world.ended.is_empty());
    let ended = &world.ended[0];
    assert_eq!((ended.how, ended.moved), (How::InOrder, [7, 10 << 20]));
    assert_eq!(world.carrier.len(), 0);
}

#[test]
fn sizes_around_the_buffer_and_the_pipe_arrive_whole() {
    for length in [
        1, 4095, 16383, 16384, 16385, 65536, 262_143, 262_145, 3_000_001,
    ] {
        let mut world = World::new();
        let (client, mut remote) = world.session(None);
        let bytes = pattern(length);
        let sender = bytes.clone();
        let sending = std::thread::spawn(move || {
            let mut client = client;
            client.set_nonblocking(false).unwrap();
            client.write_all(&sender).unwrap();
        });
        let (received, error) = world.receive(&mut remote);
        assert!(received == bytes && error.is_none(), "{length}");
        sending.join().unwrap();
    }
}

#[test]
fn reset_is_passed_on_from_either_side() {
    for from_client in [true, false] {
        let mut world = World::new();
        let (client, remote) = world.session(None);
        let (gone, mut left) = if from_client {
            (client, remote)
        } else {
            (remote, client)
        };
        crate::sys::socket::reset(gone.into());
        let (_, error) = world.receive(&mut left);
        assert_eq!(error, Some(ErrorKind::ConnectionReset), "{from_client}");
        world.until(|world| !world.ended.is_empty());
        assert_eq!(world.ended[0].how, How::Reset);
    }
}

#[test]
fn reset_is_passed_on_while_the_other_side_does_not_read() {
    let mut world = World::new();
    let (mut client, mut remote) = world.session(None);
    let bytes = pattern(1 << 20);
    for _ in 0..64 {
        let _ = client.write(&bytes);
        world
            .carrier
            .turn(Some(Duration::ZERO), &mut |_| panic!("it goes on"))
            .unwrap();
    }
    crate::sys::socket::reset(client.into());
    world.until(|world| !world.ended.is_empty());
    assert_eq!(world.ended[0].how, How::Reset);
    assert_eq!(
        world.receive(&mut remote).1,
        Some(ErrorKind::ConnectionReset)
    );
}

#[test]
fn stalled_reader_stops_the_sender_and_gets_everything_later() {
    let mut world = World::new();
    let (mut client, mut remote) = world.session(None);
    let bytes = pattern(1 << 20);
    let mut sent = 0;
    let mut refused = 0;
    // 64 MiB is far more than both connections' queues hold.
    while refused < 200 && sent < 64 << 20 {
        match client.write(&bytes[sent % (1 << 20)..]) {
            Ok(length) => sent += length,
            Err(_) => refused += 1,
        }
        let none = &mut |_| panic!("it goes on");
        world
            .carrier
            .turn(Some(Duration::from_millis(1)), none)
            .unwrap();
    }
    assert!(sent < 64 << 20, "nothing ever stopped the sender");
    client.shutdown(Shutdown::Write).unwrap();
    let (received, error) = world.receive(&mut remote);
    assert_eq!((received.len(), error), (sent, None));
    let same = received
        .chunks(1 << 20)
        .all(|part| part == &bytes[..part.len()]);
    assert!(same);
}

#[test]
fn pipes_go_back_to_the_pool_and_are_not_needed() {
    for pipes in [0, 1] {
        let mut world = World::new();
        world.carrier = Carrier::new(pipes).unwrap();
        let mut sessions: Vec<_> = (0..5).map(|_| world.session(None)).collect();
        let bytes = pattern(100_000);
        for (client, _) in &mut sessions {
            world.send(client, &bytes);
        }
        for (client, remote) in &mut sessions {
            client.shutdown(Shutdown::Write).unwrap();
            assert!(world.receive(remote).0 == bytes);
        }
        assert_eq!(world.carrier.tools.pipes.len(), pipes);
        assert_eq!(world.carrier.tools.may_make, 0);
    }
}

#[test]
fn idle_session_ends_and_a_busy_one_goes_on() {
    let mut world = World::new();
    let idle = Some(Duration::from_millis(200));
    let (mut quiet, _remote) = world.session(idle);
    let (mut busy, mut other) = world.session(idle);
    let mut said = 0;
    world.until(|world| {
        said += busy.write(b"x").unwrap();
        !world.ended.is_empty()
    });
    assert_eq!((world.ended[0].cargo, world.ended[0].how), (0, How::Idle));
    assert_eq!(world.receive(&mut quiet), (Vec::new(), None));
    assert_eq!(world.carrier.len(), 1);
    world.send(&mut busy, b"y");
    busy.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.receive(&mut other).0.len(), said + 1);
}

#[test]
fn all_sessions_can_be_ended() {
    let mut world = World::new();
    let sessions: Vec<_> = (0..3).map(|_| world.session(None)).collect();
    let ended = &mut world.ended;
    world.carrier.end_all(&mut |it| ended.push(it));
    assert!(world.ended.iter().all(|it| it.how == How::Asked));
    assert_eq!((world.ended.len(), world.carrier.len()), (3, 0));
    drop(sessions);
}
