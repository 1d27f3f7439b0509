//! tlsclient, tlsc and https@: who is trusted, and what a program gets.

use std::io::Write as _;
use std::thread::JoinHandle;

use crate::support::place::{Place, find, ours, text};
use crate::support::process::{Outcome, Process};
use crate::world::{Server, pki};

/// `tlsclient -RHl0 options 127.0.0.1 PORT program`
fn tlsclient(port: u16, options: &[&str], program: &[&str]) -> Outcome {
    let (path, port) = (ours("tlsclient"), port.to_string());
    let words = [
        &[&path[..], "-RHl0"],
        options,
        &["127.0.0.1", &port],
        program,
    ]
    .concat();
    Place::new().run(&words, |launch| launch)
}

/// A server of OpenSSL's, with these options; and its port.
fn s_server(options: &[&str]) -> (Process, u16, Place) {
    let place = Place::new();
    let openssl = find("openssl").expect("the tests need openssl");
    // It says which port it has got.
    let words = [
        &[&openssl[..], "s_server", "-accept", "127.0.0.1:0"],
        options,
    ];
    let process = place.start(&words.concat(), |launch| launch);
    let stdout = process.stdout.as_ref().expect("a pipe");
    stdout.wait_for("ACCEPT 127.0.0.1:", 1);
    let said = text(&stdout.so_far());
    let port = said
        .lines()
        .find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:"));
    let port = port
        .and_then(|port| port.trim().parse().ok())
        .expect("a port");
    (process, port, place)
}

/// A server with these files.
fn server(certificate: &str, key: &str, program: &[&str]) -> Server {
    let options = [pki().option("cert", certificate), pki().option("key", key)];
    Server::with(&[&options[0], &options[1]], program)
}

const ASK: [&str; 3] = [
    "sh",
    "-c",
    "echo question >&7; read answer <&6; echo $answer",
];
const ANSWER: [&str; 3] = ["sh", "-c", "read question; echo $question answered"];

#[test]
fn client_is_announced_before_there_is_a_session() {
    let [certificate, key] =
        [("cert", "a.pem"), ("key", "a.key")].map(|(option, file)| pki().option(option, file));
    let options = [&certificate, &key, "--proxy=127.0.0.0/8"];
    let show = "echo $TCPREMOTEIP $TCPREMOTEPORT $TCPPROXYIP";
    let server = Server::with(&options, &["sh", "-c", show]);
    let (path, port) = (ours("tlsclient"), server.port.to_string());
    let ca = pki().option("ca", "ca.pem");
    let words = [
        &path[..],
        "-RHl0",
        &ca,
        "--name=a.example",
        "--send-proxy=2",
    ];
    let program = ["127.0.0.1", &port, "sh", "-c", "cat <&6"];
    let outcome = Place::new().run(&[&words[..], &program].concat(), |launch| {
        launch
            .env("TCPREMOTEIP", "192.0.2.7")
            .env("TCPREMOTEPORT", "4000")
            .env("TCPLOCALIP", "192.0.2.1")
            .env("TCPLOCALPORT", "993")
    });
    assert_eq!(
        text(&outcome.stdout),
        "192.0.2.7 4000 127.0.0.1\n",
        "{}",
        text(&outcome.stderr)
    );
}

#[test]
fn server_is_verified_by_ca_time_and_name() {
    let ca = pki().option("ca", "ca.pem");
    let unknown = "invalid peer certificate: UnknownIssuer";
    for (certificate, key, options, why) in [
        ("a.pem", "a.key", &["--name=a.example"][..], None),
        ("a.pem", "a.key", &["--name=A.EXAMPLE."], None),
        ("a.pem", "a.key", &["--name=x.wild.example"], None),
        // The operand is an address, and it is in the certificate.
        ("a.pem", "a.key", &[], None),
        (
            "a.pem",
            "a.key",
            &["--name=b.example"],
            Some("invalid peer certificate: certificate not valid for name"),
        ),
        (
            "a.pem",
            "a.key",
            &["--name=x.y.wild.example"],
            Some("invalid peer certificate: certificate not valid for name"),
        ),
        ("b.pem", "b.key", &["--name=b.example"], None),
        ("ed.pem", "ed.key", &["--name=ed.example"], None),
        (
            "expired.pem",
            "expired.key",
            &["--name=a.example"],
            Some("invalid peer certificate: Expired"),
        ),
        (
            "self.pem",
            "a.key",
            &["--name=a.example"],
            Some("invalid peer certificate"),
        ),
        ("chain.pem", "deep.key", &["--name=a.example"], None),
        ("deep.pem", "deep.key", &["--name=a.example"], Some(unknown)),
        (
            "false.pem",
            "false.key",
            &["--name=client.example"],
            Some(unknown),
        ),
    ] {
        let server = server(certificate, key, &ANSWER);
        let options = [&[&ca[..]], options].concat();
        let outcome = tlsclient(server.port, &options, &ASK);
        let said = text(&outcome.stderr);
        match why {
            None => {
                assert_eq!(
                    text(&outcome.stdout),
                    "question answered\n",
                    "{options:?}: {said}"
                );
                assert_eq!(outcome.status.code(), Some(0));
                assert_eq!(said, "");
            }
            Some(why) => {
                assert_eq!(text(&outcome.stdout), "", "{certificate} {options:?}");
                assert_eq!(
                    outcome.status.code(),
                    Some(111),
                    "{certificate} {options:?}"
                );
                let begins = "tlsclient: fatal: unable to speak TLS with ";
                assert!(
                    said.starts_with(begins) && said.contains(why),
                    "{options:?}: {said}"
                );
                assert_eq!(said.lines().count(), 1, "{said}");
            }
        }
    }
}

#[test]
fn without_verifying_everybody_is_trusted_and_that_is_said() {
    let server = server("self.pem", "a.key", &ANSWER);
    let outcome = tlsclient(server.port, &["--no-verify"], &ASK);
    assert_eq!(text(&outcome.stdout), "question answered\n");
    let warning = "tlsclient: warning: --no-verify: the server may be anybody\n";
    assert_eq!(text(&outcome.stderr), warning);
    // Nobody of this system has signed it.
    let outcome = tlsclient(server.port, &["--name=a.example"], &ASK);
    assert_eq!(outcome.status.code(), Some(111));
}

#[test]
fn program_of_a_client_sees_the_connection_and_its_tls() {
    let server = server("a.pem", "a.key", &["sleep", "100"]);
    let (ca, name) = (pki().option("ca", "ca.pem"), "--name=a.example");
    let show = "env | grep -E '^(PROTO|SSL)' | sed 's/PORT=.*/PORT=N/' | sort";
    let outcome = tlsclient(server.port, &["-v", &ca, name], &["sh", "-c", show]);
    let shown = text(&outcome.stdout);
    let (known, hash): (Vec<&str>, Vec<&str>) =
        shown.lines().partition(|line| !line.contains("CERT_HASH"));
    let expected = [
        "PROTO=SSL",
        "SSLLOCALHOST=0",
        "SSLLOCALIP=127.0.0.1",
        "SSLLOCALPORT=N",
        "SSLREMOTEIP=127.0.0.1",
        "SSLREMOTEPORT=N",
        "SSL_CIPHER=TLS_AES_256_GCM_SHA384",
        "SSL_PEER_CERT_SUBJECT=/CN=a.example",
        "SSL_PROTOCOL=TLSv1.3",
        "SSL_TLS_SNI_SERVERNAME=a.example",
    ];
    assert_eq!(known, expected);
    assert_eq!(hash.len(), 1);
    let said = text(&outcome.stderr);
    let line = said
        .lines()
        .find(|line| line.starts_with("tlsclient: tls "))
        .expect("a line");
    assert!(
        line.ends_with(" TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example"),
        "{line}"
    );
}

#[test]
fn tlsc_does_the_same_under_tcpclient() {
    let server = server("a.pem", "a.key", &ANSWER);
    let (ca, port) = (pki().option("ca", "ca.pem"), server.port.to_string());
    let (tcpclient, tlsc) = (ours("tcpclient"), ours("tlsc"));
    let run = |options: &[&str]| {
        let words = [
            &[&tcpclient[..], "-RHl0", "127.0.0.1", &port, &tlsc, &ca],
            options,
            &ASK,
        ];
        Place::new().run(&words.concat(), |launch| launch)
    };
    let outcome = run(&["--name=a.example"]);
    assert_eq!(text(&outcome.stdout), "question answered\n");
    let outcome = run(&["--name=b.example"]);
    assert_eq!(outcome.status.code(), Some(111));
    let outcome = run(&[]);
    assert_eq!(outcome.status.code(), Some(100));
    assert!(text(&outcome.stderr).starts_with("tlsc: --name is needed, or --no-verify\n"));
}

#[test]
fn client_ends_as_its_program_has_and_tells_when_it_was_cut() {
    let server = server("a.pem", "a.key", &["echo", "bye"]);
    let ca = pki().option("ca", "ca.pem");
    let outcome = tlsclient(server.port, &[&ca], &["sh", "-c", "cat <&6; exit 7"]);
    assert_eq!(
        (text(&outcome.stdout), outcome.status.code()),
        ("bye\n".to_owned(), Some(7))
    );
    let outcome = tlsclient(server.port, &[&ca], &["nosuch"]);
    assert_eq!(outcome.status.code(), Some(111));
    let why = "tlsclient: fatal: unable to run nosuch: file does not exist\n";
    assert_eq!(text(&outcome.stderr), why);
}

/// A server that says `bytes` to one client, and leaves without close_notify; and its port.
fn rude_server(bytes: &'static [u8]) -> (JoinHandle<()>, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let pem = |name: &str| pem::parse(pki().read(name)).expect("PEM").into_contents();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(pem("a.pk8"));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(vec![pem("a.pem").into()], key.into())
        .expect("they fit");
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("it comes");
        let session = rustls::ServerConnection::new(config.into()).expect("a server");
        let mut session = rustls::StreamOwned::new(session, stream);
        session.write_all(bytes).expect("it listens");
        session.flush().expect("it listens");
    });
    (serving, port)
}

#[test]
fn answer_that_was_cut_is_told_from_one_that_has_ended() {
    let (serving, port) = rude_server(b"half");
    let ca = pki().option("ca", "ca.pem");
    let outcome = tlsclient(port, &["-v", &ca], &["sh", "-c", "cat <&6"]);
    serving.join().expect("it ends");
    assert_eq!(text(&outcome.stdout), "half");
    let said = text(&outcome.stderr);
    assert_eq!(said.matches(" truncated\n").count(), 1, "{said}");
}

#[test]
fn servers_of_openssl_speak_with_our_client_in_every_suite() {
    let ca = pki().option("ca", "ca.pem");
    for (certificate, options) in [
        (
            "a",
            &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"][..],
        ),
        ("b", &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"]),
        (
            "a",
            &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        ),
        (
            "a",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        ),
        (
            "a",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        ),
        (
            "a",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        ),
        ("b", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]),
        ("b", &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]),
        ("b", &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]),
    ] {
        let (cert, key) = (format!("{certificate}.pem"), format!("{certificate}.key"));
        let (cert, key) = (pki().file(&cert), pki().file(&key));
        let words = [&["-cert", &cert, "-key", &key, "-rev"], options].concat();
        let (_process, port, _place) = s_server(&words);
        let name = format!("--name={certificate}.example");
        let outcome = tlsclient(port, &[&ca, &name], &ASK);
        assert_eq!(
            text(&outcome.stdout),
            "noitseuq\n",
            "{options:?}: {}",
            text(&outcome.stderr)
        );
    }
}

#[test]
fn servers_that_are_too_old_are_refused() {
    let ca = pki().option("ca", "ca.pem");
    let (cert, key) = (pki().file("b.pem"), pki().file("b.key"));
    for (minimum, options) in [
        ("1.2", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]),
        ("1.2", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]),
        ("1.2", ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"]),
        ("1.3", ["-tls1_2", "-cipher", "ALL"]),
    ] {
        let words = [&["-cert", &cert, "-key", &key, "-rev"], &options[..]].concat();
        let (_process, port, _place) = s_server(&words);
        let minimum = format!("--tls-min={minimum}");
        let outcome = tlsclient(port, &[&ca, "--name=b.example", &minimum], &ASK);
        let said = text(&outcome.stderr);
        assert_eq!(text(&outcome.stdout), "", "{options:?}");
        assert_eq!(outcome.status.code(), Some(111), "{options:?}: {said}");
        let begins = "tlsclient: fatal: unable to speak TLS with b.example: ";
        assert!(said.starts_with(begins), "{options:?}: {said}");
    }
}

#[test]
fn client_certificates_are_verified_and_told() {
    let client_ca = pki().option("client-ca", "ca.pem");
    let show = "echo ${SSL_PEER_CERT_SUBJECT-none} ${SSL_PEER_CERT_HASH+hash}";
    let ca = pki().option("ca", "ca.pem");
    let good = [
        pki().option("cert", "client.pem"),
        pki().option("key", "client.key"),
    ];
    let bad = [
        pki().option("cert", "false.pem"),
        pki().option("key", "false.key"),
    ];
    for (optional, own, expected) in [
        (
            false,
            &good[..],
            Some("/C=CH/O=Example/CN=client one hash\n"),
        ),
        (false, &bad, None),
        (false, &[], None),
        (true, &good, Some("/C=CH/O=Example/CN=client one hash\n")),
        (true, &bad, None),
        (true, &[], Some("none\n")),
    ] {
        let mut options = vec![&client_ca[..]];
        options.extend(optional.then_some("--client-ca-optional"));
        let server = Server::start(&options, &["sh", "-c", show]);
        let mut options: Vec<&str> = own.iter().map(String::as_str).collect();
        options.push(&ca);
        let outcome = tlsclient(server.port, &options, &["sh", "-c", "cat <&6"]);
        let shown = text(&outcome.stdout);
        assert_eq!(
            shown,
            expected.unwrap_or(""),
            "{own:?} {}",
            text(&outcome.stderr)
        );
        if expected.is_none() {
            server.wait_for(" failed ", 1);
        }
    }
}

#[test]
fn page_is_shown_of_a_server_that_is_verified() {
    let script = "sed '/^.$/q' >got; printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello\\r\\n'";
    let https = |server: &Server, ca: &str, host: &str| {
        let words = [&ours("https@")[..], host, "news", &server.port.to_string()];
        Place::new().run(&words, |launch| launch.env("SSL_CERT_FILE", pki().file(ca)))
    };
    let server = server("a.pem", "a.key", &["sh", "-c", script]);
    let outcome = https(&server, "ca.pem", "127.0.0.1");
    assert_eq!(
        text(&outcome.stdout),
        "hello\n",
        "{}",
        text(&outcome.stderr)
    );
    assert_eq!(outcome.status.code(), Some(0));
    let asked = server.place.read("got");
    let expected = format!(
        "GET /news HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n",
        server.port
    );
    assert_eq!(asked, expected);
    for (ca, host) in [("stranger.pem", "127.0.0.1"), ("ca.pem", "127.0.0.2")] {
        let outcome = https(&server, ca, host);
        assert_eq!(text(&outcome.stdout), "");
        assert_eq!(outcome.status.code(), Some(111), "{ca} {host}");
    }
}

#[test]
fn page_that_is_cut_short_is_no_page() {
    let (serving, port) = rude_server(b"HTTP/1.0 200 OK\r\n\r\nhalf");
    let words = [&ours("https@")[..], "127.0.0.1", "", &port.to_string()];
    let outcome = Place::new().run(&words, |launch| {
        launch.env("SSL_CERT_FILE", pki().file("ca.pem"))
    });
    serving.join().expect("it ends");
    assert_eq!(text(&outcome.stdout), "half\n");
    let why = "tlsclient: fatal: the server has cut its answer short\n";
    assert_eq!(text(&outcome.stderr), why);
    assert_eq!(outcome.status.code(), Some(111));
}
