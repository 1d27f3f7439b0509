//! TLS that begins when the program says so: UCSPI-TLS, tried with STARTTLS.

use std::io::{Read as _, Write as _};

use crate::support::net::{receive_all, receive_line};
use crate::support::place::{Place, find, ours, text};
use crate::world::{Server, line, pki, session, trusting};

/// As much of a mail server as is needed. Once TLS has begun, its descriptors 0 and 1 are those under TLS.
const SMTP: &str = r#"
say() { printf '%s\r\n' "$1"; }
say '220 ready'
while IFS= read -r line; do
  line=${line%$'\r'}
  case $line in
  EHLO*)
    if test -n "$under"; then say "250 $under"; else say '250-here'; say '250 STARTTLS'; fi;;
  STARTTLS)
    say '220 go ahead'
    printf "${ORDER:-Y}" >&$SSLCTLFD
    if test "${ORDER:-Y}" = Y; then
      while IFS= read -r -d '' entry && test -n "$entry"; do
        case $entry in SSL_PROTOCOL=*) under=${entry#*=};; esac
      done <&$SSLCTLFD
    else
      under=yes
    fi
    exec <&$SSLREADFD >&$SSLWRITEFD;;
  QUIT) say '221 bye'; exit;;
  *) say "500 $line";;
  esac
done
echo end of input >end
"#;

fn start(order: &str) -> Server {
    let both = pki().option("cert", "a.both");
    let options = ["--delayed", "--tls-timeout=5", &both];
    Server::launch(
        Place::new(),
        &options,
        &["bash", "--norc", "-c", SMTP],
        |launch| launch.env("ORDER", order),
    )
}

#[test]
fn starttls_of_openssl_works() {
    for (order, under) in [("Y", "250 TLSv1.3"), ("y", "250 yes")] {
        let server = start(order);
        let options = [
            "-starttls",
            "smtp",
            "-quiet",
            "-ign_eof",
            "-servername",
            "a.example",
        ];
        let outcome = server.s_client(&options, "EHLO me\r\nQUIT\r\n");
        let said = text(&outcome.stdout).replace('\r', "");
        assert!(
            said.contains(&format!("{under}\n221 bye\n")),
            "{order}: {said}"
        );
        server.wait_for("end ", 1);
        assert_eq!(
            server.said(" tls "),
            ["tlsserver: tls TLSv1.3 TLS_AES_256_GCM_SHA384 sni a.example"]
        );
    }
}

#[test]
fn what_came_before_the_start_is_dropped() {
    let server = start("Y");
    let mut stream = server.connect();
    assert_eq!(receive_line(&mut stream), b"220 ready\r\n");
    // In one packet, as an attacker in between would have it.
    stream
        .write_all(b"STARTTLS\r\nMAIL injected\r\n")
        .expect("it listens");
    assert_eq!(receive_line(&mut stream), b"220 go ahead\r\n");
    let mut session = session(stream, "a.example", trusting());
    session
        .write_all(b"EHLO me\r\nQUIT\r\n")
        .expect("it listens");
    let mut answer = String::new();
    session.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "250 TLSv1.3\r\n221 bye\r\n");
}

#[test]
fn program_may_do_without() {
    let server = start("Y");
    let mut stream = server.connect();
    assert_eq!(receive_line(&mut stream), b"220 ready\r\n");
    stream.write_all(b"NOOP\r\nQUIT\r\n").expect("it listens");
    assert_eq!(receive_all(&mut stream), b"500 NOOP\r\n221 bye\r\n");
    server.wait_for("end ", 1);
    assert_eq!(server.said(" tls "), [""; 0]);
}

#[test]
fn handshake_that_fails_later_is_the_end_of_input() {
    let server = start("Y");
    let mut stream = server.connect();
    assert_eq!(receive_line(&mut stream), b"220 ready\r\n");
    stream.write_all(b"STARTTLS\r\n").expect("it listens");
    assert_eq!(receive_line(&mut stream), b"220 go ahead\r\n");
    stream
        .write_all(b"\x16\x03\x01\x00\x05garba")
        .expect("it listens");
    receive_all(&mut stream);
    server.wait_for("end ", 1);
    assert_eq!(server.said(" tls ").len(), 1);
    assert!(server.said(" tls ")[0].starts_with("tlsserver: tls failed "));
    assert_eq!(server.place.read("end"), "end of input\n");
}

#[test]
fn delayed_tls_works_under_tcpserver_too() {
    let place = Place::new();
    let (tlsd, both) = (ours("tlsd"), pki().option("cert", "a.both"));
    let words = [&tlsd[..], "--delayed", &both, "bash", "--norc", "-c", SMTP];
    let (_process, port) = place.serve(0, &words, |launch| launch);
    let mut stream = crate::world::connect(port);
    assert_eq!(receive_line(&mut stream), b"220 ready\r\n");
    stream.write_all(b"STARTTLS\r\n").expect("it listens");
    assert_eq!(receive_line(&mut stream), b"220 go ahead\r\n");
    let mut session = session(stream, "a.example", trusting());
    session.write_all(b"EHLO me\r\n").expect("it listens");
    assert_eq!(line(&mut session), "250 TLSv1.3\r\n");
}

#[test]
fn swaks_delivers_nothing_but_sees_tls() {
    let Ok(swaks) = find("swaks") else {
        assert!(
            !crate::support::is_set("UCSPI_COMPONENTS_REQUIRED"),
            "there is no swaks"
        );
        return;
    };
    let server = start("Y");
    let address = format!("127.0.0.1:{}", server.port);
    let words = [
        &swaks[..],
        "--tls",
        "--server",
        &address,
        "--quit-after",
        "TLS",
        "--helo",
        "me",
        "--from",
        "a@example",
        "--to",
        "b@example",
    ];
    let outcome = server.place.run(&words, |launch| launch);
    let said = text(&outcome.stdout);
    assert!(said.contains("TLS started with cipher TLSv1.3"), "{said}");
}
