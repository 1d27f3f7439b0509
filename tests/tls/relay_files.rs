//! TLS in configuration files of event-driven-servers.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustls::{ClientConfig, RootCertStore};

use crate::support::net::{receive_all, reserve_port};
use crate::support::place::{Place, ours, text};
use crate::support::process::Process;
use crate::support::wait::{eventually, had};
use crate::world::{certificate, connect, echo, open, pki, say, session, trusting};

/// A file with these two sections, in which `PORT0` and so on are ports; and these, which nobody else gets while they are
/// held.
fn file(master: &str, relay: &str) -> (Place, Vec<u16>, Vec<OwnedFd>) {
    let remote = echo();
    let (host, port) = remote.split_once(':').expect("an address");
    let mut text = format!(
        "id = spawnd {{ {master} }}\nid = tcprelay {{ remote = {{ address = {host} port = {port} }}\n {relay} }}\n"
    );
    let reserved = (0..3).map(|_| reserve_port(Ipv4Addr::LOCALHOST));
    let (held, ports): (Vec<_>, Vec<u16>) = reserved.unzip();
    for (index, port) in ports.iter().enumerate() {
        text = text.replace(&format!("PORT{index}"), &port.to_string());
    }
    for name in ["a.pem", "a.key", "a.both", "a.locked"] {
        text = text.replace(&format!("FILE:{name}"), &pki().file(name));
    }
    let place = Place::new();
    place.write("relay.conf", text);
    (place, ports, held)
}

fn start(place: &Place) -> Process {
    let tcprelay = ours("tcprelay");
    place.start(&[&tcprelay, "-D", "relay.conf"], |launch| launch)
}

fn listening(port: u16) -> TcpStream {
    had("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    connect(port)
}

#[test]
fn listeners_have_tls_as_the_file_says() {
    for certificate in [
        "tls cert-file = \"FILE:a.both\"",
        "ssl certfile = \"FILE:a.pem\" ssl keyfile = \"FILE:a.key\"",
        "tls cert-file = \"FILE:a.pem\" tls key-file = \"FILE:a.locked\" tls passphrase = secret",
    ] {
        let (place, ports, _held) = file(
            "listen { address = 127.0.0.1 port = PORT0 tls = yes }\n\
             listen { address = 127.0.0.1 port = PORT1 ssl = auto }\n\
             listen { address = 127.0.0.1 port = PORT2 tls = TLSv1.3 }",
            certificate,
        );
        let relay = start(&place);
        let under_tls = |port| say(session(listening(port), "a.example", trusting()), b"x");
        for port in &ports {
            assert_eq!(under_tls(*port), b"x", "{certificate}");
        }
        let plain = |port| {
            let mut stream = listening(port);
            stream.write_all(b"plain").expect("it listens");
            let _ = stream.shutdown(Shutdown::Write);
            receive_all(&mut stream)
        };
        assert_eq!(plain(ports[1]), b"plain");
        assert_ne!(plain(ports[0]), b"plain");
        let mut old = open(listening(ports[2]), "a.example", older());
        old.write_all(b"x").expect_err("the version is too old");
        let mut old = session(listening(ports[0]), "a.example", older());
        old.write_all(b"x").expect("it is spoken there");
        drop(relay);
    }
}

/// A client that speaks TLS 1.2 only.
fn older() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("it is one");
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("it is known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn file_that_asks_for_tls_without_a_certificate_is_wrong() {
    let (place, ..) = file("listen { port = PORT0 tls = yes }", "");
    let tcprelay = ours("tcprelay");
    for words in [
        &[&tcprelay[..], "-P", "relay.conf"][..],
        &[&tcprelay, "relay.conf"],
    ] {
        let outcome = place.run(words, |launch| launch);
        assert_eq!(outcome.status.code(), Some(78));
        let said = text(&outcome.stderr);
        let expected =
            "relay.conf:1: Expected 'tls cert-file' where it is relayed, but there is none";
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn reload_renews_certificates_and_listeners_but_reads_no_other_files() {
    let (place, ports, _held) = file(
        "listen { address = 127.0.0.1 port = PORT0 tls = yes }",
        "tls cert-file = cert",
    );
    let put = |name: &str| {
        place.write(
            "cert",
            pki().read(&format!("{name}.pem")) + &pki().read(&format!("{name}.key")),
        );
    };
    put("a");
    let relay = start(&place);
    let shown = |port| {
        let session = session(listening(port), "a.example", trusting());
        session.conn.peer_certificates().expect("it has one")[0]
            .clone()
            .into_owned()
    };
    assert_eq!(shown(ports[0]), certificate("a.pem"));
    put("a2");
    let text = place.read("relay.conf");
    let more = format!(
        "listen {{ address = 127.0.0.1 port = {} tls = yes }} }}\nid = tcprelay",
        ports[1]
    );
    place.write("relay.conf", text.replace("}\nid = tcprelay", &more));
    relay.signal(Signal::SIGHUP);
    let newest = certificate("a2.pem");
    eventually("the new one is shown", || shown(ports[0]) == newest);
    assert_eq!(shown(ports[1]), newest);
    let other = pki().file("b.both");
    place.write(
        "relay.conf",
        text.replace("cert-file = cert", &format!("cert-file = \"{other}\"")),
    );
    relay.signal(Signal::SIGHUP);
    let log = relay.stderr.as_ref().expect("a pipe");
    log.wait_for(
        "nothing is changed: certificates in other files need a new start",
        1,
    );
    assert_eq!(shown(ports[1]), newest);
}
