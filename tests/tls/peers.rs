//! Other people's clients at tlsserver, in every version and suite; and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::place::{Place, find, text};
use crate::world::{Server, pki};

/// Whether there is the program of others that a test is about. Where none may miss, it must be.
pub(crate) fn has(program: &str) -> bool {
    let is_here = Path::new(program).exists() || find(program).is_ok();
    let is_needed = crate::support::is_set("UCSPI_COMPONENTS_REQUIRED");
    assert!(is_here || !is_needed, "there is no {program}");
    is_here
}

const PAGE: [&str; 3] = [
    "sh",
    "-c",
    "sed '/^.$/q' >asked; printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n'",
];

#[test]
fn curl_gets_a_page() {
    if !has("curl") {
        return;
    }
    let server = Server::start(&[], &PAGE);
    assert_eq!(curl(server.port, "https", "news", &[]), "hello\n");
    server.wait_for("end ", 1);
}

/// What curl shows of a server of ours, which is called a.example.
pub(crate) fn curl(port: u16, scheme: &str, path: &str, options: &[&str]) -> String {
    let curl = find("curl").expect("it is there");
    let ca = pki().file("ca.pem");
    let to = format!("a.example:{port}:127.0.0.1:{port}");
    let url = format!("{scheme}://a.example:{port}/{path}");
    let words = [&curl[..], "-sS", "--noproxy", "*", "--cacert", &ca];
    let words = [&words[..], options, &["--connect-to", &to, &url]].concat();
    let outcome = Place::new().run(&words, |launch| launch);
    assert_eq!(text(&outcome.stderr), "");
    text(&outcome.stdout)
}

pub(crate) const DOVECOT: &str = "/usr/lib/dovecot/imap";

/// A mailbox of an ordinary user in `place` with one mail that says `words`; and the configuration, for who has logged in
/// already: its path.
pub(crate) fn dovecot_at(place: &Place, words: &str) -> String {
    let root = place.path().to_string_lossy().into_owned();
    for folder in ["base", "mail", "mail/new", "mail/cur", "mail/tmp"] {
        fs::create_dir(place.path().join(folder)).expect("our folder");
    }
    place.write("mail/new/1.here", format!("Subject: news\n\n{words}\n"));
    place.write(
        "conf",
        format!(
            "base_dir = {root}/base\nstate_dir = {root}/base\nlog_path = {root}/base/log\nssl = no\n\
             protocols = imap\nmail_location = maildir:{root}/mail\n"
        ),
    );
    if crate::support::is_root() {
        let give = Command::new("chown")
            .args(["-R", "65534:65534", &root])
            .status();
        assert!(give.expect("there is chown").success());
    }
    format!("{root}/conf")
}

#[test]
fn dovecot_serves_mail_to_who_has_a_certificate() {
    if !has(DOVECOT) || !has("curl") {
        return;
    }
    let place = Place::new();
    let conf = dovecot_at(&place, "nothing");
    let home = place.path().to_string_lossy().into_owned();
    let own = pki().option("cert", "a.both");
    let client_ca = pki().option("client-ca", "ca.pem");
    let mut options = vec![&own[..], &client_ca];
    if crate::support::is_root() {
        // It serves nobody as root.
        options.extend(["-u65534", "-g65534"]);
    }
    let server = Server::launch(place, &options, &[DOVECOT, "-c", &conf], |launch| {
        launch.env("USER", "joe").env("HOME", &home)
    });
    let (certificate, key) = (pki().file("client.pem"), pki().file("client.key"));
    let options = ["--cert", &certificate, "--key", &key];
    let mail = curl(server.port, "imaps", "INBOX;UID=1", &options);
    assert_eq!(mail.replace('\r', ""), "Subject: news\n\nnothing\n");
    server.wait_for("end ", 1);
    assert_eq!(server.said("truncated"), [""; 0]);
    // Who has none does not come to dovecot at all.
    let outcome = server.s_client(&["-quiet"], "");
    assert_eq!(text(&outcome.stdout), "");
    server.wait_for("tls 4194", 1);
    let expected = "tlsserver: tls failed peer sent no certificates";
    assert_eq!(server.said(" failed "), [expected]);
}

#[test]
fn each_version_and_suite_that_is_spoken_is_spoken_with_openssl() {
    let options = ["a.both", "b.both"].map(|name| pki().option("cert", name));
    let server = Server::with(&[&options[0], &options[1]], &["echo", "served"]);
    for (number, (name, words)) in [
        ("a.example", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256"),
        ("a.example", "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384"),
        (
            "b.example",
            "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256",
        ),
        ("a.example", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("a.example", "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("a.example", "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("b.example", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256"),
        ("b.example", "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384"),
        ("b.example", "-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305"),
        ("a.example", "-tls1_3 -groups P-256"),
        ("a.example", "-tls1_3 -groups X25519"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut options: Vec<&str> = words.split(' ').collect();
        options.extend(["-quiet", "-servername", name, "-verify_return_error"]);
        options.extend(["-verify_hostname", name]);
        let outcome = server.s_client(&options, "");
        let said = text(&outcome.stdout);
        assert_eq!(said, "served\n", "{words}: {}", text(&outcome.stderr));
        let (version, suite) = words.split_once(' ').expect("two words at least");
        let version = version.replace("-tls1_", "TLSv1.");
        let suite = suite.split(' ').nth(1).filter(|_| suite.contains("cipher"));
        let expected = format!("tlsserver: tls {version} {}", suite.unwrap_or("TLS_"));
        server.wait_for(" tls ", number + 1);
        let line = &server.said(" tls ")[number];
        assert!(line.starts_with(&expected), "{expected}: {line}");
        assert!(line.ends_with(&format!("sni {name}")), "{name}: {line}");
    }
}

#[test]
fn what_is_too_old_or_too_weak_is_refused() {
    let both = pki().option("cert", "b.both");
    // OpenSSL itself does not speak the oldest unless it is told that nothing matters.
    for (option, words) in [
        ("--tls-min=1.2", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]),
        ("--tls-min=1.2", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]),
        ("--tls-min=1.3", ["-tls1_2", "-cipher", "ALL"]),
        ("--tls-min=1.2", ["-tls1_2", "-cipher", "AES128-SHA256"]),
        (
            "--tls-min=1.2",
            ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
        ),
        (
            "--tls-min=1.2",
            ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
        ),
    ] {
        let server = Server::with(&[&both, option], &["echo", "served"]);
        let outcome = server.s_client(&[&words[..], &["-quiet"]].concat(), "");
        assert_eq!(text(&outcome.stdout), "", "{words:?}");
        // It was told why, and not just left.
        let told = text(&outcome.stderr);
        assert!(told.contains(" alert "), "{words:?}: {told}");
        server.wait_for(" failed ", 1);
        let said = server.said(" failed ");
        let reason = said[0]
            .strip_prefix("tlsserver: tls failed ")
            .expect("a line");
        assert!(
            reason.starts_with("peer is incompatible"),
            "{words:?}: {reason}"
        );
    }
}

#[test]
fn nobody_renegotiates() {
    let server = Server::start(&[], &["cat"]);
    // To openssl-s_client(1), a line that begins with R is an order.
    let outcome = server.s_client(&["-tls1_2"], "R\n");
    let told = text(&outcome.stderr);
    assert!(told.contains("no renegotiation"), "{told}");
    server.wait_for("end ", 1);
}

#[test]
fn clients_of_openssl_with_certificates_are_let_in_or_refused() {
    let client_ca = pki().option("client-ca", "ca.pem");
    let server = Server::start(&[&client_ca], &["echo", "served"]);
    for (certificate, key, why) in [
        ("client.pem", "client.key", None),
        ("false.pem", "false.key", Some("UnknownIssuer")),
        ("expired.pem", "expired.key", Some("Expired")),
        ("self.pem", "a.key", Some("")),
        // What leads to the root is missing, or is there.
        ("deep.pem", "deep.key", Some("UnknownIssuer")),
        ("chain.pem", "deep.key", None),
    ] {
        let before = server.said(" tls ").len();
        for version in ["-tls1_2", "-tls1_3"] {
            let [certificate, key] = [certificate, key].map(|name| pki().file(name));
            let options = [version, "-quiet", "-cert", &certificate, "-key", &key];
            let options = [&options[..], &["-cert_chain", &certificate]].concat();
            let outcome = server.s_client(&options, "");
            let shown = text(&outcome.stdout);
            assert_eq!(
                shown == "served\n",
                why.is_none(),
                "{certificate} {version}"
            );
        }
        server.wait_for(" end ", before + 2);
        let said = server.said(" tls ").split_off(before);
        for line in said {
            let is_told =
                line.contains(&format!("invalid peer certificate: {}", why.unwrap_or("")));
            assert_eq!(is_told, why.is_some(), "{certificate}: {line}");
        }
    }
}
