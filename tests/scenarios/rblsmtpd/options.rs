//! The command line, and what the environment says.

use super::smtpd;
use crate::scenarios::exec;
use crate::support::book::Book;

const TOLD: &[(&str, &[u8])] = &[
    ("variable_rejects_for_now", b"go away"),
    ("variable_with_a_dash_rejects_for_good", b"-never"),
    ("variable_may_be_only_a_dash", b"-"),
    ("variable_may_have_two_dashes", b"--x"),
    ("empty_variable_accepts", b""),
    ("variable_may_be_a_blank", b" "),
    ("variable_is_shown_clean", b"a\tb\nc\x7f\x80\xff\rd"),
];

const USAGE: &[(&str, &[&str])] = &[
    ("no_argument_is_a_usage_error", &[]),
    (
        "options_without_a_program_are_a_usage_error",
        &["-b", "-t5"],
    ),
    ("unknown_option_is_a_usage_error", &["-x", "true"]),
    ("option_of_the_usage_line_is_unknown", &["-R", "true"]),
    ("option_r_needs_a_value", &["-r"]),
    ("option_a_needs_a_value", &["-ba"]),
    ("option_t_needs_a_value", &["-t"]),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, told) in TOLD {
        book.add(*name, move |s| {
            let launch = smtpd(s, &[]).env("RBLSMTPD", told);
            s.run(launch.input("RCPT\r\n"));
        });
    }
    for length in [199, 200, 201, 499, 500, 501, 1000] {
        for (mark, after) in [("", ""), ("-", "_after_a_dash")] {
            let name = format!("text_of_{length}_bytes{after}_is_said_up_to_500");
            let scenario = book.add(name, move |s| {
                let text = [mark.as_bytes(), &vec![b'x'; length][..]].concat();
                let launch = smtpd(s, &[]).env("RBLSMTPD", text);
                s.run(launch.input("RCPT\r\n"));
            });
            if length > 200 {
                scenario.differs("rblsmtpd-long-texts");
            }
        }
    }
    book.add("without_lists_everybody_is_served", |s| {
        let launch = smtpd(s, &[]);
        s.run(launch.input("hello\n"));
        let launch = smtpd(s, &["-bBcC", "-t5"]);
        s.run(launch.input("hello\n"));
    });
    book.add("variable_counts_whatever_b_says", |s| {
        for option in ["-b", "-B", "-c", "-C"] {
            let launch = smtpd(s, &[option]).env("RBLSMTPD", "no");
            s.run(launch.input("RCPT\r\n"));
            let launch = smtpd(s, &[option]).env("RBLSMTPD", "-no");
            s.run(launch.input("RCPT\r\n"));
        }
    });
    book.add("unknown_client_is_logged_without_an_address", |s| {
        let launch = s.program(["true"]).env("RBLSMTPD", "no");
        s.run(launch.input("QUIT\r\n"));
    });
    book.add("address_is_logged_as_it_is", |s| {
        for address in ["", "no address", "1.2.3.4.5", "::1"] {
            let launch = s.program(["true"]).env("RBLSMTPD", "no");
            s.run(launch.env("TCPREMOTEIP", address).input("QUIT\r\n"));
        }
    });
    for (name, args) in USAGE {
        book.add(*name, move |s| s.run(s.program(*args)));
    }
    book.add("options_end_at_two_dashes", |s| {
        s.run(s.program(["-b", "--", "echo", "-x"]));
    });
    book.add("options_end_at_the_program", |s| {
        s.run(s.program(["-b", "echo", "-b", "--", "-t"]));
    });
    book.add("time_must_be_a_number", |s| {
        for time in ["x", "", "1x", "-1", "+1", "99999999999"] {
            let launch = smtpd(s, &["-t", time]);
            s.run(launch.input("hello\n"));
        }
    })
    .differs("strict-numbers");
    book.add("text_of_a_list_must_not_be_empty", |s| {
        s.run(s.program(["-r", "rbl.test:", "true"]));
    })
    .ours_alone("rblsmtpd-own-texts");
    book.add("ipv6_client_is_known_by_its_own_variable", |s| {
        let launch = s
            .program(["true"])
            .env("PROTO", "TCP6")
            .env("RBLSMTPD", "no");
        s.run(launch.env("TCP6REMOTEIP", "2001:db8::1").input("QUIT\r\n"));
    })
    .differs("rblsmtpd-ipv6");
    book.add("stale_ipv6_address_is_not_the_clients", |s| {
        let launch = smtpd(s, &[]).env("PROTO", "TCP").env("RBLSMTPD", "no");
        s.run(launch.env("TCP6REMOTEIP", "2001:db8::1").input("QUIT\r\n"));
    });
    book.add("variable_is_not_only_told_with_i", |s| {
        let launch = smtpd(s, &["-i"]).env("RBLSMTPD", "no");
        s.run(launch.input("RCPT\r\n"));
    })
    .ours_alone("rblsmtpd-options");
    book.add("wait_before_the_greeting_is_logged", |s| {
        let launch = smtpd(s, &["-w1"]);
        s.run(launch.input("hello\n"));
        let launch = smtpd(s, &["-W"]).env("GREETDELAY", "1");
        s.run(launch.input("hello\n"));
        let launch = smtpd(s, &["-w0"]).env("GREETDELAY", "1");
        s.run(launch.input("hello\n"));
    })
    .ours_alone("rblsmtpd-options");
    book.add("nobody_waits_when_all_is_decided", |s| {
        for told in ["", "no"] {
            let launch = smtpd(s, &["-w3600"]).env("RBLSMTPD", told);
            s.run(launch.input("RCPT\r\n"));
        }
    })
    .ours_alone("rblsmtpd-options");
    book.add("nobody_waits_when_no_time_is_told", |s| {
        for (name, told) in [
            ("NOTHING", ""),
            ("GREETDELAY", ""),
            ("GREETDELAY", "x"),
            ("GREETDELAY", "0"),
        ] {
            let launch = smtpd(s, &["-W"]).env(name, told);
            s.run(launch.input("hello\n"));
        }
    })
    .ours_alone("rblsmtpd-options");
    book.add("server_sees_the_same_environment", |s| {
        let launch = s.program(["cat", "/proc/self/environ"]);
        s.run(
            launch
                .env("Z", "1")
                .env("A", "2")
                .env("TCPREMOTEIP", "1.2.3.4")
                .env("RBLSMTPD", ""),
        );
    });
    book.add("status_of_the_server_is_the_status", |s| {
        s.run(s.program(["sh", "-c", "exit 7"]));
        s.run(s.program(["sh", "-c", "kill -KILL $$"]));
    });
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            s.run(exec::with_path(s.program([case.word]), case));
        });
    }
}
