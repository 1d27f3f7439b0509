//! In which order keys are tried, and which variables they are made of.

use crate::support::book::Book;
use crate::support::scene::Scene;

const ORDER: [&str; 11] = [
    "xyz@86.75.30.9",
    "xyz@=one.two.three",
    "86.75.30.9",
    "=one.two.three",
    "86.75.30.",
    "86.75.",
    "86.",
    "=.two.three",
    "=.three",
    "=",
    "",
];

pub(crate) fn fill(book: &mut Book) {
    book.add("first_key_found_wins_in_the_documented_order", |s| {
        for index in 0..ORDER.len() {
            // The file names them in reverse: only the order of the look-up may count.
            let rules: String = ORDER[index..]
                .iter()
                .rev()
                .map(|key| format!("{key}:deny\n"))
                .collect();
            s.rules("rules.cdb", rules);
            check(
                s,
                &[
                    ("TCPREMOTEIP", "86.75.30.9"),
                    ("TCPREMOTEHOST", "one.two.three"),
                    ("TCPREMOTEINFO", "xyz"),
                ],
            );
        }
    });
    book.add("first_of_equal_keys_wins", |s| {
        s.rules("rules.cdb", "1.2.3.4:allow,X=\"first\"\n1.2.3.4:deny\n");
        check(s, &[("TCPREMOTEIP", "1.2.3.4")]);
    });
    book.add("address_is_0_0_0_0_when_unknown", |s| {
        s.rules("rules.cdb", "0.0.0.0:allow,X=\"exact\"\n");
        check(s, &[]);
        s.rules("rules.cdb", "0.0.:deny\n");
        check(s, &[]);
    });
    book.add("empty_address_finds_only_the_empty_key", |s| {
        s.rules("rules.cdb", ":deny\n0.:allow\n");
        check(s, &[("TCPREMOTEIP", "")]);
    });
    book.add("address_is_text_and_its_last_dot_counts", |s| {
        s.rules(
            "rules.cdb",
            "1.2.:deny\nabc:deny\nabc.:allow,X=\"prefix\"\n",
        );
        for address in [
            "1.2.",
            "1.2",
            "1.2.3.4.5",
            "1..2",
            ".",
            "abc",
            "abc.def",
            "01.2.3.4",
        ] {
            check(s, &[("TCPREMOTEIP", address)]);
        }
    });
    book.add("host_is_compared_as_given", |s| {
        s.rules(
            "rules.cdb",
            "=a.example:deny\n=.example:allow,X=\"suffix\"\n=B.example:deny\n",
        );
        for host in [
            "a.example",
            "A.example",
            "B.example",
            "b.example",
            "a.EXAMPLE",
            "a.example.",
        ] {
            check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", host)]);
        }
    });
    book.add("host_that_begins_with_a_dot_is_its_own_suffix", |s| {
        s.rules("rules.cdb", "=.example:deny\n");
        check(
            s,
            &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", ".example")],
        );
        check(
            s,
            &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", "example")],
        );
    });
    book.add("every_suffix_that_begins_with_a_dot_is_tried", |s| {
        s.rules("rules.cdb", "=.:allow,X=\"dot\"\n=.c:allow,X=\"c\"\n");
        for host in ["a.b.c", "a.b.c.", "a..c", "."] {
            check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", host)]);
        }
    });
    book.add("known_host_is_enough_for_the_lone_equal_sign", |s| {
        s.rules("rules.cdb", "=:allow\n:deny\n");
        check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", "a.b")]);
        check(s, &[("TCPREMOTEIP", "1.2.3.4")]);
    });
    book.add("host_that_is_set_but_empty_counts_as_known", |s| {
        s.rules("rules.cdb", "=:allow\n:deny\n");
        check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEHOST", "")]);
    });
    book.add("info_that_is_set_but_empty_counts_as_known", |s| {
        s.rules(
            "rules.cdb",
            "@1.2.3.4:allow,X=\"address\"\n@=a.b:allow,X=\"host\"\n:deny\n",
        );
        check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEINFO", "")]);
        check(
            s,
            &[
                ("TCPREMOTEIP", "1.2.3.5"),
                ("TCPREMOTEINFO", ""),
                ("TCPREMOTEHOST", "a.b"),
            ],
        );
        check(s, &[("TCPREMOTEIP", "1.2.3.4")]);
    });
    book.add(
        "info_is_combined_with_whole_addresses_and_hosts_only",
        |s| {
            s.rules(
                "rules.cdb",
                "joe@1.2.:deny\njoe@=.b:deny\njoe@:deny\n=.b:allow,X=\"host\"\n",
            );
            check(
                s,
                &[
                    ("TCPREMOTEIP", "1.2.3.4"),
                    ("TCPREMOTEINFO", "joe"),
                    ("TCPREMOTEHOST", "a.b"),
                ],
            );
            check(s, &[("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEINFO", "joe")]);
        },
    );
    book.add("ipv4_address_needs_no_other_variable", |s| {
        s.rules("rules.cdb", "1.2.3.4:deny\n");
        check(
            s,
            &[
                ("TCPREMOTEIP", "1.2.3.4"),
                ("TCP6REMOTEIP", "::1"),
                ("PROTO", "TCP6"),
                ("TCPLOCALIP", "9.9.9.9"),
            ],
        );
    });
    book.add("first_of_two_variables_of_one_name_counts", |s| {
        s.rules(
            "rules.cdb",
            "1.1.1.1:allow,X=\"first\"\n2.2.2.2:allow,X=\"second\"\n",
        );
        let check = s
            .program(["rules.cdb"])
            .env("TCPREMOTEIP", "1.1.1.1")
            .env("TCPREMOTEIP", "2.2.2.2");
        s.run(check);
    });
    book.add("user_name_may_look_like_a_cidr_key", |s| {
        s.rules("rules.cdb", "_foo@9.9.9.9:deny\n^foo@9.9.9.9:deny\n");
        for info in ["_foo", "^foo"] {
            check(s, &[("TCPREMOTEIP", "9.9.9.9"), ("TCPREMOTEINFO", info)]);
        }
    });
    book.add("cidr_rules_take_their_place_among_the_prefixes", |s| {
        s.rules(
            "rules.cdb",
            "10.0.0.0/8:allow,X=\"8\"\n10.1.0.0/16:deny\n10.:allow,X=\"dotted\"\n",
        );
        for address in ["10.1.2.3", "10.2.3.4", "11.1.1.1"] {
            check(s, &[("TCPREMOTEIP", address)]);
        }
    })
    .differs("cidr-rules");
}

fn check(s: &mut Scene, variables: &[(&str, &str)]) {
    let check = variables
        .iter()
        .fold(s.program(["rules.cdb"]), |check, (name, value)| {
            check.env(name, value)
        });
    s.run(check);
}
