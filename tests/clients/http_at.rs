//! http@ and hosts that are IPv6 addresses, of which the original knows nothing.

use std::net::TcpListener;

use crate::support::net;
use crate::support::place::{Place, ours, text};
use crate::support::trials::{Trial, Verdict};

pub(super) fn trial() -> Trial {
    Trial::new(
        "http@::only_ipv6_addresses_stand_in_brackets",
        || match TcpListener::bind(("::1", 80)) {
            Ok(listener) => {
                only_ipv6_addresses_stand_in_brackets(&listener);
                Verdict::Passed
            }
            Err(error) => Verdict::Skipped(format!("no IPv6 here: {error}")),
        },
    )
}

fn only_ipv6_addresses_stand_in_brackets(listener: &TcpListener) {
    let place = Place::new();
    let http = ours("http@");
    for (host, shown) in [("::1", "[::1]"), ("[::1]", "[::1]"), ("0::1", "[0::1]")] {
        let process = place.start(&[&http, host, "page"], |launch| launch);
        let mut server = net::accept(listener);
        let request = [0; 3].map(|_| text(&net::receive_line(&mut server)));
        assert_eq!(
            request.concat(),
            format!("GET /page HTTP/1.0\r\nHost: {shown}:80\r\n\r\n")
        );
        net::send(&mut server, b"HTTP/1.0 200 OK\r\n\r\nhello\r\n");
        drop(server);
        let outcome = process.outcome();
        assert_eq!(text(&outcome.stderr), "");
        assert_eq!(text(&outcome.stdout), "hello\n");
    }
}
