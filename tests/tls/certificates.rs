//! Which certificate a client gets, and how certificates change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sys::signal::Signal;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};

use crate::relays::showing;
use crate::support::place::{Place, text};
use crate::world::{Server, Tls, certificate, echo, line, open, pki, say, trusting};

/// Which certificate the server shows to who asks for `name`.
fn shown(server: &Server, name: &[&str]) -> String {
    let outcome = server.s_client(&[&["-showcerts"], name].concat(), "");
    let said = text(&outcome.stdout);
    let subject = said.lines().find_map(|line| line.strip_prefix("subject="));
    let subject = subject.unwrap_or_else(|| panic!("no certificate in {said}"));
    subject
        .rsplit("CN = ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn certificate_is_the_one_for_the_name() {
    let options = ["a.both", "b.both"].map(|name| pki().option("cert", name));
    let server = Server::with(&[&options[0], &options[1]], &["true"]);
    for (name, expected) in [
        (&["-servername", "a.example"][..], "a.example"),
        (&["-servername", "b.example"], "b.example"),
        (&["-servername", "B.Example"], "b.example"),
        (&["-servername", "x.wild.example"], "a.example"),
        (&["-servername", "unknown.example"], "a.example"),
        (&["-noservername"], "a.example"),
    ] {
        assert_eq!(shown(&server, name), expected, "{name:?}");
    }
}

#[test]
fn certificate_comes_from_a_folder_by_its_files_name() {
    let place = Place::new();
    fs::create_dir(place.path().join("certs")).expect("our folder");
    for (file, name) in [
        ("a.both", "default"),
        ("b.both", "B.example"),
        ("b.both", "other.example"),
    ] {
        let to = place.path().join(format!("certs/{name}.pem"));
        fs::copy(pki().file(file), to).expect("our folder");
    }
    let server = Server::launch(place, &["--certs=certs"], &["true"], |launch| launch);
    for (name, expected) in [
        (&["-servername", "b.example"][..], "b.example"),
        (&["-servername", "OTHER.example"], "b.example"),
        (&["-servername", "unknown.example"], "a.example"),
        (&["-noservername"], "a.example"),
    ] {
        assert_eq!(shown(&server, name), expected, "{name:?}");
    }
    // A name that is added is shown from then on.
    fs::copy(
        pki().file("ed.both"),
        server.place.path().join("certs/added.example.pem"),
    )
    .expect("our folder");
    server.process.signal(Signal::SIGHUP);
    server.wait_for("tls certificates 4", 1);
    assert_eq!(
        shown(&server, &["-servername", "added.example"]),
        "ed.example"
    );
}

#[test]
fn new_certificates_that_are_of_no_use_leave_the_old_in_force_with_a_warning() {
    let place = Place::new();
    fs::copy(pki().file("a.pem"), place.path().join("cert")).expect("our folder");
    fs::copy(pki().file("a.key"), place.path().join("key")).expect("our folder");
    let options = ["--cert=cert", "--key=key"];
    let server = Server::launch(place, &options, &["true"], |launch| launch);
    let put = |from: &str| {
        let cert = server.place.path().join("cert");
        if from == "nosuch" {
            fs::remove_file(cert).expect("our folder");
        } else {
            fs::copy(pki().file(from), cert).expect("our folder");
        }
    };
    for (number, (from, why)) in [
        (
            "b.pem",
            "unable to use cert: the key is not that of the certificate",
        ),
        (
            "expired.pem",
            "unable to use cert: the key is not that of the certificate",
        ),
        ("openssl.log", "unable to use cert: it has no certificate"),
        ("nosuch", "unable to read cert: file does not exist"),
    ]
    .into_iter()
    .enumerate()
    {
        put(from);
        server.process.signal(Signal::SIGHUP);
        server.wait_for("stay in force", number + 1);
        let said = server.said("stay in force");
        let expected = format!("tlsserver: warning: {why}; the certificates before stay in force");
        assert_eq!(said[number], expected);
        assert_eq!(shown(&server, &[]), "a.example");
    }
    put("expired.pem");
    fs::copy(pki().file("expired.key"), server.place.path().join("key")).expect("our folder");
    server.process.signal(Signal::SIGHUP);
    server.wait_for("its certificate has expired; the certificates before", 1);
    assert_eq!(shown(&server, &[]), "a.example");
    put("a2.pem");
    fs::copy(pki().file("a2.key"), server.place.path().join("key")).expect("our folder");
    server.process.signal(Signal::SIGHUP);
    server.wait_for("tls certificates 1", 1);
    assert_eq!(shown(&server, &[]), "a2.example");
}

/// A server and a relay that take clients whose certificates are signed by who is in the file `signers`.
fn asking() -> [Server; 2] {
    let both = pki().option("cert", "a.both");
    let place = || {
        let place = Place::new();
        fs::copy(pki().file("ca.pem"), place.path().join("signers")).expect("our folder");
        place
    };
    let options = [&both[..], "--client-ca=signers"];
    let relay = [&options[..], &["--tls"]].concat();
    [
        Server::launch(place(), &options, &["cat"], |launch| launch),
        Server::relay_in(place(), &relay, &[&echo()]),
    ]
}

#[test]
fn who_signs_clients_certificates_is_read_again_at_hup_and_who_was_let_in_shows_his_anew() {
    for server in asking() {
        let signers = server.place.path().join("signers");
        // It keeps its ticket from one session to the next.
        let known = |name| {
            let mut config = ClientConfig::clone(&showing(Some(name)));
            config.resumption = Resumption::default();
            Arc::new(config)
        };
        let [ours, strange] = ["client", "false"].map(known);
        let kind = |client: &Arc<ClientConfig>| {
            let mut session = open(server.connect(), "a.example", Arc::clone(client));
            session.write_all(b"x\n")?;
            session.read_exact(&mut [0; 2])?;
            Ok::<_, std::io::Error>(session.conn.handshake_kind().expect("it is done"))
        };
        assert_eq!(kind(&ours).expect("good"), HandshakeKind::Full);
        assert_eq!(kind(&ours).expect("good"), HandshakeKind::Resumed);
        kind(&strange).expect_err("signed by a stranger");
        fs::copy(pki().file("stranger.pem"), &signers).expect("our folder");
        server.process.signal(Signal::SIGHUP);
        server.wait_for("tls client-ca 1", 1);
        kind(&ours).expect_err("not signed by the stranger");
        assert_eq!(kind(&strange).expect("good"), HandshakeKind::Full);
        fs::write(&signers, "of no use").expect("our folder");
        server.process.signal(Signal::SIGHUP);
        server.wait_for("the certificates before stay in force", 1);
        let said = server.said("stay in force");
        assert!(
            said[0].contains(": warning: unable to use signers: it has no certificate; "),
            "{said:?}"
        );
        assert_eq!(kind(&strange).expect("good"), HandshakeKind::Resumed);
    }
}

#[test]
fn certificate_that_has_expired_at_the_start_serves_with_a_warning() {
    let options = [
        pki().option("cert", "expired.pem"),
        pki().option("key", "expired.key"),
    ];
    let server = Server::with(&[&options[0], &options[1]], &["true"]);
    let expected = format!(
        "tlsserver: warning: {}: its certificate has expired",
        pki().file("expired.pem")
    );
    server.wait_for("has expired", 1);
    assert_eq!(server.said("warning"), [expected]);
    assert_eq!(shown(&server, &[]), "expired");
    let mut refused = open(server.connect(), "a.example", trusting());
    let error = refused.write_all(b"x").expect_err("it has expired");
    assert!(error.to_string().contains("Expired"), "{error}");
    server.wait_for("failed received fatal alert: CertificateExpired", 1);
}

/// Says that it is over when it is dropped: also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn hundred_changes_under_load_lose_no_session_and_each_new_one_has_the_newest_valid_one() {
    let place = Place::new();
    let put = |place: &Place, certificate: &str, key: &str| {
        // Certificate and key in one file, and renamed, are never seen half.
        place.write("new", pki().read(certificate) + &pki().read(key));
        fs::rename(place.path().join("new"), place.path().join("cert")).expect("our folder");
    };
    put(&place, "a.pem", "a.key");
    let server = Server::launch(place, &["--cert=cert"], &["cat"], |launch| launch);
    let chat = |session: &mut Tls| {
        session.write_all(b"x\n").expect("it is not lost");
        assert_eq!(line(session), "x\n");
    };
    let shown = |session: &Tls| session.conn.peer_certificates().expect("it has one")[0].clone();
    let valid = ["a.pem", "a2.pem"].map(certificate);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        let load = || {
            let mut count = 0;
            while !is_over.load(Relaxed) {
                let session = server.session();
                assert!(valid.contains(&shown(&session)));
                assert_eq!(say(session, b"all"), b"all");
                count += 1;
            }
            count
        };
        let loads = [scope.spawn(load), scope.spawn(load)];
        let mut old: Vec<Tls> = (0..10).map(|_| server.session()).collect();
        for change in 1..=100 {
            let name = ["a", "a2"][change % 2];
            if change % 10 == 0 {
                put(&server.place, &format!("{name}.pem"), "b.key");
                server.process.signal(Signal::SIGHUP);
                server.wait_for("stay in force", change / 10);
                assert_eq!(shown(&server.session()), valid[(change + 1) % 2]);
            }
            put(
                &server.place,
                &format!("{name}.pem"),
                &format!("{name}.key"),
            );
            server.process.signal(Signal::SIGHUP);
            server.wait_for("tls certificates 1", change);
            let mut new = server.session();
            assert_eq!(shown(&new), valid[change % 2], "change {change}");
            chat(&mut new);
            chat(&mut old[change % 10]);
        }
        for session in old {
            assert_eq!(say(session, b"end"), b"end");
        }
        drop(over);
        for load in loads {
            assert!(load.join().expect("no session is lost") > 0);
        }
    });
    assert_eq!(server.said("warning").len(), 10);
}
