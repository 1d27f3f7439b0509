//! How a server ends: at once, when its programs have, when it has waited long enough, or by ending them.

use std::net::{Ipv4Addr, TcpStream};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::crowd::state;
use crate::network;
use crate::service::{FRIEND, has_ended, log_of};
use crate::support::net;
use crate::support::process::describe;
use crate::world::{self, Server, World, children, eventually, lossy};

/// So long that a test that waited for it would fail.
const LONG: &str = "100000";
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM; echo ready; exec cat"];
const MEEK: [&str; 3] = ["sh", "-c", "echo ready; exec cat"];

struct Drained {
    server: Server,
    client: TcpStream,
}

/// A server with one connection, whose program runs and has said so.
fn serving(world: &World, options: &[String], program: &[&str]) -> Drained {
    let fixed = ["-v", "-HRl0", "127.0.0.1", "0"].map(str::to_owned);
    let program = program.iter().map(|&word| word.to_owned());
    let words: Vec<String> = options
        .iter()
        .cloned()
        .chain(fixed)
        .chain(program)
        .collect();
    let server = world.serve(words);
    let mut client = connect(&server);
    assert_eq!(net::receive_line(&mut client), b"ready\n");
    Drained { server, client }
}

fn connect(server: &Server) -> TcpStream {
    net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens")
}

fn drain(seconds: &str) -> Vec<String> {
    vec![format!("--drain={seconds}")]
}

fn drain_and_kill(drain: &str, kill: &str) -> Vec<String> {
    vec![format!("--drain={drain}"), format!("--kill={kill}")]
}

impl Drained {
    fn terminate(&self) {
        self.server.process.signal(Signal::SIGTERM);
    }

    /// The server has ended by itself, with 0, whatever its programs do.
    fn wait(&mut self) {
        let status = self.server.process.wait();
        assert_eq!(describe(status), "exit: 0");
    }

    fn log(&self) -> String {
        log_of(&self.server.process)
    }

    /// The program still answers; then it ends.
    fn assert_program_goes_on(mut self) {
        net::send(&mut self.client, b"still there\n");
        assert_eq!(net::receive_line(&mut self.client), b"still there\n");
        net::half_close(&self.client);
        assert_eq!(net::receive_all(&mut self.client), b"");
    }

    /// The log says how the program ended, and that nothing was left.
    fn assert_program_ended(&self, status: i32) {
        self.server.log().wait_for("tcpserver: status: 0/40", 2);
        let log = self.log();
        assert!(log.contains(&format!(" status {status}\n")), "{log}");
        assert!(log.ends_with("tcpserver: status: 0/40\n"), "{log}");
    }
}

#[test]
fn drain_with_nothing_left_ends_at_once() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    for options in [drain(LONG), drain_and_kill(LONG, LONG)] {
        let mut drained = serving(&world, &options, &MEEK);
        net::half_close(&drained.client);
        drained.server.log().wait_for("tcpserver: status: 0/40", 2);
        drained.terminate();
        drained.wait();
        drained.server.log().wait_for("tcpserver: draining 0", 1);
    }
}

#[test]
fn drain_waits_for_programs_and_takes_no_new_connections() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let mut drained = serving(&world, &drain(LONG), &MEEK);
    let mut second = connect(&drained.server);
    assert_eq!(net::receive_line(&mut second), b"ready\n");
    drained.terminate();
    drained.server.log().wait_for("tcpserver: draining 2", 1);
    let port = drained.server.port;
    let refused = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, port, |_| false);
    assert!(refused.is_err(), "the listener is still open");
    net::half_close(&second);
    drained.server.log().wait_for("tcpserver: status: 1/40", 2);
    assert!(!has_ended(drained.server.process.pid()), "one is left");
    net::half_close(&drained.client);
    drained.wait();
    drained.assert_program_ended(0);
}

#[test]
fn drain_ends_when_it_has_waited_long_enough_and_programs_go_on() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    for seconds in ["0", "1"] {
        let mut drained = serving(&world, &drain(seconds), &MEEK);
        drained.terminate();
        drained.wait();
        drained.server.log().wait_for("tcpserver: draining 1", 1);
        drained.assert_program_goes_on();
    }
}

#[test]
fn second_sigterm_ends_a_draining_server_at_once() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    for options in [drain(LONG), drain_and_kill("0", LONG)] {
        let mut drained = serving(&world, &options, &STUBBORN);
        drained.terminate();
        drained.server.log().wait_for("tcpserver: draining 1", 1);
        drained.terminate();
        drained.wait();
        drained.assert_program_goes_on();
    }
}

#[test]
fn kill_ends_a_program_by_sigterm() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    for options in [
        drain_and_kill("0", LONG),
        drain_and_kill("1", LONG),
        vec![format!("--kill={LONG}")],
    ] {
        let mut drained = serving(&world, &options, &MEEK);
        drained.terminate();
        drained.wait();
        drained.assert_program_ended(libc::SIGTERM);
    }
}

#[test]
fn kill_ends_by_sigkill_what_ignores_sigterm_or_is_stopped() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    for (program, is_stopped) in [(&STUBBORN, false), (&MEEK, true)] {
        let mut drained = serving(&world, &drain_and_kill("0", "1"), program);
        if is_stopped {
            let child = children(drained.server.process.pid())[0];
            kill(Pid::from_raw(child), Signal::SIGSTOP).expect("the program runs");
            eventually("the program is stopped", || state(child) == 'T');
        }
        drained.terminate();
        drained.wait();
        drained.assert_program_ended(libc::SIGKILL);
    }
}

/// The program's child has the connection open, so its end shows there.
#[test]
fn kill_ends_what_programs_started() {
    let Some(world) = world::with(&["sh", "cat", "sleep"]) else {
        return;
    };
    for script in [
        // Ends by SIGTERM, as does the program.
        "sleep 100000 & echo ready; wait",
        // Outlives the program, which does not wait for it.
        "(trap '' TERM; exec sleep 100000) & sleep 0.1; echo ready; exec cat",
        // Has a child of its own.
        "sh -c 'trap \"\" TERM; sleep 100000 & wait; wait' & sleep 0.1; echo ready; wait",
    ] {
        let mut drained = serving(&world, &drain_and_kill("0", "1"), &["sh", "-c", script]);
        drained.terminate();
        drained.wait();
        assert_eq!(net::receive_all(&mut drained.client), b"", "{script}");
    }
}

#[test]
fn without_kill_programs_stay_in_the_group_of_the_server() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    for (options, is_own) in [
        (vec![], false),
        (drain(LONG), false),
        (vec![format!("--kill={LONG}")], true),
    ] {
        let mut drained = serving(&world, &options, &MEEK);
        let child = Pid::from_raw(children(drained.server.process.pid())[0]);
        let server = i32::try_from(drained.server.process.pid()).expect("a pid");
        let group = nix::unistd::getpgid(Some(child)).expect("the program runs");
        let expected = if is_own { child } else { Pid::from_raw(server) };
        assert_eq!(group, expected, "{options:?}");
        net::half_close(&drained.client);
        drained.terminate();
        drained.wait();
    }
}

#[test]
fn what_is_undecided_when_programs_are_ended_is_dropped() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    let names = network::HeldNames::new();
    let words = [
        "-1",
        "-v",
        "-Rl0",
        "--drain=0",
        "--kill=1",
        "127.0.0.1",
        "0",
    ];
    let launch = world.program("tcpserver", words.iter().chain(&STUBBORN));
    let cache = network::NAME_SERVER.to_string();
    let mut server = Server::on(world.start(launch.env("DNSCACHEIP", cache)));
    names.release();
    let mut stubborn = connect(&server);
    assert_eq!(net::receive_line(&mut stubborn), b"ready\n");
    names.hold();
    let mut late = connect(&server);
    names.wait_for(1);
    server.process.signal(Signal::SIGTERM);
    // Nothing answers, and nobody waits for it.
    assert_eq!(net::receive_all(&mut late), b"");
    names.release();
    assert_eq!(describe(server.process.wait()), "exit: 0");
    assert_eq!(net::receive_all(&mut stubborn), b"");
    let log = log_of(&server.process);
    let line =
        "tcpserver: warning: dropping connection, unable to decide about it: the server ends\n";
    assert!(log.contains(line), "{log}");
    assert!(
        log.contains("tcpserver: end 4194305 status 28416\n"),
        "{log}"
    );
    assert_eq!(world::count(&log, "tcpserver: ok "), 1, "{log}");
}

#[test]
fn without_drain_nothing_is_said_and_programs_go_on() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let mut drained = serving(&world, &[], &STUBBORN);
    drained.terminate();
    drained.wait();
    assert!(!drained.log().contains("draining"), "{}", drained.log());
    drained.assert_program_goes_on();
}

#[test]
fn connection_that_is_looked_up_is_decided_before_a_server_ends() {
    let Some(world) = world::with(&["echo"]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    let names = network::HeldNames::new();
    for options in [
        &[][..],
        &["--drain=100000"][..],
        &["--drain=100000", "--kill=1"][..],
    ] {
        let fixed = ["-1", "-v", "-Rl0", "127.0.0.1", "0", "echo", "served"];
        let launch = world.program("tcpserver", options.iter().chain(&fixed));
        let cache = network::NAME_SERVER.to_string();
        let server = Server::on(world.start(launch.env("DNSCACHEIP", cache)));
        names.hold();
        let mut client = connect(&server);
        names.wait_for(1);
        server.process.signal(Signal::SIGTERM);
        // It listens no more, so it has the signal.
        eventually("the listener is closed", || {
            net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false).is_err()
        });
        names.release();
        let said = lossy(&net::receive_all(&mut client));
        assert_eq!(said, "served\n", "{options:?}\n{}", log_of(&server.process));
        let outcome = server.process.outcome();
        let log = lossy(&outcome.stderr);
        assert_eq!(describe(outcome.status), "exit: 0", "{log}");
        assert!(log.contains("tcpserver: ok "), "{log}");
    }
}
