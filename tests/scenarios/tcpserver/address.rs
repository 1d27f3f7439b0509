//! Where the server listens, and what keeps it from listening.

use std::net::Ipv4Addr;

use nix::sys::resource::Resource;

use super::{as_it_is, attempt, listening};
use crate::support::book::Book;
use crate::support::net;

pub(crate) fn fill(book: &mut Book) {
    for (name, host) in [
        ("host_0_is_every_local_address", "0"),
        ("empty_host_is_every_local_address", ""),
        ("wildcard_address_is_every_local_address", "0.0.0.0"),
    ] {
        book.add(name, move |s| {
            let mut server = s.serve(s.program(["-1vHRl0", host, "0", "env"]));
            for (index, last) in [1, 2].into_iter().enumerate() {
                let ip = Ipv4Addr::new(127, 0, 0, last);
                server.connect_between(ip, ip).receive_all();
                server.wait_for_ends(index + 1);
            }
            server.terminate();
        });
    }
    for (name, host, ip) in [
        (
            "one_local_address_may_be_given",
            "127.0.0.3",
            Ipv4Addr::new(127, 0, 0, 3),
        ),
        (
            "host_may_end_in_a_dot",
            "127.0.0.3.",
            Ipv4Addr::new(127, 0, 0, 3),
        ),
        (
            "host_may_stand_in_brackets",
            "[127.0.0.3]",
            Ipv4Addr::new(127, 0, 0, 3),
        ),
        (
            "host_may_have_leading_zeros",
            "127.000.000.003",
            Ipv4Addr::new(127, 0, 0, 3),
        ),
        (
            "incomplete_second_address_is_ignored",
            "127.0.0.3.5",
            Ipv4Addr::new(127, 0, 0, 3),
        ),
    ] {
        book.add(name, move |s| {
            let mut server = s.serve(s.program(["-1vHRl0", host, "0", "env"]));
            server
                .connect_between(Ipv4Addr::LOCALHOST, ip)
                .receive_all();
            server.wait_for_ends(1);
            server.terminate();
        });
    }
    for (name, host) in [
        ("three_numbers_are_no_address", "1.2.3"),
        ("lone_dot_is_no_address", "."),
        ("label_above_63_bytes_is_refused", &*"x".repeat(64)),
        ("name_above_255_bytes_is_refused", &*"abcdefg.".repeat(40)),
        ("address_of_another_machine_cannot_be_bound", "192.0.2.1"),
    ] {
        let host = host.to_owned();
        // A domain list of our own keeps the machine's out of the messages.
        book.add(name, move |s| {
            s.run(
                s.program(["-HRl0", &host, "0", "true"])
                    .env("LOCALDOMAIN", ""),
            )
        });
    }
    for (name, port) in [
        ("port_name_must_be_known", "no-such-service"),
        ("negative_port_is_an_unknown_name", "-1"),
        ("hexadecimal_port_is_an_unknown_name", "0x50"),
        ("port_with_a_blank_is_an_unknown_name", "80 "),
        ("port_with_a_tail_is_an_unknown_name", "80x"),
        ("known_port_name_is_looked_up", "tcpmux"),
        ("port_name_in_upper_case_is_unknown", "TCPMUX"),
    ] {
        // An address that cannot be bound: nothing happens to a port of this machine.
        book.add(name, move |s| {
            s.run(s.program(["-HRl0", "192.0.2.1", port, "true"]))
        })
        .needs_network();
    }
    for (name, port) in [
        ("empty_port_is_refused", ""),
        ("port_above_65535_is_refused", "65536"),
    ] {
        book.add(name, move |s| {
            match s.serve_if_it_can(s.program(["-1vHRl0", "127.0.0.1", port, "true"])) {
                Ok(server) => {
                    server.wait_for("tcpserver: status: ", 1);
                    server.terminate();
                }
                Err(process) => s.finish(process),
            }
        })
        .differs("strict-ports");
    }
    for (name, host) in [
        ("host_with_a_number_above_255_is_refused", "127.0.0.257"),
        ("host_with_an_empty_number_is_refused", "127..0.1"),
    ] {
        book.add(name, move |s| {
            match s.serve_if_it_can(s.program(["-1vHRl0", host, "0", "true"])) {
                Ok(server) => {
                    server.wait_for("tcpserver: status: ", 1);
                    server.terminate();
                }
                Err(process) => s.finish(process),
            }
        })
        .differs("strict-octets");
    }
    book.add("bad_port_is_reported_before_a_bad_host", |s| {
        s.run(s.program(["-HRl0", "1.2.3", "no-such-service", "true"]));
    });
    book.add("port_in_use_is_refused", |s| {
        let busy = net::listener(Ipv4Addr::LOCALHOST);
        let port = busy.local_addr().expect("bound").port();
        s.name_port(port, "BUSYPORT");
        s.run(s.program(["-vHRl0", "127.0.0.1", &port.to_string(), "true"]));
    });
    book.add("port_may_be_taken_over_as_soon_as_nobody_listens", |s| {
        let mut first = s.serve(listening(s, &["-1HRl0"], &["cat"]));
        let port = first.port;
        let mut client = first.connect();
        client.send("hello\n");
        client.receive_line();
        first.signal(nix::sys::signal::Signal::SIGTERM);
        first.wait();
        // The connection of the first server is still open.
        let mut second = s.serve_on(
            port,
            s.program(["-vHRl0", "127.0.0.1", &port.to_string(), "true"]),
        );
        second.wait_for("tcpserver: status: ", 1);
        second.connect().receive_all();
        second.wait_for_ends(1);
        second.terminate();
        client.half_close();
        client.receive_all();
        first.record_log();
    });
    book.add("quiet_silences_fatal_errors", |s| {
        s.run(s.program(["-qHRl0", "127.0.0.1", "no-such-service", "true"]));
        s.run(s.program(["-qHRl0", "1.2.3", "0", "true"]));
        s.run(s.program(["-qHRl0", "192.0.2.1", "0", "true"]));
    });
    book.add("fatal_error_with_closed_stderr_is_only_a_status", |s| {
        s.run(s.program(["-HRl0", "192.0.2.1", "0", "true"]).closed(2));
    });
    book.add("descriptor_limit_does_not_matter_to_one_listener", |s| {
        attempt(s, &["-1vHRl0"], |launch| {
            launch.limit(Resource::RLIMIT_NOFILE, 64)
        });
        attempt(s, &["-1vHRl0"], as_it_is);
    });
}
