//! The scripts in `examples/tls`, run with other ports, users and machines than they name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::peers::{DOVECOT, curl, dovecot_at, has};
use crate::support::is_root;
use crate::support::place::{Place, ours, text};
use crate::support::process::Process;
use crate::world::{connect, pki, say, session, trusting};

/// Starts one of them in `place`, with words of it replaced by others.
fn start(place: &Place, name: &str, others: &[(&str, &str)], arguments: &[&str]) -> Process {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tls");
    let mut script = fs::read_to_string(folder.join(name)).expect("it is there");
    for (word, other) in others {
        assert!(script.contains(word), "{name} has no {word}");
        script = script.replace(word, other);
    }
    place.write(name, script);
    let tlsserver = ours("tlsserver");
    let programs = Path::new(&tlsserver).parent().expect("a folder").display();
    let words = [&["/bin/sh", name], arguments].concat();
    place.start(&words, |launch| {
        launch
            .empty_env()
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
    })
}

/// A place with a folder `certs`, in which a.example is the default.
fn with_certificates() -> Place {
    let place = Place::new();
    fs::create_dir(place.path().join("certs")).expect("our folder");
    symlink(pki().file("a.both"), place.path().join("certs/default.pem")).expect("our folder");
    place
}

#[test]
fn https_stands_in_front_of_the_page_of_the_readme() {
    let serve = Place::new();
    let tlsserver = ours("tlsserver");
    let programs = Path::new(&tlsserver)
        .parent()
        .expect("a folder")
        .display()
        .to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve");
    let script = script.to_string_lossy().into_owned();
    let page = serve.start(&["/bin/sh", &script, "0"], |launch| {
        launch.env("UCSPI_PROGRAMS", &programs)
    });
    let stdout = page.stdout.as_ref().expect("a pipe");
    let line = text(&stdout.first_line());
    let page_port = line
        .trim()
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .expect("a port");
    let place = Place::new();
    let https = start(&place, "https", &[], &["0", page_port]);
    let port = https.port().to_string();
    let shown = place.run(&[&ours("https@"), "127.0.0.1", "", &port], |launch| {
        launch.env(
            "SSL_CERT_FILE",
            place.path().join("cert.pem").to_string_lossy().as_bytes(),
        )
    });
    assert_eq!(text(&shown.stderr), "");
    assert!(
        text(&shown.stdout).contains("<h1>ucspi-tcp</h1>"),
        "{}",
        text(&shown.stdout)
    );
}

#[test]
fn imaps_gives_a_mailbox_to_who_has_the_certificate() {
    if !is_root() || !has(DOVECOT) || !has("curl") {
        return;
    }
    let place = with_certificates();
    let conf = dovecot_at(&place, "nothing new");
    fs::copy(pki().file("ca.pem"), place.path().join("joe.pem")).expect("our folder");
    let home = place.path().to_string_lossy().into_owned();
    let others = [
        ("-v ", "-1v "),
        ("-u joe 0 993", "-u nobody 127.0.0.1 0"),
        ("/home/joe", &home),
        ("dovecot/imap", &format!("dovecot/imap -c {conf}")),
    ];
    let server = start(&place, "imaps", &others, &[]);
    let (certificate, key) = (pki().file("client.pem"), pki().file("client.key"));
    let options = ["--cert", &certificate, "--key", &key];
    let mail = curl(server.port(), "imaps", "INBOX;UID=1", &options);
    assert!(mail.contains("nothing new"), "{mail}");
}

#[test]
fn smtps_stands_in_front_of_a_plain_service() {
    if !is_root() {
        return;
    }
    let place = with_certificates();
    let (_plain, plain_port) =
        place.serve(0, &["sh", "-c", "echo 220 ready; cat"], |launch| launch);
    let to = format!("127.0.0.1 {plain_port}");
    let others = [
        ("-v ", "-1v "),
        ("0 465", "127.0.0.1 0"),
        ("192.0.2.25 25", &to),
    ];
    let server = start(&place, "smtps", &others, &[]);
    let session = session(connect(server.port()), "a.example", trusting());
    assert_eq!(say(session, b"QUIT\r\n"), b"220 ready\nQUIT\r\n");
}
