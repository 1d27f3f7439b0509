//! Making the connection: refusals, timeouts, several addresses, limits.

use std::net::Ipv4Addr;

use nix::sys::resource::Resource;

use super::{LOCALHOST, as_it_is, run_connected};
use crate::support::book::Book;
use crate::support::net;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("refused_connection_is_reported", |s| refused(s, &["-HRl0"]));
    book.add("refused_connection_is_not_reported_when_quiet", |s| {
        refused(s, &["-qHRl0"])
    });
    book.add("every_refused_address_is_reported", |s| {
        let (_reserved, port) = net::reserve_port(Ipv4Addr::UNSPECIFIED);
        s.name_port(port, "PORT");
        in_any_order(
            s,
            &[
                "-HRl0",
                "127.0.0.1.127.0.0.2.127.0.0.3",
                &port.to_string(),
                "true",
            ],
        );
    });
    book.add("connection_is_reported_when_verbose", |s| {
        run_connected(s, &["-vHRl0"], &["true"], as_it_is)
    });
    book.add("connection_is_not_reported_by_default", |s| {
        run_connected(s, &["-HRl0"], &["true"], as_it_is)
    });
    for timeout in ["1", "0", "+1", "0+1", "1+0"] {
        let name = timeout.replace('+', "_plus_");
        book.add(
            format!("silent_address_times_out_after_{}", name.trim_matches('_')),
            move |s| silent(s, timeout),
        );
    }
    book.add("timeout_must_not_be_empty", |s| silent(s, ""))
        .differs("strict-numbers");
    book.add("timeout_must_not_be_only_a_plus", |s| silent(s, "+"))
        .differs("strict-numbers");
    book.add("every_silent_address_is_reported_once", |s| {
        let (_listener, port, _waiting) = net::silent_listener(Ipv4Addr::UNSPECIFIED);
        s.name_port(port, "PORT");
        in_any_order(
            s,
            &[
                "-HRl0",
                "-T",
                "0+1",
                "127.0.0.1.127.0.0.2",
                &port.to_string(),
                "true",
            ],
        );
    });
    book.add(
        "descriptor_limit_of_7_is_reported_when_descriptors_are_set_up",
        |s| {
            run_connected(s, &["-HRl0"], &["true"], |launch| {
                launch.limit(Resource::RLIMIT_NOFILE, 7)
            });
        },
    );
}

fn silent(s: &mut Scene, timeout: &str) {
    let (_listener, port, _waiting) = net::silent_listener(LOCALHOST);
    s.name_port(port, "PORT");
    s.run(s.program([
        "-HRl0",
        "-T",
        timeout,
        "127.0.0.1",
        &port.to_string(),
        "true",
    ]));
}

fn refused(s: &mut Scene, options: &[&str]) {
    // Held but not listening, so that nobody else can make it answer.
    let (_reserved, port) = net::reserve_port(LOCALHOST);
    s.name_port(port, "PORT");
    s.run(s.program([options, &["127.0.0.1", &port.to_string(), "true"]].concat()));
}

/// Several addresses are tried in random order: the lines are sorted.
fn in_any_order(s: &mut Scene, args: &[&str]) {
    let mut outcome = s.start(s.program(args)).outcome();
    let mut lines: Vec<&[u8]> = outcome
        .stderr
        .split_inclusive(|byte| *byte == b'\n')
        .collect();
    lines.sort_unstable();
    outcome.stderr = lines.concat();
    s.record(&outcome);
}
