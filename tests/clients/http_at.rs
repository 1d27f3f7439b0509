//! http@ and hosts that are IPv6 addresses, of which the original knows nothing.

use std::net::TcpListener;

use crate::own_net::world;
use crate::support::net;
use crate::support::place::{Place, ours, text};
use crate::support::trials::{Trial, Verdict};

/// All tests of this file, each in a network of its own.
pub(crate) fn trials() -> Vec<Trial> {
    let run = || {
        world::within(|| {
            let listener = TcpListener::bind(("::1", 80));
            listener.map_or_else(
                |error| Verdict::Skipped(format!("no IPv6 here: {error}")),
                |listener| {
                    only_ipv6_addresses_stand_in_brackets(&listener);
                    Verdict::Passed
                },
            )
        })
    };
    vec![Trial {
        name: "http@::only_ipv6_addresses_stand_in_brackets".to_owned(),
        run: Box::new(run),
    }]
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
