//! PROXY headers: who is believed, what programs, rules, limits and the log then see, and what gets nobody in.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use crate::support::net;
use crate::world::{self, Server, World, count, eventually, lossy};

/// The balancer, which is believed.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
/// Somebody else.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n";

/// The same in version 2, with these TLVs.
pub(super) fn v2(tlvs: &[u8]) -> Vec<u8> {
    let ends = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];
    header(0x21, 0x11, &[&ends, tlvs].concat())
}

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len())
        .expect("it is short")
        .to_be_bytes();
    [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &[command, family],
        &length,
        rest,
    ]
    .concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("it is short");
    [&[kind, 0, length], value].concat()
}

/// Says whom it serves, then sends back what comes.
const TELL: &str = "echo \"$TCPREMOTEIP:$TCPREMOTEPORT $TCPLOCALIP:$TCPLOCALPORT ${TCPPROXYIP-none} \
    ${PROXY_AUTHORITY-none} ${PROXY_UNIQUE_ID-none} ${PROXY_SSL_CN-none}\"; exec cat";

fn serve(world: &World, options: &[&str]) -> Server {
    let fixed = ["-v", "-Rl0", "--proxy=127.0.0.7,2001:db8::/32"];
    let words = [&fixed[..], options, &["127.0.0.1", "0", "sh", "-c", TELL]].concat();
    let stale = ["PROXY_AUTHORITY", "PROXY_SSL_CN", "TCPPROXYIP"];
    let mut launch = world.program("tcpserver", [&["-1"][..], &words].concat());
    for name in stale {
        launch = launch.env(name, "stale");
    }
    Server::on(world.start(launch))
}

fn connect(server: &Server, source: Ipv4Addr) -> TcpStream {
    net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens")
}

/// What a connection from `source` gets that sends `bytes` and no more.
fn answer(server: &Server, source: Ipv4Addr, bytes: &[u8]) -> String {
    let mut stream = connect(server, source);
    // One that is refused may be reset.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    received(&mut stream)
}

/// All that comes, also when the connection breaks.
fn received(stream: &mut TcpStream) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    lossy(&bytes)
}

#[test]
fn program_sees_the_client_that_the_balancer_announces() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &[]);
    let client = "192.0.2.1:12345 198.51.100.2:443 127.0.0.7";
    let with = |header: &[u8]| answer(&server, BALANCER, &[header, b"hello"].concat());
    assert_eq!(with(V1), format!("{client} none none none\nhello"));
    assert_eq!(with(&v2(&[])), format!("{client} none none none\nhello"));
    let ssl = [&[7, 0, 0, 0, 0][..], &tlv(0x22, b"alice")].concat();
    let tlvs = [tlv(2, b"example.org"), tlv(5, &[0, 255]), tlv(0x20, &ssl)].concat();
    let told = with(&v2(&tlvs));
    assert_eq!(told, format!("{client} example.org 00ff alice\nhello"));
    // The second header is the client's: it may say what it likes.
    let spoofed = answer(
        &server,
        BALANCER,
        &[V1, b"PROXY TCP4 6.6.6.6 6.6.6.6 6 6\r\n"].concat(),
    );
    assert_eq!(
        spoofed,
        format!("{client} none none none\nPROXY TCP4 6.6.6.6 6.6.6.6 6 6\r\n")
    );
    let log = server.terminate();
    assert_eq!(count(&log, "tcpserver: warning: "), 0, "{log}");
    let from =
        |line: &&str| line.starts_with("tcpserver: pid ") && line.ends_with(" from 192.0.2.1");
    assert_eq!(log.lines().filter(from).count(), 4, "{log}");
    assert!(
        log.contains(" 0:198.51.100.2:443 :192.0.2.1::12345\n"),
        "{log}"
    );
}

#[test]
fn header_may_come_in_pieces_and_ends_where_it_ends() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &[]);
    let tlvs = tlv(2, b"example.org");
    for (header, authority) in [(V1.to_vec(), "none"), (v2(&tlvs), "example.org")] {
        let mut all: Vec<TcpStream> = (1..header.len())
            .map(|cut| {
                let mut stream = connect(&server, BALANCER);
                stream.set_nodelay(true).expect("a connection takes it");
                net::send(&mut stream, &header[..cut]);
                stream
            })
            .collect();
        // One of them byte by byte.
        let mut slow = connect(&server, BALANCER);
        slow.set_nodelay(true).expect("a connection takes it");
        for byte in &header {
            net::send(&mut slow, &[*byte]);
        }
        for (cut, stream) in (1..).zip(&mut all) {
            net::send(stream, &[&header[cut..], b"rest"].concat());
            net::half_close(stream);
        }
        net::send(&mut slow, b"rest");
        net::half_close(&slow);
        for stream in all.iter_mut().chain([&mut slow]) {
            let told = lossy(&net::receive_all(stream));
            let expected =
                format!("192.0.2.1:12345 198.51.100.2:443 127.0.0.7 {authority} none none\nrest");
            assert_eq!(told, expected);
        }
    }
    server.terminate();
}

#[test]
fn nobody_else_is_believed_and_a_balancer_may_speak_for_itself() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &[]);
    let told = answer(&server, STRANGER, V1);
    let (who, rest) = told.split_once('\n').expect("a line");
    assert!(who.starts_with("127.0.0.8:"), "{told}");
    assert!(who.ends_with(" none none none none"), "{told}");
    assert_eq!(rest.as_bytes(), V1, "it is for the program");
    let ends = [0_u8; 12];
    for own in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 1.2.3.4 1.2.3.4 1 2\r\n".to_vec(),
        header(0x20, 0, b""),
        header(0x20, 0x11, &ends),
        header(0x21, 0x12, &ends),
        header(0x21, 0x31, &[b'/'; 216]),
    ] {
        let told = answer(&server, BALANCER, &own);
        assert!(told.starts_with("127.0.0.7:"), "{told}");
        assert!(told.ends_with(" none none none none\n"), "{told}");
    }
    server.terminate();
}

#[test]
fn header_that_is_none_gets_nobody_in_and_one_line_says_why() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    // A program that speaks first tells nobody who has not said who it is.
    let server = serve(&world, &["-B", "banner"]);
    let long = [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat();
    let crc = v2(&tlv(3, b"none"));
    let cases: [(&[u8], &str); 8] = [
        (b"", "no PROXY header: the connection has ended"),
        (
            b"GET / HTTP/1.0\r\n\r\n",
            "bad PROXY header: it begins otherwise",
        ),
        (
            &V1[..20],
            "bad PROXY header: the connection ends in the middle",
        ),
        (
            &long,
            "bad PROXY header: the line has no end within 107 bytes",
        ),
        (
            b"PROXY TCP4 a b 1 2\r\n",
            "bad PROXY header: an address is none of its protocol",
        ),
        (&crc, "bad PROXY header: its checksum is wrong"),
        (
            &header(0x21, 0x11, b"short"),
            "bad PROXY header: it is too short for its addresses",
        ),
        (
            &header(0x20, 0, &[0; 4097]),
            "bad PROXY header: it is longer than 4112 bytes",
        ),
    ];
    for (bytes, _) in &cases {
        assert_eq!(answer(&server, BALANCER, bytes), "", "{}", lossy(bytes));
    }
    let log = server.terminate();
    for (_, why) in &cases {
        let line = format!("tcpserver: warning: dropping connection, {why}\n");
        assert!(log.contains(&line), "{why}\n{log}");
    }
    assert_eq!(count(&log, "tcpserver: warning: "), cases.len(), "{log}");
    assert_eq!(count(&log, "tcpserver: ok "), 0, "{log}");
    assert!(log.contains(" status 28416\n"), "{log}");
}

#[test]
fn header_that_does_not_come_is_not_waited_for() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &["--proxy-timeout=0.05"]);
    let mut stream = connect(&server, BALANCER);
    net::send(&mut stream, b"PROXY TCP4");
    assert_eq!(received(&mut stream), "");
    let log = server.terminate();
    let why = "dropping connection, no whole PROXY header within 0.05 seconds\n";
    assert!(log.contains(why), "{log}");
}

#[test]
fn rules_and_limits_are_those_of_the_client() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let rules = world
        .rules("192.0.2.66:deny\n192.0.2.1:allow,PROXY_AUTHORITY=\"by rule\"\n127.:deny\n:allow\n");
    let server = serve(&world, &["-x", &rules, "--source-limit=1", "--log=json"]);
    let client = |ip: &str| format!("PROXY TCP4 {ip} 198.51.100.2 1 2\r\n").into_bytes();
    assert_eq!(answer(&server, BALANCER, &client("192.0.2.66")), "");
    assert_eq!(
        answer(&server, BALANCER, b"PROXY UNKNOWN\r\n"),
        "",
        "the balancer itself"
    );
    let mut first = connect(&server, BALANCER);
    net::send(&mut first, &client("192.0.2.1"));
    let told = lossy(&net::receive_line(&mut first));
    assert!(told.contains(" by rule none none"), "{told}");
    assert_eq!(
        answer(&server, BALANCER, &client("192.0.2.1")),
        "",
        "its source has one"
    );
    let other = answer(&server, BALANCER, &client("192.0.2.2"));
    assert!(other.starts_with("192.0.2.2:1 "), "{other}");
    net::half_close(&first);
    net::receive_all(&mut first);
    eventually("its end is told", || {
        server.log().count("\"event\":\"end\"") == 2
    });
    let log = server.terminate();
    let reasons: Vec<_> = ["rule", "limit"]
        .map(|reason| log.matches(&format!("\"reason\":\"{reason}\"")).count())
        .into();
    assert_eq!(reasons, [2, 1], "{log}");
    let known = log.lines().filter(|line| line.contains("\"event\":\"ok\""));
    for line in known {
        assert!(line.contains("\"remote\":\"192.0.2."), "{line}");
        assert!(line.contains("\"proxy\":\"127.0.0.7:"), "{line}");
    }
}

/// A client of a client of a relay of a server: each announces the first.
#[test]
fn client_is_announced_from_one_to_the_next() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(&world, &["--proxy=127.0.0.1"]);
    let port = server.port.to_string();
    let through = |option: &str, remote: &str| {
        let words = [
            "-1vRHl0",
            "--proxy=127.0.0.1",
            option,
            "127.0.0.1",
            "0",
            remote,
        ];
        Server::on(world.start(world.program("tcprelay", words)))
    };
    let show = ["sh", "-c", "exec 7>&-; head -n 1 <&6"];
    let ask = |port: u16, version: &str, is_announced: bool| {
        let port = port.to_string();
        let words = [&["-RHl0", version, "127.0.0.1", &port][..], &show].concat();
        let mut client = world
            .program("tcpclient", words)
            .env("PROXY_AUTHORITY", "example.org");
        if is_announced {
            for (name, value) in [
                ("REMOTEIP", "2001:db8::1"),
                ("REMOTEPORT", "7"),
                ("LOCALIP", "2001:db8::2"),
                ("LOCALPORT", "8"),
            ] {
                client = client.env(&format!("TCP{name}"), value);
            }
        }
        lossy(&world.succeed(client))
    };
    let ends = "2001:db8::1:7 2001:db8::2:8 127.0.0.1";
    assert_eq!(
        ask(server.port, "--send-proxy=1", true),
        format!("{ends} none none none\n")
    );
    assert_eq!(
        ask(server.port, "--send-proxy=2", true),
        format!("{ends} example.org none none\n")
    );
    for version in ["--send-proxy=1", "--send-proxy=2"] {
        let told = ask(server.port, version, false);
        assert!(told.starts_with("127.0.0.1:"), "{told}");
        assert!(told.ends_with(" none none none none\n"), "{told}");
    }
    let relay = through("--send-proxy=2", &format!("127.0.0.1:{port}"));
    let told = ask(relay.port, "--send-proxy=2", true);
    assert_eq!(told, format!("{ends} example.org none none\n"));
    let log = relay.terminate();
    assert!(log.contains("2001:db8::1"), "{log}");
    let relay = through("--send-proxy=2", &format!("127.0.0.1:{port}/proxy=1"));
    assert_eq!(
        ask(relay.port, "--send-proxy=2", true),
        format!("{ends} none none none\n")
    );
    relay.terminate();
    server.terminate();
}

#[test]
fn pool_and_relay_believe_the_same_and_drop_the_same() {
    let Some(world) = world::with(&["perl"]) else {
        return;
    };
    let echo = net::listener(Ipv4Addr::LOCALHOST);
    let remote = format!(
        "127.0.0.1:{}",
        echo.local_addr().expect("it is bound").port()
    );
    let rules = world.rules("192.0.2.66:deny\n127.:deny\n:allow\n");
    for (name, program) in [
        ("tcppool", &["perl", "-pe", "$| = 1"][..]),
        ("tcprelay", &[&remote]),
    ] {
        let fixed = [
            "-1vRHl0",
            "--proxy=127.0.0.7",
            "-x",
            &rules,
            "127.0.0.1",
            "0",
        ];
        let server = Server::on(world.start(world.program(name, [&fixed[..], program].concat())));
        let foe = b"PROXY TCP4 192.0.2.66 198.51.100.2 12345 443\r\n";
        assert_eq!(answer(&server, BALANCER, foe), "", "by the rules");
        assert_eq!(answer(&server, BALANCER, b"hello\n"), "", "no header");
        assert_eq!(answer(&server, STRANGER, V1), "", "by the rules");
        let mut client = connect(&server, BALANCER);
        net::send(&mut client, &[V1, b"hello\n"].concat());
        if name == "tcprelay" {
            let mut far = net::accept(&echo);
            assert_eq!(net::receive_line(&mut far), b"hello\n");
        } else {
            assert_eq!(net::receive_line(&mut client), b"hello\n");
        }
        drop(client);
        let log = server.terminate();
        let warning = format!(
            "{name}: warning: dropping connection, bad PROXY header: it begins otherwise\n"
        );
        assert_eq!(count(&log, warning.trim_end()), 1, "{log}");
        assert!(log.contains("192.0.2.1"), "{log}");
    }
}
