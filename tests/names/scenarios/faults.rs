//! tcpserver and name servers that fail, lie or are not there.

use std::time::Duration;

use super::{asking, serve_one, show_questions};
use crate::names::nameserver::{Act, NameServer};
use crate::names::packet::{self, A, CH, PTR, Question, REFUSED, Reply, SERVFAIL, TXT};
use crate::names::{NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::book::Book;
use crate::support::scene::Scene;

/// Only the remote name is looked up.
const OPTIONS: &[&str] = &["-Rl0"];

pub(crate) fn fill(book: &mut Book) {
    one_server(book);
    two_servers(book);
    packets(book);
    book.add("unreadable_resolv_conf_unsets_names", |s| {
        world::etc_folder("resolv.conf");
        // A domain list, so that the file is not needed for the host operand.
        serve_one(s, &["-R"], |launch| launch.env("LOCALDOMAIN", ""));
    });
}

/// The answer to give: `there.test`.
fn right(question: &Question) -> Reply {
    question.reply().with(PTR, 60, &packet::name("there.test"))
}

/// The answer to fall for: `forged.test`.
fn forged(question: &Question) -> Reply {
    question.reply().with(PTR, 60, &packet::name("forged.test"))
}

fn one_server(book: &mut Book) {
    book.add("dead_server_unsets_the_name", |s| {
        let server = NameServer::silent(NAME_SERVER);
        serve_one(s, OPTIONS, asking);
        show_questions(s, &[&server]);
    });
    book.add("closed_port_unsets_the_name", |s| {
        serve_one(s, OPTIONS, asking)
    });
    for (name, code) in [
        ("failing_server_unsets_the_name", SERVFAIL),
        ("refusing_server_unsets_the_name", REFUSED),
    ] {
        book.add(name, move |s| {
            let server = NameServer::failing(NAME_SERVER, code);
            serve_one(s, OPTIONS, asking);
            show_questions(s, &[&server]);
        });
    }
    book.add("failing_server_is_asked_twice", |s| {
        let server = NameServer::failing(NAME_SERVER, SERVFAIL);
        serve_one(s, OPTIONS, asking);
        s.note_lines("asked", &server.asked());
    })
    .differs("failing-servers");
    book.add("unreachable_server_unsets_the_name", |s| {
        serve_one(s, OPTIONS, |launch| launch.env("DNSCACHEIP", "192.0.2.1"))
    });
    book.add("slow_answer_counts", |s| {
        scripted(s, |question, _| {
            vec![Act::SayLater(
                Duration::from_millis(1500),
                right(question).bytes(),
            )]
        });
    });
    book.add("lost_question_is_asked_again", |s| {
        scripted(s, |question, count| match count {
            0 => Vec::new(),
            _ => vec![Act::Say(right(question).bytes())],
        });
    });
    book.add(
        "paranoid_forgets_a_name_whose_addresses_cannot_be_had",
        |s| {
            let server = NameServer::scripted(NAME_SERVER, |question, _| {
                vec![Act::Say(match question.kind {
                    PTR => right(question).bytes(),
                    _ => question.reply().code(SERVFAIL).bytes(),
                })]
            });
            serve_one(s, &["-pRl0"], asking);
            show_questions(s, &[&server]);
        },
    );
}

fn two_servers(book: &mut Book) {
    let both = "127.0.0.53.127.0.0.54";
    book.add("second_server_is_asked_when_the_first_is_dead", move |s| {
        with_second(s, both, Some(NameServer::silent(NAME_SERVER)));
    });
    book.add("second_server_is_asked_when_the_first_fails", move |s| {
        with_second(s, both, Some(NameServer::failing(NAME_SERVER, SERVFAIL)));
    });
    book.add("second_server_is_asked_when_the_first_refuses", move |s| {
        with_second(s, both, Some(NameServer::failing(NAME_SERVER, REFUSED)));
    });
    book.add(
        "second_server_is_asked_when_the_port_of_the_first_is_closed",
        move |s| with_second(s, both, None),
    );
    book.add(
        "second_server_is_asked_when_the_first_cannot_be_read",
        move |s| {
            let unreadable = |question: &Question, _| {
                let reply = question.reply().with(PTR, 60, &[0xff, 0xff]);
                vec![Act::Say(reply.bytes())]
            };
            with_second(s, both, Some(NameServer::scripted(NAME_SERVER, unreadable)));
        },
    )
    .differs("failing-servers");
    book.add(
        "second_server_is_asked_when_the_first_is_unreachable",
        |s| with_second(s, "192.0.2.1.127.0.0.54", None),
    );
}

fn packets(book: &mut Book) {
    type Wrong = fn(&Question) -> Act;
    let passed_over: [(&str, Wrong); 7] = [
        ("answer_with_another_id_is_passed_over", |q| {
            Act::Say(forged(q).other_id().bytes())
        }),
        ("answer_to_another_question_is_passed_over", |q| {
            Act::Say(forged(q).other_question().bytes())
        }),
        ("answer_from_another_address_is_passed_over", |q| {
            Act::SayFrom(THERE, forged(q).bytes())
        }),
        ("answer_from_another_port_is_passed_over", |q| {
            Act::SayFromAnotherPort(forged(q).bytes())
        }),
        ("garbage_is_passed_over", |_| {
            Act::Say((0..200_u8).map(|byte| byte.wrapping_mul(151)).collect())
        }),
        ("empty_datagram_is_passed_over", |_| Act::Say(Vec::new())),
        ("header_alone_is_passed_over", |q| {
            Act::Say(forged(q).bytes()[..12].to_vec())
        }),
    ];
    for (name, wrong) in passed_over {
        book.add(name, move |s| {
            scripted(s, move |question, _| {
                vec![wrong(question), Act::Say(right(question).bytes())]
            });
        });
    }
    book.add("question_sent_back_is_passed_over", |s| {
        scripted(s, move |question, _| {
            let forged = forged(question).no_response().bytes();
            vec![Act::Say(forged), Act::Say(right(question).bytes())]
        });
    })
    .differs("answers-that-are-none");
    type Packet = fn(&Question) -> Vec<u8>;
    let unreadable: [(&str, Packet); 3] = [
        ("answer_cut_short_is_no_answer", |q| {
            let packet = right(q).bytes();
            packet[..packet.len() - 3].to_vec()
        }),
        ("name_that_points_at_itself_is_no_answer", |q| {
            let reply = right(q);
            // Behind the owner, type, class, TTL and length.
            let here = u8::try_from(reply.answers_at() + 12).expect("packets are short");
            q.reply().with(PTR, 60, &[0xc0, here]).bytes()
        }),
        ("name_that_points_beyond_the_end_is_no_answer", |q| {
            q.reply().with(PTR, 60, &[0xff, 0xff]).bytes()
        }),
    ];
    for (name, packet) in unreadable {
        // What comes later is not waited for.
        book.add(name, move |s| {
            scripted(s, move |question, _| {
                let unreadable = packet(question);
                vec![Act::Say(unreadable), Act::Say(forged(question).bytes())]
            });
        });
    }
    let readable: [(&str, Packet); 9] = [
        (
            "records_that_are_missing_behind_the_name_do_not_matter",
            |q| {
                let mut packet = right(q).bytes();
                packet[7] = 9;
                packet
            },
        ),
        ("missing_additional_records_do_not_matter", |q| {
            let mut packet = right(q).bytes();
            packet[11] = 1;
            packet
        }),
        // RFC 3597.
        ("empty_record_of_an_unknown_type_does_not_matter", |q| {
            let empty = b"\xc0\x0c\xff\x00\x00\x01\x00\x00\x00\x3c\x00\x00";
            right(q).additional(*empty).bytes()
        }),
        ("additional_address_of_3_bytes_does_not_matter", |q| {
            let short = b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x03abc";
            right(q).additional(*short).bytes()
        }),
        ("two_opt_records_do_not_matter", |q| {
            let opt = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
            right(q).additional(*opt).additional(*opt).bytes()
        }),
        ("odd_records_before_the_name_do_not_matter", |q| {
            // HTTPS, CAA and an address, all of which end too early, and an owner that is no name.
            let reply = q
                .reply()
                .with(65, 60, &[0])
                .with(257, 60, &[0, 200])
                .with(A, 60, &[1]);
            let stray = b"\xff\xff\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x01\x09";
            let reply = reply.with_record(*stray);
            reply.with(PTR, 60, &packet::name("there.test")).bytes()
        }),
        ("additional_garbage_does_not_matter", |q| {
            right(q).additional([0xff; 40]).bytes()
        }),
        (
            "record_that_points_at_itself_behind_the_name_does_not_matter",
            |q| {
                let reply = right(q);
                let here = u8::try_from(reply.bytes().len()).expect("packets are short");
                let owner = [0xc0, here];
                reply.with_of(&owner, PTR, 60, &owner).bytes()
            },
        ),
        ("name_of_another_class_does_not_count", |q| {
            let reply = q.reply().with_class(CH, PTR, &packet::name("forged.test"));
            reply.with(PTR, 60, &packet::name("there.test")).bytes()
        }),
    ];
    for (name, packet) in readable {
        book.add(name, move |s| {
            scripted(s, move |question, _| vec![Act::Say(packet(question))]);
        });
    }
    book.add("truncated_answer_is_asked_for_over_tcp", |s| {
        scripted(s, |question, _| {
            let reply = right(question);
            let packet = match question.over_tcp {
                true => reply.with(TXT, 60, &packet::strings(&[b'x'; 2000])).bytes(),
                false => forged(question).truncated().bytes(),
            };
            vec![Act::Say(packet)]
        });
    });
    book.add("answer_truncated_over_tcp_too_unsets_the_name", |s| {
        scripted(s, |question, _| {
            vec![Act::Say(right(question).truncated().bytes())]
        });
    });
    book.add(
        "second_server_is_asked_over_tcp_when_the_first_fails",
        |s| {
            let truncated = |question: &Question, _| {
                let reply = match question.over_tcp {
                    true => question.reply().code(SERVFAIL),
                    false => question.reply().truncated(),
                };
                vec![Act::Say(reply.bytes())]
            };
            let first = NameServer::scripted(NAME_SERVER, truncated);
            with_second(s, "127.0.0.53.127.0.0.54", Some(first));
        },
    );
    book.add("records_of_other_names_do_not_count", |s| {
        scripted(s, |question, _| {
            let reply = question.reply().with_of(
                &packet::name("else.test"),
                PTR,
                60,
                &packet::name("forged.test"),
            );
            vec![Act::Say(reply.bytes())]
        });
    })
    .differs("records-of-others");
    book.add("question_may_come_back_in_another_case", |s| {
        scripted(s, |question, _| {
            let mut packet = right(question).bytes();
            packet[12..40].make_ascii_uppercase();
            vec![Act::Say(packet)]
        });
    });
    book.add("bytes_behind_the_answer_do_not_matter", |s| {
        scripted(s, |question, _| {
            let mut packet = right(question).bytes();
            packet.extend_from_slice(&[0xff; 40]);
            vec![Act::Say(packet)]
        });
    });
    book.add("other_records_are_passed_over", |s| {
        scripted(s, |question, _| {
            let reply = question
                .reply()
                .with(TXT, 60, &packet::strings(b"forged"))
                .with(65280, 60, b"\xff\xff\xff")
                .with(PTR, 60, &packet::name("there.test"));
            vec![Act::Say(reply.bytes())]
        });
    });
}

/// Serves one client, with a name server that does what `script` says.
fn scripted(s: &mut Scene, script: impl FnMut(&Question, usize) -> Vec<Act> + Send + 'static) {
    let server = NameServer::scripted(NAME_SERVER, script);
    serve_one(s, OPTIONS, asking);
    show_questions(s, &[&server]);
}

/// Serves one client, with a first name server that is no help, and a second one that is.
fn with_second(s: &mut Scene, servers: &str, first: Option<NameServer>) {
    let second = NameServer::scripted(SECOND_NAME_SERVER, |question, _| {
        vec![Act::Say(right(question).bytes())]
    });
    serve_one(s, OPTIONS, |launch| launch.env("DNSCACHEIP", servers));
    let first: Vec<&NameServer> = first.iter().collect();
    show_questions(s, &[&first[..], &[&second]].concat());
}
