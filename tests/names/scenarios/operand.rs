//! The host operand: which names it stands for, which addresses they have, which of these is used.

use std::net::Ipv4Addr;

use super::{asking, but_ipv6, show_questions};
use crate::names::nameserver::{Act, NameServer};
use crate::names::packet::{self, A, CNAME, Question, REFUSED, SERVFAIL};
use crate::names::zone::Zone;
use crate::names::{HERE, NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::scene::Scene;

const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// tcpclient's host.
pub(crate) fn fill(book: &mut Book) {
    addresses(book);
    qualified(book);
    failures(book);
    packets(book);
}

/// tcpserver's host.
pub(crate) fn server(book: &mut Book) {
    book.add("host_may_be_a_name", |s| {
        let zone = Zone::default().a("there.test", &[THERE]);
        let name_server = NameServer::of(NAME_SERVER, zone);
        let launch = s.program(["-1vHRl0", "There.Test", "0", "printenv", "TCPLOCALIP"]);
        let mut server = s.serve(asking(launch));
        server.connect_between(HERE, THERE).receive_all();
        server.wait_for_ends(1);
        server.terminate();
        show_questions(s, &[&name_server]);
    });
    book.add("host_that_does_not_exist_is_reported", |s| {
        let _name_server = NameServer::of(NAME_SERVER, Zone::default());
        s.run(asking(s.program(["-HRl0", "there.test", "0", "true"])));
    });
    book.add("host_that_cannot_be_looked_up_is_reported", |s| {
        let _name_server = NameServer::failing(NAME_SERVER, SERVFAIL);
        s.run(asking(s.program(["-HRl0", "there.test", "0", "true"])));
    });
    book.add("quiet_silences_a_host_that_does_not_exist", |s| {
        let _name_server = NameServer::of(NAME_SERVER, Zone::default());
        s.run(asking(s.program(["-qHRl0", "there.test", "0", "true"])));
    });
}

fn addresses(book: &mut Book) {
    for (name, zone) in [
        (
            "name_is_looked_up_and_connected_to",
            Zone::default().a("there.test", &[THERE]),
        ),
        (
            "alias_is_followed",
            Zone::default()
                .alias("there.test", "other.test")
                .alias("other.test", "real.test")
                .a("real.test", &[THERE]),
        ),
    ] {
        book.add(name, move |s| {
            let server = NameServer::of(NAME_SERVER, zone.clone());
            reached(s, &["-v"], "There.Test", asking);
            show_questions(s, &[&server]);
        });
    }
    book.add("address_that_answers_is_found_among_several", |s| {
        let none = Ipv4Addr::new(127, 0, 0, 4);
        let server = NameServer::of(
            NAME_SERVER,
            Zone::default().a("there.test", &[none, THIRD, THERE]),
        );
        // Which of the others are tried first, and reported, is chance.
        reached(s, &["-q"], "there.test", asking);
        show_questions(s, &[&server]);
    });
    book.add("every_address_that_refuses_is_reported", |s| {
        let _server = NameServer::of(
            NAME_SERVER,
            Zone::default().a("there.test", &[HERE, THERE, THIRD]),
        );
        in_any_order(
            s,
            asking(s.program(["-HRl0", "there.test", "5000", "true"])),
        );
    });
    book.add(
        "every_silent_address_is_tried_twice_and_reported_once",
        |s| {
            let _server = NameServer::of(
                NAME_SERVER,
                Zone::default().a("there.test", &[HERE, THERE, THIRD]),
            );
            let (_listener, port, _waiting) = net::silent_listener(Ipv4Addr::UNSPECIFIED);
            s.name_port(port, "PORT");
            let args = [
                "-HRl0",
                "-T",
                "1+2",
                "there.test",
                &port.to_string(),
                "true",
            ];
            in_any_order(s, asking(s.program(args)));
        },
    );
    for (name, host) in [
        ("literal_address_is_not_looked_up", "127.0.0.2"),
        ("address_in_brackets_is_not_looked_up", "[127.0.0.2]"),
        (
            "address_with_a_dot_at_the_end_is_not_looked_up",
            "127.0.0.2.",
        ),
    ] {
        book.add(name, move |s| {
            let server = NameServer::of(NAME_SERVER, Zone::default());
            reached(s, &["-v"], host, |launch| {
                asking(launch).env("LOCALDOMAIN", "a.test b.test")
            });
            show_questions(s, &[&server]);
        });
    }
    book.add("name_may_be_escaped", |s| {
        let server = NameServer::of(NAME_SERVER, Zone::default().a("we ird.te\\st", &[THERE]));
        reached(s, &["-v"], "we\\040ird.te\\\\st", asking);
        show_questions(s, &[&server]);
    });
    book.add("empty_labels_are_passed_over", |s| {
        let server = NameServer::of(NAME_SERVER, Zone::default().a("there.test", &[THERE]));
        reached(s, &["-v"], ".there..test.", asking);
        show_questions(s, &[&server]);
    });
    book.add("localhost_is_found_without_any_name_server", |s| {
        world::etc("hosts", "127.0.0.2 localhost\n::1 localhost\n");
        reached_or_not(s, "localhost", |launch| launch.env("LOCALDOMAIN", ""));
    })
    .differs("hosts-file");
    book.add("hosts_file_is_not_read_when_a_cache_is_given", |s| {
        world::etc("hosts", "127.0.0.3 there.test\n");
        let server = NameServer::of(NAME_SERVER, Zone::default().a("there.test", &[THERE]));
        reached(s, &["-v"], "there.test", asking);
        show_questions(s, &[&server]);
    });
    book.add("names_not_in_the_hosts_file_are_looked_up", |s| {
        world::etc("hosts", "127.0.0.3 else.test\n");
        world::etc("resolv.conf", "nameserver 127.0.0.53\n");
        let server = NameServer::of(NAME_SERVER, Zone::default().a("there.test", &[THERE]));
        reached(s, &["-v"], "there.test", |launch| launch);
        show_questions(s, &[&server]);
    });
}

/// Where the rules are, what they are, the operand.
enum From {
    RewriteFile,
    EtcDnsrewrite,
    LocalDomain,
    ResolvConf,
    HostName,
}

fn qualified(book: &mut Book) {
    use From::{EtcDnsrewrite, HostName, LocalDomain, ResolvConf, RewriteFile};
    let two = "foo.test search.test";
    let conf = "nameserver 127.0.0.53\nsearch foo.test search.test\n";
    for (name, from, text, host) in [
        ("domains_are_tried_in_turn", LocalDomain, two, "host"),
        (
            "name_with_a_dot_at_the_end_is_complete",
            LocalDomain,
            two,
            "host.",
        ),
        (
            "name_with_a_dot_is_complete",
            LocalDomain,
            two,
            "host.search",
        ),
        ("no_domain_is_no_search", LocalDomain, "", "host"),
        ("one_domain_is_appended", LocalDomain, "search.test", "host"),
        ("name_in_brackets_is_complete", LocalDomain, two, "[host]"),
        (
            "plus_in_the_operand_tries_each",
            LocalDomain,
            "",
            "host+.foo.test+.search.test",
        ),
        ("search_line_is_used", ResolvConf, conf, "host"),
        (
            "domain_line_is_used",
            ResolvConf,
            "domain search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "first_of_search_and_domain_counts",
            ResolvConf,
            "domain foo.test\nsearch search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "tab_after_search_counts",
            ResolvConf,
            "search\tfoo.test\tsearch.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "empty_search_line_counts",
            ResolvConf,
            "search \nsearch search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "domain_of_the_host_is_appended",
            HostName,
            "me.search.test",
            "host",
        ),
        ("host_without_domain_is_no_search", HostName, "me", "host"),
        (
            "rewrite_file_equal",
            RewriteFile,
            "=host:host.search.test\n",
            "HOST",
        ),
        (
            "rewrite_file_suffix",
            RewriteFile,
            "*.search:.search.test\n",
            "host.search",
        ),
        (
            "rewrite_file_without_a_dot",
            RewriteFile,
            "?:.search.test\n",
            "host",
        ),
        (
            "rewrite_file_without_a_dot_leaves_others",
            RewriteFile,
            "?:.search.test\n",
            "host.foo",
        ),
        (
            "rewrite_file_whole",
            RewriteFile,
            "-.gone:host.search.test\n",
            "a.b.gone",
        ),
        (
            "rewrite_file_in_order",
            RewriteFile,
            "# first\n=host:a\n=a:b.\nb.:c\n*.:.search.test \t\r\n",
            "host",
        ),
        (
            "rewrite_file_without_final_line_feed",
            RewriteFile,
            "=host:host.search.test",
            "host",
        ),
        (
            "rewrite_file_with_several_domains",
            RewriteFile,
            "?:+.foo.test+.search.test\n*.:\n",
            "host",
        ),
        (
            "rewrite_file_may_turn_a_name_into_an_address",
            RewriteFile,
            "=host:127.0.0.2\n",
            "host",
        ),
        (
            "rewrite_file_may_turn_an_address_into_a_name",
            RewriteFile,
            "=1.2.3.4:host.search.test\n",
            "1.2.3.4",
        ),
        ("rewrite_file_alone_counts", RewriteFile, "", "host."),
        (
            "rewrite_file_that_is_missing_is_none",
            RewriteFile,
            "-",
            "host.search.test.",
        ),
        (
            "etc_dnsrewrite_is_used",
            EtcDnsrewrite,
            "=host:host.search.test\n",
            "host",
        ),
    ] {
        book.add(name, move |s| qualify(s, &from, text, host));
    }
    book.add("blanks_between_domains_may_be_several", |s| {
        qualify(s, &LocalDomain, "foo.test  search.test ", "host");
    })
    .differs("blanks-in-localdomain");
    book.add("failure_of_one_domain_ends_the_search", |s| {
        let server = NameServer::scripted(NAME_SERVER, |question, _| {
            vec![Act::Say(question.reply().code(SERVFAIL).bytes())]
        });
        s.run(
            asking(s.program(["-HRl0", "host", "80", "true"]))
                .env("LOCALDOMAIN", "foo.test search.test"),
        );
        show_questions(s, &[&server]);
    });
    for (name, host) in [
        ("rewrite_file_that_is_a_folder_is_reported", "there.test"),
        (
            "rewrite_file_that_is_a_folder_is_reported_for_an_address_too",
            "127.0.0.2",
        ),
    ] {
        book.add(name, move |s| {
            s.directory("folder");
            s.run(asking(s.program(["-HRl0", host, "80", "true"])).env("DNSREWRITEFILE", "folder"));
        });
    }
}

fn qualify(s: &mut Scene, from: &From, text: &str, host: &str) {
    let zone = Zone::default().a("host.search.test", &[THERE]);
    let server = NameServer::scripted(NAME_SERVER, move |question, _| {
        vec![Act::Say(zone.answer(question).bytes())]
    });
    match from {
        From::RewriteFile if text != "-" => s.write("rewrite", text),
        From::RewriteFile | From::LocalDomain => {}
        From::EtcDnsrewrite => world::etc("dnsrewrite", text),
        From::ResolvConf => world::etc("resolv.conf", text),
        From::HostName => world::host_name(text),
    }
    // Where the resolver's configuration says whom to ask, the variable must not.
    let launch = s.program(["-HRl0", host, "80", "true"]);
    s.run(match from {
        From::RewriteFile => asking(launch).env("DNSREWRITEFILE", "rewrite"),
        From::LocalDomain => asking(launch).env("LOCALDOMAIN", text),
        From::EtcDnsrewrite | From::HostName => asking(launch),
        From::ResolvConf => launch,
    });
    // In the order in which they were asked: one after the other on both sides.
    s.note_lines("asked", &but_ipv6(server.asked()));
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
    let cases: [(&str, Packet, Option<&'static str>); 4] = [
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

/// Runs `tcpclient options host PORT env`, which must connect to 127.0.0.2.
fn reached(s: &mut Scene, options: &[&str], host: &str, with: impl Fn(Launch) -> Launch) {
    let mut listener = s.listen(THERE);
    let port = listener.port.to_string();
    let args = [options, &["-HRl0", "-i", "127.0.0.1", host, &port, "env"]].concat();
    let client = s.start(with(s.program(args)));
    listener.accept();
    s.finish(client);
}

/// As `reached`, of a program that perhaps does not even try.
fn reached_or_not(s: &mut Scene, host: &str, with: impl Fn(Launch) -> Launch) {
    let listener = s.listen(THERE);
    let port = listener.port.to_string();
    let args = ["-vHRl0", host, &port, "printenv", "TCPREMOTEIP"];
    s.run(with(s.program(args)));
}

/// Runs a program whose lines come in an order that differs from run to run.
fn in_any_order(s: &mut Scene, launch: Launch) {
    let outcome = s.start(launch).outcome();
    let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    s.note_lines("stderr, sorted", &lines);
    s.note(&crate::support::process::describe(outcome.status));
}
