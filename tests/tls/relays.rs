//! tcprelay with TLS from clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};
use rustls::{ClientConfig, RootCertStore};
use ucspi_tcp::ucspi::proxy::{Header, read};

use crate::hostile::hello;
use crate::keys::has;
use crate::support::is_root;
use crate::support::net::{accept, receive_all, receive_exactly};
use crate::support::place::{Place, text};
use crate::world::{
    Server, Tls, certificate, close, connect, echo, line, open, pki, say, session, trusting,
};

/// A relay with the certificate of a.example that carries to `remote`.
fn relay(options: &[&str], remote: &str) -> Server {
    let both = pki().option("cert", "a.both");
    Server::relay(&[&["--tls", &both], options].concat(), &[remote])
}

/// Bytes that look different everywhere.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).expect("a byte");
    (0..length).map(byte).collect()
}

#[test]
fn what_a_client_says_under_tls_arrives_plain_and_comes_back_under_tls() {
    let relay = relay(&[], &echo());
    // The end arrives too, and comes back as close_notify.
    assert_eq!(say(relay.session(), b"hello"), b"hello");
    relay.wait_for("end ", 1);
    let said = relay.said(" tls ");
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "tcprelay: tls TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example";
    assert_eq!(said[0], expected);
    assert!(
        relay.log().contains(" status 0 in 5 out 5 ms "),
        "{}",
        relay.log()
    );
}

#[test]
fn both_versions_are_spoken_with_openssl_unless_one_is_too_old() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"served\n");
        }
    });
    let both = relay(&[], &address);
    let newest = relay(&["--tls-min=1.3"], &address);
    for (server, version, expected) in [
        (&both, "-tls1_2", "served\n"),
        (&both, "-tls1_3", "served\n"),
        (&newest, "-tls1_2", ""),
        (&newest, "-tls1_3", "served\n"),
    ] {
        let options = [version, "-quiet", "-servername", "a.example"];
        let verify = ["-verify_return_error", "-verify_hostname", "a.example"];
        let outcome = server.s_client(&[&options[..], &verify].concat(), "");
        assert_eq!(text(&outcome.stdout), expected, "{version}");
    }
    newest.wait_for("tls 1 failed peer is incompatible", 1);
    both.wait_for("tls 1 TLSv1.2 ECDHE-ECDSA-", 1);
}

#[test]
fn large_amounts_arrive_whole_in_both_directions_at_once() {
    let relay = relay(&["--threads=3"], &echo());
    let bytes = Arc::new(pattern(5_000_000));
    let sessions = (0..6).map(|_| {
        let (port, bytes) = (relay.port, Arc::clone(&bytes));
        std::thread::spawn(move || {
            let mut session = session(connect(port), "a.example", trusting());
            let mut got = vec![0; bytes.len()];
            for (sent, got) in bytes.chunks(70_000).zip(got.chunks_mut(70_000)) {
                session.write_all(sent).expect("it listens");
                session.read_exact(got).expect("it gives back");
            }
            assert!(got == *bytes);
            assert_eq!(say(session, b"end"), b"end");
        })
    });
    let sessions: Vec<_> = sessions.collect();
    for session in sessions {
        session.join().expect("all is well");
    }
    relay.wait_for(" status 0 in 5000003 out 5000003 ms ", 6);
}

#[test]
fn urgent_bytes_of_a_record_keep_their_place() {
    let relay = relay(&["--threads=1"], &echo());
    let mut session = relay.session();
    // All of it is there before any of it is read.
    relay.process.signal(Signal::SIGSTOP);
    for text in [&b"one "[..], b"two ", b"three"] {
        session.conn.writer().write_all(text).expect("a buffer");
        let mut record = Vec::new();
        session.conn.write_tls(&mut record).expect("a buffer");
        // Of what is sent so, the last byte is urgent: one in the middle of a record, and its last one.
        let (half, rest) = record.split_at(record.len() / 2);
        for part in [half, rest] {
            let sent = send(session.sock.as_raw_fd(), part, MsgFlags::MSG_OOB);
            assert_eq!(sent, Ok(part.len()));
        }
    }
    relay.process.signal(Signal::SIGCONT);
    let mut back = [0; 13];
    session.read_exact(&mut back).expect("it comes back");
    assert_eq!(&back, b"one two three");
}

#[test]
fn side_that_says_all_before_it_reads_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let relay = relay(&["--threads=1"], &address);
    // More than the buffers of all sockets hold.
    let bytes = Arc::new(pattern(32 << 20));
    let both = Arc::clone(&bytes);
    let remote = std::thread::spawn(move || {
        let mut remote = accept(&listener);
        let mut out = remote.try_clone().expect("descriptors");
        let sent = Arc::clone(&both);
        let sending = std::thread::spawn(move || out.write_all(&sent).expect("it listens"));
        assert!(receive_exactly(&mut remote, both.len()) == *both);
        sending.join().expect("all is sent");
    });
    let mut session = relay.session();
    session.write_all(&bytes).expect("it is heard");
    let mut got = vec![0; bytes.len()];
    session.read_exact(&mut got).expect("it says all");
    assert!(got == *bytes);
    remote.join().expect("all is well");
}

#[test]
fn side_that_does_not_read_stops_the_other_one_and_nobody_else() {
    let relay = relay(&["--threads=1"], &echo());
    let mut stalled = relay.session();
    let sock = stalled.sock.try_clone().expect("descriptors");
    sock.set_nonblocking(true).expect("a socket");
    // Until nothing more is taken: what came back was not read.
    let bytes = pattern(1 << 20);
    while stalled.write_all(&bytes).is_ok() {}
    assert_eq!(say(relay.session(), b"quick"), b"quick");
    let resident = crate::support::process::resident(relay.process.pid());
    assert!(resident < 40_000, "{resident} KiB for two sessions");
}

#[test]
fn client_that_only_ends_its_side_still_gets_a_late_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = relay(
        &[],
        &listener.local_addr().expect("it is bound").to_string(),
    );
    let mut session = relay.session();
    session.write_all(b"question").expect("it listens");
    close(&mut session);
    let mut remote = accept(&listener);
    assert_eq!(receive_all(&mut remote), b"question");
    let answer = pattern(3_000_000);
    let sent = answer.clone();
    let sending = std::thread::spawn(move || remote.write_all(&sent).expect("it listens"));
    let mut got = Vec::new();
    session.read_to_end(&mut got).expect("an orderly end");
    assert!(got == answer);
    sending.join().expect("all is sent");
}

#[test]
fn end_without_a_word_is_told_from_an_end() {
    let relay = relay(&[], &echo());
    let mut session = relay.session();
    session.write_all(b"12345").expect("it listens");
    session.sock.shutdown(Shutdown::Write).expect("it is open");
    relay.wait_for("end ", 1);
    assert_eq!(relay.said("truncated"), ["tcprelay: tls truncated"]);
    assert!(
        relay.log().contains(" status 0 in 5 out 5 "),
        "{}",
        relay.log()
    );
}

#[test]
fn reset_is_passed_on_as_a_reset_in_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = relay(
        &[],
        &listener.local_addr().expect("it is bound").to_string(),
    );
    for is_client in [true, false] {
        let mut session = relay.session();
        session.write_all(b"x").expect("it listens");
        let mut remote = accept(&listener);
        assert_eq!(receive_exactly(&mut remote, 1), b"x");
        let error = if is_client {
            crate::support::net::reset_on_close(&session.sock);
            drop(session);
            remote.read(&mut [0]).expect_err("a reset")
        } else {
            crate::support::net::reset_on_close(&remote);
            drop(remote);
            session.read(&mut [0]).expect_err("a reset")
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    relay.wait_for(" status 28416 in 1 out 0 ", 2);
}

#[test]
fn bytes_that_are_not_tlss_in_a_session_end_it_with_an_alert_and_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = relay(
        &[],
        &listener.local_addr().expect("it is bound").to_string(),
    );
    let mut session = relay.session();
    // Not before it is carried on: it could come with the end of the handshake, and fail that.
    let mut remote = accept(&listener);
    let record = [&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat();
    session.sock.write_all(&record).expect("it listens");
    let error = remote.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let error = session.read(&mut [0]).expect_err("an alert");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    relay.wait_for("end ", 1);
    assert_eq!(
        relay.said(" failed "),
        ["tcprelay: tls failed cannot decrypt peer's message"]
    );
}

#[test]
fn who_does_not_speak_tls_is_closed_in_time_with_one_line_and_holds_no_slot() {
    let remote = echo();
    let hello = hello();
    let oversized = [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
    for (what, bytes, leaves, why) in [
        ("nothing", &b""[..], false, "timed out"),
        ("nothing at all", b"", true, "the peer has closed"),
        (
            "half a hello",
            &hello[..hello.len() / 2],
            false,
            "timed out",
        ),
        (
            "half a hello, and leaves",
            &hello[..hello.len() / 2],
            true,
            "the peer has closed",
        ),
        (
            "a question in plain",
            b"GET / HTTP/1.0\r\n\r\n",
            false,
            "this is not TLS",
        ),
        (
            "a record that is too large",
            &oversized,
            false,
            "received corrupt message of type",
        ),
    ] {
        let is_slow = why == "timed out";
        let time = if is_slow {
            "--tls-timeout=0.2"
        } else {
            "--tls-timeout=100"
        };
        let relay = relay(&["-c1", time], &remote);
        let mut stream = relay.connect();
        let _ = stream.write_all(bytes);
        if leaves {
            stream.shutdown(Shutdown::Write).expect("it is open");
        }
        receive_all(&mut stream);
        relay.wait_for("end ", 1);
        let said = relay.said(" tls ");
        assert_eq!(said.len(), 1, "{what}: {said:?}");
        let expected = format!("tcprelay: tls failed {why}");
        assert!(said[0].starts_with(&expected), "{what}: {said:?}");
        // At the start, and now: the slot is free.
        relay.wait_for("status: 0/1", 2);
    }
}

#[test]
fn first_byte_says_who_speaks_tls_where_that_is_found_out() {
    let both = pki().option("cert", "a.both");
    let remote = echo();
    let relay = Server::relay(&["--tls=detect", &both], &[&remote]);
    let mut plain = relay.connect();
    plain.write_all(b"plain").expect("it listens");
    plain.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(receive_all(&mut plain), b"plain");
    assert_eq!(say(relay.session(), b"under TLS"), b"under TLS");
    assert_eq!(relay.said(" tls ").len(), 1);
    // Who says nothing is not known, and not waited for.
    let relay = Server::relay(&["--tls=detect", &both, "--tls-timeout=0.3"], &[&remote]);
    receive_all(&mut relay.connect());
    relay.wait_for("tls 1 failed timed out", 1);
    let mut ended = relay.connect();
    ended.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(receive_all(&mut ended), b"");
    relay.wait_for("end 2 status 0", 1);
}

/// A client that shows this certificate, or none.
pub(crate) fn showing(name: Option<&str>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("it is one");
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots);
    Arc::new(match name {
        None => config.with_no_client_auth(),
        Some(name) => {
            let key = pem::parse(pki().read(&format!("{name}.key"))).expect("PEM");
            let key = rustls::pki_types::PrivateKeyDer::try_from(key.into_contents());
            let chain = vec![certificate(&format!("{name}.pem"))];
            let config = config.with_client_auth_cert(chain, key.expect("a key"));
            config.expect("they fit")
        }
    })
}

#[test]
fn clients_need_a_good_certificate_where_one_is_asked_for() {
    let remote = echo();
    let ca = pki().option("client-ca", "ca.pem");
    let required = relay(&[&ca], &remote);
    let optional = relay(&[&ca, "--client-ca-optional"], &remote);
    for (relay, shown, why) in [
        (&required, Some("client"), None),
        (&required, None, Some("peer sent no certificates")),
        (
            &required,
            Some("false"),
            Some("invalid peer certificate: UnknownIssuer"),
        ),
        (&optional, Some("client"), None),
        (&optional, None, None),
        (
            &optional,
            Some("false"),
            Some("invalid peer certificate: UnknownIssuer"),
        ),
    ] {
        let before = relay.said(" failed ").len();
        let mut session = open(relay.connect(), "a.example", showing(shown));
        let answer = session
            .write_all(b"x\n")
            .and_then(|()| session.read(&mut [0]));
        match why {
            None => assert_eq!(answer.expect("a session"), 1, "{shown:?}"),
            Some(why) => {
                answer.expect_err("no session");
                relay.wait_for(" failed ", before + 1);
                let said = &relay.said(" failed ")[before];
                assert!(
                    said.starts_with(&format!("tcprelay: tls failed {why}")),
                    "{said}"
                );
            }
        }
    }
}

/// The header at the beginning of what a remote gets.
fn header(remote: &mut TcpStream) -> Header {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(receive_exactly(remote, 1));
        if let Some((header, _)) = read(&bytes).expect("a header") {
            return header;
        }
    }
}

#[test]
fn remote_is_told_by_proxy_what_there_is_to_know_of_the_clients_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let ca = pki().option("client-ca", "ca.pem");
    let options = [
        &ca[..],
        "--client-ca-optional",
        "--alpn=h2,imap",
        "--send-proxy=2",
    ];
    let relay = relay(&options, &address);
    for (shown, offered, agreed) in [
        (Some("client"), &["imap", "h2"][..], Some(&b"h2"[..])),
        (None, &[], None),
    ] {
        let mut config = ClientConfig::clone(&showing(shown));
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let client = session(relay.connect(), "a.example", Arc::new(config));
        assert_eq!(client.conn.alpn_protocol(), agreed);
        let header = header(&mut accept(&listener));
        let ends = header.addresses.expect("it is of TCP");
        assert_eq!(ends.remote, client.sock.local_addr().expect("connected"));
        assert_eq!(ends.local, client.sock.peer_addr().expect("connected"));
        let facts = header.facts;
        assert_eq!(facts.alpn.as_deref(), agreed);
        assert_eq!(facts.authority.as_deref(), Some(&b"a.example"[..]));
        let tls = facts.tls.expect("it is TLS");
        assert_eq!(tls.version.as_deref(), Some(&b"TLSv1.3"[..]));
        assert_eq!(tls.cipher.as_deref(), Some(&b"TLS_AES_256_GCM_SHA384"[..]));
        let name = shown.map(|_| b"client one".to_vec());
        assert_eq!(tls.common_name, name);
    }
    let mut config = ClientConfig::clone(&trusting());
    config.alpn_protocols = vec![b"smtp".to_vec()];
    let mut refused = open(relay.connect(), "a.example", Arc::new(config));
    let error = refused.write_all(b"x").expect_err("nothing in common");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

/// The header that a balancer sends, in several forms, and the address that it announces; nothing for none.
fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let v2 = |command: u8, family: u8, rest: &[u8]| {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [
            &b"\r\n\r\n\0\r\nQUIT\n"[..],
            &[command, family],
            &length,
            rest,
        ]
        .concat()
    };
    let four = [192, 0, 2, 7, 127, 0, 0, 1, 4, 0, 1, 187];
    let mut six = [0; 36];
    (six[0], six[1], six[15]) = (0x20, 0x01, 9);
    vec![
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1024 443\r\n".to_vec(),
            Some("192.0.2.7"),
        ),
        (
            b"PROXY TCP6 2001::9 ::1 1024 443\r\n".to_vec(),
            Some("2001::9"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (v2(0x21, 0x11, &four), Some("192.0.2.7")),
        (v2(0x21, 0x21, &six), Some("2001::9")),
        (v2(0x20, 0, &[]), None),
    ]
}

/// Check 10 of the reference: what comes before TLS, and in place of it.
#[test]
fn proxy_header_before_tls_may_come_in_two_parts_and_is_refused_when_cut_at_any_byte() {
    let words = ["--proxy=127.0.0.0/8", "-c1"];
    let relay = relay(&words, &echo());
    let mut count = 0;
    for (header, announced) in headers() {
        let before = relay.said(" tls ").len();
        for cut in 0..header.len() {
            // Cut for good: closed, and the slot is free for the next one.
            let mut stream = relay.connect();
            stream.write_all(&header[..cut]).expect("it listens");
            stream.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(receive_all(&mut stream), b"");
            count += 1;
            relay.wait_for("end ", count);
        }
        assert_eq!(relay.said(" tls ").len(), before, "{}", relay.log());
        for cut in [1, header.len() / 2, header.len() - 1, header.len()] {
            let mut stream = relay.connect();
            stream.set_nodelay(true).expect("a TCP socket");
            stream.write_all(&header[..cut]).expect("it listens");
            stream.write_all(&header[cut..]).expect("it listens");
            assert_eq!(say(session(stream, "a.example", trusting()), b"x"), b"x");
            count += 1;
            relay.wait_for("end ", count);
        }
        let from = format!("from {}\n", announced.unwrap_or("127.0.0.1"));
        assert!(relay.log().matches(&from).count() >= 4, "{from}");
    }
    let mut long = relay.connect();
    long.write_all(&[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat())
        .expect("it listens");
    assert_eq!(receive_all(&mut long), b"");
    relay.wait_for("end ", count + 1);
    assert_eq!(
        say(session_behind(&relay, b"PROXY UNKNOWN\r\n"), b"x"),
        b"x"
    );
}

/// A session that begins with this header.
fn session_behind(relay: &Server, header: &[u8]) -> Tls {
    let mut stream = relay.connect();
    stream.write_all(header).expect("it listens");
    session(stream, "a.example", trusting())
}

#[test]
fn proxy_header_of_who_is_not_trusted_is_no_tls() {
    let relay = relay(&["--proxy=192.0.2.0/24"], &echo());
    let mut stream = relay.connect();
    stream.write_all(b"PROXY UNKNOWN\r\n").expect("it listens");
    receive_all(&mut stream);
    relay.wait_for("tls 1 failed this is not TLS", 1);
    assert_eq!(say(relay.session(), b"x"), b"x");
}

#[test]
fn secret_is_in_the_key_process_only() {
    if !is_root() {
        return;
    }
    let secret = pki().secret("a.key");
    let relay = relay(&["--threads=2"], &echo());
    for _ in 0..100 {
        let mut session = relay.session();
        session.write_all(b"x\n").expect("it listens");
        assert_eq!(line(&mut session), "x\n");
    }
    let held = relay.session();
    assert!(!has(relay.process.pid(), &secret), "it is in the relay");
    assert!(
        has(relay.key_process(), &secret),
        "the search finds nothing at all"
    );
    drop(held);
}

#[test]
fn relay_without_its_key_process_ends() {
    let mut relay = relay(&[], &echo());
    let pid = i32::try_from(relay.key_process()).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    let status = relay.process.wait();
    assert_eq!(status.code(), Some(111));
    assert!(
        relay
            .log()
            .contains("tcprelay: fatal: the key process has ended")
    );
}

#[test]
fn changes_of_the_certificate_under_load_lose_no_session() {
    let place = Place::new();
    let put = |place: &Place, name: &str| {
        let text = pki().read(&format!("{name}.pem")) + &pki().read(&format!("{name}.key"));
        place.write("new", text);
        fs::rename(place.path().join("new"), place.path().join("cert")).expect("our folder");
    };
    put(&place, "a");
    let relay = Server::relay_in(place, &["--tls", "--cert=cert", "--threads=2"], &[&echo()]);
    let chat = |session: &mut Tls| {
        session.write_all(b"x\n").expect("it is not lost");
        assert_eq!(line(session), "x\n");
    };
    let mut old: Vec<Tls> = (0..10).map(|_| relay.session()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let port = relay.port;
    let load = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let session = session(connect(port), "a.example", trusting());
                assert_eq!(say(session, b"load"), b"load");
            }
        })
    };
    for change in 1..=100 {
        let name = ["a", "a2"][change % 2];
        put(&relay.place, name);
        relay.process.signal(Signal::SIGHUP);
        relay.wait_for("tls certificates 1", change);
        let mut new = relay.session();
        let found = new.conn.peer_certificates().expect("it has one");
        assert_eq!(
            found[0],
            certificate(&format!("{name}.pem")),
            "change {change}"
        );
        chat(&mut new);
        chat(&mut old[change % 10]);
    }
    stop.store(true, Ordering::SeqCst);
    load.join().expect("no session is lost");
    for session in old {
        assert_eq!(say(session, b"end"), b"end");
    }
    // One that is of no use leaves the old one in force.
    relay.place.write("cert", "nothing");
    relay.process.signal(Signal::SIGHUP);
    relay.wait_for("the certificates before stay in force", 1);
    assert_eq!(say(relay.session(), b"x"), b"x");
}

#[test]
fn relay_that_retires_goes_on_with_tls_and_loses_no_session() {
    let relay = relay(&["--retire=3"], &echo());
    let mut old: Vec<Tls> = (0..8).map(|_| relay.session()).collect();
    for session in &mut old {
        session.write_all(b"x\n").expect("it is not lost");
        assert_eq!(line(session), "x\n");
    }
    assert_eq!(say(relay.session(), b"new"), b"new");
    for session in old {
        assert_eq!(say(session, b"end"), b"end");
    }
}

#[test]
fn relay_that_is_upgraded_goes_on_with_tls_and_loses_no_session() {
    let relay = relay(&["--upgrade"], &echo());
    let mut old = relay.session();
    for round in 1..=3 {
        old.write_all(b"x\n").expect("it is not lost");
        assert_eq!(line(&mut old), "x\n");
        relay.process.signal(Signal::SIGUSR2);
        relay.wait_for("draining", round);
        assert_eq!(say(relay.session(), b"new"), b"new", "round {round}");
    }
    assert_eq!(say(old, b"end"), b"end");
}

#[test]
fn what_a_command_line_leaves_out_is_said() {
    let place = Place::new();
    let tcprelay = crate::support::place::ours("tcprelay");
    let both = pki().option("cert", "a.both");
    let ca = pki().option("client-ca", "ca.pem");
    for (words, code, why) in [
        (&["--tls"][..], 100, "--cert or --certs is needed"),
        (
            &[&both],
            100,
            "certificates, --client-ca and --alpn need --tls",
        ),
        (
            &[&ca],
            100,
            "certificates, --client-ca and --alpn need --tls",
        ),
        (
            &["--alpn=h2"],
            100,
            "certificates, --client-ca and --alpn need --tls",
        ),
        (
            &["--tls", &both, "--client-ca-optional"],
            100,
            "--client-ca-optional needs --client-ca",
        ),
        (
            &["--tls=detect", &both, &ca],
            100,
            "--tls=detect takes clients without a certificate: --client-ca-optional",
        ),
        (
            &["--tls=maybe", &both],
            100,
            "option takes no argument -- tls",
        ),
        (
            &["--tls", "--cert=nowhere"],
            111,
            "unable to read nowhere: ",
        ),
        (
            &["--tls", &both, "--retire=5", "-u1"],
            100,
            "who replaces this process reads private keys again: not as another user, or by --passphrase-fd",
        ),
        (
            &["--tls", &both, "--upgrade", "-g1"],
            100,
            "who replaces this process reads private keys again: ",
        ),
        (
            &["--tls", &both, "--upgrade", "--passphrase-fd=0"],
            100,
            "who replaces this process reads private keys again: ",
        ),
        (
            &["--remote-tls", "--ca=nowhere"],
            111,
            "unable to read nowhere: ",
        ),
    ] {
        for only in [&["--check-only"][..], &[]] {
            let all = [
                &[&tcprelay[..]],
                only,
                words,
                &["127.0.0.1", "0", "127.0.0.1:1"],
            ];
            let outcome = place.run(&all.concat(), |launch| launch);
            assert_eq!(outcome.status.code(), Some(code), "{words:?}");
            let said = text(&outcome.stderr);
            assert!(said.contains(why), "{words:?}: {said}");
        }
    }
}
