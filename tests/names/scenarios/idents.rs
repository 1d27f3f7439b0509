//! tcpserver and ident servers: whose connection is it?

use std::io::Write as _;
use std::net::TcpStream;

use super::serve_one;
use crate::names::THERE;
use crate::names::identd::Identd;
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::scene::Scene;

/// Only the ident server is asked, for a second.
const OPTIONS: &[&str] = &["-Hl0", "-t1"];

pub(crate) fn fill(book: &mut Book) {
    what_counts(book);
    when_it_comes(book);
    for (name, options) in [
        ("ident_server_is_not_asked_with_r", &["-HRl0"][..]),
        ("last_of_r_options_counts", &["-HRrl0"]),
    ] {
        book.add(name, move |s| {
            answered(s, options, Identd::saying(THERE, "1,2:USERID:UNIX:joe\r\n"));
        });
    }
    book.add(
        "ident_server_is_asked_from_the_connections_own_address",
        |s| {
            let identd = Identd::saying(THERE, "1,2:USERID:UNIX:joe\r\n");
            let args = ["-1vHl0", "0", "0", "env"];
            let mut server = s.serve(s.program(args));
            let here = "127.9.8.7".parse().expect("an address");
            server.connect_between(THERE, here).receive_all();
            server.wait_for_ends(1);
            server.terminate();
            show(s, &identd);
        },
    );
    book.add("rule_for_a_user_is_found", |s| {
        s.rules("rules.cdb", "joe@127.0.0.2:allow,FOUND=\"joe\"\n:deny\n");
        let identd = Identd::saying(THERE, "1,2:USERID:UNIX:joe\r\n");
        serve_one(s, &["-Hl0", "-xrules.cdb"], as_it_is);
        show(s, &identd);
    });
    book.add("stale_info_is_replaced", |s| {
        let identd = Identd::saying(THERE, "1,2:USERID:UNIX:joe\r\n");
        serve_one(s, OPTIONS, |launch| launch.env("TCPREMOTEINFO", "stale"));
        show(s, &identd);
    });
    book.add("stale_info_is_removed_when_there_is_none", |s| {
        serve_one(s, OPTIONS, |launch| launch.env("TCPREMOTEINFO", "stale"));
    });
}

fn what_counts(book: &mut Book) {
    let long = |length| [b"1,2:USERID:UNIX:", &vec![b'x'; length][..], b"\r\n"].concat();
    for (name, reply) in [
        (
            "user_is_what_follows_the_third_colon",
            b"6195, 23 : USERID : UNIX : joe\r\n".to_vec(),
        ),
        (
            "further_colons_belong_to_the_user",
            b"a : b: c :  we ird:x%y \t z\n".to_vec(),
        ),
        (
            "error_reply_is_set_and_empty",
            b"6195, 23 : ERROR : NO-USER\r\n".to_vec(),
        ),
        ("user_may_be_empty", b"1,2:USERID:UNIX:\r\n".to_vec()),
        ("empty_line_is_set_and_empty", b"\n".to_vec()),
        ("closed_connection_is_no_info", Vec::new()),
        (
            "reply_without_line_feed_is_no_info",
            b"1,2:USERID:UNIX:joe".to_vec(),
        ),
        (
            "second_line_does_not_count",
            b"1,2:USERID:UNIX:joe\nroot\n".to_vec(),
        ),
        ("info_of_256_bytes_is_kept", long(256)),
        ("info_of_257_bytes_is_kept", long(257)),
        ("info_of_400_bytes_is_cut", long(400)),
        (
            "unfinished_info_of_257_bytes_is_kept",
            [&b":::"[..], &[b'x'; 257]].concat(),
        ),
        ("info_of_99_bytes_is_logged_whole", long(99)),
        ("info_of_100_bytes_is_logged_with_dots", long(100)),
        (
            "control_bytes_are_kept_and_cleaned_in_the_log",
            b":::\x01\x1b[31m\x7f\x80\xff%\r\x0b\n".to_vec(),
        ),
        (
            "info_cannot_forge_a_log_line",
            b":::x\rtcpserver: ok 1 a:b:c d:e::f\n".to_vec(),
        ),
        ("info_ends_at_a_nul", b":::joe\0root\n".to_vec()),
        (
            "nul_before_the_third_colon_is_passed_over",
            b"\0:\0:\0:joe\n".to_vec(),
        ),
        (
            "blanks_within_the_bound_do_not_count",
            [&b":::"[..], &[b' '; 1000], b"joe\n"].concat(),
        ),
    ] {
        book.add(name, move |s| {
            answered(s, OPTIONS, Identd::saying(THERE, reply.clone()))
        });
    }
}

fn when_it_comes(book: &mut Book) {
    book.add("refused_ident_connection_is_no_info", |s| {
        serve_one(s, OPTIONS, as_it_is)
    });
    book.add("silent_ident_server_is_no_info", |s| {
        answered(s, OPTIONS, Identd::silent(THERE));
    });
    book.add("ident_server_that_stops_in_the_line_is_no_info", |s| {
        let identd = Identd::scripted(THERE, |_, stream| {
            net::send(stream, b"1,2:USERID:UNIX:joe");
            until_closed(stream);
        });
        answered(s, OPTIONS, identd);
    });
    book.add("reply_may_come_byte_by_byte", |s| {
        let identd = Identd::scripted(THERE, |_, stream| {
            stream.set_nodelay(true).expect("TCP takes the option");
            for byte in b"1 , 2 : USERID : UNIX : joe\r\n" {
                net::send(stream, &[*byte]);
            }
        });
        answered(s, OPTIONS, identd);
    });
    book.add("endless_blanks_are_no_info", |s| {
        let identd = Identd::scripted(
            THERE,
            |_, stream| while stream.write_all(&[b' '; 100]).is_ok() {},
        );
        answered(s, OPTIONS, identd);
    });
    book.add("endless_info_is_cut", |s| {
        let identd = Identd::scripted(THERE, |_, stream| {
            net::send(stream, b":::");
            while stream.write_all(&[b'x'; 100]).is_ok() {}
        });
        answered(s, OPTIONS, identd);
    });
    book.add("ident_server_that_does_not_accept_is_no_info", |s| {
        let _kept = crate::names::identd::full(THERE);
        serve_one(s, OPTIONS, as_it_is);
    });
}

/// Waits until the other end has closed.
fn until_closed(stream: &mut TcpStream) {
    let _ = std::io::Read::read(stream, &mut [0]);
}

fn as_it_is(launch: Launch) -> Launch {
    launch
}

/// Serves one client of whose machine `identd` is the ident server.
fn answered(s: &mut Scene, options: &[&str], identd: Identd) {
    serve_one(s, options, as_it_is);
    show(s, &identd);
}

/// Writes down what the ident server was asked, and from where.
fn show(s: &mut Scene, identd: &Identd) {
    let asked = identd.asked();
    let lines: Vec<String> = asked
        .iter()
        .map(|(from, question)| {
            let question = question.replace(" , ", " , port ");
            format!("{}: port {question}", from.ip())
        })
        .collect();
    s.note_lines("ident server is asked from", &lines);
}
