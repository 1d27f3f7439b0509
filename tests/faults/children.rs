//! Programs that die, stop, are killed, leave a child of their own behind, or do not want to go.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::crowd::{Crowd, state};
use crate::service::FRIEND;
use crate::support::net;
use crate::world::{self, Server, World, children, eventually, lossy};

fn start(world: &World, limit: usize, program: &[&str]) -> Crowd {
    Crowd::start(world, limit, &["-HRl0"], program, |launch| launch)
}

/// One visit to a server of `script`.
fn visit(crowd: &Crowd) -> String {
    lossy(&net::receive_all(&mut crowd.connect(FRIEND)))
}

#[test]
fn program_that_dies_or_is_killed_frees_its_slot() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    for signal in ["SEGV", "KILL", "TERM", "ABRT", "PIPE", "HUP"] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        let crowd = start(&world, 1, &["sh", "-c", &script]);
        for _ in 0..5 {
            assert_eq!(visit(&crowd), "");
        }
        let tally = crowd.assert_at_rest_after(5);
        assert_eq!(tally.failed, 5, "{signal}");
        crowd.terminate();
    }
}

#[test]
fn program_that_is_stopped_keeps_its_slot_until_it_ends() {
    let Some(world) = world::with(&["sh", "echo"]) else {
        return;
    };
    let crowd = start(&world, 2, &["sh", "-c", "kill -STOP $$; echo served"]);
    let mut stopped = crowd.connect(FRIEND);
    let mut child = 0;
    eventually("the program is stopped", || {
        child = children(crowd.pid()).first().copied().unwrap_or(0);
        child != 0 && state(child) == 'T'
    });
    let mut second = crowd.connect(FRIEND);
    eventually("the second is stopped too", || {
        let all = children(crowd.pid());
        all.len() == 2 && all.iter().all(|&child| state(child) == 'T')
    });
    assert_eq!(crowd.tally().end, 0);
    for child in children(crowd.pid()) {
        kill(Pid::from_raw(child), Signal::SIGCONT).expect("it is there");
    }
    assert_eq!(net::receive_all(&mut stopped), b"served\n");
    assert_eq!(net::receive_all(&mut second), b"served\n");
    crowd.assert_at_rest_after(2);
    crowd.terminate();
}

#[test]
fn child_of_a_program_holds_no_slot() {
    let Some(world) = world::with(&["sh", "sleep"]) else {
        return;
    };
    let crowd = start(&world, 1, &["sh", "-c", "sleep 1000 & echo $!"]);
    let mut left: Vec<(TcpStream, i32)> = Vec::new();
    for _ in 0..5 {
        let mut stream = crowd.connect(FRIEND);
        let pid = lossy(&net::receive_line(&mut stream));
        left.push((stream, pid.trim().parse().expect("the script prints a pid")));
    }
    crowd.assert_at_rest_after(5);
    for (mut stream, pid) in left {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it sleeps");
        assert_eq!(net::receive_all(&mut stream), b"");
    }
    crowd.terminate();
}

#[test]
fn storm_of_sigchld_and_children_that_end_together_lose_no_end() {
    let Some(world) = world::with(&["cat"]) else {
        return;
    };
    // With many, the one that a signal tells of is asked for first.
    for (many, rounds) in [(40, 2), (120, 1)] {
        end_together(&world, many, rounds);
    }
}

fn end_together(world: &World, many: usize, rounds: usize) {
    let crowd = start(world, many, &["cat"]);
    let server = Pid::from_raw(i32::try_from(crowd.pid()).expect("a pid"));
    for round in 1..=rounds {
        let all: Vec<TcpStream> = (0..many).map(|_| crowd.connect(FRIEND)).collect();
        crowd.wait("all are served", |tally| tally.ok == many * round);
        for _ in 0..2000 {
            kill(server, Signal::SIGCHLD).expect("the server runs");
        }
        // All at once: the kernel tells of many ends by one signal.
        kill(server, Signal::SIGSTOP).expect("the server runs");
        eventually("the server is stopped", || state(server.as_raw()) == 'T');
        drop(all);
        eventually("all programs have ended", || {
            children(crowd.pid())
                .iter()
                .all(|&child| state(child) == 'Z')
        });
        kill(server, Signal::SIGCONT).expect("the server runs");
        let tally = crowd.assert_at_rest_after(many * round);
        assert_eq!(tally.end, many * round);
    }
    crowd.terminate();
}

#[test]
fn program_that_ignores_sigterm_keeps_its_slot_and_is_let_be() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let crowd = start(
        &world,
        1,
        &["sh", "-c", "trap '' TERM; echo ready; exec cat"],
    );
    let mut stream = crowd.connect(FRIEND);
    assert_eq!(net::receive_line(&mut stream), b"ready\n");
    for child in children(crowd.pid()) {
        kill(Pid::from_raw(child), Signal::SIGTERM).expect("it runs");
    }
    let mut waiting = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, crowd.server.port, |_| false)
        .expect("the queue has room");
    net::half_close(&stream);
    assert_eq!(net::receive_all(&mut stream), b"");
    net::half_close(&waiting);
    assert_eq!(net::receive_all(&mut waiting), b"ready\n");
    crowd.assert_at_rest_after(2);
    crowd.terminate();
}

/// A process that no parent is left for becomes a child of process 1.
#[test]
fn process_1_keeps_no_zombie_and_ends_by_sigint_too() {
    let Some(world) = world::with_root_and(&["unshare", "sh", "echo"]) else {
        return;
    };
    let trial = ["--pid", "--fork", "true"];
    if !world.run("unshare", trial).status.success() {
        return world::skip("it may not make a pid namespace");
    }
    let gate = world.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("the folder is ours");
    // Open in both directions at once: opening it never waits for the other side.
    let mut gate = File::options()
        .read(true)
        .write(true)
        .open(gate)
        .expect("the fifo is ours");
    let script = format!("(read line <{}) & echo served", world.name("gate"));
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let tcpserver = world.our("tcpserver");
        let words = [
            &["--pid", "--fork", &tcpserver, "-1vHRl0", "127.0.0.1", "0"][..],
            &["sh", "-c", &script],
        ];
        let mut server = Server::on(world.start(world.program("unshare", words.concat())));
        let process_1 = Pid::from_raw(children(server.process.pid())[0]);
        let its_children = || children(u32::try_from(process_1.as_raw()).expect("a pid"));
        let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
            .expect("the server listens");
        assert_eq!(net::receive_line(&mut stream), b"served\n");
        server.log().wait_for("tcpserver: status: 0/40", 2);
        eventually("the orphan runs alone", || its_children().len() == 1);
        gate.write_all(b"end\n").expect("a fifo takes a line");
        eventually("the orphan is gone", || its_children().is_empty());
        kill(process_1, signal).expect("the server runs");
        assert_eq!(server.process.wait().code(), Some(0), "{signal}");
    }
}
