//! rblsmtpd and mconnect between a real SMTP client, swaks, and a real name server with a block list, nsd.

use super::Test;
use crate::support::nsd;
use crate::support::place::{Place, find, ours, text};
use crate::support::process::{Outcome, Process};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("rblsmtpd::listed_client_hears_why", listed_client_hears_why),
    (
        "rblsmtpd::client_that_is_not_listed_delivers",
        client_that_is_not_listed_delivers,
    ),
    ("rblsmtpd::allowed_client_delivers", allowed_client_delivers),
    (
        "rblsmtpd::ipv6_clients_are_listed_by_nibbles",
        ipv6_clients_are_listed_by_nibbles,
    ),
    ("mconnect::mail_goes_through", mail_goes_through_mconnect),
];

const NAME_SERVER: &str = "127.0.0.53";

/// An SMTP server that takes everything, into the file `message`.
const SMTPD: &str = r#"
cr=$(printf '\r')
say() { printf '%s\r\n' "$1"; }
say '220 here.test ESMTP'
while IFS= read -r line; do
  case ${line%"$cr"} in
    EHLO*|HELO*) say '250 here.test' ;;
    MAIL*|RCPT*) say '250 fine' ;;
    DATA)
      say '354 go on'
      while IFS= read -r line && test "$line" != ".$cr"; do printf '%s\n' "${line%"$cr"}"; done >message
      say '250 taken'
      ;;
    QUIT) say '221 bye'; exit 0 ;;
    *) say '502 unknown' ;;
  esac
done
"#;

fn listed_client_hears_why() -> Result<(), String> {
    let mail = Mail::new(&["-r", "rbl.test"])?;
    let outcome = mail.send_from("127.0.0.2")?;
    let talk = text(&outcome.stdout);
    assert!(talk.contains("<-  220 rblsmtpd.local"), "{talk}");
    assert!(
        talk.contains("<** 451 127.0.0.2 sends what nobody wants"),
        "{talk}"
    );
    assert!(talk.contains("<-  221 rblsmtpd.local"), "{talk}");
    assert_eq!(mail.place.read("message"), "");
    let log = mail.server.stderr.clone().expect("the log is a pipe");
    log.wait_for(": 451 127.0.0.2 sends what nobody wants", 1);
    Ok(())
}

fn client_that_is_not_listed_delivers() -> Result<(), String> {
    let mail = Mail::new(&["-r", "rbl.test"])?;
    let outcome = mail.send_from("127.0.0.3")?;
    let talk = text(&outcome.stdout);
    assert!(talk.contains("<-  250 taken"), "{talk}");
    assert!(
        mail.place
            .read("message")
            .contains("This is a test mailing"),
        "{talk}"
    );
    Ok(())
}

fn allowed_client_delivers() -> Result<(), String> {
    let mail = Mail::new(&["-b", "-a", "allow.test", "-r", "rbl.test"])?;
    let talk = text(&mail.send_from("127.0.0.4")?.stdout);
    assert!(talk.contains("<-  250 taken"), "{talk}");
    let talk = text(&mail.send_from("127.0.0.2")?.stdout);
    assert!(
        talk.contains("<** 553 127.0.0.2 sends what nobody wants"),
        "{talk}"
    );
    Ok(())
}

fn ipv6_clients_are_listed_by_nibbles() -> Result<(), String> {
    let place = Place::new();
    let _nsd = name_server(&place)?;
    let rblsmtpd = ours("rblsmtpd");
    for (client, answer) in [
        (
            "2001:db8::bad",
            "220 rblsmtpd.local\r\n451 not from there\r\n",
        ),
        ("2001:db8::900d", "served\n"),
        (
            "::ffff:127.0.0.2",
            "220 rblsmtpd.local\r\n451 127.0.0.2 sends what nobody wants\r\n",
        ),
    ] {
        let words = [&rblsmtpd[..], "-r", "rbl.test", "echo", "served"];
        let outcome = place.run(&words, |launch| {
            launch
                .env("DNSCACHEIP", NAME_SERVER)
                .env("PROTO", "TCP6")
                .env("TCP6REMOTEIP", client)
                .input("DATA\r\n")
        });
        assert_eq!(text(&outcome.stdout), answer, "{client}");
    }
    Ok(())
}

/// swaks, as a person would, gives mconnect lines that end in line feeds.
fn mail_goes_through_mconnect() -> Result<(), String> {
    let mail = Mail::new(&["-r", "rbl.test"])?;
    let pipe = format!(
        "{} | {} 127.0.0.1 {}",
        ours("delcr"),
        ours("mconnect"),
        mail.port
    );
    let outcome = mail.swaks(&["--pipe", &pipe])?;
    let talk = text(&outcome.stdout);
    assert!(talk.contains("<-  250 taken"), "{talk}");
    assert!(
        mail.place
            .read("message")
            .contains("This is a test mailing"),
        "{talk}"
    );
    assert_eq!(outcome.status.code(), Some(0), "{talk}");
    Ok(())
}

/// A mail server behind rblsmtpd.
struct Mail {
    place: Place,
    server: Process,
    port: u16,
    _name_server: Process,
}

impl Mail {
    fn new(options: &[&str]) -> Result<Self, String> {
        let place = Place::new();
        let name_server = name_server(&place)?;
        let rblsmtpd = ours("rblsmtpd");
        let words = [&[&rblsmtpd[..]], options, &["sh", "-c", SMTPD]].concat();
        let (server, port) = place.serve(0, &words, |launch| launch.env("DNSCACHEIP", NAME_SERVER));
        Ok(Self {
            place,
            server,
            port,
            _name_server: name_server,
        })
    }

    fn send_from(&self, client: &str) -> Result<Outcome, String> {
        let port = self.port.to_string();
        self.swaks(&[
            "--server",
            "127.0.0.1",
            "--port",
            &port,
            "--local-interface",
            client,
        ])
    }

    fn swaks(&self, way: &[&str]) -> Result<Outcome, String> {
        let swaks = find("swaks")?;
        let mail = [
            "--helo",
            "client.test",
            "--from",
            "a@client.test",
            "--to",
            "b@here.test",
        ];
        Ok(self
            .place
            .run(&[&[&swaks[..]], &mail[..], way].concat(), |launch| launch))
    }
}

fn name_server(place: &Place) -> Result<Process, String> {
    let nibbles = format!("d.a.b.{}8.b.d.0.1.0.0.2", "0.".repeat(21));
    let block = format!(
        "2.0.0.127 TXT \"127.0.0.2 sends what \" \"nobody wants\"\n4.0.0.127 TXT listed\n{nibbles} TXT \"not from there\"\n"
    );
    let zones = [
        ("rbl.test", &block[..]),
        ("allow.test", "4.0.0.127 A 127.0.0.2\n"),
    ];
    nsd::start(place, &zones)
}
