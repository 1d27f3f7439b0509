//! The command line.

use super::{as_it_is, attempt, one_connection};
use crate::support::book::Book;

const WRONG: &[(&str, &[&str])] = &[
    ("no_operand_is_a_usage_error", &[]),
    ("one_operand_is_a_usage_error", &["127.0.0.1"]),
    ("two_operands_are_a_usage_error", &["127.0.0.1", "0"]),
    (
        "unknown_letter_is_named_before_the_usage_line",
        &["-z", "127.0.0.1", "0", "true"],
    ),
    (
        "unknown_letter_in_a_bundle_is_named",
        &["-vHzR", "127.0.0.1", "0", "true"],
    ),
    ("unknown_eight_bit_letter_is_named", &["-\u{e9}"]),
    (
        "letters_of_tcpclient_are_unknown",
        &["-T", "5", "127.0.0.1", "0", "true"],
    ),
    ("missing_argument_is_named", &["-c"]),
    (
        "missing_argument_at_the_end_of_a_bundle_is_named",
        &["-vHx"],
    ),
    (
        "option_takes_the_next_word_whatever_it_looks_like",
        &["-x", "-v", "127.0.0.1", "0"],
    ),
    ("quiet_does_not_silence_an_unknown_letter", &["-q", "-z"]),
    ("quiet_does_not_silence_a_missing_argument", &["-q", "-c"]),
    ("quiet_silences_missing_operands", &["-q", "127.0.0.1"]),
    ("two_dashes_end_the_options", &["--", "-z"]),
    ("lone_dash_is_a_host", &["-", "no-such-service", "true"]),
    (
        "port_is_looked_at_before_the_program_is_missed",
        &["127.0.0.1", "no-such-service"],
    ),
];

/// Option arguments that the original takes for a number.
const NO_NUMBERS: &[(&str, &[&str])] = &[
    ("limit_must_be_a_number", &["-c", "abc"]),
    ("limit_must_not_have_a_tail", &["-c", "5x"]),
    ("limit_must_not_be_empty", &["-c", ""]),
    ("limit_must_not_be_0", &["-c", "0"]),
    ("limit_must_not_be_negative", &["-c", "-1"]),
    ("limit_must_not_have_a_sign", &["-c", "+5"]),
    ("limit_must_not_overflow", &["-c", "18446744073709551621"]),
    ("backlog_must_be_a_number", &["-b", "abc"]),
    ("backlog_must_not_have_a_tail", &["-b", "5x"]),
    ("timeout_must_be_a_number", &["-t", "abc"]),
    ("timeout_must_not_have_a_tail", &["-t", "5x"]),
    ("user_must_not_be_negative", &["-u", "-1"]),
    ("user_must_not_be_empty", &["-u", ""]),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, args) in WRONG {
        book.add(*name, move |s| s.run(s.program(*args)));
    }
    for (name, option) in NO_NUMBERS {
        book.add(*name, move |s| {
            attempt(s, &[&["-1vHRl0"], *option].concat(), as_it_is)
        })
        .differs("strict-numbers");
    }
    for (name, option) in [
        ("user_name_is_not_taken_for_0", ["-u", "nobody"]),
        ("group_name_is_not_taken_for_0", ["-g", "nogroup"]),
    ] {
        book.add(name, move |s| {
            attempt(s, &[&["-1vHRl0"], &option[..]].concat(), as_it_is)
        })
        .differs("strict-numbers")
        .needs_root();
    }
    for (name, variable) in [
        ("uid_variable_must_be_a_number", "UID"),
        ("gid_variable_must_be_a_number", "GID"),
    ] {
        book.add(name, move |s| {
            attempt(s, &["-1vHRUl0"], |launch| launch.env(variable, "abc"));
        })
        .differs("strict-numbers");
    }
    book.add("unknown_long_option_is_named", |s| {
        s.run(s.program(["--anything", "-z"]))
    })
    .differs("long-options");
    book.add("letters_of_the_ipv6_build_are_known", |s| {
        attempt(s, &["-1vHRl0", "-4", "-I", "lo"], as_it_is);
    })
    .differs("ipv6-addresses");
    book.add("getopt_names_the_program_by_the_end_of_argv0", |s| {
        s.run(s.program(["-z"]).called("/some/where/other"));
        s.run(s.program(["-c"]).called("folder/"));
        s.run(s.program(["-c"]).called(""));
    });
    book.add("usage_with_closed_stderr_is_only_a_status", |s| {
        s.run(s.program([""; 0]).closed(2))
    });
    book.add("first_operand_ends_the_options", |s| {
        one_connection(s, &["-1HRl0"], &["echo", "-z", "-v", "--"], as_it_is);
    });
    book.add("two_dashes_before_the_host_are_skipped", |s| {
        one_connection(s, &["-1HRl0", "--"], &["echo", "served"], as_it_is);
    });
    book.add("unknown_long_option_is_not_skipped", |s| {
        match s.serve_if_it_can(super::listening(
            s,
            &["-1vHRl0", "--anything"],
            &["echo", "served"],
        )) {
            Ok(mut server) => {
                server.connect().receive_all();
                server.wait_for_ends(1);
                server.terminate();
            }
            Err(process) => s.finish(process),
        }
    })
    .differs("long-options");
    book.add("options_may_be_bundled_and_arguments_attached", |s| {
        let options = [
            "-1XpPhHrRoOdDvqQ",
            "-c5",
            "-b5",
            "-t5",
            "-lname",
            "-Bhello ",
            "-g0",
            "-u0",
        ];
        one_connection(s, &options, &["env"], as_it_is);
    });
    book.add("last_of_contradictory_options_wins", |s| {
        attempt(s, &["-1vqQvHRl0", "-c", "5", "-c", "7"], as_it_is);
    });
}
