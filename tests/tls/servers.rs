//! tlsserver and tlsd: what a program gets.

use std::io::{Read as _, Write as _};

use nix::sys::signal::Signal;

use crate::support::place::{Place, ours, text};
use crate::world::{Server, line, pki, say, session, trusting};

/// Variables that tell of the connection, as `env | sort` shows them.
const SHOW: &str = "env | grep -E '^(PROTO|TCP|SSL)' | sed 's/PORT=.*/PORT=N/' | sort";

#[test]
fn program_sees_the_connection_and_its_tls_and_the_log_tells() {
    let server = Server::start(&[], &["sh", "-c", SHOW]);
    let shown = text(&say(server.session(), b""));
    let expected = "\
        PROTO=SSL\n\
        SSLLOCALHOST=0\n\
        SSLLOCALIP=127.0.0.1\n\
        SSLLOCALPORT=N\n\
        SSLREMOTEIP=127.0.0.1\n\
        SSLREMOTEPORT=N\n\
        SSL_CIPHER=TLS_AES_256_GCM_SHA384\n\
        SSL_PROTOCOL=TLSv1.3\n\
        SSL_TLS_SNI_SERVERNAME=a.example\n\
        TCPLOCALHOST=0\n\
        TCPLOCALIP=127.0.0.1\n\
        TCPLOCALPORT=N\n\
        TCPREMOTEIP=127.0.0.1\n\
        TCPREMOTEPORT=N\n";
    assert_eq!(shown, expected);
    server.wait_for("end ", 1);
    let log = server.log();
    let events: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|event| *event != "status:")
        .collect();
    assert_eq!(events, ["pid", "ok", "tls", "end"], "{log}");
    assert_eq!(
        server.said(" tls "),
        ["tlsserver: tls TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example"]
    );
    assert_eq!(server.said(" end "), ["tlsserver: end status"]);
}

#[test]
fn program_has_no_descriptor_but_its_three() {
    for (options, others) in [(&[][..], 0), (&["--delayed"], 3)] {
        let server = Server::start(
            options,
            &[
                "sh",
                "-c",
                "for it in /proc/$$/fd/*; do echo it >>got; done; echo . >>end",
            ],
        );
        let stream = server.connect();
        let session = (others == 0)
            .then(|| session(stream.try_clone().expect("a copy"), "a.example", trusting()));
        crate::support::wait::eventually("it has looked", || server.place.read("end") == ".\n");
        // And the folder itself.
        assert_eq!(
            server.place.read("got").lines().count(),
            4 + others,
            "{options:?}"
        );
        drop((session, stream));
    }
}

#[test]
fn log_in_json_tells_the_same() {
    let server = Server::start(&["--log=json"], &["true"]);
    say(server.session(), b"");
    server.wait_for("\"event\":\"end\"", 1);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("\"event\":\"tls\""));
    let line = line.unwrap_or_else(|| panic!("no event tls in {log}"));
    let words = "\"text\":\"TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example\"}";
    assert!(line.ends_with(words), "{line}");
}

#[test]
fn inherited_variables_do_not_pass_for_ours() {
    let names = [
        "SSL_PEER_CERT_HASH",
        "SSL_PEER_CERT_SUBJECT",
        "SSLREMOTEINFO",
    ];
    let both = pki().option("cert", "a.both");
    let server = Server::launch(Place::new(), &[&both], &["sh", "-c", SHOW], |mut launch| {
        for name in names {
            launch = launch.env(name, "stale");
        }
        launch
    });
    let shown = text(&say(server.session(), b""));
    assert!(!shown.contains("stale"), "{shown}");
}

#[test]
fn tlsd_does_the_same_for_one_connection_under_tcpserver() {
    let place = Place::new();
    let tlsd = ours("tlsd");
    let both = pki().option("cert", "a.both");
    let program = [&tlsd[..], "-v", &both, "sh", "-c"];
    let show = format!("read -r word; echo $word; {SHOW}; exit 3");
    let (process, port) = place.serve(0, &[&program[..], &[&show]].concat(), |launch| launch);
    let answer = text(&say(
        session(crate::world::connect(port), "a.example", trusting()),
        b"word\n",
    ));
    for expected in [
        "word\n",
        "PROTO=SSL\n",
        "SSLREMOTEIP=127.0.0.1\n",
        "TCPREMOTEIP=127.0.0.1\n",
        "SSL_PROTOCOL=TLSv1.3\n",
    ] {
        assert!(answer.contains(expected), "no {expected} in {answer}");
    }
    let log = process.stderr.as_ref().expect("a pipe");
    log.wait_for("tls ", 1);
    let said = text(&log.so_far());
    let words = "TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example\n";
    assert!(
        said.starts_with("tlsd: tls ") && said.ends_with(words),
        "{said}"
    );
}

#[test]
fn tlsd_ends_as_its_program_has() {
    for (program, expected) in [("exit 3", "exit: 3"), ("kill -TERM $$", "killed: SIGTERM")] {
        let place = Place::new();
        let both = pki().option("cert", "a.both");
        let tlsd = [&ours("tlsd")[..], &both, "sh", "-c", program].join("' '");
        let script = format!("'{tlsd}'; echo $? >status");
        let (process, port) = place.serve(0, &["sh", "-c", &script], |launch| launch);
        say(
            session(crate::world::connect(port), "a.example", trusting()),
            b"",
        );
        let status = crate::support::wait::had("it has ended", || {
            Some(place.read("status")).filter(|status| status.ends_with('\n'))
        });
        let status: i32 = status.trim().parse().expect("a number");
        let shown = match status {
            143 => "killed: SIGTERM".to_owned(),
            code => format!("exit: {code}"),
        };
        assert_eq!(shown, expected);
        drop(process);
    }
}

#[test]
fn much_goes_through_in_both_directions() {
    const BYTES: usize = 3_000_000;
    let server = Server::start(&[], &["cat"]);
    let sent: Vec<u8> = (0..BYTES)
        .map(|n| u8::try_from(n * 7 % 251).expect("small"))
        .collect();
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let mut config = config_of(versions);
        config.resumption = rustls::client::Resumption::disabled();
        let mut session = session(server.connect(), "a.example", config.into());
        // More than all buffers on the way hold must not be waited for.
        let mut answer = Vec::new();
        for piece in sent.chunks(50_000) {
            session.write_all(piece).expect("it listens");
            let mut room = vec![0; piece.len()];
            session.read_exact(&mut room).expect("it answers");
            answer.extend_from_slice(&room);
        }
        assert!(answer == sent, "other bytes come back");
        assert_eq!(say(session, b"end"), b"end");
    }
}

fn config_of(versions: &[&'static rustls::SupportedProtocolVersion]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(crate::world::certificate("ca.pem"))
        .expect("it is one");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(versions)
        .expect("they exist")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[test]
fn sessions_are_resumed_by_tickets_of_both_versions() {
    let server = Server::start(&[], &["cat"]);
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let config = std::sync::Arc::new(config_of(versions));
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut session = session(server.connect(), "a.example", config.clone());
                session.write_all(b"x\n").expect("it listens");
                assert_eq!(line(&mut session), "x\n");
                session.conn.handshake_kind().expect("it is done")
            })
            .collect();
        assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{kinds:?}");
    }
}

#[test]
fn sessions_go_on_when_the_server_is_told_to_end() {
    let mut server = Server::start(&[], &["cat"]);
    let mut session = server.session();
    session.write_all(b"one\n").expect("it listens");
    assert_eq!(line(&mut session), "one\n");
    server.process.signal(Signal::SIGTERM);
    let status = server.process.wait();
    assert_eq!(status.code(), Some(0));
    session.write_all(b"two\n").expect("a copy listens");
    assert_eq!(line(&mut session), "two\n");
    assert_eq!(say(session, b"three"), b"three");
}

#[test]
fn drain_waits_for_sessions() {
    let mut server = Server::start(&["--drain=100"], &["cat"]);
    let session = server.session();
    server.process.signal(Signal::SIGTERM);
    server.wait_for("draining 1", 1);
    assert_eq!(say(session, b"still"), b"still");
    assert_eq!(server.process.wait().code(), Some(0));
    server.wait_for(" end ", 1);
    assert_eq!(server.said(" end "), ["tlsserver: end status"]);
}

#[test]
fn without_a_certificate_nothing_starts() {
    let place = Place::new();
    for (program, operands) in [
        ("tlsserver", &["0", "0", "true"][..]),
        ("tlsd", &["true"][..]),
    ] {
        let path = ours(program);
        let outcome = place.run(&[&[&path[..]], operands].concat(), |launch| launch);
        let said = text(&outcome.stderr);
        assert_eq!(
            outcome.status.code(),
            Some(if program == "tlsd" { 111 } else { 100 }),
            "{said}"
        );
    }
    let options = [
        "--key=x",
        "--tls-min=1.1",
        "--tls-timeout=soon",
        "--passphrase-fd=x",
    ];
    for option in options {
        let outcome = place.run(&[&ours("tlsserver"), option, "0", "0", "true"], |launch| {
            launch
        });
        assert_eq!(outcome.status.code(), Some(100), "{option}");
    }
}
