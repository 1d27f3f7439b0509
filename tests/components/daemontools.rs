//! A server under `supervise`, as an administrator writes it: `envuidgid`, `softlimit`, `multilog`.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;

use crate::support::launch::{Input, Output};
use crate::support::net;
use crate::support::process::Process;
use crate::world::{self, World, eventually, lossy};

/// A service with its log service, both supervised. Its program says who it is, then repeats one line.
struct Service<'w> {
    world: &'w World,
    supervise: Process,
    supervise_log: Process,
    port: u16,
    _reserved: OwnedFd,
}

impl<'w> Service<'w> {
    fn start(world: &'w World) -> Self {
        let (reserved, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let program = "echo \"uid $(id -u)\"; read line; echo \"got $line\"";
        world.script(
            "service/run",
            &format!(
                "#!/bin/sh\nexec 2>&1\nexec envuidgid nobody softlimit -m 20000000 \\\n  \
                 tcpserver -vUHRl0 -c 10 127.0.0.1 {port} sh -c '{program}'\n"
            ),
        );
        world.script("service/log/run", "#!/bin/sh\nexec multilog t ./main\n");
        let (from_service, to_log) = io::pipe().expect("the system has pipes");
        let launch = world.program("supervise", ["service"]);
        let supervise = world.start(launch.stdout(Output::File(OwnedFd::from(to_log).into())));
        let launch = world.program("supervise", ["service/log"]);
        let supervise_log =
            world.start(launch.stdin(Input::File(OwnedFd::from(from_service).into())));
        Self {
            world,
            supervise,
            supervise_log,
            port,
            _reserved: reserved,
        }
    }

    fn svc(&self, order: &str, folder: &str) {
        self.world
            .succeed(self.world.program("svc", [order, folder]));
    }

    /// `up (pid 123) 4 seconds`, or `down ...`.
    fn state(&self) -> String {
        let line = lossy(
            &self
                .world
                .succeed(self.world.program("svstat", ["service"])),
        );
        line.trim_start_matches("service: ").trim_end().to_owned()
    }

    /// The server's pid when it is up.
    fn pid(&self) -> Option<String> {
        let state = self.state();
        let (_, rest) = state.split_once("up (pid ")?;
        Some(rest.split_once(')')?.0.to_owned())
    }

    /// A connection whose program runs, once the server listens.
    fn connect(&self) -> TcpStream {
        eventually("the server listens", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
        let mut stream =
            net::connect_from(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, self.port, |_| {
                false
            })
            .expect("the server listens");
        assert_eq!(lossy(&net::receive_line(&mut stream)), "uid 65534\n");
        stream
    }

    fn log(&self) -> String {
        lossy(&fs::read(self.world.path("service/log/main/current")).unwrap_or_default())
    }

    fn end(mut self) {
        self.svc("-dx", "service");
        self.supervise.wait();
        // What is left of the service's children has the log open; multilog ends after the last of them.
        self.svc("-dx", "service/log");
        self.supervise_log.wait();
    }
}

/// The program at the other end still answers.
fn assert_goes_on(mut stream: TcpStream) {
    net::send(&mut stream, b"hello\n");
    assert_eq!(lossy(&net::receive_all(&mut stream)), "got hello\n");
}

const PROGRAMS: [&str; 7] = [
    "supervise",
    "svc",
    "svstat",
    "envuidgid",
    "softlimit",
    "multilog",
    "sh",
];

#[test]
fn supervised_server_ends_at_once_and_its_running_children_go_on() {
    let Some(world) = world::with_root_and(&PROGRAMS) else {
        return;
    };
    let service = Service::start(&world);
    let stream = service.connect();
    // It ends while its child, who waits for this client, goes on.
    service.svc("-d", "service");
    eventually("the server is down", || service.state().starts_with("down"));
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, service.port));
    assert!(
        refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused),
        "nobody listens any more"
    );
    assert_goes_on(stream);
    eventually("multilog has written the log", || {
        service.log().contains(" tcpserver: ok ")
    });
    let log = service.log();
    assert!(
        log.lines().all(|line| line.starts_with("@40000000")),
        "each line has its time:\n{log}"
    );
    assert!(log.contains(" tcpserver: status: 0/10\n"), "{log}");
    service.end();
}

#[test]
fn restarted_server_listens_at_once_where_its_predecessor_s_children_still_talk() {
    let Some(world) = world::with_root_and(&PROGRAMS) else {
        return;
    };
    let service = Service::start(&world);
    let stream = service.connect();
    let before = service.pid();
    service.svc("-t", "service");
    eventually("supervise has started another server", || {
        let pid = service.pid();
        pid.is_some() && pid != before
    });
    assert_goes_on(service.connect());
    assert_goes_on(stream);
    assert!(!service.log().contains("fatal"), "{}", service.log());
    service.end();
}
