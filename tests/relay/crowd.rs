//! Many sessions, and too few descriptors.

use std::io::{Read, Write};
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::temp::TempDir;
use crate::world::{Relay, Remote, program, size, until};

/// Idle sessions that one process holds here: as many as the variable says and descriptors allow. Each needs two descriptors
/// of ours, and two of its own.
fn many() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("within the limit");
    let possible = usize::try_from(hard).expect("64 bits").saturating_sub(200) / 2;
    size("RELAY_IDLE", 1000).min(possible)
}

#[test]
fn many_idle_sessions_hold_two_sockets_each_and_no_pipe() {
    let count = many();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN).expect("it listens");
    let address = listener.local_addr().expect("it is bound").to_string();
    let relay = Relay::start(&["-c20000", "--threads=2"], &[&address]);
    let big = vec![b'x'; 100_000];
    let mut sessions = Vec::new();
    for number in 0..count {
        let mut client = relay.connect();
        let (mut remote, _) = listener.accept().expect("a connection");
        if number % 100 == 0 {
            // It was busy once.
            let sent = big.clone();
            let sender = std::thread::spawn(move || {
                remote.write_all(&sent).expect("it is taken");
                remote
            });
            client
                .read_exact(&mut vec![0; big.len()])
                .expect("all of it");
            remote = sender.join().expect("no panic");
        }
        sessions.push((client, remote));
    }
    relay.wait_for("tcprelay: ok ", count);
    let descriptors = relay.descriptors();
    let pipes = descriptors
        .iter()
        .filter(|name| name.starts_with("pipe:"))
        .count();
    let sockets = descriptors
        .iter()
        .filter(|name| name.starts_with("socket:"))
        .count();
    assert_eq!(sockets, 2 * count + 2, "the listener, and its copy");
    // The pool of each of the two threads keeps the one that was used. Of others, the process has a handful.
    assert!(pipes <= 2 * 2 + 1, "{pipes} pipe ends");
    assert!(descriptors.len() < sockets + pipes + 24, "{descriptors:?}");
    for (client, remote) in sessions.iter_mut().step_by(37) {
        client.write_all(b"ping").expect("it is taken");
        remote.read_exact(&mut [0; 4]).expect("it arrives");
    }
}

#[test]
fn without_descriptors_sessions_wait_or_fail_and_nothing_spins() {
    let a = Remote::new("A");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24; exec \"$@\"", "sh"]);
    command.arg(program("tcprelay"));
    command.args(["-1vRHl0", "--threads=1", "127.0.0.1", "0", &a.operand()]);
    let relay = Relay::run(TempDir::new(), command);
    let clients: Vec<_> = (0..20).map(|_| relay.connect()).collect();
    until("it has no descriptors left", || {
        let said = relay.log();
        (said.contains("process cannot open more files") || said.contains("unable to accept"))
            .then_some(())
    });
    let time = || {
        let text =
            std::fs::read_to_string(format!("/proc/{}/schedstat", relay.pid())).expect("/proc");
        text.split(' ')
            .next()
            .expect("a number")
            .parse::<u64>()
            .expect("a number")
    };
    let before = time();
    std::thread::sleep(std::time::Duration::from_millis(600));
    // A loop would have used all of it.
    assert!(time() - before < 300_000_000);
    drop(clients);
    until("it serves again", || {
        (relay.ask(b"!") == b"A!").then_some(())
    });
}
