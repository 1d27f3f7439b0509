//! tcprelay with TLS to remotes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};

use crate::relays::pattern;
use crate::support::net::{accept, receive_all};
use crate::support::place::{Place, ours, text};
use crate::world::{Server, certificate, echo, line, pki, say};

/// A server with TLS that gives back what it gets, and shows this certificate.
fn remote(name: &str) -> Server {
    let [cert, key] = [("cert", "pem"), ("key", "key")]
        .map(|(option, kind)| pki().option(option, &format!("{name}.{kind}")));
    Server::with(&[&cert, &key], &["cat"])
}

/// What comes back over `relay` of `bytes`, to its end.
fn ask(relay: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = relay.connect();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    receive_all(&mut stream)
}

#[test]
fn remote_that_is_who_it_should_be_gets_what_the_client_says() {
    let a = remote("a");
    let ca = pki().option("ca", "ca.pem");
    let operand = format!("tls:127.0.0.1:{}", a.port);
    let named = format!("{operand}/name=a.example");
    let bare = format!("127.0.0.1:{}/name=a.example", a.port);
    for (options, operand, sni) in [
        // Its certificate is for the address too.
        (&[&ca[..]][..], &operand, ""),
        (&[&ca], &named, " sni a.example"),
        (&[&ca, "--tls-min=1.3"], &named, " sni a.example"),
        (&["--remote-tls", &ca], &bare, " sni a.example"),
    ] {
        let relay = Server::relay(options, &[operand]);
        assert_eq!(ask(&relay, b"hello"), b"hello", "{}", relay.log());
        relay.wait_for("end 1 status 0 in 5 out 5 ", 1);
        let line = format!(
            "tls 1 to 127.0.0.1:{} TLSv1.3 TLS_AES_256_GCM_SHA384",
            a.port
        );
        relay.wait_for(&line, 1);
        // What was asked for is said: an address is not, to the server.
        assert!(a.log().contains(sni));
    }
    assert_eq!(a.said("truncated"), [""; 0]);
}

#[test]
fn remote_that_is_somebody_else_gets_nothing() {
    let ca = pki().option("ca", "ca.pem");
    let stranger = pki().option("ca", "stranger.pem");
    for (shown, key, why) in [
        ("a", "name=other.example", "NotValidForName"),
        ("b", "weight=1", "NotValidForName"),
        ("expired", "name=a.example", "Expired"),
        ("deep", "name=a.example", "UnknownIssuer"),
        ("a", "name=a.example", "UnknownIssuer"),
    ] {
        let server = remote(shown);
        let ca = if (shown, why) == ("a", "UnknownIssuer") {
            &stranger
        } else {
            &ca
        };
        let operand = format!("tls:127.0.0.1:{}/{key}", server.port);
        let relay = Server::relay(&[ca], &[&operand]);
        assert_eq!(ask(&relay, b"secret"), b"", "{shown} {key}");
        relay.wait_for("fail 1 no remote", 1);
        let retry = relay.said(" retry ");
        let head = format!(
            "tcprelay: retry 127.0.0.1:{} tls invalid peer certificate: ",
            server.port
        );
        assert!(retry[0].starts_with(&head), "{shown} {key}: {retry:?}");
        let log = relay.log();
        assert!(
            log.contains(why) || log.contains(&words(why)),
            "{shown} {key}: {log}"
        );
        server.wait_for(" failed ", 1);
    }
}

/// As rustls has it in a sentence.
fn words(why: &str) -> String {
    match why {
        "NotValidForName" => "not valid for name".to_owned(),
        "Expired" => "expired".to_owned(),
        why => why.to_owned(),
    }
}

#[test]
fn next_remote_is_tried_when_one_is_somebody_else_or_speaks_no_tls() {
    let (wrong, right) = (remote("b"), remote("a"));
    let plain = echo();
    let ca = pki().option("ca", "ca.pem");
    let [wrong, right] = [&wrong, &right].map(|it| format!("tls:127.0.0.1:{}", it.port));
    let plain = format!("tls:{plain}");
    let options = [&ca[..], "--balance=first", "--tls-timeout=100"];
    let relay = Server::relay(&options, &[&wrong, &plain, &right]);
    assert_eq!(ask(&relay, b"hello"), b"hello");
    relay.wait_for("tcprelay: retry 1 ", 2);
    relay.wait_for("tcprelay: dead ", 2);
    // The two are left alone then.
    assert_eq!(ask(&relay, b"again"), b"again");
    assert_eq!(relay.said(" retry ").len(), 2);
}

#[test]
fn everybody_is_trusted_where_that_was_said_and_it_is_said_at_each_start() {
    let server = remote("false");
    let operand = format!("tls:127.0.0.1:{}/name=whoever.example", server.port);
    let relay = Server::relay(&["--no-verify", "--upgrade"], &[&operand]);
    let warning = "tcprelay: warning: --no-verify: remotes may be anybody";
    relay.wait_for(warning, 1);
    assert_eq!(ask(&relay, b"hello"), b"hello");
    // A new version begins by itself; who only tries whether it could says nothing.
    relay.process.signal(Signal::SIGUSR2);
    relay.wait_for(warning, 2);
    relay.wait_for("tcprelay: draining ", 1);
    assert_eq!(ask(&relay, b"hello"), b"hello");
    assert_eq!(relay.log().matches(warning).count(), 2, "{}", relay.log());
}

#[test]
fn server_of_openssl_is_a_remote() {
    let [cert, key] = ["a.pem", "a.key"].map(|name| pki().file(name));
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            &cert,
            "-key",
            &key,
            "-rev",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = openssl.spawn().expect("there is openssl");
    let mut said = Vec::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    // `ACCEPT 127.0.0.1:PORT`
    while !said.ends_with(b"\n") || !said.windows(7).any(|it| it == b"ACCEPT ") {
        let mut byte = [0];
        stdout
            .read_exact(&mut byte)
            .expect("it says where it listens");
        said.push(byte[0]);
    }
    let said = String::from_utf8_lossy(&said);
    let port = said.trim().rsplit(':').next().expect("a port").to_owned();
    let ca = pki().option("ca", "ca.pem");
    let relay = Server::relay(&[&ca], &[&format!("tls:127.0.0.1:{port}/name=a.example")]);
    let mut stream = relay.connect();
    stream.write_all(b"hello\n").expect("it listens");
    assert_eq!(crate::support::net::receive_line(&mut stream), b"olleh\n");
    drop(stream);
    relay.wait_for("end ", 1);
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

/// The terms of a server that shows the certificate of a.example and agrees on one of these protocols.
fn agreeing(protocols: &[&str]) -> Arc<ServerConfig> {
    let key = pem::parse(pki().read("a.key"))
        .expect("PEM")
        .into_contents();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(vec![certificate("a.pem")], key)
        .expect("they fit");
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Those of a client that offers these protocols.
fn offering(protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&crate::world::trusting());
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[test]
fn tls_on_both_sides_carries_much_and_the_protocol_that_was_agreed_on() {
    let config = agreeing(&["imap", "h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = std::thread::spawn(move || {
        let stream = accept(&listener);
        let connection = ServerConnection::new(config).expect("a server");
        let mut session = StreamOwned::new(connection, stream);
        let mut got = Vec::new();
        session.read_to_end(&mut got).expect("an orderly end");
        session.write_all(&got).expect("it listens");
        session.conn.send_close_notify();
        while session.conn.wants_write() {
            session
                .conn
                .write_tls(&mut session.sock)
                .expect("it listens");
        }
        (session.conn.alpn_protocol().map(<[u8]>::to_vec), got.len())
    });
    let options = [
        "--tls",
        &pki().option("cert", "a.both"),
        &pki().option("ca", "ca.pem"),
        "--alpn=h2",
    ];
    let relay = Server::relay(&options, &[&format!("tls:127.0.0.1:{port}/name=a.example")]);
    let client = offering(&["imap", "h2"]);
    let session = crate::world::session(relay.connect(), "a.example", client);
    let bytes = pattern(6_000_000);
    assert!(say(session, &bytes) == bytes);
    let (agreed, length) = server.join().expect("all is well");
    assert_eq!((agreed.as_deref(), length), (Some(&b"h2"[..]), bytes.len()));
    relay.wait_for("end 1 status 0 in 6000000 out 6000000 ", 1);
}

#[test]
fn remote_that_does_not_take_a_clients_protocol_is_not_dead_for_others() {
    let config = agreeing(&["imap"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = std::thread::spawn(move || {
        for is_taken in [false, true] {
            let stream = accept(&listener);
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a server");
            let mut session = StreamOwned::new(connection, stream);
            let answered = session.write_all(b"taken");
            assert_eq!(answered.is_ok(), is_taken);
            session.conn.send_close_notify();
            let _ = session.flush();
        }
    });
    let options = [
        "--tls",
        &pki().option("cert", "a.both"),
        &pki().option("ca", "ca.pem"),
        "--alpn=h2,imap",
    ];
    let relay = Server::relay(&options, &[&format!("tls:127.0.0.1:{port}/name=a.example")]);
    let answer_to = |protocol: &str| {
        let stream = relay.connect();
        let mut session = crate::world::session(stream, "a.example", offering(&[protocol]));
        let mut answer = Vec::new();
        let _ = session.read_to_end(&mut answer);
        answer
    };
    assert_eq!(answer_to("h2"), b"");
    relay.wait_for("fail 1 no remote", 1);
    let retry = relay.said(" retry ");
    assert!(retry[0].contains("NoApplicationProtocol"), "{retry:?}");
    assert_eq!(answer_to("imap"), b"taken", "{}", relay.log());
    server.join().expect("all is well");
    assert_eq!(relay.said(" dead "), [""; 0]);
}

#[test]
fn cut_is_passed_on_as_a_cut() {
    let a = remote("a");
    let options = [
        "--tls",
        &pki().option("cert", "a.both"),
        &pki().option("ca", "ca.pem"),
    ];
    let relay = Server::relay(&options, &[&format!("tls:127.0.0.1:{}", a.port)]);
    let mut session = relay.session();
    session.write_all(b"x\n").expect("it listens");
    assert_eq!(line(&mut session), "x\n");
    session.sock.shutdown(Shutdown::Write).expect("it is open");
    a.wait_for("end ", 1);
    assert_eq!(a.said("truncated"), ["tlsserver: tls truncated"]);
    relay.wait_for("tls 1 truncated", 1);
    // And an end as an end.
    assert_eq!(say(relay.session(), b"y"), b"y");
    a.wait_for("end ", 2);
    assert_eq!(a.said("truncated").len(), 1);
}

#[test]
fn cut_by_the_remote_has_its_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let middle = Server::relay(
        &["--tls", &pki().option("cert", "a.both")],
        &[&listener.local_addr().expect("it is bound").to_string()],
    );
    // What is between the two cuts the connection.
    let between = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = between.local_addr().expect("it is bound").port();
    let ca = pki().option("ca", "ca.pem");
    let relay = Server::relay(&[&ca], &[&format!("tls:127.0.0.1:{port}/name=a.example")]);
    let mut client = relay.connect();
    let here = accept(&between);
    let there = middle.connect();
    for (from, to) in [(&here, &there), (&there, &here)] {
        let (mut from, mut to) = (
            from.try_clone().expect("descriptors"),
            to.try_clone().expect("descriptors"),
        );
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
    let _remote = accept(&listener);
    relay.wait_for("tls 1 to ", 1);
    // A FIN, as if the remote had ended.
    here.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(receive_all(&mut client), b"");
    drop(client);
    relay.wait_for(&format!("tls 1 to 127.0.0.1:{port} truncated"), 1);
    relay.wait_for("end 1 status 0 ", 1);
}

#[test]
fn checks_go_through_tls() {
    let a = remote("a");
    let ca = pki().option("ca", "ca.pem");
    let good = format!("tls:127.0.0.1:{}/check=send:ping/check=expect:ping", a.port);
    let b = remote("b");
    let wrong = format!("tls:127.0.0.1:{}", b.port);
    let relay = Server::relay(&[&ca, "--check=0.05:5:1:1"], &[&good, &wrong]);
    relay.wait_for(
        &format!("dead 127.0.0.1:{} tls invalid peer certificate", b.port),
        1,
    );
    a.wait_for("end ", 3);
    assert_eq!(relay.said(" dead ").len(), 1);
    assert_eq!(ask(&relay, b"hello"), b"hello");
}

#[test]
fn check_that_only_sends_has_sent_it_over_tls() {
    let place = Place::new();
    let heard = place.path().join("heard");
    let program = format!("cat >>{}", heard.display());
    let a = Server::start(&[], &["sh", "-c", &program]);
    let operand = format!("tls:127.0.0.1:{}/check=send:ping!", a.port);
    let options = [pki().option("ca", "ca.pem"), "--check=0.05:20".to_owned()];
    let relay = Server::relay(&[&options[0], &options[1]], &[&operand]);
    a.wait_for("end ", 3);
    assert!(place.read("heard").starts_with("ping!ping!ping!"));
    assert_eq!(a.said("truncated"), [""; 0]);
    assert_eq!(relay.said(" dead "), [""; 0]);
}

/// A relay whose rules lead everybody to `remote`.
fn led_to(remote: &str, options: &[&str]) -> Server {
    let place = Place::new();
    place.write("rules", format!("127.0.0.1:allow,RELAYTO=\"{remote}\"\n"));
    let tcprules = ours("tcprules");
    let rules = std::fs::File::open(place.path().join("rules")).expect("our folder");
    let made = Command::new(tcprules)
        .args(["rules.cdb", "rules.tmp"])
        .current_dir(place.path())
        .stdin(rules)
        .status();
    assert!(made.expect("it runs").success());
    let options = [&["-xrules.cdb"], options].concat();
    Server::relay_in(place, &options, &["127.0.0.1:1"])
}

#[test]
fn rule_may_lead_to_a_remote_with_tls() {
    let a = remote("a");
    let remote = format!("tls:127.0.0.1:{}", a.port);
    let relay = led_to(&remote, &[&pki().option("ca", "ca.pem")]);
    assert_eq!(ask(&relay, b"hello"), b"hello", "{}", relay.log());
}

#[test]
fn what_a_relay_lacks_is_not_a_remotes_fault() {
    let a = remote("a");
    let remote = format!("tls:127.0.0.1:{}", a.port);
    let relay = led_to(&remote, &["--ca=nothing"]);
    assert_eq!(ask(&relay, b"hello"), b"");
    relay.wait_for("fail 1 unable to connect: tls unable to read nothing: ", 1);
    assert_eq!(relay.said(" dead "), [""; 0]);
}

#[test]
fn remote_without_a_name_is_refused_at_the_start() {
    let tcprelay = ours("tcprelay");
    let words = [
        &tcprelay[..],
        "--no-verify",
        "127.0.0.1",
        "0",
        "tls:unix:/nowhere",
    ];
    let outcome = Place::new().run(&words, |launch| launch);
    assert_eq!(outcome.status.code(), Some(100));
    let said = text(&outcome.stderr);
    assert!(
        said.contains("a server cannot be called \"/nowhere\": use /name="),
        "{said}"
    );
}
