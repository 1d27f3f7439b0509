//! What no original does as we do: prefixes, strict rules, the explanation of a look-up.

use super::patch::one;
use crate::support::book::{Book, Scenario};
use crate::support::cdb;
use crate::support::scene::Scene;

/// All scenarios.
pub(crate) fn all() -> Vec<Scenario> {
    let mut compile = Book::of("tcprules");
    faults(&mut compile);
    let mut check = Book::of("tcprulescheck");
    prefixes(&mut check);
    explained(&mut check);
    let mut server = Book::of("tcpserver");
    for (name, options) in [
        ("ipv6_prefix_of_length_0_denies_ipv4", &["0"][..]),
        ("ipv6_prefix_of_length_0_denies_ipv4_on_both", &[":0"]),
        ("ipv6_prefix_of_length_0_denies_ipv4_with_6", &["-6", ":0"]),
    ] {
        server.add(name, move |s| {
            s.rules("rules.cdb", "::/0:deny\n");
            let before = ["-1vHRl0", "-x", "rules.cdb"];
            let after = ["0", "echo", "served"];
            one(
                s,
                s.program([&before, options, &after].concat()),
                "127.0.0.1",
            );
        });
    }
    [compile, check, server]
        .into_iter()
        .flat_map(|book| book.scenarios)
        .collect()
}

fn faults(book: &mut Book) {
    for (name, address) in [
        ("prefix_must_be_of_an_address", "garbage/8"),
        ("prefix_of_a_number_above_255_is_refused", "300.1.2.3/8"),
        ("prefix_with_a_leading_zero_is_refused", "010.0.0.0/8"),
        ("prefix_of_five_numbers_is_refused", "1.2.3.4.5/8"),
        ("prefix_with_two_dots_is_refused", "10..0.0/8"),
        ("prefix_without_address_is_refused", "/8"),
        ("prefix_without_length_is_refused", "10.0.0.0/"),
        ("prefix_of_33_bits_is_refused", "10.0.0.0/33"),
        ("prefix_of_129_bits_is_refused", "2001:db8::/129"),
        ("prefix_with_a_tail_is_refused", "10.0.0.0/8x"),
        ("prefix_of_two_lengths_is_refused", "10.0.0.0/8/9"),
        ("prefix_with_a_mask_is_refused", "10.0.0.0/255.0.0.0"),
        ("prefix_with_a_sign_is_refused", "10.0.0.0/+8"),
        (
            "prefix_with_a_zero_before_its_length_is_refused",
            "10.0.0.0/08",
        ),
        ("ipv6_address_with_a_tail_is_refused", "2001:db8::zz"),
        ("ipv6_address_with_seven_groups_is_refused", "1:2:3:4:5:6:7"),
        ("ipv6_address_with_two_gaps_is_refused", "1::2::3"),
        ("ipv6_group_of_five_digits_is_refused", "12345::1"),
        ("ipv6_address_with_a_zone_is_refused", "fe80::1%eth0"),
        ("ipv6_prefix_with_a_zone_is_refused", "fe80::%eth0/64"),
        ("ipv6_address_in_brackets_is_refused", "[::1]"),
        ("ipv6_prefix_in_brackets_is_refused", "[2001:db8::]/32"),
        ("ipv4_address_with_a_colon_is_refused", "1.2.3.4:5"),
        ("ipv6_range_is_refused", "2001:db8::1-5"),
        ("colon_prefix_of_the_ipv6_patch_is_refused", "2001:db8:"),
        ("user_at_a_bad_ipv6_address_is_refused", "joe@fe80::zz"),
        (
            "user_at_an_ipv6_address_with_a_zone_is_refused",
            "joe@fe80::1%lo",
        ),
        ("user_at_an_ipv6_prefix_is_refused", "joe@fe80::/64"),
        ("host_with_a_colon_is_refused", "=a:b"),
    ] {
        book.add(name, move |s| refused(s, address));
    }
    book.add("first_fault_ends_the_run_and_the_old_file_stays", |s| {
        s.rules("rules.cdb", ":deny\n");
        let rules = "1.2.3.4:allow\n# a comment\n\n10.0.0.0/8:deny\n10.0.0.1/8:deny\n300/8:deny\n400/8:deny\n";
        s.run(s.program(["rules.cdb", "rules.tmp"]).input(rules));
        s.show_file("rules.cdb");
    });
    book.add("column_is_that_of_the_fault", |s| {
        for line in [
            "10.0.0.0/8:denied",
            "2001:db8::/32:allow,A",
            "fe80::/10:allow,A=\"1\" ,B=\"2\"",
        ] {
            s.run(s.program(["rules.cdb", "rules.tmp"]).input(line));
        }
    });
}

fn refused(s: &mut Scene, address: &str) {
    let rules = format!("1.2.3.4:allow\n{address}:deny\n");
    s.run(s.program(["rules.cdb", "rules.tmp"]).input(rules));
}

/// Asks for each of these addresses.
fn ask(s: &mut Scene, addresses: &[&str]) {
    for ip in addresses {
        s.run(s.program(["rules.cdb"]).env("TCPREMOTEIP", ip));
    }
}

fn prefixes(book: &mut Book) {
    book.add("prefix_is_printed_as_it_is_written", |s| {
        s.rules(
            "rules.cdb",
            "10/8:deny\n10.1.0.0/16:allow,A=\"16\"\n172.16./12:deny\n128.0.0.0/1:deny\n0/0:allow,A=\"0\"\n\
             2001:DB8::/32:allow,A=\"32\"\nfe80::/10:deny\n8000::/1:deny\n::/0:allow,A=\"6\"\n",
        );
        let addresses = [
            "10.2.3.4", "10.1.2.3", "172.31.255.255", "172.32.0.0", "200.1.1.1", "1.2.3.4", "2001:db8::1",
            "2001:0DB8:0:0:0:0:0:1", "fe80::1", "fe80::1%eth0", "FEC0::1", "1::", "::ffff:10.1.2.3",
        ];
        ask(s, &addresses);
    });
    book.add("exact_address_is_printed_compressed", |s| {
        s.rules(
            "rules.cdb",
            "2001:DB8:0:0:0:0:0:5:allow,A=\"1\"\njoe@FE80::0001:deny\n::ffff:1.2.3.4:deny\n",
        );
        ask(
            s,
            &["2001:db8::5", "2001:DB8::0005", "::ffff:1.2.3.4", "1.2.3.4"],
        );
        let check = s.program(["rules.cdb"]).env("TCPREMOTEIP", "fe80::1");
        s.run(check.env("TCPREMOTEINFO", "joe"));
    });
    book.add("user_that_looks_like_a_prefix_is_printed_as_it_is", |s| {
        s.rules("rules.cdb", "_0000@10.0.0.1:deny\n^0@::1:deny\n");
        for (ip, user) in [("10.0.0.1", "_0000"), ("::1", "^0")] {
            let check = s.program(["rules.cdb"]).env("TCPREMOTEIP", ip);
            s.run(check.env("TCPREMOTEINFO", user));
        }
    });
}

fn explained(book: &mut Book) {
    let explain = |s: &mut Scene, variables: &[(&str, &str)]| {
        let launch = s.program(["--explain", "rules.cdb"]);
        let launch = variables
            .iter()
            .fold(launch, |launch, (name, value)| launch.env(name, value));
        s.run(launch);
    };
    book.add("explanation_lists_every_key_in_order", move |s| {
        s.rules("rules.cdb", "");
        let names = [("TCPREMOTEHOST", "a.b.c"), ("TCPREMOTEINFO", "joe")];
        for ip in [
            "10.1.2.3",
            "2001:db8::1",
            "::ffff:10.1.2.3",
            "fe80::1%eth0",
            "garbage",
        ] {
            explain(s, &[&[("TCPREMOTEIP", ip)][..], &names].concat());
        }
    });
    book.add("explanation_ends_with_the_hit", move |s| {
        s.rules(
            "rules.cdb",
            "10.0.0.0/8:deny\n10.1.:allow,A=\"1\"\n2001:db8::/32:deny,B=\"2\"\n",
        );
        for ip in ["10.1.2.3", "10.2.2.3", "2001:db8::1", "2001:db9::1"] {
            explain(s, &[("TCPREMOTEIP", ip)]);
        }
    });
    book.add("explanation_has_no_twins", move |s| {
        let key = "0000:0000:0000:0000:0000:FFFF:0A01:0203";
        for key in ["10.1.2.3", key, "::ffff:10.1.2.3", "=.a"] {
            s.write("rules.cdb", cdb::file(&[(key.as_bytes(), b"D\0")]));
            explain(s, &[("TCPREMOTEIP", "10.1.2.3"), ("TCPREMOTEHOST", ".a")]);
        }
    });
    book.add("ipv6_prefix_shorter_than_96_holds_ipv4", |s| {
        s.rules("rules.cdb", "::/0:deny\n");
        ask(s, &["1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1"]);
        s.rules(
            "rules.cdb",
            "::/0:deny\n::/80:allow,X=\"80\"\n::/95:allow,X=\"95\"\n8000::/1:deny\n\
             ::fffe:0:0/95:allow,X=\"mapped\"\n",
        );
        ask(s, &["1.2.3.4", "::ffff:1.2.3.4", "::1", "::1:0:0"]);
        s.rules("rules.cdb", "::/0:deny\n0.0.0.0/0:allow,X=\"v4\"\n");
        ask(s, &["1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1"]);
    });
    book.add("explanation_without_file_is_a_usage_error", |s| {
        s.run(s.program(["--explain"]));
        s.run(s.program(["--explain=x", "rules.cdb"]));
        s.run(s.program(["--explain", "nosuch.cdb"]));
    });
    book.add("help_names_all_options", |s| s.run(s.program(["--help"])));
}
