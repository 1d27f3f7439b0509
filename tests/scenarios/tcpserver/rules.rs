//! `-x`: what the rules say about a peer, and what happens without them.

use std::fs;
use std::net::Ipv4Addr;

use super::{as_it_is, listening, one_connection, one_logged_connection};
use crate::support::book::Book;
use crate::support::cdb;
use crate::support::scene::Scene;

const PEER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What is done to peers 127.0.0.1 and 127.0.0.2.
const VERDICTS: &[(&str, &str)] = &[
    ("no_rule_allows", "9.9.9.9:deny\n"),
    ("empty_database_allows", ""),
    ("denied_peer_ends_with_status_100", "127.0.0.2:deny\n"),
    (
        "rule_for_the_address_wins_over_its_prefix",
        "127.0.0.:deny\n127.0.0.2:allow\n",
    ),
    (
        "rule_for_longer_prefix_wins_over_shorter",
        "127.:deny\n127.0.0.:allow\n",
    ),
    (
        "empty_address_is_the_last_resort",
        ":deny\n127.0.0.2:allow\n",
    ),
    ("range_of_addresses_is_denied", "127.0.0.2-9:deny\n"),
    (
        "first_of_equal_rules_wins",
        "127.0.0.2:allow\n127.0.0.2:deny\n",
    ),
    ("rule_for_any_host_needs_a_host", "=:deny\n"),
    (
        "rule_for_a_user_needs_a_user",
        "joe@127.0.0.2:deny\n@127.0.0.2:deny\n",
    ),
];

/// What a rule for 127.0.0.1 puts into the environment.
const SETTINGS: &[(&str, &str)] = &[
    ("rule_sets_a_variable", "127.0.0.1:allow,X=\"a b\"\n"),
    (
        "rule_sets_variables_in_their_order",
        "127.0.0.1:allow,B=\"1\",A=\"2\",B=\"3\"\n",
    ),
    ("rule_sets_an_empty_variable", "127.0.0.1:allow,X=\"\"\n"),
    (
        "rule_replaces_an_inherited_variable",
        "127.0.0.1:allow,INHERITED=\"by the rule\"\n",
    ),
    (
        "rule_replaces_what_the_server_sets",
        "127.0.0.1:allow,TCPREMOTEIP=\"1.1.1.1\",PROTO=\"zz\"\n",
    ),
    (
        "rule_sets_what_the_server_removes",
        "127.0.0.1:allow,TCPREMOTEHOST=\"host\",TCPREMOTEINFO=\"info\"\n",
    ),
    (
        "rule_sets_a_variable_without_a_name",
        "127.0.0.1:allow,=\"v\"\n",
    ),
    (
        "value_may_hold_an_equal_sign_and_raw_bytes",
        "127.0.0.1:allow,X=\"a=b\t\u{1}\u{e9}\"\n",
    ),
    (
        "path_of_a_rule_reaches_the_program_but_does_not_find_it",
        "127.0.0.1:allow,PATH=\"/nowhere\"\n",
    ),
];

/// Data that tcprules never writes.
/// What no compiler writes.
const DAMAGED: &[(&str, &[u8])] = &[
    ("item_without_its_nul_is_damage", b"+X=a\0+Y=b"),
    ("deny_without_its_nul_is_damage", b"D"),
    ("unknown_item_is_damage", b"?what\0+X=a\0"),
    ("empty_item_is_damage", b"\0\0+X=a\0"),
];

const FOREIGN: &[(&str, &[u8])] = &[
    (
        "setting_without_equal_sign_is_ignored",
        b"+X\0+INHERITED\0+Y=b\0",
    ),
    ("item_that_begins_with_d_denies", b"Drop\0"),
    ("deny_after_settings_denies", b"+X=a\0D\0+Y=b\0"),
];

/// One connection from a peer whose record holds `data`.
fn follow(s: &mut Scene, data: &[u8]) {
    s.write("rules.cdb", cdb::file(&[(b"127.0.0.1", data)]));
    one_logged_connection(s, &["-1vHRl0", "-x", "rules.cdb"], &["env"], |launch| {
        launch.env("INHERITED", "from the start")
    });
}

pub(crate) fn fill(book: &mut Book) {
    for (name, rules) in VERDICTS {
        book.add(*name, move |s| {
            s.rules("rules.cdb", rules);
            let mut server = s.serve(listening(
                s,
                &["-1vHRl0", "-x", "rules.cdb"],
                &["echo", "served"],
            ));
            for (count, peer) in [Ipv4Addr::LOCALHOST, PEER].into_iter().enumerate() {
                server.connect_from(peer).receive_all();
                server.wait_for_ends(count + 1);
            }
            server.terminate();
        });
    }
    for (name, rules) in SETTINGS {
        book.add(*name, move |s| {
            s.rules("rules.cdb", rules);
            one_logged_connection(s, &["-1vHRl0", "-x", "rules.cdb"], &["env"], |launch| {
                launch.env("INHERITED", "from the start").env("LAST", "1")
            });
        });
    }
    for (name, data) in FOREIGN {
        book.add(*name, |s| follow(s, data));
    }
    for (name, data) in DAMAGED {
        book.add(*name, |s| follow(s, data))
            .differs("damaged-rules");
    }
    book.add("deny_with_settings_denies", |s| {
        s.rules("rules.cdb", "127.0.0.1:deny,X=\"y\"\n");
        one_logged_connection(s, &["-1vHRl0", "-x", "rules.cdb"], &["env"], as_it_is);
    });
    book.add("denied_peer_is_not_logged_by_default", |s| {
        s.rules("rules.cdb", ":deny\n");
        one_connection(
            s,
            &["-1HRl0", "-x", "rules.cdb"],
            &["echo", "served"],
            as_it_is,
        );
    });
    book.add("denied_peer_has_seen_the_banner", |s| {
        s.rules("rules.cdb", ":deny\n");
        one_logged_connection(
            s,
            &["-1vHRl0", "-x", "rules.cdb", "-B", "hello\r\n"],
            &["env"],
            as_it_is,
        );
    });
    book.add("last_rules_file_counts", |s| {
        s.rules("deny.cdb", ":deny\n");
        s.rules("allow.cdb", ":allow\n");
        one_connection(
            s,
            &["-1HRl0", "-x", "deny.cdb", "-xallow.cdb"],
            &["echo", "served"],
            as_it_is,
        );
    });
    changes(book);
    failures(book);
}

fn changes(book: &mut Book) {
    book.add("replaced_rules_take_effect_at_the_next_connection", |s| {
        s.rules("rules.cdb", ":allow,RULES=\"old\"\n");
        let mut server = s.serve(listening(
            s,
            &["-1vHRl0", "-x", "rules.cdb"],
            &["printenv", "RULES"],
        ));
        server.connect().receive_all();
        server.wait_for_ends(1);
        s.rules("rules.cdb", ":deny\n");
        server.connect().receive_all();
        server.wait_for_ends(2);
        s.rules("rules.cdb", ":allow,RULES=\"new\"\n");
        server.connect().receive_all();
        server.wait_for_ends(3);
        server.terminate();
    });
    book.add(
        "rules_rewritten_in_place_take_effect_at_the_next_connection",
        |s| {
            // Same file, same size, and written within one tick of the clock.
            s.rules("one.cdb", ":allow,RULES=\"one\"\n");
            s.rules("two.cdb", ":allow,RULES=\"two\"\n");
            fs::copy(s.path("one.cdb"), s.path("rules.cdb")).expect("a copy");
            let mut server = s.serve(listening(
                s,
                &["-1vHRl0", "-x", "rules.cdb"],
                &["printenv", "RULES"],
            ));
            server.connect().receive_all();
            server.wait_for_ends(1);
            fs::copy(s.path("two.cdb"), s.path("rules.cdb")).expect("a copy");
            server.connect().receive_all();
            server.wait_for_ends(2);
            server.terminate();
        },
    );
    book.add("rules_cut_short_in_place_drop_the_next_connection", |s| {
        s.rules("rules.cdb", ":allow\n");
        let mut server = s.serve(listening(
            s,
            &["-1vHRl0", "-x", "rules.cdb"],
            &["echo", "served"],
        ));
        server.connect().receive_all();
        server.wait_for_ends(1);
        let file = fs::File::options()
            .write(true)
            .open(s.path("rules.cdb"))
            .expect("the rules are there");
        file.set_len(1000).expect("a file can be cut");
        server.connect().receive_all();
        server.wait_for_ends(2);
        server.terminate();
    });
    book.add("rules_that_disappear_drop_the_next_connection", |s| {
        s.rules("rules.cdb", ":allow\n");
        let mut server = s.serve(listening(
            s,
            &["-1vHRl0", "-x", "rules.cdb"],
            &["echo", "served"],
        ));
        server.connect().receive_all();
        server.wait_for_ends(1);
        fs::remove_file(s.path("rules.cdb")).expect("the rules are there");
        server.connect().receive_all();
        server.wait_for_ends(2);
        s.rules("rules.cdb", ":allow\n");
        server.connect().receive_all();
        server.wait_for_ends(3);
        server.terminate();
    });
    book.add("rules_that_appear_are_used", |s| {
        let mut server = s.serve(listening(
            s,
            &["-1vHRXl0", "-x", "rules.cdb"],
            &["echo", "served"],
        ));
        server.connect().receive_all();
        server.wait_for_ends(1);
        s.rules("rules.cdb", ":deny\n");
        server.connect().receive_all();
        server.wait_for_ends(2);
        server.terminate();
    });
}

fn failures(book: &mut Book) {
    book.add("missing_rules_drop_the_connection", |s| {
        with_bad_rules(s, "-x", "nothing")
    });
    book.add("missing_rules_are_no_rules_when_asked_for", |s| {
        with_bad_rules(s, "-Xx", "nothing")
    });
    book.add("rules_below_a_file_drop_the_connection_even_then", |s| {
        s.write("plain", "");
        with_bad_rules(s, "-Xx", "plain/rules.cdb");
    });
    for (name, option) in [
        ("unreadable_rules_drop_the_connection", "-x"),
        ("unreadable_rules_drop_the_connection_even_then", "-Xx"),
    ] {
        book.add(name, move |s| {
            s.rules("rules.cdb", ":allow\n");
            s.set_mode("rules.cdb", 0o200);
            one_logged_connection(
                s,
                &["-1vHRl0", option, "rules.cdb"],
                &["echo", "served"],
                |launch| launch.unprivileged(),
            );
        });
    }
    for (name, option) in [
        ("empty_rules_file_drops", "-x"),
        ("empty_rules_file_drops_even_then", "-Xx"),
    ] {
        book.add(name, move |s| {
            s.write("rules.cdb", "");
            with_bad_rules(s, option, "rules.cdb");
        })
        .differs("empty-cdb");
    }
    book.add("device_as_rules_drops_the_connection", |s| {
        with_bad_rules(s, "-x", "/dev/null")
    })
    .differs("empty-cdb");
    book.add(
        "variable_too_long_for_the_system_drops_the_connection",
        |s| {
            let data = [&b"+X="[..], &b"v".repeat(140_000), b"\0"].concat();
            s.write("rules.cdb", cdb::file(&[(b"127.0.0.1", &data)]));
            with_bad_rules(s, "-x", "rules.cdb");
        },
    );
    book.add("directory_as_rules_drops_the_connection", |s| {
        s.directory("rules.cdb");
        one_logged_connection(
            s,
            &["-1vHRl0", "-x", "rules.cdb"],
            &["echo", "served"],
            |launch| launch.limit(nix::sys::resource::Resource::RLIMIT_CORE, 0),
        );
    })
    .differs("directory-as-cdb");
    for length in [1, 2047, 2048, 2060] {
        book.add(
            format!("rules_cut_to_{length}_bytes_drop_the_connection"),
            move |s| {
                let mut file = cdb::file(&[(b"127.0.0.1", b"D\0")]);
                file.truncate(length);
                s.write("rules.cdb", file);
                with_bad_rules(s, "-x", "rules.cdb");
            },
        );
    }
    for (name, byte) in [("ones", 0xff), ("text", b'x')] {
        book.add(
            format!("rules_of_three_thousand_bytes_of_{name}_drop_the_connection"),
            move |s| {
                s.write("rules.cdb", vec![byte; 3000]);
                with_bad_rules(s, "-x", "rules.cdb");
            },
        );
    }
    book.add("dropped_connection_has_seen_the_banner", |s| {
        one_logged_connection(
            s,
            &["-1vHRl0", "-x", "nothing", "-B", "hello\r\n"],
            &["echo", "served"],
            as_it_is,
        );
    });
    book.add("dropped_connection_is_not_logged_when_quiet", |s| {
        one_connection(
            s,
            &["-1qHRl0", "-x", "nothing"],
            &["echo", "served"],
            as_it_is,
        );
    });
}

fn with_bad_rules(s: &mut Scene, option: &str, file: &str) {
    one_logged_connection(s, &["-1vHRl0", option, file], &["echo", "served"], as_it_is);
}
