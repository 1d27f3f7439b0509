//! Which words are addresses and ports, and what is said about the others.

use super::{LOCALHOST, as_it_is, run_connected};
use crate::support::book::Book;
use crate::support::net;

pub(crate) fn fill(book: &mut Book) {
    for (name, host) in [
        ("host_0_is_the_local_machine", "0"),
        ("empty_host_is_the_local_machine", ""),
        ("host_may_end_in_a_dot", "127.0.0.1."),
        ("host_may_stand_in_brackets", "[127.0.0.1]"),
        ("host_may_have_leading_zeros", "127.000.000.001"),
        ("incomplete_second_address_is_ignored", "127.0.0.1.5"),
    ] {
        book.add(name, move |s| {
            let mut listener = s.listen(LOCALHOST);
            let port = listener.port.to_string();
            let client = s.start(s.program(["-vHRl0", host, &port, "echo", "connected"]));
            listener.accept();
            s.finish(client);
        });
    }
    for (name, host) in [
        ("three_numbers_are_no_address", "1.2.3"),
        ("lone_dot_is_no_address", "."),
        ("label_above_63_bytes_is_refused", &"x".repeat(64)),
        ("name_above_255_bytes_is_refused", &"abcdefg.".repeat(40)),
    ] {
        let host = host.to_owned();
        // A domain list of our own keeps the machine's out of the messages.
        book.add(name, move |s| {
            s.run(
                s.program(["-HRl0", &host, "80", "true"])
                    .env("LOCALDOMAIN", ""),
            )
        });
    }
    for (name, port) in [
        ("port_name_must_be_known", "no-such-service"),
        ("negative_port_is_an_unknown_name", "-1"),
        ("hexadecimal_port_is_an_unknown_name", "0x50"),
        ("port_with_a_blank_is_an_unknown_name", " 80"),
        ("port_with_a_tail_is_an_unknown_name", "80x"),
        ("port_0_cannot_be_connected_to", "0"),
    ] {
        book.add(name, move |s| {
            s.run(s.program(["-HRl0", "127.0.0.1", port, "true"]))
        });
    }
    book.add("empty_port_is_refused", |s| {
        s.run(s.program(["-HRl0", "127.0.0.1", "", "true"]))
    })
    .differs("strict-ports");
    book.add("port_above_65535_is_refused", |s| {
        s.run(s.program(["-HRl0", "127.0.0.1", "65536", "true"]))
    })
    .differs("strict-ports");
    book.add("port_is_looked_at_before_the_host", |s| {
        s.run(s.program(["-HRl0", "1.2.3", "no-such-service", "true"]));
    });
    book.add("program_is_missed_before_the_host_is_looked_at", |s| {
        s.run(s.program(["1.2.3", "80"]))
    });
    book.add("port_is_looked_at_before_the_program_is_missed", |s| {
        s.run(s.program(["1.2.3", "no-such-service"]))
    });
    book.add("port_may_have_leading_zeros", |s| {
        let mut listener = s.listen(LOCALHOST);
        let port = format!("000{}", listener.port);
        s.name_word(&port, "000PORT");
        let client = s.start(s.program(["-vHRl0", "127.0.0.1", &port, "env"]));
        listener.accept();
        s.finish(client);
    });
    book.add("quiet_silences_address_errors", |s| {
        s.run(s.program(["-qHRl0", "1.2.3", "80", "true"]));
        s.run(s.program(["-qHRl0", "127.0.0.1", "no-such-service", "true"]));
    });
    book.add("local_address_is_bound", |s| {
        run_connected(s, &["-HRl0", "-i", "127.0.0.5"], &["env"], as_it_is)
    });
    book.add("local_address_may_be_the_wildcard", |s| {
        run_connected(s, &["-HRl0", "-i", "0.0.0.0"], &["env"], as_it_is)
    });
    book.add("local_address_of_another_machine_is_refused", |s| {
        s.run(s.program(["-HRl0", "-i", "192.0.2.1", "127.0.0.1", "80", "true"]));
    });
    book.add("local_port_is_bound", |s| {
        // Nobody else looks for a port on this address between our freeing it and tcpclient's binding it.
        let ip = s.own_address();
        let port = net::listener(ip)
            .local_addr()
            .expect("bound")
            .port()
            .to_string();
        s.name_word(&port, "CPORT1");
        run_connected(
            s,
            &["-HRl0", "-i", &ip.to_string(), "-p", &port],
            &["env"],
            as_it_is,
        );
    });
    book.add("local_port_in_use_is_refused", |s| {
        let busy = net::listener(std::net::Ipv4Addr::new(127, 0, 0, 9));
        let port = busy.local_addr().expect("bound").port();
        s.name_port(port, "BUSYPORT");
        s.run(s.program([
            "-HRl0",
            "-i",
            "127.0.0.9",
            "-p",
            &port.to_string(),
            "127.0.0.1",
            "80",
            "true",
        ]));
    });
    book.add("local_address_may_be_ipv6", |s| {
        s.run(s.program(["-i", "::1", "127.0.0.1", "1", "true"]))
    })
    .differs("ipv6-addresses");
}
