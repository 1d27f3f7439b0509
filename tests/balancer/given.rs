//! Sockets that others bind, several listeners, and telling a supervisor that we serve.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;

use crate::support::launch::{Input, Launch};
use crate::support::{deadline, net};
use crate::world::{self, Server, World, lossy};

/// Says where it is reached, and what it sees of what is the server's alone; then it ends.
const TELL: &str = "echo \"$TCPLOCALPORT ${LISTEN_FDS-none} ${LISTEN_PID-none} ${LISTEN_FDNAMES-none} \
    ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none}\"; ls /proc/self/fd | tr '\\n' ' '";

fn port_of(socket: &TcpListener) -> u16 {
    socket.local_addr().expect("it is bound").port()
}

/// Becomes tcpserver with these sockets from descriptor 3 on, as systemd does it.
fn activated(world: &World, sockets: &[&TcpListener], words: &[&str]) -> Launch {
    // Nobody but the process itself knows its number before.
    let script = "export LISTEN_PID=$$; exec tcpserver \"$@\"";
    let words = [&["-c", script, "sh"][..], words].concat();
    let launch = world
        .program("sh", words)
        .env("LISTEN_FDS", sockets.len().to_string());
    let launch = launch.env("LISTEN_FDNAMES", "first:second:third");
    (3..).zip(sockets).fold(launch, |launch, (number, socket)| {
        launch.inherit(
            number,
            OwnedFd::from(socket.try_clone().expect("a descriptor")),
        )
    })
}

fn ask(port: u16) -> String {
    let stream = net::connect_from(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, port, |_| false);
    lossy(&net::receive_all(&mut stream.expect("it listens")))
}

#[test]
fn sockets_that_were_handed_over_are_served_and_programs_see_nothing_of_it() {
    let Some(world) = world::with(&["sh", "ls", "tr"]) else {
        return;
    };
    let [one, two] = [
        net::listener(Ipv4Addr::LOCALHOST),
        net::listener(Ipv4Addr::new(127, 0, 0, 9)),
    ];
    let ports = [port_of(&one), port_of(&two)];
    let also = format!("--also=127.0.0.9:{}", ports[1]);
    // The operands say which is which, whatever their order.
    let words = [
        "-1vRHl0",
        "--inherit",
        &also,
        "127.0.0.1",
        &ports[0].to_string(),
        "sh",
        "-c",
        TELL,
    ];
    let server = Server::on(world.start(activated(&world, &[&two, &one], &words)));
    assert_eq!(server.port, ports[0]);
    drop((one, two));
    let told = ask(ports[0]);
    assert_eq!(
        told,
        format!("{} none none none none none\n0 1 2 3 ", ports[0]),
        "3 is the folder"
    );
    let mut stream = net::connect_from(
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 0, 0, 9),
        ports[1],
        |_| false,
    )
    .expect("it listens");
    let told = lossy(&net::receive_all(&mut stream));
    assert!(told.starts_with(&ports[1].to_string()), "{told}");
    server.terminate();
}

#[test]
fn descriptor_0_may_be_the_socket() {
    let Some(world) = world::with(&["sh", "ls", "tr"]) else {
        return;
    };
    let socket = net::listener(Ipv4Addr::LOCALHOST);
    let port = port_of(&socket);
    let words = ["-1vRHl0", "--inherit", "127.0.0.1", "0", "sh", "-c", TELL];
    // Variables that are another process's.
    let launch = world
        .program("tcpserver", words)
        .env("LISTEN_FDS", "7")
        .env("LISTEN_PID", "1");
    let launch = launch.stdin(Input::File(File::from(OwnedFd::from(socket))));
    let server = Server::on(world.start(launch));
    assert_eq!(server.port, port);
    assert_eq!(
        ask(port),
        format!("{port} none none none none none\n0 1 2 3 ")
    );
    server.terminate();
}

#[test]
fn sockets_that_do_not_fit_are_said_and_nobody_is_served() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let socket = net::listener(Ipv4Addr::LOCALHOST);
    let port = port_of(&socket);
    let fails = |launch: Launch, code: i32, says: &str| {
        let outcome = world.start(launch).outcome();
        let said = lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    };
    let place = format!("127.0.0.1:{port}");
    let words = |host: &'static str, port: &'static str| ["--inherit", "-RHl0", host, port, "true"];
    let there = format!("no inherited socket listens at 127.0.0.9:0; they do at {place} (first)");
    fails(
        activated(&world, &[&socket], &words("127.0.0.9", "0")),
        100,
        &there,
    );
    fails(
        activated(&world, &[&socket], &words("127.0.0.1", "1")),
        100,
        "no inherited socket listens at 127.0.0.1:1;",
    );
    fails(
        activated(&world, &[&socket], &words("0", "0")),
        100,
        "no inherited socket listens at 0.0.0.0:0;",
    );
    let more = format!("nothing is said of the inherited socket at {place} (second)");
    fails(
        activated(&world, &[&socket, &socket], &words("127.0.0.1", "0")),
        100,
        &more,
    );
    let none = "unable to inherit a socket: there is no $LISTEN_FDS for this process, and descriptor 0 does not listen";
    fails(
        world.program("tcpserver", words("127.0.0.1", "0")),
        111,
        none,
    );
    let few = activated(&world, &[&socket], &words("127.0.0.1", "0")).env("LISTEN_FDS", "2");
    fails(
        few,
        111,
        "unable to inherit a socket: descriptor 4 does not listen",
    );
    // What somebody says of descriptors that are ours in the end harms nobody.
    let many =
        activated(&world, &[&socket], &words("127.0.0.1", "0")).env("LISTEN_FDS", "2000000000");
    fails(
        many,
        111,
        "unable to inherit a socket: descriptor 4 does not listen",
    );
}

#[test]
fn several_listeners_share_the_slots() {
    let Some(world) = world::with(&["cat"]) else {
        return;
    };
    let (_held, port) = net::reserve_port(Ipv4Addr::new(127, 0, 0, 9));
    let also = format!("--also=127.0.0.9:{port}");
    let server = world.serve([
        "-vRHl0",
        "-c2",
        &also,
        "--also=[::1]:0",
        "127.0.0.1",
        "0",
        "cat",
    ]);
    let first = net::connect_from(
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::LOCALHOST,
        server.port,
        |_| false,
    )
    .expect("it listens");
    let second = net::connect_from(
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 0, 0, 9),
        port,
        |_| false,
    )
    .expect("it listens");
    server.log().wait_for("status: 2/2", 1);
    let mut third = net::connect_from(
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 0, 0, 9),
        port,
        |_| false,
    )
    .expect("it waits");
    drop(first);
    net::send(&mut third, b"hello\n");
    assert_eq!(net::receive_line(&mut third), b"hello\n");
    drop((second, third));
    server.log().wait_for("status: 0/2", 2);
    let log = server.terminate();
    assert!(!log.contains("status: 3/2"), "{log}");
    for (ip, port) in [("127.0.0.1", None), ("127.0.0.9", Some(port))] {
        let local = port.map_or(format!(" 0:{ip}:"), |port| format!(" 0:{ip}:{port} "));
        assert!(log.contains(&local), "{local} {log}");
    }
    for wrong in ["127.0.0.1", "127.0.0.1:", "127.0.0.1:65536"] {
        let outcome = world.run("tcpserver", [&format!("--also={wrong}"), "0", "0", "true"]);
        assert_eq!(
            outcome.status.code(),
            Some(100),
            "{wrong}: {}",
            lossy(&outcome.stderr)
        );
    }
}

/// A socket as systemd's, and what comes there.
struct Manager {
    socket: UnixDatagram,
    seen: String,
}

impl Manager {
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let mut room = [0; 4096];
            let length = self.socket.recv(&mut room);
            let length = length.unwrap_or_else(|error| panic!("no {text}: {error}\n{}", self.seen));
            self.seen += &lossy(&room[..length]);
        }
    }
}

#[test]
fn manager_hears_that_it_serves_how_it_goes_and_that_it_ends() {
    let Some(world) = world::with(&["sh", "ls", "tr", "cat"]) else {
        return;
    };
    let path = world.name("notify");
    let socket = UnixDatagram::bind(&path).expect("a folder of our own");
    socket.set_read_timeout(Some(deadline())).expect("a limit");
    let mut manager = Manager {
        socket,
        seen: String::new(),
    };
    let words = [
        "-1vRHl0",
        "-c3",
        "--notify",
        "--drain=60",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        &format!("{TELL}; exec cat"),
    ];
    let launch = world
        .program("tcpserver", words)
        .env("NOTIFY_SOCKET", &path);
    let server = Server::on(world.start(launch.env("WATCHDOG_USEC", "20000")));
    manager.wait_for("READY=1\n");
    manager.wait_for("STATUS=0 of 3 connections\n");
    manager.wait_for("WATCHDOG=1\n");
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("it listens");
    let told = lossy(&net::receive_line(&mut client));
    assert!(told.ends_with(" none none none none none\n"), "{told}");
    manager.wait_for("STATUS=1 of 3 connections\n");
    assert!(!manager.seen.contains("STOPPING"), "{}", manager.seen);
    server.process.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1\n");
    manager.wait_for("STATUS=draining 1 connections\n");
    drop(client);
    server.terminate();
    // Without the option nobody is told, and without the variable nothing is done.
    for (option, socket) in [("-v", Some(&path)), ("--notify", None)] {
        let mut launch = world.program(
            "tcpserver",
            [
                "-1RHl0",
                option,
                "127.0.0.1",
                "0",
                "sh",
                "-c",
                "echo ${NOTIFY_SOCKET-none}",
            ],
        );
        if let Some(path) = socket {
            launch = launch.env("NOTIFY_SOCKET", path);
        }
        let server = Server::on(world.start(launch));
        let expected = socket.map_or("none", String::as_str);
        assert_eq!(ask(server.port), format!("{expected}\n"));
        server.terminate();
    }
    manager
        .socket
        .set_nonblocking(true)
        .expect("a socket takes it");
    let mut rest = [0; 4096];
    while let Ok(length) = manager.socket.recv(&mut rest) {
        assert!(!lossy(&rest[..length]).contains("READY"));
    }
}

#[test]
fn line_feed_says_that_it_serves() {
    let Some(world) = world::with(&["sh", "ls", "tr"]) else {
        return;
    };
    let (mut told, tells) = std::io::pipe().expect("a pipe");
    let words = [
        "-1vRHl0",
        "--notify-fd=5",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        TELL,
    ];
    let launch = world
        .program("tcpserver", words)
        .inherit(5, OwnedFd::from(tells));
    let server = Server::on(world.start(launch));
    let mut all = Vec::new();
    told.read_to_end(&mut all).expect("it ends");
    assert_eq!(all, b"\n");
    assert!(ask(server.port).ends_with("\n0 1 2 3 "));
    server.terminate();
    let outcome = world.run("tcpserver", ["--notify-fd=9", "127.0.0.1", "0", "true"]);
    assert_eq!(outcome.status.code(), Some(111));
    assert_eq!(
        lossy(&outcome.stderr),
        "tcpserver: fatal: unable to use descriptor 9: file descriptor not open\n"
    );
}
