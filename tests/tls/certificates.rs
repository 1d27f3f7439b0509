//! Which certificate a client gets, and how certificates change.

use std::fs;
use std::io::Write as _;

use nix::sys::signal::Signal;

use crate::support::place::{Place, text};
use crate::world::{Server, Tls, certificate, line, open, pki, say, session, trusting};

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
}

#[test]
fn new_certificates_that_are_of_no_use_leave_the_old_in_force_with_a_warning() {
    let place = Place::new();
    fs::copy(pki().file("a.pem"), place.path().join("cert")).expect("our folder");
    fs::copy(pki().file("a.key"), place.path().join("key")).expect("our folder");
    let options = ["--cert=cert", "--key=key"];
    let server = Server::launch(place, &options, &["true"], |launch| launch);
    let put = |from: &str| {
        fs::copy(pki().file(from), server.place.path().join("cert")).expect("our folder");
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

#[test]
fn hundred_changes_under_load_lose_no_session_and_each_new_one_has_the_newest() {
    let place = Place::new();
    let put = |place: &Place, name: &str| {
        // Certificate and key in one file, and renamed, are never seen half.
        let text = pki().read(&format!("{name}.pem")) + &pki().read(&format!("{name}.key"));
        place.write("new", text);
        fs::rename(place.path().join("new"), place.path().join("cert")).expect("our folder");
    };
    put(&place, "a");
    let server = Server::launch(place, &["--cert=cert"], &["cat"], |launch| launch);
    let chat = |session: &mut Tls| {
        session.write_all(b"x\n").expect("it is not lost");
        assert_eq!(line(session), "x\n");
    };
    let mut old: Vec<Tls> = (0..10).map(|_| server.session()).collect();
    for change in 1..=100 {
        let name = ["a", "a2"][change % 2];
        put(&server.place, name);
        server.process.signal(Signal::SIGHUP);
        // In the middle of it.
        let mut meanwhile = server.session();
        chat(&mut meanwhile);
        server.wait_for("tls certificates 1", change);
        let mut new = server.session();
        let found = new.conn.peer_certificates().expect("it has one");
        assert_eq!(
            found[0],
            certificate(&format!("{name}.pem")),
            "change {change}"
        );
        chat(&mut new);
        chat(&mut old[change % 10]);
    }
    for session in old {
        assert_eq!(say(session, b"end"), b"end");
    }
    assert_eq!(server.said("warning"), [""; 0]);
    say(session(server.connect(), "a.example", trusting()), b"");
}
