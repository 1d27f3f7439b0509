//! More connections than anybody wants, from peers that do not behave.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;

use crate::crowd::{Crowd, may_open, number, reset, state, tell};
use crate::network;
use crate::service::{FOE, FRIEND};
use crate::support::launch::Launch;
use crate::support::net;
use crate::world::{self, eventually};

const RULES: &str = "127.0.0.1:allow\n127.0.1.:allow\n:deny\n";
/// In `ci/soak` it is more.
const SHORT_ONES: usize = 6000;
const IDLE_ONES: usize = 10_000;
const VISITORS: usize = 4;

/// Where a connection is reset, cat says so.
const QUIET_CAT: [&str; 3] = ["sh", "-c", "exec cat 2>/dev/null"];

fn as_it_is(launch: Launch) -> Launch {
    launch
}

#[test]
fn short_connections_and_resets_leave_nothing_behind() {
    let Some(world) = world::with(&["true"]) else {
        return;
    };
    let rules = world.rules(RULES);
    let count = number("UCSPI_FLOOD").unwrap_or(SHORT_ONES);
    let crowd = Crowd::start(&world, 40, &["-HRl0", "-x", &rules], &["true"], as_it_is);
    // A connection that is reset before it is accepted may never have been one for the server.
    let resets = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for visitor in 0..VISITORS {
            let (crowd, resets) = (&crowd, &resets);
            scope.spawn(move || {
                for turn in 0..count / VISITORS {
                    match (turn + visitor) % 3 {
                        0 => {
                            let mut stream = crowd.connect(FRIEND);
                            assert_eq!(net::receive_all(&mut stream), b"");
                        }
                        1 => {
                            let mut stream = crowd.connect(FOE);
                            assert_eq!(net::receive_all(&mut stream), b"");
                        }
                        _ => {
                            reset(crowd.connect(FRIEND));
                            resets.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let least = count / VISITORS * VISITORS - resets.load(Ordering::SeqCst);
    let tally = crowd.assert_at_rest_after(least);
    assert_eq!((tally.failed, tally.warnings), (0, 0));
    tell(&format!(
        "floods: {count} short connections: {} served, {} denied",
        tally.ok, tally.deny
    ));
    crowd.terminate();
}

#[test]
fn ten_thousand_idle_connections_are_held_and_let_go() {
    let Some(world) = world::with(&["true"]) else {
        return;
    };
    // The server's descriptors: a connection and a question each.
    if !may_open(12_000) || !network::enter() {
        return;
    }
    let rules = world.rules("=friend.test:allow\n:deny\n");
    let names = network::HeldNames::new();
    let options = ["-Rl0", "-x", &rules, "-b4096", "--lookup-timeout=1000"];
    let crowd = Crowd::start(&world, IDLE_ONES + 1, &options, &["true"], |launch| {
        launch.env("DNSCACHEIP", network::NAME_SERVER.to_string())
    });
    let mut held: Vec<TcpStream> = (0..IDLE_ONES)
        .map(|number| {
            let [low, high] = u16::try_from(number % 200).unwrap_or(0).to_le_bytes();
            crowd.connect(Ipv4Addr::new(127, 0, 1 + high, low))
        })
        .collect();
    crowd.wait("all are held", |tally| tally.most == IDLE_ONES);
    // Half of them go while their look-ups are open.
    for stream in held.split_off(IDLE_ONES / 2) {
        reset(stream);
    }
    names.release();
    let mut friend = crowd.connect(FRIEND);
    assert_eq!(net::receive_all(&mut friend), b"");
    for stream in &mut held {
        assert_eq!(net::receive_all(stream), b"");
    }
    let tally = crowd.assert_at_rest_after(IDLE_ONES + 1);
    assert_eq!((tally.ok, tally.deny), (1, IDLE_ONES));
    crowd.terminate();
}

#[test]
fn peer_is_served_while_another_opens_connections_as_fast_as_it_can() {
    let Some(world) = world::with(&["echo"]) else {
        return;
    };
    let rules = world.rules(RULES);
    for options in [&["-HRl0"][..], &["-HRl0", "-x", &rules]] {
        let crowd = Crowd::start(&world, 3, options, &["echo", "served"], as_it_is);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    drop(crowd.connect(FOE));
                }
            });
            for _ in 0..100 {
                let mut stream = crowd.connect(FRIEND);
                assert_eq!(net::receive_all(&mut stream), b"served\n");
            }
            is_over.store(true, Ordering::SeqCst);
        });
        crowd.assert_at_rest_after(100);
        crowd.terminate();
    }
}

#[test]
fn resets_in_every_state_free_the_slot() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    // No more of a banner than this is under way.
    fs::write("/proc/sys/net/ipv4/tcp_wmem", "4096 4096 4096").expect("this network is ours");
    let names = network::HeldNames::new();
    let banner = "b".repeat(100_000);
    let with_names = |launch: Launch| launch.env("DNSCACHEIP", network::NAME_SERVER.to_string());
    let slow = |crowd: &Crowd| {
        let stream = crowd.connect(FRIEND);
        setsockopt(&stream, sockopt::RcvBuf, &2048).expect("a socket takes SO_RCVBUF");
        stream
    };

    // While the banner is sent, with all slots taken; then a slow reader that takes it byte by byte.
    let crowd = Crowd::start(&world, 3, &["-HRl0", "-B", &banner], &QUIET_CAT, as_it_is);
    let waiting: Vec<TcpStream> = (0..3).map(|_| slow(&crowd)).collect();
    crowd.wait("all slots are taken", |tally| tally.most == 3);
    for stream in waiting {
        reset(stream);
    }
    crowd.wait("all were dropped", |tally| tally.warnings == 3);
    let mut reader = slow(&crowd);
    net::half_close(&reader);
    let mut byte = [0];
    let mut taken = 0;
    while reader.read(&mut byte).expect("the banner comes") == 1 {
        taken += 1;
    }
    assert_eq!(taken, banner.len());
    crowd.assert_at_rest_after(4);
    crowd.terminate();

    // While it is looked up.
    let crowd = Crowd::start(&world, 3, &["-Rl0"], &QUIET_CAT, with_names);
    names.hold();
    let waiting: Vec<TcpStream> = (0..3).map(|_| crowd.connect(FRIEND)).collect();
    crowd.wait("all slots are taken", |tally| tally.most == 3);
    names.wait_for(1);
    for stream in waiting {
        reset(stream);
    }
    names.release();
    crowd.assert_at_rest_after(3);

    // While the program runs.
    let waiting: Vec<TcpStream> = (0..3).map(|_| crowd.connect(FRIEND)).collect();
    for mut stream in waiting {
        stream.write_all(b"x").expect("it is connected");
        stream.read_exact(&mut [0]).expect("the program answers");
        reset(stream);
    }
    crowd.assert_at_rest_after(6);

    // Before it is accepted.
    let server = Pid::from_raw(i32::try_from(crowd.pid()).expect("a pid"));
    kill(server, Signal::SIGSTOP).expect("the server runs");
    eventually("the server is stopped", || state(server.as_raw()) == 'T');
    for _ in 0..10 {
        reset(crowd.connect(FRIEND));
    }
    kill(server, Signal::SIGCONT).expect("the server runs");
    let mut friend = crowd.connect(FRIEND);
    net::half_close(&friend);
    assert_eq!(net::receive_all(&mut friend), b"");
    crowd.assert_at_rest_after(7);
    crowd.terminate();
}

#[test]
fn crowd_beyond_limit_and_queue_is_served_in_the_end() {
    let Some(world) = world::with(&["cat"]) else {
        return;
    };
    let crowd = Crowd::start(&world, 40, &["-HRl0", "-b1000"], &["cat"], as_it_is);
    let mut all: Vec<TcpStream> = (0..800).map(|_| crowd.connect(FRIEND)).collect();
    crowd.wait("all slots are taken", |tally| tally.most == 40);
    for stream in &mut all {
        stream.write_all(b"one line\n").expect("it is connected");
        net::half_close(stream);
    }
    for stream in &mut all {
        assert_eq!(net::receive_all(stream), b"one line\n");
    }
    crowd.assert_at_rest_after(800);
    crowd.terminate();
}

#[test]
fn stopped_server_serves_all_who_came_when_it_goes_on() {
    let Some(world) = world::with(&["echo"]) else {
        return;
    };
    let crowd = Crowd::start(
        &world,
        40,
        &["-HRl0", "-b100"],
        &["echo", "served"],
        as_it_is,
    );
    let server = Pid::from_raw(i32::try_from(crowd.pid()).expect("a pid"));
    for _ in 0..5 {
        kill(server, Signal::SIGSTOP).expect("the server runs");
        eventually("the server is stopped", || state(server.as_raw()) == 'T');
        let waiting: Vec<TcpStream> = (0..20).map(|_| crowd.connect(FRIEND)).collect();
        kill(server, Signal::SIGCONT).expect("the server runs");
        for mut stream in waiting {
            assert_eq!(net::receive_all(&mut stream), b"served\n");
        }
    }
    crowd.assert_at_rest_after(100);
    crowd.terminate();
}
