//! The command line.

use super::{as_it_is, run_connected};
use crate::support::book::Book;

const WRONG: &[(&str, &[&str])] = &[
    ("no_operand_is_a_usage_error", &[]),
    ("one_operand_is_a_usage_error", &["127.0.0.1"]),
    ("two_operands_are_a_usage_error", &["127.0.0.1", "80"]),
    (
        "unknown_letter_is_named_before_the_usage_line",
        &["-z", "127.0.0.1", "80", "true"],
    ),
    (
        "unknown_letter_in_a_bundle_is_named",
        &["-vHzR", "127.0.0.1", "80", "true"],
    ),
    (
        "letters_of_tcpserver_are_unknown",
        &["-x", "rules.cdb", "127.0.0.1", "80", "true"],
    ),
    ("digit_is_an_unknown_letter", &["-1"]),
    ("missing_argument_is_named", &["-T"]),
    (
        "missing_argument_at_the_end_of_a_bundle_is_named",
        &["-vHt"],
    ),
    (
        "option_takes_the_next_word_whatever_it_looks_like",
        &["-l", "-H", "127.0.0.1", "80"],
    ),
    ("quiet_does_not_silence_an_unknown_letter", &["-q", "-z"]),
    ("quiet_does_not_silence_a_missing_argument", &["-q", "-l"]),
    ("quiet_silences_missing_operands", &["-q", "127.0.0.1"]),
    (
        "local_address_must_be_one",
        &["-i", "abc", "127.0.0.1", "80", "true"],
    ),
    (
        "local_address_must_have_four_numbers",
        &["-i", "1.2.3", "127.0.0.1", "80", "true"],
    ),
    (
        "local_address_must_not_be_empty",
        &["-i", "", "127.0.0.1", "80", "true"],
    ),
    (
        "quiet_does_not_silence_a_bad_local_address",
        &["-q", "-i", "abc", "127.0.0.1", "80", "true"],
    ),
    ("two_dashes_end_the_options", &["--", "-z"]),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, args) in WRONG {
        book.add(*name, move |s| s.run(s.program(*args)));
    }
    book.add("unknown_long_option_is_named", |s| {
        s.run(s.program(["--anything", "-z"]))
    })
    .differs("long-options");
    book.add("getopt_names_the_program_by_the_end_of_argv0", |s| {
        s.run(s.program(["-z"]).called("/some/where/other"));
        s.run(s.program(["-T"]).called("folder/"));
        s.run(s.program(["-T"]).called(""));
    });
    book.add("usage_with_closed_stderr_is_only_a_status", |s| {
        s.run(s.program([""; 0]).closed(2))
    });
    book.add("lone_dash_is_a_host", |s| {
        s.run(s.program(["-", "no-such-service", "true"]));
    });
    book.add("first_operand_ends_the_options", |s| {
        run_connected(s, &["-HRl0"], &["echo", "-z", "-v"], as_it_is)
    });
    book.add("options_may_be_bundled_and_arguments_attached", |s| {
        run_connected(
            s,
            &["-dDhHrRvQT5+5", "-t5", "-lname", "-i127.0.0.7"],
            &["env"],
            as_it_is,
        );
    });
    book.add("last_of_contradictory_options_wins", |s| {
        run_connected(s, &["-HRvqQ", "-la", "-lb"], &["env"], as_it_is);
    });
    for (name, options) in [
        ("timeout_must_be_a_number", ["-T", "abc"]),
        ("timeout_must_not_have_a_tail", ["-T", "5x"]),
        ("second_timeout_must_be_a_number", ["-T", "5+x"]),
        ("ident_timeout_must_be_a_number", ["-t", "abc"]),
        ("ident_timeout_must_not_have_a_tail", ["-t", "5x"]),
        ("local_port_must_be_a_number", ["-p", "abc"]),
        ("local_port_must_be_below_65536", ["-p", "65536"]),
        ("local_port_must_not_be_negative", ["-p", "-1"]),
    ] {
        // Nobody listens at the reserved port: the original takes the option and fails to connect.
        book.add(name, move |s| {
            let (_reserved, port) = crate::support::net::reserve_port(super::LOCALHOST);
            s.name_port(port, "PORT");
            let port = port.to_string();
            let args = [&["-HRl0"], &options[..], &["127.0.0.1", &port, "true"]].concat();
            s.run(s.program(args));
        })
        .differs("strict-numbers");
    }
}
