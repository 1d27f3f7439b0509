//! The variables, in their order.

use super::{as_it_is, run_connected};
use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("program_sees_exactly_the_documented_environment", |s| {
        run_connected(s, &["-HRl0"], &["env"], as_it_is)
    });
    book.add("local_name_may_be_empty", |s| {
        run_connected(s, &["-HR", "-l", ""], &["env"], as_it_is)
    });
    book.add("local_name_is_not_looked_at", |s| {
        run_connected(s, &["-HR", "-l", "a b%c:\t"], &["env"], as_it_is)
    });
    book.add("long_local_name_is_kept_whole", |s| {
        run_connected(s, &["-HR", "-l", &"n".repeat(300)], &["env"], as_it_is)
    });
    book.add("stale_variables_are_replaced_or_removed", |s| {
        run_connected(s, &["-HRl0"], &["env"], |launch| {
            let stale = ["PROTO", "TCPLOCALIP", "TCPLOCALPORT", "TCPLOCALHOST"]
                .into_iter()
                .chain([
                    "TCPREMOTEIP",
                    "TCPREMOTEPORT",
                    "TCPREMOTEHOST",
                    "TCPREMOTEINFO",
                ]);
            stale
                .fold(launch.env("A", "1"), |launch, name| {
                    launch.env(name, "stale")
                })
                .env("Z", "2")
        });
    });
    book.add("removed_entry_is_filled_with_the_last_one", |s| {
        run_connected(s, &["-HRl0"], &["env"], |launch| {
            launch
                .env("A", "1")
                .env("TCPREMOTEINFO", "stale")
                .env("B", "2")
                .env("C", "3")
        });
    });
    book.add("every_entry_of_a_name_is_removed", |s| {
        run_connected(s, &["-HRl0"], &["env"], |launch| {
            launch
                .env("TCPREMOTEINFO", "one")
                .env("PROTO", "one")
                .env("TCPREMOTEINFO", "two")
                .env("PROTO", "two")
        });
    })
    .differs("copies-of-variables");
    book.add("names_that_only_begin_alike_are_kept", |s| {
        run_connected(s, &["-HRl0"], &["env"], |launch| {
            launch
                .env("PROTOCOL", "x")
                .env("TCPREMOTEHOSTS", "x")
                .env("TCPREMOTE", "x")
                .env("XPROTO", "x")
        });
    });
    book.add("odd_entries_pass_through", |s| {
        run_connected(s, &["-HRl0"], &["cat", "/proc/self/environ"], |launch| {
            launch
                .env_entry("noequal")
                .env_entry("")
                .env_entry("=empty")
                .env_entry("PROTO")
                .env_entry(b"\xff=\xfe")
        });
    });
    book.add(
        "empty_environment_gets_only_the_documented_variables",
        |s| {
            run_connected(
                s,
                &["-HRl0"],
                &["env"],
                crate::support::launch::Launch::empty_env,
            );
        },
    );
}
