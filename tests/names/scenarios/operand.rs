//! The host operand: which names it stands for, which addresses they have, which of these is used.

use std::net::{Ipv4Addr, Ipv6Addr};

use nix::sys::signal::Signal;

use super::{asking, show_questions};
use crate::names::nameserver::NameServer;
use crate::names::packet::{AAAA, SERVFAIL};
use crate::names::zone::Zone;
use crate::names::{HERE, NAME_SERVER, THERE, world};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::scene::Scene;

const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// tcpclient's host.
pub(crate) fn fill(book: &mut Book) {
    addresses(book);
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
    book.add("sigterm_ends_the_look_up_of_the_host", |s| {
        let name_server = NameServer::silent(NAME_SERVER);
        let process = s.start(asking(s.program(["-vHRl0", "there.test", "0", "true"])));
        name_server.wait_for_questions(1);
        process.signal(Signal::SIGTERM);
        s.finish(process);
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
    book.add("ipv6_addresses_are_asked_for_too", |s| {
        let server = NameServer::of(NAME_SERVER, Zone::default().a("there.test", &[THERE]));
        reached(s, &["-v"], "there.test", asking);
        s.note_lines("asked", &server.asked_for());
    })
    .differs("ipv6-questions");
    book.add("host_with_an_ipv6_address_only_is_connected_to", |s| {
        let there = Ipv6Addr::LOCALHOST.octets().to_vec();
        let zone = Zone::default().record("there.test", AAAA, there);
        let _server = NameServer::of(NAME_SERVER, zone);
        // Nobody listens there.
        s.run(asking(s.program(["-HRl0", "there.test", "80", "true"])));
    })
    .differs("ipv6-questions");
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
    book.add("unreadable_hosts_file_is_none", |s| {
        world::etc_folder("hosts");
        world::etc("resolv.conf", "nameserver 127.0.0.53\n");
        let server = NameServer::of(NAME_SERVER, Zone::default().a("there.test", &[THERE]));
        reached(s, &["-v"], "there.test", |launch| launch);
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

/// Runs `tcpclient options host PORT env`, which must connect to 127.0.0.2.
pub(super) fn reached(
    s: &mut Scene,
    options: &[&str],
    host: &str,
    with: impl Fn(Launch) -> Launch,
) {
    let mut listener = s.listen(THERE);
    let port = listener.port.to_string();
    let args = [options, &["-HRl0", "-i", "127.0.0.1", host, &port, "env"]].concat();
    let client = s.start(with(s.program(args)));
    listener.accept();
    s.finish(client);
}

/// As `reached`, of a program that perhaps does not even try.
pub(super) fn reached_or_not(s: &mut Scene, host: &str, with: impl Fn(Launch) -> Launch) {
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
