//! The variables, in their order.

use super::{as_it_is, one_connection};
use crate::support::book::Book;
use crate::support::launch::Launch;

pub(crate) fn fill(book: &mut Book) {
    book.add("program_sees_exactly_the_documented_environment", |s| {
        one_connection(s, &["-1HRl0"], &["env"], as_it_is);
    });
    book.add("local_name_may_be_empty", |s| {
        one_connection(s, &["-1HR", "-l", ""], &["env"], as_it_is)
    });
    book.add("local_name_is_not_looked_at", |s| {
        one_connection(s, &["-1HR", "-l", "a b%c:\t"], &["env"], as_it_is)
    });
    book.add("stale_variables_are_replaced_or_removed", |s| {
        one_connection(s, &["-1HRl0"], &["env"], |launch| {
            let stale = [
                "PROTO",
                "TCPLOCALIP",
                "TCPLOCALPORT",
                "TCPLOCALHOST",
                "TCPREMOTEIP",
                "TCPREMOTEPORT",
                "TCPREMOTEHOST",
                "TCPREMOTEINFO",
            ];
            stale
                .into_iter()
                .fold(launch.env("A", "1"), |launch, name| {
                    launch.env(name, "stale")
                })
                .env("Z", "2")
        });
    });
    book.add("removed_entry_is_filled_with_the_last_one", |s| {
        one_connection(s, &["-1HRl0"], &["env"], |launch| {
            launch
                .env("A", "1")
                .env("TCPREMOTEINFO", "stale")
                .env("B", "2")
                .env("C", "3")
        });
    });
    book.add("every_entry_of_a_name_is_removed", |s| {
        one_connection(s, &["-1HRl0"], &["env"], |launch| {
            launch
                .env("TCPREMOTEINFO", "one")
                .env("PROTO", "one")
                .env("TCPREMOTEINFO", "two")
                .env("PROTO", "two")
        });
    })
    .differs("copies-of-variables");
    book.add("names_that_only_begin_alike_are_kept", |s| {
        one_connection(s, &["-1HRl0"], &["env"], |launch| {
            launch
                .env("PROTOCOL", "x")
                .env("TCPREMOTEHOSTS", "x")
                .env("TCPREMOTE", "x")
                .env("XPROTO", "x")
        });
    });
    book.add("odd_entries_pass_through", |s| {
        one_connection(s, &["-1HRl0"], &["cat", "/proc/self/environ"], |launch| {
            launch
                .env_entry("noequal")
                .env_entry("")
                .env_entry("=empty")
                .env_entry("PROTO")
                .env_entry(b"\xff=\xfe")
        });
    });
    book.add("stale_ipv6_variables_are_removed_for_ipv4", |s| {
        one_connection(s, &["-1HRl0"], &["env"], |launch| {
            launch
                .env("TCP6REMOTEIP", "stale")
                .env("TCP6LOCALPORT", "stale")
                .env("TCP6INTERFACE", "stale")
        });
    })
    .differs("stale-tcp6");
    book.add(
        "empty_environment_gets_only_the_documented_variables",
        |s| {
            one_connection(s, &["-1HRl0"], &["env"], Launch::empty_env);
        },
    );
    book.add(
        "every_connection_starts_from_the_servers_own_environment",
        |s| {
            s.rules(
                "rules.cdb",
                "127.0.0.1:allow,A=\"first\"\n127.0.0.2:allow,B=\"second\"\n",
            );
            let launch = super::listening(s, &["-1HRl0", "-x", "rules.cdb"], &["env"]);
            let mut server = s.serve(launch.env("A", "of the server"));
            for last in [1, 2] {
                server
                    .connect_from(std::net::Ipv4Addr::new(127, 0, 0, last))
                    .receive_all();
            }
            server.terminate();
        },
    );
}
