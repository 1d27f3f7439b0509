//! What ucspi-tcp-ipv6 does, and ours too: addresses, environment, log lines, options, rules over IPv6.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn6, bind, getsockname, socket};

use super::connect;
use crate::support::book::{Book, Scenario};
use crate::support::launch::Launch;
use crate::support::scene::Scene;

/// All scenarios.
pub(crate) fn all() -> Vec<Scenario> {
    let mut server = Book::of("tcpserver");
    host(&mut server);
    environment(&mut server);
    both_families(&mut server);
    rules(&mut server);
    let mut client = Book::of("tcpclient");
    connections(&mut client);
    let mut check = Book::of("tcprulescheck");
    look_up(&mut check);
    let mut compile = Book::of("tcprules");
    compile
        .add("colon_prefix_is_refused_in_rules", |s| {
            for line in ["2001:db8::deny", "2001:db8:::deny", "fe80::deny"] {
                s.run(s.program(["rules.cdb", "rules.tmp"]).input(line));
            }
        })
        .differs("colon-prefixes");
    [server, client, check, compile]
        .into_iter()
        .flat_map(|book| book.scenarios)
        .collect()
}

/// One client at `ip` of `tcpserver options host 0 program`, which must have `-1v`.
pub(crate) fn one(s: &mut Scene, launch: Launch, ip: &str) {
    let server = s.serve(launch);
    connect(s, ip, server.port, 1).receive_all();
    server.wait_for_ends(1);
    server.terminate();
}

fn host(book: &mut Book) {
    book.add("program_sees_the_environment_of_an_ipv6_client", |s| {
        one(s, s.program(["-1vHRl0", "::1", "0", "env"]), "::1");
    });
    for (name, host) in [
        ("host_may_have_all_its_zeros", "0:0:0:0:0:0:0:1"),
        ("host_may_have_leading_zeros", "0000::0001"),
    ] {
        book.add(name, move |s| {
            one(s, s.program(["-1vHRl0", host, "0", "env"]), "::1");
        });
    }
    book.add("mapped_host_is_an_ipv4_host", |s| {
        let launch = s.program(["-1vHRl0", "::ffff:127.0.0.1", "0", "env"]);
        one(s, launch, "127.0.0.1");
    })
    .differs("ipv4-clients");
    book.add("ipv6_host_with_4_is_refused", |s| {
        s.run(s.program(["-4HRl0", "::1", "0", "true"]))
    });
    book.add("address_of_another_machine_cannot_be_bound", |s| {
        s.run(s.program(["-HRl0", "2001:db8::1", "0", "true"]))
    });
    book.add("link_local_address_needs_an_interface", |s| {
        s.run(s.program(["-HRl0", "fe80::1:2:3", "0", "true"]))
    });
    for (name, host) in [
        ("host_may_stand_in_brackets", "[::1]"),
        ("host_may_be_any_ipv6_address", "::"),
    ] {
        book.add(name, move |s| {
            let launch = s
                .program(["-1vHRl0", host, "0", "env"])
                .env("DNSCACHEIP", "127.0.0.1");
            match s.serve_if_it_can(launch) {
                Ok(server) => {
                    connect(s, "::1", server.port, 1).receive_all();
                    server.wait_for_ends(1);
                    server.terminate();
                }
                Err(process) => s.finish(process),
            }
        })
        .differs("ipv6-hosts");
    }
    book.add("interface_that_does_not_exist_is_reported", |s| {
        let launch = s.program(["-1vHRl0", "-I", "nosuch", "::1", "0", "env"]);
        match s.serve_if_it_can(launch) {
            Ok(server) => {
                connect(s, "::1", server.port, 1).receive_all();
                server.wait_for_ends(1);
                server.terminate();
            }
            Err(process) => s.finish(process),
        }
    })
    .differs("unknown-interface");
    book.add("interface_does_not_matter_for_other_addresses", |s| {
        one(
            s,
            s.program(["-1vHRl0", "-I", "lo", "::1", "0", "env"]),
            "::1",
        );
    });
}

fn environment(book: &mut Book) {
    book.add("stale_variables_are_replaced_or_removed", |s| {
        let stale = [
            "PROTO",
            "TCPLOCALIP",
            "TCPLOCALPORT",
            "TCPLOCALHOST",
            "TCPREMOTEIP",
            "TCPREMOTEPORT",
            "TCPREMOTEHOST",
            "TCPREMOTEINFO",
            "TCP6LOCALIP",
            "TCP6LOCALPORT",
            "TCP6LOCALHOST",
            "TCP6REMOTEIP",
            "TCP6REMOTEPORT",
            "TCP6REMOTEHOST",
            "TCP6REMOTEINFO",
        ];
        let launch = s.program(["-1vHRl0", "::1", "0", "env"]).env("A", "1");
        let launch = stale
            .into_iter()
            .fold(launch, |launch, name| launch.env(name, "stale"));
        one(s, launch.env("Z", "2"), "::1");
    });
    book.add("stale_interface_is_removed", |s| {
        let launch = s.program(["-1vHRl0", "::1", "0", "env"]);
        one(s, launch.env("TCP6INTERFACE", "stale"), "::1");
    })
    .differs("stale-interface");
    book.add("local_name_may_be_empty", |s| {
        one(s, s.program(["-1vHR", "-l", "", "::1", "0", "env"]), "::1");
    });
    book.add("local_name_is_cleaned_in_the_log", |s| {
        let launch = s.program(["-1vHR", "-l", "a b%c", "::1", "0", "env"]);
        one(s, launch, "::1");
    });
    book.add("colon_in_a_name_cannot_be_told_from_a_field", |s| {
        let launch = s.program(["-1vHR", "-l", "a:b", "::1", "0", "env"]);
        one(s, launch, "::1");
    })
    .differs("colons-in-names");
    book.add("quiet_server_says_nothing", |s| {
        let server = s.serve(s.program(["-1qHRl0", "::1", "0", "env"]));
        connect(s, "::1", server.port, 1).receive_all();
        server.terminate();
    });
    book.add("limit_counts_ipv6_connections", |s| {
        let server = s.serve(s.program(["-1vHRl0", "-c2", "::1", "0", "env"]));
        for number in 1..=3 {
            connect(s, "::1", server.port, number).receive_all();
            server.wait_for_ends(number);
        }
        server.terminate();
    });
    book.add("banner_and_nodelay_work_over_ipv6", |s| {
        let launch = s.program(["-1vDHRl0", "-B", "hello ", "::1", "0", "echo", "world"]);
        one(s, launch, "::1");
    });
}

/// The operand that means any address of both families: `0` there, `:0` here.
fn both(s: &mut Scene) -> &'static str {
    s.name_word("0", "ANY");
    s.name_word(":0", "ANY");
    if s.is_subject() { ":0" } else { "0" }
}

fn both_families(book: &mut Book) {
    book.add("ipv6_client_of_a_server_for_both_families", |s| {
        let any = both(s);
        one(s, s.program(["-1vHRl0", any, "0", "env"]), "::1");
    });
    book.add("ipv4_client_of_a_server_for_both_families", |s| {
        let any = both(s);
        one(s, s.program(["-1vHRl0", any, "0", "env"]), "127.0.0.1");
    })
    .differs("ipv4-clients");
    book.add("ipv4_client_is_shown_as_ipv6_with_6", |s| {
        let any = both(s);
        let launch = s.program(["-1vHRl0", "-6", any, "0", "env"]);
        one(s, launch, "127.0.0.1");
    });
    book.add("ipv6_client_is_the_same_with_6", |s| {
        let any = both(s);
        one(s, s.program(["-1vHRl0", "-6", any, "0", "env"]), "::1");
    });
    book.add("option_4_serves_ipv4_alone", |s| {
        let any = both(s);
        one(
            s,
            s.program(["-1vHRl0", "-4", any, "0", "env"]),
            "127.0.0.1",
        );
    })
    .differs("ipv4-clients");
}

fn rules(book: &mut Book) {
    for (name, rules) in [
        (
            "rule_for_an_address_is_found",
            "::1:allow,A=\"exact\"\n:deny\n",
        ),
        ("rule_can_deny_an_address", "::1:deny\n:allow\n"),
        ("default_rule_is_for_ipv6_too", ":deny\n"),
        (
            "rule_for_another_address_is_not_found",
            "::2:deny\n127.0.0.1:deny\n",
        ),
        (
            "rule_can_replace_the_variables",
            "::1:allow,PROTO=\"x\",TCP6REMOTEIP=\"y\"\n",
        ),
    ] {
        book.add(name, move |s| {
            s.rules("rules.cdb", rules);
            let launch = s.program(["-1vHRl0", "-x", "rules.cdb", "::1", "0", "env"]);
            one(s, launch, "::1");
        });
    }
    for (name, ip) in [
        ("ipv4_client_of_both_families_obeys_ipv4_rules", "127.0.0.1"),
        ("ipv6_client_of_both_families_obeys_no_ipv4_rules", "::1"),
    ] {
        let scenario = book.add(name, move |s| {
            s.rules(
                "rules.cdb",
                "127.0.0.1:allow,A=\"v4\"\n127.:deny\n::1:allow,A=\"v6\"\n",
            );
            let any = both(s);
            one(
                s,
                s.program(["-1vHRl0", "-x", "rules.cdb", any, "0", "env"]),
                ip,
            );
        });
        if ip == "127.0.0.1" {
            scenario.differs("ipv4-clients");
        }
    }
    book.add("ipv4_rules_count_with_6_too", |s| {
        s.rules("rules.cdb", "127.0.0.1:deny\n");
        let any = both(s);
        one(
            s,
            s.program(["-16vHRl0", "-x", "rules.cdb", any, "0", "env"]),
            "127.0.0.1",
        );
    })
    .differs("mapped-addresses");
}

/// tcpclient with a server of the same suite behind it.
fn client(s: &mut Scene, host: &str, serving: &str, options: &[&str]) {
    let server = s.sibling("tcpserver", ["-1vHRl0", serving, "0", "echo", "served"]);
    let server = s.serve(server);
    let port = server.port.to_string();
    let program = ["sh", "-c", "env; cat <&6"];
    let launch = s.program([options, &[host, &port], &program].concat());
    let process = s.start(launch.env("TCP6REMOTEIP", "stale"));
    server.wait_for("tcpserver: ok ", 1);
    let outcome = process.outcome();
    // The port that the kernel chose for it.
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let local = text
        .lines()
        .find_map(|line| line.strip_prefix("TCPLOCALPORT="));
    if let Some(port) = local.and_then(|port| port.parse().ok()) {
        s.name_port(port, "CPORT1");
    }
    s.record(&outcome);
    server.wait_for_ends(1);
    server.terminate();
}

fn connections(book: &mut Book) {
    book.add("program_sees_the_environment_of_an_ipv6_connection", |s| {
        client(s, "::1", "::1", &["-vHRl0"]);
    })
    .differs("tcp6-of-clients");
    book.add("ipv4_connection_is_shown_as_ipv6_with_6", |s| {
        client(s, "127.0.0.1", "127.0.0.1", &["-6vHRl0"]);
    })
    .differs("tcp6-of-clients")
    .differs("ipv4-clients");
    book.add("mapped_address_is_an_ipv4_address", |s| {
        client(s, "::ffff:127.0.0.1", "127.0.0.1", &["-vHRl0"]);
    })
    .differs("ipv4-clients");
    book.add("local_address_may_be_an_ipv6_address", |s| {
        client(s, "::1", "::1", &["-vHRl0", "-i", "::1"]);
    })
    .differs("tcp6-of-clients");
    book.add("refused_ipv6_connection_is_reported", |s| {
        let (_held, port) = reserved_port();
        s.name_port(port, "PORT");
        s.run(s.program(["-HRl0", "::1", &port.to_string(), "true"]));
    });
    book.add("link_local_address_needs_an_interface", |s| {
        s.run(s.program(["-HRl0", "fe80::1:2:3", "1", "true"]))
    });
    book.add("single_zero_of_an_address_is_shown", |s| {
        s.run(s.program(["-HRl0", "fe80:1:2:3:4:5:6:0", "1", "true"]))
    })
    .differs("zeros-in-addresses");
    for (name, local, host) in [
        (
            "ipv6_host_cannot_be_reached_from_an_ipv4_address",
            "127.0.0.1",
            "::1",
        ),
        (
            "ipv6_host_cannot_be_reached_from_any_ipv4_address",
            "0.0.0.0",
            "::1",
        ),
        (
            "ipv4_host_can_be_reached_from_any_address",
            "::",
            "127.0.0.1",
        ),
    ] {
        book.add(name, move |s| {
            s.run(s.program(["-HRl0", "-i", local, host, "1", "true"]))
        });
    }
    book.add("ipv6_host_cannot_be_reached_with_4", |s| {
        s.run(s.program(["-4HRl0", "::1", "1", "true"]))
    })
    .differs("ipv6-hosts");
    book.add("local_address_must_be_one", |s| {
        s.run(s.program(["-HRl0", "-i", "1::2::3", "::1", "1", "true"]))
    })
    .differs("strict-addresses");
}

/// A port of `::1` on which nobody listens; no other program can take it meanwhile.
fn reserved_port() -> (OwnedFd, u16) {
    let socket = socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("the system has IPv6");
    let any = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
    bind(socket.as_raw_fd(), &SockaddrIn6::from(any))
        .expect("a free port of the loopback interface");
    let port = getsockname::<SockaddrIn6>(socket.as_raw_fd())
        .expect("a bound socket has a name")
        .port();
    (socket, port)
}

fn look_up(book: &mut Book) {
    book.add("ipv6_address_is_found_as_it_is_written", |s| {
        s.rules(
            "rules.cdb",
            "::1:allow,A=\"1\"\n2001:db8::5:deny\n:allow,A=\"default\"\n",
        );
        for ip in ["::1", "2001:db8::5", "2001:db8::6", "1.2.3.4"] {
            s.run(s.program(["rules.cdb"]).env("TCPREMOTEIP", ip));
        }
    });
    book.add("user_at_an_ipv6_address_is_found", |s| {
        s.rules("rules.cdb", "joe@::1:deny\n::1:allow\n");
        for info in ["joe", "jim"] {
            let check = s.program(["rules.cdb"]).env("TCPREMOTEIP", "::1");
            s.run(check.env("TCPREMOTEINFO", info));
        }
    });
}
