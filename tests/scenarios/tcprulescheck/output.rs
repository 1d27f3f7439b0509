//! The command line and the lines on stdout.

use std::fs::OpenOptions;

use crate::support::book::Book;
use crate::support::cdb;
use crate::support::launch::Output;
use crate::support::scene::Scene;

/// Rules, and what is printed for 1.2.3.4.
const PRINTED: &[(&str, &str)] = &[
    ("allow_is_printed_after_its_rule", "1.2.3.4:allow\n"),
    ("deny_is_printed_after_its_rule", "1.2.3.4:deny\n"),
    (
        "settings_are_printed_before_allow",
        "1.2.3.4:allow,X=\"a\",Y=\"b c\"\n",
    ),
    (
        "settings_after_deny_are_not_printed",
        "1.2.3.4:deny,X=\"a\"\n",
    ),
    ("empty_value_is_printed", "1.2.3.4:allow,X=\"\"\n"),
    ("empty_name_is_printed", "1.2.3.4:allow,=\"v\"\n"),
    (
        "first_equal_sign_ends_the_name",
        "1.2.3.4:allow,X=\"a=b\"\n",
    ),
    (
        "raw_bytes_are_printed_raw",
        "1.2.3.4:allow,X=\"a\tb\u{1}\u{e9}\"\n",
    ),
    ("empty_key_is_printed_as_a_rule", ":deny\n"),
    ("no_rule_is_the_default", "9.9.9.9:deny\n"),
    ("empty_database_is_the_default", ""),
];

/// Data that tcprules never writes and that is taken all the same, and what is printed for 1.2.3.4.
const FOREIGN: &[(&str, &[u8])] = &[
    (
        "settings_before_a_foreign_deny_are_printed",
        b"+X=a\0D\0+Y=b\0",
    ),
    (
        "setting_without_equal_sign_is_printed_as_it_is",
        b"+X\0+Y=b\0",
    ),
    ("item_that_begins_with_d_denies", b"Drop\0"),
];

/// Data that the original passes over, as its tcpserver does; ours drops such connections.
const DAMAGED: &[(&str, &[u8])] = &[
    ("item_without_its_nul_is_damage", b"+X=a\0+Y=b"),
    ("deny_without_its_nul_is_damage", b"D"),
    ("unknown_item_is_damage", b"?what\0+X=a\0"),
    ("empty_item_is_damage", b"\0\0+X=a\0"),
    ("damaged_deny_is_no_allow", b"E\0"),
];

pub(crate) fn fill(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
    book.add("words_with_a_dash_are_file_names", |s| {
        s.run(s.program(["-v"]));
        s.run(s.program(["--"]));
    });
    operands(book);
    for (name, rules) in PRINTED {
        book.add(*name, move |s| {
            s.rules("rules.cdb", rules);
            s.run(s.program(["rules.cdb"]).env("TCPREMOTEIP", "1.2.3.4"));
        });
    }
    for (name, data) in FOREIGN {
        book.add(*name, move |s| stored(s, data));
    }
    for (name, data) in DAMAGED {
        book.add(*name, move |s| stored(s, data))
            .differs("damaged-rules");
    }
    book.add("long_key_and_value_are_printed_whole", |s| {
        s.write(
            "rules.cdb",
            cdb::file(&[(
                &b"k".repeat(3000),
                &[b"+V=", &b"v".repeat(3000)[..], b"\0"].concat(),
            )]),
        );
        s.run(
            s.program(["rules.cdb"])
                .env("TCPREMOTEIP", "k".repeat(3000)),
        );
    });
    book.add("full_stdout_is_noticed", |s| {
        s.rules("rules.cdb", "0.0.0.0:deny\n");
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("the system has /dev/full");
        s.run(s.program(["rules.cdb"]).stdout(Output::File(full)));
    })
    .differs("write-errors");
    book.add("closed_stdout_is_noticed", |s| {
        s.rules("rules.cdb", "0.0.0.0:deny\n");
        s.run(s.program(["rules.cdb"]).closed(1));
    })
    .differs("write-errors");
}

/// Asks for 1.2.3.4, of which this is stored.
fn stored(s: &mut Scene, data: &[u8]) {
    s.write("rules.cdb", cdb::file(&[(b"1.2.3.4", data)]));
    s.run(s.program(["rules.cdb"]).env("TCPREMOTEIP", "1.2.3.4"));
}

fn operands(book: &mut Book) {
    const RULES: &str = "10.9.:deny\n10.:allow,X=\"ten\"\n=mx.example:allow,X=\"mx\"\njoe@10.9.1.1:allow,X=\"joe\"\n\
         =:allow,X=\"named\"\n";
    let ask = |s: &mut Scene, operands: &[&str]| {
        s.run(s.program([&["rules.cdb"], operands].concat()));
    };
    book.add("operands_name_the_peer", move |s| {
        s.rules("rules.cdb", RULES);
        for operands in [
            &["10.9.1.1"][..],
            &["10.8.1.1"],
            &["9.9.9.9", "mx.example"],
            &["9.9.9.9", ""],
            &["10.9.1.1", "", "joe"],
            &["10.9.1.1", "mx.example", "joe"],
            &["::ffff:10.8.1.1"],
            &["::ffff:10.9.1.1"],
        ] {
            ask(s, operands);
        }
    })
    .differs("check-operands");
    book.add("operands_leave_the_environment_out", |s| {
        s.rules("rules.cdb", RULES);
        let check = s.program(["rules.cdb", "9.9.9.9"]);
        let check = check.env("TCPREMOTEIP", "10.9.1.1");
        s.run(check.env("TCPREMOTEHOST", "mx.example"));
    })
    .differs("check-operands");
    book.add("operand_that_is_no_address_is_refused", move |s| {
        s.rules("rules.cdb", RULES);
        for address in ["10.9", "10.9.1.300", "10.9..1", "mx.example", "", "-v"] {
            ask(s, &[address]);
        }
    })
    .differs("check-operands");
    book.add("too_many_operands_are_a_usage_error", move |s| {
        s.rules("rules.cdb", RULES);
        ask(s, &["10.9.1.1", "mx.example", "joe", "more"]);
    })
    .differs("check-operands");
}
