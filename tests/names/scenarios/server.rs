//! tcpserver and name servers that do their work: which names are looked up, and what they look like.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use super::{asking, serve_one, show_questions};
use crate::names::gate::Gate;
use crate::names::nameserver::NameServer;
use crate::names::zone::Zone;
use crate::names::{HERE, NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;

/// Both ends have names that lead back to them.
fn honest() -> Zone {
    Zone::default()
        .ptr(HERE, "here.test")
        .ptr(THERE, "there.test")
        .a("here.test", &[HERE])
        .a("there.test", &[THERE])
}

pub(crate) fn fill(book: &mut Book) {
    which_names(book);
    what_names_look_like(book);
    paranoid(book);
    whom_to_ask(book);
    rules(book);
}

fn which_names(book: &mut Book) {
    for (name, options) in [
        ("both_ends_are_looked_up", &["-R"][..]),
        ("remote_name_is_not_looked_up_with_h", &["-HR"]),
        ("last_of_h_options_counts", &["-HhR"]),
        ("given_local_name_is_not_looked_up", &["-Rl", "mine.test"]),
        ("given_local_name_may_be_empty", &["-R", "-l", ""]),
        ("nothing_is_asked_when_nothing_is_wanted", &["-HRl0"]),
        ("paranoid_without_remote_name_asks_nothing", &["-pHRl0"]),
    ] {
        book.add(name, move |s| known(s, options, honest()));
    }
    book.add("stale_names_are_replaced", |s| {
        stale(s, &["-R"], honest());
    });
    book.add("stale_names_are_removed_when_there_are_none", |s| {
        stale(s, &["-R"], Zone::default());
    });
    book.add("stale_names_are_removed_when_not_looked_up", |s| {
        stale(s, &["-HRl0"], honest());
    });
    book.add("sigterm_ends_the_server_while_a_peer_is_looked_up", |s| {
        let gate = Gate::default();
        let name_server = gate.name_server(honest());
        let launch = s.program(["-1vRl0", "127.0.0.1", "0", "printenv", "TCPREMOTEHOST"]);
        let mut server = s.serve(asking(launch));
        let mut client = server.connect_between(THERE, HERE);
        name_server.wait_for_questions(1);
        server.signal(Signal::SIGTERM);
        server.wait();
        gate.open();
        client.receive_all();
        server.record_log();
    });
    book.add("every_client_gets_its_own_name", |s| {
        let third = Ipv4Addr::new(127, 0, 0, 3);
        let server = NameServer::of(NAME_SERVER, honest().ptr(third, "third.test"));
        let launch = s.program(["-1vR", "127.0.0.1", "0", "printenv", "TCPREMOTEHOST"]);
        let mut tcpserver = s.serve(asking(launch));
        for (index, client) in [THERE, third, HERE, THERE].into_iter().enumerate() {
            tcpserver.connect_between(client, HERE).receive_all();
            tcpserver.wait_for_ends(index + 1);
        }
        tcpserver.terminate();
        show_questions(s, &[&server]);
    });
}

fn what_names_look_like(book: &mut Book) {
    let long = "abcdefgh-".repeat(5);
    let long = [long.as_str(); 4].join(".");
    for (name, zone) in [
        ("unknown_names_are_unset", Zone::default()),
        (
            "names_without_a_record_are_unset",
            Zone::default()
                .empty("1.0.0.127.in-addr.arpa")
                .empty("2.0.0.127.in-addr.arpa"),
        ),
        (
            "name_is_lower_case",
            Zone::default().ptr(THERE, "THERE.Test"),
        ),
        (
            "unusual_bytes_of_a_name_are_escaped",
            Zone::default().ptr_of(
                THERE,
                &[b"we ird*", b"a.b", b"\n\x1b[31m%:", b"\xff\0/", b"x_y-z"],
            ),
        ),
        (
            "name_cannot_forge_a_log_line",
            Zone::default().ptr_of(THERE, &[b"x\ntcpserver: ok 1 a:127.0.0.1:1 b:1.2.3.4::5"]),
        ),
        (
            "first_of_two_names_counts",
            Zone::default()
                .ptr(THERE, "one.test")
                .ptr(THERE, "two.test"),
        ),
        ("root_is_a_dot", Zone::default().ptr(THERE, "")),
        (
            "long_name_is_cut_in_the_log_only",
            Zone::default().ptr(THERE, &long),
        ),
        (
            "name_behind_an_alias_counts",
            Zone::default()
                .alias("2.0.0.127.in-addr.arpa", "2.0-7.0.0.127.in-addr.arpa")
                .record(
                    "2.0-7.0.0.127.in-addr.arpa",
                    crate::names::packet::PTR,
                    crate::names::packet::name("there.test"),
                ),
        ),
    ] {
        book.add(name, move |s| known(s, &["-R"], zone.clone()));
    }
}

fn paranoid(book: &mut Book) {
    let there = || Zone::default().ptr(THERE, "there.test");
    let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
    for (name, zone) in [
        (
            "paranoid_keeps_a_name_that_leads_back",
            there().a("there.test", &[THERE]),
        ),
        (
            "paranoid_keeps_a_name_one_of_whose_addresses_leads_back",
            there().a("there.test", &[elsewhere, HERE, THERE]),
        ),
        (
            "paranoid_forgets_a_forged_name",
            there().a("there.test", &[elsewhere]),
        ),
        ("paranoid_forgets_a_name_that_does_not_exist", there()),
        (
            "paranoid_forgets_a_name_without_address",
            there().empty("there.test"),
        ),
        (
            "paranoid_follows_an_alias",
            there()
                .alias("there.test", "real.test")
                .a("real.test", &[THERE]),
        ),
        (
            "paranoid_asks_for_unusual_bytes_as_they_were",
            Zone::default()
                .ptr_of(THERE, &[b"we ird", b"test"])
                .a("we ird.test", &[THERE]),
        ),
        ("paranoid_forgets_what_is_not_there", Zone::default()),
    ] {
        book.add(name, move |s| known(s, &["-pRl0"], zone.clone()));
    }
    book.add("last_of_p_options_counts", move |s| {
        known(s, &["-pPRl0"], there().a("there.test", &[elsewhere]));
    });
}

fn whom_to_ask(book: &mut Book) {
    for (name, conf) in [
        (
            "servers_are_read_from_resolv_conf",
            "# comment\ndomain test\nnameserver 127.0.0.53\noptions x\n",
        ),
        (
            "server_lines_may_have_tabs_and_comments",
            "nameserver\t \t127.0.0.53 # x\nnameserver 192.0.2.1",
        ),
        (
            "server_address_may_have_leading_zeros",
            "nameserver 127.000.0.053\n",
        ),
        (
            "server_address_may_end_in_anything",
            "nameserver 127.0.0.53;x\n",
        ),
        (
            "server_line_may_end_in_a_carriage_return",
            "nameserver 127.0.0.53\r\n",
        ),
        (
            "lines_that_name_no_server_are_passed_over",
            " nameserver 192.0.2.1\nnameservers 192.0.2.1\nnameserver\nnameserver x\nnameserver 0.0.0.0\nNAMESERVER 192.0.2.1\nnameserver 127.0.0.53\n",
        ),
    ] {
        book.add(name, move |s| configured(s, conf, None));
    }
    for (name, cache) in [
        ("empty_cache_variable_is_none", ""),
        ("cache_variable_without_address_is_none", "x"),
        ("cache_variable_with_a_short_address_is_none", "127.0.0"),
    ] {
        book.add(name, move |s| {
            configured(s, "nameserver 127.0.0.53\n", Some(cache));
        });
    }
    for (name, cache) in [
        ("cache_variable_goes_before_resolv_conf", "127.0.0.53"),
        (
            "cache_variable_may_list_servers_with_dots",
            ".127.0.0.53.192.0.2.1.",
        ),
        ("cache_variable_may_end_in_anything", "127.0.0.53,x"),
        ("cache_variable_may_have_leading_zeros", "127.000.0.053"),
        ("cache_variable_skips_zeros", "0.0.0.0.127.0.0.53"),
    ] {
        book.add(name, move |s| {
            configured(s, "nameserver 192.0.2.1\n", Some(cache));
        });
    }
    book.add("local_server_is_asked_when_none_is_configured", |s| {
        let server = NameServer::of(HERE, honest());
        serve_one(s, &["-R"], |launch| launch);
        show_questions(s, &[&server]);
    });
    book.add("local_server_is_asked_when_resolv_conf_names_none", |s| {
        world::etc("resolv.conf", "search test\n");
        let server = NameServer::of(HERE, honest());
        serve_one(s, &["-R"], |launch| launch);
        show_questions(s, &[&server]);
    });
    book.add("first_server_is_asked_first", |s| {
        let second = NameServer::of(SECOND_NAME_SERVER, honest());
        let first = NameServer::of(NAME_SERVER, honest());
        serve_one(s, &["-R"], |launch| {
            launch.env("DNSCACHEIP", "127.0.0.54.127.0.0.53")
        });
        show_questions(s, &[&first, &second]);
    });
}

fn rules(book: &mut Book) {
    for (name, options, ip) in [
        ("rule_for_a_name_is_found", "-vRl0", THERE),
        (
            "rule_for_a_name_needs_the_true_one_when_paranoid",
            "-vpRl0",
            HERE,
        ),
        (
            "rule_for_a_name_trusts_a_forged_one_otherwise",
            "-vRl0",
            HERE,
        ),
    ] {
        book.add(name, move |s| {
            s.rules(
                "rules.cdb",
                "=there.test:allow,FOUND=\"name\"\n=.test:allow,FOUND=\"suffix\"\n=:allow,FOUND=\"any name\"\n:allow,FOUND=\"none\"\n",
            );
            let server = NameServer::of(
                NAME_SERVER,
                Zone::default().ptr(THERE, "There.Test").a("there.test", &[ip]),
            );
            serve_one(s, &[options, "-xrules.cdb"], asking);
            show_questions(s, &[&server]);
        });
    }
}

/// Serves one client, with a name server that knows `zone`.
fn known(s: &mut Scene, options: &[&str], zone: Zone) {
    let server = NameServer::of(NAME_SERVER, zone);
    serve_one(s, options, asking);
    show_questions(s, &[&server]);
}

fn stale(s: &mut Scene, options: &[&str], zone: Zone) {
    let server = NameServer::of(NAME_SERVER, zone);
    serve_one(s, options, |launch: Launch| {
        asking(launch)
            .env("TCPREMOTEHOST", "stale")
            .env("A", "1")
            .env("TCPLOCALHOST", "stale")
            .env("TCPREMOTEINFO", "stale")
    });
    show_questions(s, &[&server]);
}

fn configured(s: &mut Scene, conf: &str, cache: Option<&str>) {
    world::etc("resolv.conf", conf);
    let server = NameServer::of(NAME_SERVER, honest());
    serve_one(s, &["-R"], |launch| match cache {
        Some(cache) => launch.env("DNSCACHEIP", cache),
        None => launch,
    });
    show_questions(s, &[&server]);
}
