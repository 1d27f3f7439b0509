//! Hosts whose addresses are unknown, or known only from odd answers.

use super::operand::{reached, reached_or_not};
use super::{asking, show_questions};
use crate::names::nameserver::{Act, NameServer};
use crate::names::packet::{self, A, CH, CNAME, NXDOMAIN, Question, REFUSED, SERVFAIL, SOA};
use crate::names::zone::Zone;
use crate::names::{NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    failures(book);
    packets(book);
}

fn failures(book: &mut Book) {
    book.add("name_that_does_not_exist_is_reported", |s| {
        let server = NameServer::of(NAME_SERVER, Zone::default());
        s.run(asking(s.program(["-HRl0", "There.Test.", "80", "true"])));
        show_questions(s, &[&server]);
    });
    book.add("name_without_address_is_reported", |s| {
        let _server = NameServer::of(NAME_SERVER, Zone::default().empty("there.test"));
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("dead_name_server_is_reported", |s| {
        let _server = NameServer::silent(NAME_SERVER);
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("failing_name_server_is_reported", |s| {
        let _server = NameServer::failing(NAME_SERVER, SERVFAIL);
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("refusing_name_server_is_reported", |s| {
        let _server = NameServer::failing(NAME_SERVER, REFUSED);
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("closed_port_of_the_name_server_is_reported", |s| {
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("unreachable_name_server_is_reported", |s| {
        let launch = s.program(["-HRl0", "there.test", "80", "true"]);
        s.run(launch.env("DNSCACHEIP", "192.0.2.1"));
    });
    for (name, server) in [
        ("second_server_helps_when_the_first_is_dead", true),
        ("second_server_helps_when_the_first_is_closed", false),
    ] {
        book.add(name, move |s| {
            let _first = server.then(|| NameServer::silent(NAME_SERVER));
            let zone = Zone::default().a("there.test", &[THERE]);
            let second = NameServer::of(SECOND_NAME_SERVER, zone);
            reached(s, &["-v"], "there.test", |launch| {
                launch.env("DNSCACHEIP", "127.0.0.53.127.0.0.54")
            });
            show_questions(s, &[&second]);
        });
    }
    book.add("name_server_that_cannot_be_read_is_reported", |s| {
        let _server = NameServer::scripted(NAME_SERVER, |question, _| {
            vec![Act::Say(question.reply().with_record(*b"\xff").bytes())]
        });
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("name_server_that_closes_over_tcp_is_reported", |s| {
        let server = NameServer::scripted(NAME_SERVER, |question, _| match question.over_tcp {
            true => vec![Act::Close],
            false => vec![Act::Say(question.reply().truncated().bytes())],
        });
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
        show_questions(s, &[&server]);
    });
    book.add("name_server_that_closes_in_its_answer_is_reported", |s| {
        let _server = NameServer::scripted(NAME_SERVER, |question, _| {
            let reply = question.reply();
            match question.over_tcp {
                true => vec![Act::SayHalf(reply.bytes())],
                false => vec![Act::Say(reply.truncated().bytes())],
            }
        });
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("name_that_does_not_exist_may_have_a_broken_zone", |s| {
        let _server = NameServer::scripted(NAME_SERVER, |question, _| {
            let reply = question.reply().code(NXDOMAIN);
            let reply = reply.authority(&packet::SAME_NAME, SOA, 60, b"\xff\xff\x01");
            vec![Act::Say(reply.bytes())]
        });
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    });
    book.add("unreadable_resolv_conf_is_reported", |s| {
        world::etc_folder("resolv.conf");
        s.run(s.program(["-HRl0", "there.test", "80", "true"]));
    });
}

fn packets(book: &mut Book) {
    book.add("name_is_found_when_only_ipv4_questions_are_answered", |s| {
        let server = NameServer::scripted(NAME_SERVER, |question, _| {
            let reply = question.reply().with(A, 60, &THERE.octets());
            match question.kind {
                A => vec![Act::Say(reply.bytes())],
                _ => Vec::new(),
            }
        });
        reached(s, &["-v"], "there.test", asking);
        show_questions(s, &[&server]);
    });
    book.add("name_is_found_when_ipv6_questions_fail", |s| {
        let server = NameServer::scripted(NAME_SERVER, |question, _| {
            let reply = question.reply();
            let reply = match question.kind {
                A => reply.with(A, 60, &THERE.octets()),
                _ => reply.code(SERVFAIL),
            };
            vec![Act::Say(reply.bytes())]
        });
        reached(s, &["-v"], "there.test", asking);
        show_questions(s, &[&server]);
    });
    type Packet = fn(&Question) -> Vec<u8>;
    let there = THERE.octets();
    let cases: [(&str, Packet, Option<&'static str>); 5] = [
        (
            "address_of_another_class_does_not_count",
            |q| q.reply().with_class(CH, A, &THERE.octets()).bytes(),
            None,
        ),
        (
            "address_of_another_name_does_not_count",
            |q| {
                let other = packet::name("other.test");
                q.reply().with_of(&other, A, 60, &THERE.octets()).bytes()
            },
            Some("records-of-others"),
        ),
        (
            "alias_may_come_after_its_address",
            |q| {
                let other = packet::name("other.test");
                q.reply()
                    .with_of(&other, A, 60, &THERE.octets())
                    .with(CNAME, 60, &other)
                    .bytes()
            },
            None,
        ),
        (
            "aliases_may_run_in_a_circle",
            |q| {
                let other = packet::name("other.test");
                q.reply()
                    .with(CNAME, 60, &other)
                    .with_of(&other, CNAME, 60, &packet::SAME_NAME)
                    .bytes()
            },
            None,
        ),
        (
            "address_of_another_length_is_passed_over",
            |q| {
                q.reply()
                    .with(A, 60, b"\x7f\0\0")
                    .with(A, 60, &THERE.octets())
                    .bytes()
            },
            None,
        ),
    ];
    for (name, packet, differs) in cases {
        let scenario = book.add(name, move |s| {
            let server = NameServer::scripted(NAME_SERVER, move |question, _| {
                // After a broken answer a right one, so that neither side waits for long.
                let right = question.reply().with(A, 60, &there).bytes();
                vec![Act::Say(packet(question)), Act::Say(right)]
            });
            reached_or_not(s, "there.test", asking);
            show_questions(s, &[&server]);
        });
        if let Some(id) = differs {
            scenario.differs(id);
        }
    }
}
