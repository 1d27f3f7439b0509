//! All at once: bytes in random pieces both ways, ends and resets in the middle, reloads, and new processes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::streams::{drink, pour, reset};
use crate::world::{Relay, size, until};

/// Sessions at once.
const STREAMS: usize = 24;
/// One after the other, each with a new process and some reloads.
const WAVES: usize = 20;
const HUPS: usize = 5;

/// How a session ends.
#[derive(Clone, Copy)]
enum End {
    /// Both sides send all they have.
    Whole,
    /// The client sends little, ends, and reads on.
    Half,
    /// The client is gone in the middle.
    Reset,
}

fn end_of(seed: usize) -> End {
    [End::Whole, End::Half, End::Reset][seed % 3]
}

#[test]
fn bytes_arrive_unchanged_whatever_ends_how_over_100_hups_and_20_retirements() {
    // What the shortened ones leave out of both ways is less than one of them.
    let each = size("RELAY_SOAK_BYTES", 32 << 20) / WAVES / STREAMS;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    // Whatever goes wrong, nobody waits for a session for ever.
    listener.set_nonblocking(true).expect("a socket");
    let retire = format!("--retire={STREAMS}");
    let mut relay = Relay::start(&["--threads=3", "-c100", &retire], &[&address]);
    let pid = relay.pid();
    for wave in 1..=WAVES {
        std::thread::scope(|scope| {
            scope.spawn(|| take(&listener, each));
            for seed in 0..STREAMS {
                let stream = relay.connect();
                scope.spawn(move || talk(stream, seed, each));
            }
            for _ in 0..HUPS {
                relay.signal(Signal::SIGHUP);
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        relay.wait_for("tcprelay: end ", wave * STREAMS);
        relay.wait_for("tcprelay: draining ", wave);
    }
    assert_eq!(relay.pid(), pid);
    let log = relay.log();
    let in_order = log.lines().filter(|line| line.contains(" status 0 in "));
    assert_eq!(in_order.count(), WAVES * STREAMS * 2 / 3);
    assert!(!log.contains("warning"), "{log}");
    // What was blocked while it was replaced is heard by the last one.
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().code(), Some(0));
}

/// The remote: takes the sessions of a wave.
fn take(listener: &TcpListener, each: usize) {
    std::thread::scope(|scope| {
        for _ in 0..STREAMS {
            let (stream, _) = until("a session comes", || listener.accept().ok());
            stream.set_nonblocking(false).expect("a socket");
            scope.spawn(move || serve(stream, each));
        }
    });
}

fn serve(mut stream: TcpStream, each: usize) {
    let mut seed = [0];
    stream
        .read_exact(&mut seed)
        .expect("the number of the stream");
    let seed = usize::from(seed[0]);
    let mut back = stream.try_clone().expect("descriptors");
    let sender = std::thread::spawn(move || {
        pour(&mut back, seed + 100, each)?;
        back.shutdown(Shutdown::Write)
    });
    let received = drink(&mut stream, seed);
    let sent = sender.join().expect("no panic");
    match end_of(seed) {
        End::Whole => assert_eq!(received.expect("no error"), each),
        End::Half => assert_eq!(received.expect("no error"), each / 9),
        End::Reset => {
            assert!(received.is_err() || sent.is_err());
            return;
        }
    }
    sent.expect("it is taken");
}

/// The client.
fn talk(mut stream: TcpStream, seed: usize, each: usize) {
    let number = u8::try_from(seed).expect("few streams");
    stream.write_all(&[number]).expect("it is taken");
    let mut out = stream.try_clone().expect("descriptors");
    let count = match end_of(seed) {
        End::Whole => each,
        End::Half => each / 9,
        End::Reset => {
            pour(&mut out, seed, each / 3).expect("it is taken");
            drop(out);
            return reset(stream);
        }
    };
    let sender = std::thread::spawn(move || {
        pour(&mut out, seed, count).expect("it is taken");
        out.shutdown(Shutdown::Write).expect("it is open");
    });
    assert_eq!(drink(&mut stream, seed + 100).expect("no error"), each);
    sender.join().expect("all went well");
}
