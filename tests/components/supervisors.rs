//! A new version under supervisors: none of them notices, and s6 knows when the server is ready.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::support::net;
use crate::world::{self, World, eventually, lossy};

/// A supervisor of the service directory `service`.
struct Supervisor {
    name: &'static str,
    /// What else it needs.
    also: &'static str,
    /// Has SIGUSR2 sent to the server.
    upgrade: &'static str,
    /// Prints the server's pid.
    pid: &'static str,
    /// Ends both.
    end: &'static str,
}

const SUPERVISORS: [Supervisor; 3] = [
    Supervisor {
        name: "supervise",
        also: "svc",
        // svc has no word for it.
        upgrade: "kill -USR2 $(svstat service | sed 's/.*(pid \\([0-9]*\\)).*/\\1/')",
        pid: "svstat service | sed 's/.*(pid \\([0-9]*\\)).*/\\1/'",
        end: "svc -dx service",
    },
    Supervisor {
        name: "runsv",
        also: "sv",
        upgrade: "sv 2 ./service",
        pid: "cat service/supervise/pid",
        end: "sv exit ./service",
    },
    Supervisor {
        name: "s6-supervise",
        also: "s6-svwait",
        upgrade: "s6-svc -2 service",
        pid: "s6-svstat -o pid service",
        end: "s6-svc -dx service",
    },
];

fn shell(world: &World, script: &str) -> String {
    lossy(&world.succeed(world.program("sh", ["-c", script])))
}

#[test]
fn no_supervisor_notices_a_new_version_and_connections_go_on() {
    for supervisor in SUPERVISORS {
        let programs = [supervisor.name, supervisor.also, "sh", "sed", "cat"];
        let Some(world) = world::with_root_and(&programs) else {
            continue;
        };
        let (_held, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let is_s6 = supervisor.name == "s6-supervise";
        let ready = if is_s6 { "--notify-fd=3" } else { "-v" };
        world.script(
            "service/run",
            &format!(
                "#!/bin/sh\nexec tcpserver -vRHl0 --upgrade {ready} 127.0.0.1 {port} cat 2>>../log\n"
            ),
        );
        if is_s6 {
            world.write("service/notification-fd", "3\n");
        }
        let mut process = world.start(world.program(supervisor.name, ["service"]));
        if is_s6 {
            eventually("s6 supervises", || {
                let asked = world.run("s6-svstat", ["service"]);
                asked.status.success()
            });
            // From then on it is asked without another look whether it listens.
            world.succeed(world.program("s6-svwait", ["-U", "-t", "60000", "service"]));
        } else {
            eventually("the server listens", || {
                std::fs::read(world.path("log")).is_ok_and(|log| lossy(&log).contains("status: 0/"))
            });
        }
        let at = Ipv4Addr::LOCALHOST;
        let connect = || net::connect_from(at, at, port, |_| false).expect("it listens");
        let mut stream = connect();
        let mut hears = |line: &[u8]| {
            net::send(&mut stream, line);
            assert_eq!(lossy(&net::receive_line(&mut stream)), lossy(line));
        };
        hears(b"one\n");
        let pid = shell(&world, supervisor.pid);
        assert!(pid.trim().parse::<u32>().is_ok(), "{pid}");
        shell(&world, supervisor.upgrade);
        eventually("the next version goes on", || {
            let log = std::fs::read(world.path("log")).expect("it is there");
            lossy(&log).contains("tcpserver: upgraded, 1 connections go on\n")
        });
        hears(b"two\n");
        assert_eq!(shell(&world, supervisor.pid), pid, "{}", supervisor.name);
        let mut second = connect();
        net::send(&mut second, b"three\n");
        assert_eq!(net::receive_line(&mut second), b"three\n");
        drop((stream, second));
        shell(&world, supervisor.end);
        process.wait();
    }
}

#[test]
fn fd_holder_keeps_the_socket_while_there_is_no_server() {
    let programs = [
        "s6-fdholder-daemon",
        "s6-fdholder-store",
        "s6-fdholder-retrieve",
        "cat",
    ];
    let Some(world) = world::with(&programs) else {
        return;
    };
    let rights = format!("rules/uid/{}", nix::unistd::geteuid());
    world.write(&format!("{rights}/allow"), "");
    for right in ["STORE", "RETRIEVE"] {
        world.write(&format!("{rights}/env/S6_FDHOLDER_{right}_REGEX"), ".\n");
    }
    let holder = world.program("s6-fdholder-daemon", ["-1", "-i", "rules", "holder"]);
    let mut holder = world.start(holder);
    // Its line says that it listens.
    holder.stdout.as_ref().expect("a pipe").first_line();
    let at = Ipv4Addr::LOCALHOST;
    let listener = net::listener(at);
    let port = listener.local_addr().expect("it is bound").port();
    let store = world.program("s6-fdholder-store", ["-d", "9", "holder", "web"]);
    world.succeed(store.inherit(9, listener));
    let connect = || net::connect_from(at, at, port, |_| false).expect("the holder has it");
    // Who comes while nobody serves, waits for the next one.
    let mut waiting = connect();
    for turn in 0..2 {
        let port = port.to_string();
        let words = [
            "holder",
            "web",
            "tcpserver",
            "-vRHl0",
            "--inherit",
            "--upgrade",
        ];
        let words = [&words[..], &["--drain=60", "127.0.0.1", &port, "cat"]].concat();
        let server = world.start(world.program("s6-fdholder-retrieve", words));
        let log = server.stderr.as_ref().expect("a pipe");
        net::send(&mut waiting, b"one\n");
        assert_eq!(net::receive_line(&mut waiting), b"one\n", "turn {turn}");
        server.signal(Signal::SIGUSR2);
        log.wait_for("tcpserver: upgraded, 1 connections go on", 1);
        let mut other = connect();
        net::send(&mut other, b"two\n");
        assert_eq!(net::receive_line(&mut other), b"two\n");
        server.signal(Signal::SIGTERM);
        log.wait_for("tcpserver: draining 2", 1);
        waiting = connect();
        drop(other);
        // Replaced above: the first of this turn has ended.
        assert_eq!(server.outcome().status.code(), Some(0));
    }
    holder.signal(Signal::SIGTERM);
    holder.wait();
}
