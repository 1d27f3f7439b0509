//! A new version under supervisors: none of them notices, and s6 knows when the server is ready.

use std::net::Ipv4Addr;

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
