//! Other people's clients at tlsserver, in every version and suite; and what is refused.

use crate::support::place::{Place, find, text};
use crate::world::{Server, pki};

const PAGE: [&str; 3] = [
    "sh",
    "-c",
    "sed '/^.$/q' >asked; printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n'",
];

#[test]
fn curl_gets_a_page() {
    let Ok(curl) = find("curl") else {
        assert!(
            !crate::support::is_set("UCSPI_COMPONENTS_REQUIRED"),
            "there is no curl"
        );
        return;
    };
    let server = Server::start(&[], &PAGE);
    let (ca, port) = (pki().file("ca.pem"), server.port);
    let to = format!("a.example:{port}:127.0.0.1:{port}");
    let url = format!("https://a.example:{port}/news");
    let words = [
        &curl[..],
        "-sS",
        "--noproxy",
        "*",
        "--cacert",
        &ca,
        "--connect-to",
        &to,
        &url,
    ];
    let outcome = Place::new().run(&words, |launch| launch);
    assert_eq!(
        text(&outcome.stdout),
        "hello\n",
        "{}",
        text(&outcome.stderr)
    );
    server.wait_for("end ", 1);
}

#[test]
fn each_version_and_suite_that_is_spoken_is_spoken_with_openssl() {
    let options = ["a.both", "b.both"].map(|name| pki().option("cert", name));
    let server = Server::with(&[&options[0], &options[1]], &["echo", "served"]);
    for (name, words) in [
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
    ] {
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
        server.wait_for(&format!("sni {name}"), 1);
        let lines = server.said(" tls ");
        assert!(
            lines.iter().any(|line| line.starts_with(&expected)),
            "{expected}: {lines:?}"
        );
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
