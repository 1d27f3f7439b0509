//! HUP, TERM, and replacing the process.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::temp::TempDir;
use crate::world::{Relay, Remote, talk, until};

/// Clients that come one after the other, each with a request whose answer must be whole, until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(relay: &Relay) -> Self {
        let (stop, served) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let port = relay.port;
        let threads = (0..4_usize).map(|number| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut size = number * 1000;
                while !stop.load(Ordering::SeqCst) {
                    size = (size * 5 + 7) % 90_000;
                    let request = vec![b'x'; size];
                    let stream = std::net::TcpStream::connect(("127.0.0.1", port));
                    let stream = stream.expect("no connection is refused");
                    let answer = talk(stream, &request).expect("no session is lost");
                    assert_eq!(answer.len(), size + 1, "no byte is lost");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            served,
            threads,
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// Waits until so many more have been served.
    pub(crate) fn pass(&self, count: usize) {
        let before = self.served();
        until("clients are served", || {
            (self.served() >= before + count).then_some(())
        });
    }

    /// Gives how many were served.
    pub(crate) fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("every client was served");
        }
        self.served.load(Ordering::SeqCst)
    }
}

#[test]
fn a_hundred_hups_under_load_lose_nothing() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    let folder = TempDir::new();
    let remotes = folder.path().join("remotes");
    std::fs::write(
        &remotes,
        format!("# two\n{}\n{}/weight=2\n", a.operand(), b.operand()),
    )
    .expect("a file");
    let relay = Relay::start_in(folder, &["--threads=2", "--remotes=remotes"], &[]);
    let mut lasting = relay.connect();
    lasting.read_exact(&mut [0]).expect("a remote has it");
    let load = Load::start(&relay);
    for _ in 0..100 {
        relay.signal(Signal::SIGHUP);
        load.pass(3);
    }
    load.stop();
    lasting.write_all(b"?").expect("it is still there");
    lasting.read_exact(&mut [0]).expect("it is still there");
    assert_eq!(relay.said("warning"), 0, "{}", relay.log());
}

#[test]
fn twenty_retirements_under_load_lose_nothing() {
    let a = Remote::new("A");
    let relay = Relay::start(&["--threads=2", "--retire=25"], &[&a.operand()]);
    let pid = relay.pid();
    let mut lasting = relay.connect();
    lasting.read_exact(&mut [0]).expect("a remote has it");
    let load = Load::start(&relay);
    until("it was replaced 20 times", || {
        (relay.said("tcprelay: draining ") >= 20).then_some(())
    });
    load.stop();
    // The first one went on in another process all the time.
    lasting.write_all(b"?").expect("it is still there");
    lasting.read_exact(&mut [0]).expect("it is still there");
    drop(lasting);
    assert_eq!(relay.pid(), pid);
    assert_eq!(relay.ask(b"!"), b"A!");
    assert_eq!(relay.said("warning"), 0, "{}", relay.log());
}

#[test]
fn remotes_of_a_file_change_with_hup_and_a_wrong_file_changes_nothing() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    let folder = TempDir::new();
    let remotes = folder.path().join("remotes");
    let write = |text: &str| std::fs::write(&remotes, text).expect("a folder of our own");
    write(&a.operand());
    let relay = Relay::start_in(folder, &["--remotes=remotes"], &[]);
    assert_eq!(relay.ask(b""), b"A");
    write(&b.operand());
    relay.signal(Signal::SIGHUP);
    until("B has the sessions", || {
        (relay.ask(b"") == b"B").then_some(())
    });
    write("# none\nnonsense\n");
    relay.signal(Signal::SIGHUP);
    relay.wait_for("warning: nothing is changed: remotes:2: Expected host:port, [address]:port or unix:path, but got 'nonsense'\n", 1);
    assert_eq!(relay.ask(b""), b"B");
    std::fs::remove_file(&remotes).expect("it is there");
    relay.signal(Signal::SIGHUP);
    relay.wait_for(
        "warning: nothing is changed: unable to read remotes: file does not exist\n",
        1,
    );
    assert_eq!(relay.ask(b""), b"B");
}

#[test]
fn term_waits_for_the_last_session() {
    let a = Remote::new("A");
    let mut relay = Relay::start(&["--threads=2"], &[&a.operand()]);
    let mut client = relay.connect();
    client.read_exact(&mut [0]).expect("a remote has it");
    relay.signal(Signal::SIGTERM);
    relay.wait_for("tcprelay: draining 1", 1);
    until("the port is closed", || {
        std::net::TcpStream::connect(("127.0.0.1", relay.port)).err()
    });
    client.write_all(b"?").expect("it is served");
    client.read_exact(&mut [0]).expect("it is served");
    drop(client);
    assert_eq!(relay.ended().code(), Some(0));
}

#[test]
fn second_term_ends_at_once_and_so_does_a_drain_of_0() {
    let a = Remote::new("A");
    for options in [&[][..], &["--drain=0"], &["--drain=0", "--kill=5"]] {
        let mut relay = Relay::start(options, &[&a.operand()]);
        let mut client = relay.connect();
        client.read_exact(&mut [0]).expect("a remote has it");
        relay.signal(Signal::SIGTERM);
        relay.wait_for("tcprelay: draining 1", 1);
        if options.is_empty() {
            relay.signal(Signal::SIGTERM);
        }
        assert_eq!(relay.ended().code(), Some(0));
        // An end, or a reset: it is over.
        assert!(client.read(&mut [0]).unwrap_or(0) == 0);
    }
}
