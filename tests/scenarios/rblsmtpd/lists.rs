//! Block lists and allow lists, asked of a scripted name server.

use std::net::Ipv4Addr;

use super::smtpd;
use crate::support::book::{Book, Scenario};
use crate::support::nameserver::{Act, NameServer};
use crate::support::packet::{Question, SERVFAIL, TXT, strings};
use crate::support::scene::Scene;
use crate::support::zone::Zone;

const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// `rbl` lists 1.2.3.4 and 5.6.7.8, `allow` allows the first; questions about `broken` fail.
fn zone() -> Zone {
    Zone::default()
        .record(
            "4.3.2.1.rbl.test",
            TXT,
            strings(b"Listed, see http://rbl.test/"),
        )
        .record("8.7.6.5.rbl.test", TXT, strings(b"Listed too"))
        .record("4.3.2.1.other.test", TXT, strings(b"Listed elsewhere"))
        .a("4.3.2.1.rbl.test", &[Ipv4Addr::new(127, 0, 0, 2)])
        .a("4.3.2.1.allow.test", &[Ipv4Addr::new(127, 0, 0, 2)])
        .record(
            "4.3.2.1.two.test",
            TXT,
            [strings(b"one"), strings(b" two")].concat(),
        )
        .record("4.3.2.1.many.test", TXT, strings(b"first"))
        .record("4.3.2.1.many.test", TXT, strings(b"second"))
        .record("4.3.2.1.odd.test", TXT, strings(b"a\tb\nc\0d\x7f\xc3\xa9"))
        .record("4.3.2.1.long.test", TXT, strings(&[b'x'; 300]))
        .record("4.3.2.1.empty.test", TXT, strings(b""))
        .record("4.3.2.1.none.test", TXT, Vec::new())
        .a("4.3.2.1.a.test", &[Ipv4Addr::new(127, 0, 0, 2)])
        .a("4.3.2.1.public.test", &[Ipv4Addr::new(192, 0, 2, 1)])
        .record("4.3.2.1.error.test", TXT, strings(b"Error: open resolver"))
        .a("4.3.2.1.error.test", &[Ipv4Addr::new(127, 255, 255, 254)])
        .alias("4.3.2.1.alias.test", "4.3.2.1.rbl.test")
        .record("list.test", TXT, strings(b"Nobody"))
}

fn name_server() -> NameServer {
    NameServer::scripted(SERVER, |question: &Question, _| {
        let reply = if question.name.ends_with("broken.test") {
            question.reply().code(SERVFAIL)
        } else {
            zone().answer(question)
        };
        vec![Act::Say(reply.bytes())]
    })
}

/// Options, one line each, for the client 1.2.3.4.
const TRIALS: &[(&str, &[&str])] = &[
    ("listed_client_is_rejected_for_now", &["-r", "rbl.test"]),
    ("value_may_stand_at_the_option", &["-rrbl.test"]),
    (
        "client_that_is_not_listed_is_served",
        &["-r", "nothing.test"],
    ),
    (
        "b_before_the_list_rejects_for_good",
        &["-b", "-r", "rbl.test"],
    ),
    (
        "b_after_the_list_changes_nothing",
        &["-r", "rbl.test", "-b"],
    ),
    (
        "last_of_b_and_capital_b_counts",
        &["-b", "-B", "-r", "rbl.test"],
    ),
    (
        "b_counts_for_the_list_that_rejects",
        &["-r", "nothing.test", "-b", "-r", "rbl.test", "-B"],
    ),
    (
        "first_list_that_rejects_counts",
        &["-r", "other.test", "-r", "rbl.test"],
    ),
    (
        "second_list_is_asked_when_the_first_knows_nothing",
        &["-r", "nothing.test", "-r", "other.test"],
    ),
    (
        "allowed_client_is_served",
        &["-a", "allow.test", "-r", "rbl.test"],
    ),
    (
        "allow_list_after_the_block_list_is_not_asked",
        &["-r", "rbl.test", "-a", "allow.test"],
    ),
    (
        "allow_list_that_knows_nothing_decides_nothing",
        &["-a", "nothing.test", "-r", "rbl.test"],
    ),
    (
        "allow_list_counts_addresses_only",
        &["-a", "two.test", "-r", "rbl.test"],
    ),
    ("block_list_counts_texts_only", &["-r", "a.test"]),
    ("strings_of_a_text_are_joined", &["-r", "two.test"]),
    ("texts_are_joined", &["-r", "many.test"]),
    ("text_is_shown_clean", &["-r", "odd.test"]),
    (
        "empty_text_lists_nobody",
        &["-r", "empty.test", "-r", "rbl.test"],
    ),
    (
        "text_without_strings_lists_nobody",
        &["-r", "none.test", "-r", "rbl.test"],
    ),
    ("alias_leads_to_the_text", &["-r", "alias.test"]),
    ("broken_list_counts_for_nothing", &["-r", "broken.test"]),
    ("broken_list_rejects_with_c", &["-c", "-r", "broken.test"]),
    (
        "broken_list_rejects_for_now_with_c_and_b",
        &["-b", "-c", "-r", "broken.test"],
    ),
    (
        "c_after_the_broken_list_changes_nothing",
        &["-r", "broken.test", "-c"],
    ),
    (
        "last_of_c_and_capital_c_counts",
        &["-c", "-C", "-r", "broken.test"],
    ),
    (
        "broken_list_makes_later_ones_temporary",
        &["-b", "-r", "broken.test", "-r", "rbl.test"],
    ),
    (
        "broken_list_after_a_rejection_is_not_asked",
        &["-b", "-r", "rbl.test", "-r", "broken.test"],
    ),
    (
        "broken_allow_list_accepts",
        &["-a", "broken.test", "-r", "rbl.test"],
    ),
    (
        "broken_allow_list_decides_nothing_with_c",
        &["-c", "-a", "broken.test", "-r", "rbl.test"],
    ),
    (
        "broken_allow_list_makes_later_ones_temporary_with_c",
        &["-bc", "-a", "broken.test", "-r", "rbl.test"],
    ),
    (
        "no_time_for_the_talk_is_time_for_the_list",
        &["-t0", "-r", "rbl.test"],
    ),
    ("list_may_end_in_a_dot", &["-r", "rbl.test."]),
    ("list_is_found_in_any_case", &["-r", "RBL.Test"]),
];

/// A list may have an error instead of an answer.
const ERRORS: &[(&str, &[&str])] = &[
    (
        "text_makes_a_list_be_asked_for_an_error",
        &["-r", "rbl.test"],
    ),
    ("error_lists_nobody", &["-r", "error.test"]),
    ("error_lists_nobody_with_c", &["-c", "-r", "error.test"]),
    (
        "error_of_an_allow_list_allows_nobody",
        &["-a", "error.test", "-r", "rbl.test"],
    ),
    (
        "error_makes_later_lists_temporary",
        &["-b", "-r", "error.test", "-r", "rbl.test"],
    ),
];

/// A list may have addresses, and the text be ours.
const OWN_TEXTS: &[(&str, &[&str])] = &[
    (
        "own_text_is_said_of_a_listed_client",
        &["-r", "a.test:Listed: see http://a.test/?%IP%"],
    ),
    ("own_text_is_not_said_of_others", &["-r", "nothing.test:no"]),
    (
        "own_text_is_for_loopback_addresses",
        &["-r", "public.test:no"],
    ),
    (
        "own_text_is_not_said_for_an_error",
        &["-r", "error.test:no"],
    ),
    (
        "own_text_is_not_said_for_a_failure",
        &["-r", "broken.test:no"],
    ),
    (
        "own_text_is_not_said_for_a_failure_with_c",
        &["-c", "-r", "broken.test:no"],
    ),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, options) in TRIALS {
        add(book, name, move |s| asks(s, options, &[], true));
    }
    for (name, told) in [
        ("variable_that_accepts_spares_the_lists", ""),
        ("variable_that_rejects_spares_the_lists", "told"),
    ] {
        add(book, name, move |s| {
            asks(
                s,
                &["-r", "rbl.test", "-a", "allow.test"],
                &[("RBLSMTPD", told)],
                true,
            );
        });
    }
    add(book, "doubt_makes_the_variable_temporary_no_more", |s| {
        asks(s, &["-r", "broken.test"], &[("RBLSMTPD", "-told")], true);
    });
    add(book, "unknown_client_asks_for_the_list_itself", |s| {
        asks(s, &["-r", "list.test"], &[("TCPREMOTEIP", "")], false);
    });
    add(book, "client_of_three_numbers_is_turned_around", |s| {
        asks(s, &["-r", "rbl.test"], &[("TCPREMOTEIP", "1.2.3")], true);
    });
    add(book, "client_with_a_name_is_turned_around", |s| {
        asks(
            s,
            &["-r", "rbl.test"],
            &[("TCPREMOTEIP", "mail.example.org")],
            true,
        );
    });
    add(book, "ipv6_client_is_asked_for_by_nibbles", |s| {
        let client = [
            ("PROTO", "TCP6"),
            ("TCP6REMOTEIP", "2001:db8::1"),
            ("TCPREMOTEIP", "2001:db8::1"),
        ];
        asks(s, &["-a", "allow.test", "-r", "rbl.test"], &client, true);
    })
    .differs("rblsmtpd-ipv6");
    add(book, "ipv4_client_of_ipv6_is_asked_for_by_numbers", |s| {
        let client = [
            ("PROTO", "TCP6"),
            ("TCP6REMOTEIP", "::ffff:1.2.3.4"),
            ("TCPREMOTEIP", "1.2.3.4"),
        ];
        asks(s, &["-r", "rbl.test"], &client, true);
    })
    .differs("rblsmtpd-ipv6");
    add(book, "text_of_300_bytes_is_said_whole", |s| {
        asks(s, &["-r", "long.test"], &[], true);
    })
    .differs("rblsmtpd-long-texts");
    add(book, "list_without_a_text_is_not_asked_for_an_error", |s| {
        asks_all(s, &["-r", "nothing.test"]);
    });
    for (name, options) in ERRORS {
        add(book, name, move |s| asks_all(s, options)).differs("rblsmtpd-errors");
    }
    for (name, options) in OWN_TEXTS {
        add(book, name, move |s| asks_all(s, options)).ours_alone("rblsmtpd-own-texts");
    }
    add(book, "listed_client_is_only_told_with_i", |s| {
        asks(s, &["-i", "-r", "odd.test"], &[], true);
        asks(s, &["-r", "rbl.test", "-i"], &[], true);
    })
    .ours_alone("rblsmtpd-options");
    add(book, "listed_client_waits_for_nothing", |s| {
        asks(s, &["-r", "rbl.test", "-w3600"], &[], true);
    })
    .ours_alone("rblsmtpd-options");
    add(book, "server_that_cannot_be_reached_is_a_failure", |s| {
        s.run(
            smtpd(s, &["-c", "-r", "rbl.test"])
                .env("DNSCACHEIP", "127.0.0.54")
                .input("RCPT\r\n"),
        );
    });
}

fn add<'a>(
    book: &'a mut Book,
    name: &str,
    steps: impl Fn(&mut Scene) + Send + Sync + 'static,
) -> &'a mut Scenario {
    book.add(name, steps).needs_network()
}

/// Runs rblsmtpd for the client 1.2.3.4, unless `client` says else, and shows what the name server was asked.
///
/// Ours asks a list that has a text for an address, too, which `ERRORS` show. Here that is left out, so that the rest can
/// be compared with the original.
fn asks(s: &mut Scene, options: &[&str], client: &[(&str, &str)], shows_questions: bool) {
    let mut asked = run(s, options, client);
    let is_second = |line: &String, asked: &[String]| {
        line.strip_prefix("A ")
            .is_some_and(|name| asked.contains(&format!("TXT {name}")))
    };
    let all = asked.clone();
    asked.retain(|line| !is_second(line, &all));
    if shows_questions {
        s.note_lines("asked", &asked);
    }
}

/// The same for the client 1.2.3.4, with all questions.
fn asks_all(s: &mut Scene, options: &[&str]) {
    let asked = run(s, options, &[]);
    s.note_lines("asked", &asked);
}

/// Gives what the name server was asked.
fn run(s: &mut Scene, options: &[&str], client: &[(&str, &str)]) -> Vec<String> {
    let server = name_server();
    let script = "echo served \"${RBLSMTPD-unset}\"; cat";
    let mut launch = s
        .program([options, &["sh", "-c", script]].concat())
        .env("DNSCACHEIP", SERVER.to_string());
    if !client.iter().any(|(name, _)| *name == "TCPREMOTEIP") {
        launch = launch.env("TCPREMOTEIP", "1.2.3.4");
    }
    for (name, value) in client {
        launch = launch.env(name, value);
    }
    s.run(launch.input("RCPT\r\n"));
    server.asked_for()
}
