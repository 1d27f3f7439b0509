//! tcpclient: what the two ends are called, and whose the other one is.

use super::{asking, show_questions};
use crate::names::identd::Identd;
use crate::names::nameserver::NameServer;
use crate::names::packet::SERVFAIL;
use crate::names::zone::Zone;
use crate::names::{HERE, NAME_SERVER, THERE};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;

fn honest() -> Zone {
    Zone::default()
        .ptr(HERE, "here.test")
        .ptr(THERE, "There.Test")
}

pub(crate) fn fill(book: &mut Book) {
    for (name, options) in [
        ("names_of_both_ends_are_looked_up", &["-vR"][..]),
        ("remote_name_is_not_looked_up_with_h", &["-vHR"]),
        ("last_of_h_options_counts", &["-vHhR"]),
        ("given_local_name_is_not_looked_up", &["-vRl", "mine.test"]),
        ("given_local_name_may_be_empty", &["-vR", "-l", ""]),
        ("nothing_is_asked_when_nothing_is_wanted", &["-vHRl0"]),
    ] {
        book.add(name, move |s| known(s, options, honest(), asking));
    }
    book.add("unusual_bytes_of_a_name_are_escaped", |s| {
        let zone = Zone::default().ptr_of(THERE, &[b"we ird*", b"a.b", b"\n\xff%:"]);
        known(s, &["-vRl0"], zone, asking);
    });
    book.add("stale_names_are_replaced", |s| {
        known(s, &["-R"], honest(), |launch| stale(asking(launch)));
    });
    book.add("stale_names_are_removed_when_not_looked_up", |s| {
        known(s, &["-HRl0"], honest(), |launch| stale(asking(launch)));
    });
    book.add("names_that_do_not_exist_are_unset", |s| {
        known(s, &["-R"], Zone::default(), |launch| stale(asking(launch)));
    })
    .differs("unknown-name-of-client");
    book.add("names_that_cannot_be_had_are_unset", |s| {
        let server = NameServer::failing(NAME_SERVER, SERVFAIL);
        connected(s, &["-Rl0"], |launch| stale(asking(launch)));
        show_questions(s, &[&server]);
    });
    book.add("servers_are_read_from_resolv_conf", |s| {
        crate::names::world::etc("resolv.conf", "nameserver 127.0.0.53\n");
        known(s, &["-R"], honest(), |launch| launch);
    });
    ident(book);
}

fn ident(book: &mut Book) {
    for (name, reply) in [
        (
            "user_of_the_server_is_asked_for",
            &b"1,2 : USERID : UNIX : joe\r\n"[..],
        ),
        ("error_reply_is_set_and_empty", b"1,2 : ERROR : NO-USER\r\n"),
        ("closed_connection_is_no_info", b""),
        ("control_bytes_are_kept", b":::\x01\x1b[31m\x7f\x80\xff%:\n"),
    ] {
        book.add(name, move |s| {
            let _identd = Identd::saying(THERE, reply);
            connected(s, &["-vHl0", "-t1"], stale);
        });
    }
    book.add("info_is_cut_at_257_bytes", |s| {
        let _identd = Identd::saying(THERE, [&b":::"[..], &[b'x'; 400], b"\r\n"].concat());
        connected(s, &["-Hl0"], stale);
    });
    book.add("silent_ident_server_is_no_info", |s| {
        let _identd = Identd::silent(THERE);
        connected(s, &["-Hl0", "-t1"], stale);
    });
    book.add("refused_ident_connection_is_no_info", |s| {
        connected(s, &["-Hl0"], stale)
    });
    book.add("ident_server_is_not_asked_with_r", |s| {
        let identd = Identd::saying(THERE, ":::joe\n");
        connected(s, &["-HRl0"], stale);
        assert!(identd.asked().is_empty());
    });
}

fn stale(launch: Launch) -> Launch {
    launch
        .env("TCPREMOTEHOST", "stale")
        .env("A", "1")
        .env("TCPLOCALHOST", "stale")
        .env("TCPREMOTEINFO", "stale")
}

/// Runs `tcpclient options 127.0.0.2 PORT env` from 127.0.0.1.
fn connected(s: &mut Scene, options: &[&str], with: impl Fn(Launch) -> Launch) {
    let mut listener = s.listen(THERE);
    let port = listener.port.to_string();
    let args = [options, &["-i", "127.0.0.1", "127.0.0.2", &port, "env"]].concat();
    let client = s.start(with(s.program(args)));
    listener.accept();
    s.finish(client);
}

/// As `connected`, with a name server that knows `zone`.
fn known(s: &mut Scene, options: &[&str], zone: Zone, with: impl Fn(Launch) -> Launch) {
    let server = NameServer::of(NAME_SERVER, zone);
    connected(s, options, with);
    show_questions(s, &[&server]);
}
