//! A real HAProxy in front of git daemon: what it announces is believed, in each way in which it can.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use crate::components::git::{assert_complete, clone, repository};
use crate::support::net;
use crate::support::process::Process;
use crate::world::{self, Server, World, count, eventually, lossy};

/// From here HAProxy connects to its servers.
const BALANCER: &str = "127.0.0.7";

/// How HAProxy announces clients, each at a port of its own.
const WAYS: [&str; 3] = [
    "send-proxy",
    "send-proxy-v2 proxy-v2-options crc32c",
    "send-proxy-v2-ssl-cn proxy-v2-options crc32c,authority,cert-key,cert-sig,ssl-cipher,unique-id",
];

struct HaProxy {
    _process: Process,
    ports: Vec<u16>,
    /// Each port is held until HAProxy has it, and after.
    _held: Vec<OwnedFd>,
}

/// Starts it before the server at `port`. The last way is by TLS, with a client's certificate.
fn haproxy(world: &World, port: u16) -> HaProxy {
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let files = [
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-subj",
        "/CN=alice",
    ];
    let words = [&["req", "-x509", "-days", "2", "-batch"][..], &key, &files].concat();
    world.succeed(world.program("openssl", words));
    let both = ["key.pem", "cert.pem"]
        .map(|name| std::fs::read(world.path(name)).expect("openssl wrote it"));
    world.write("both.pem", both.concat());
    let pem = world.name("both.pem");
    let mut config =
        "defaults\n mode tcp\n timeout connect 20s\n timeout client 60s\n timeout server 60s\n"
            .to_owned();
    let (mut ports, mut held) = (Vec::new(), Vec::new());
    for (number, way) in WAYS.iter().enumerate() {
        let (holder, own) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let tls = if number == 2 {
            format!(" ssl crt {pem} ca-file {pem} verify optional")
        } else {
            String::new()
        };
        config += &format!(
            "listen way{number}\n unique-id-format %pid-{number}\n bind 127.0.0.1:{own}{tls}\n \
             server git 127.0.0.1:{port} source {BALANCER} {way}\n"
        );
        ports.push(own);
        held.push(holder);
    }
    world.write("haproxy.cfg", config);
    let process = world.start(world.program("haproxy", ["-db", "-f", "haproxy.cfg"]));
    for &port in &ports {
        eventually("haproxy listens", || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
    }
    HaProxy {
        _process: process,
        ports,
        _held: held,
    }
}

#[test]
fn haproxy_announces_the_clients_of_git_and_they_are_told_apart() {
    if world::with(&["haproxy", "openssl", "socat"]).is_none() {
        return;
    }
    let Some(world) = repository() else { return };
    let rules = world.rules("127.0.0.3:deny\n127.0.0.7:deny\n127.:allow\n:deny\n");
    let program = "env | grep -E '^(PROXY_|TCPPROXYIP|TCPREMOTEIP)' | sort | tr '\\n' ' ' >>seen; echo >>seen\n\
        exec git daemon --inetd --export-all --base-path=repos";
    let proxy = format!("--proxy={BALANCER}");
    let server = Server::on(world.start(world.program(
        "tcpserver",
        [
            "-1vRHl0",
            "-c50",
            "-b50",
            &proxy,
            "--source-limit=1",
            "-x",
            &rules,
            "127.0.0.1",
            "0",
            "sh",
            "-c",
            program,
        ],
    )));
    let balancer = haproxy(&world, server.port);
    // Whoever only connects, as our look whether it listens, is announced too, and is a client that asks nothing.
    let looks = WAYS.len();
    server.log().wait_for(" end ", looks - 1);
    for (way, &port) in balancer.ports.iter().enumerate() {
        for last in [3, 4] {
            let far = match way {
                2 => format!("OPENSSL:127.0.0.1:{port},verify=0,cert=both.pem,bind=127.0.0.{last}"),
                _ => format!("TCP:127.0.0.1:{port},bind=127.0.0.{last}"),
            };
            let name = format!("through-{way}-{last}");
            let folder = format!("clone-{way}-{last}");
            world.script(&name, &format!("#!/bin/sh\nexec socat - {far}\n"));
            let through = format!("core.gitProxy={}", world.name(&name));
            let outcome = clone(
                &world,
                &["-c", &through, "-c", "protocol.version=0"],
                1,
                &folder,
            )
            .outcome();
            if last == 3 {
                assert_eq!(
                    outcome.status.code(),
                    Some(128),
                    "{}",
                    lossy(&outcome.stderr)
                );
            } else {
                world::success(outcome, &name);
                assert_complete(&world, &folder);
            }
        }
    }
    // Its source has one connection, through whatever way the next one comes.
    let held = net::connect_from(
        Ipv4Addr::new(127, 0, 0, 5),
        Ipv4Addr::LOCALHOST,
        balancer.ports[0],
        |_| false,
    )
    .expect("haproxy listens");
    server.log().wait_for(":127.0.0.5::", 1);
    for &port in &balancer.ports[..2] {
        let mut second = net::connect_from(
            Ipv4Addr::new(127, 0, 0, 5),
            Ipv4Addr::LOCALHOST,
            port,
            |_| false,
        )
        .expect("haproxy listens");
        assert_eq!(net::receive_all(&mut second), b"");
    }
    drop(held);
    // Who says so himself is not believed.
    let mut liar = net::connect_from(
        Ipv4Addr::new(127, 0, 0, 3),
        Ipv4Addr::LOCALHOST,
        server.port,
        |_| false,
    )
    .expect("it listens");
    net::send(&mut liar, b"PROXY TCP4 127.0.0.4 127.0.0.1 1 2\r\n");
    assert_eq!(net::receive_all(&mut liar), b"");
    let log = server.terminate();
    assert_eq!(count(&log, "tcpserver: warning: "), 0, "{log}");
    let denied = |ip: &str| {
        let lines = log
            .lines()
            .filter(|line| line.starts_with("tcpserver: deny "));
        lines
            .filter(|line| line.contains(&format!(" :{ip}::")))
            .count()
    };
    assert_eq!([denied("127.0.0.3"), denied("127.0.0.5")], [4, 2], "{log}");
    let seen = std::fs::read(world.path("seen")).expect("programs ran");
    let seen = lossy(&seen);
    let of_4: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains("TCPREMOTEIP=127.0.0.4 "))
        .collect();
    assert_eq!(of_4.len(), WAYS.len(), "{seen}");
    assert!(
        of_4.iter()
            .all(|line| line.contains("TCPPROXYIP=127.0.0.7 ")),
        "{seen}"
    );
    for fact in [
        "PROXY_SSL_VERSION=TLSv1.3 ",
        "PROXY_SSL_CN=alice ",
        "PROXY_SSL_CIPHER=TLS_",
        "PROXY_SSL_KEY_ALG=EC256 ",
        "PROXY_SSL_SIG_ALG=",
        "PROXY_UNIQUE_ID=",
    ] {
        assert!(of_4[2].contains(fact), "{fact} {seen}");
    }
}
