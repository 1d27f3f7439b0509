//! The variables, in their order.

use super::one_connection;
use crate::scenarios::passed_on;
use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    passed_on::variables(book, "-1HR", |s, options, program, with| {
        one_connection(s, options, program, with)
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
