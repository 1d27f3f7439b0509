//! The options that change what happens on the wire, one by one.

use super::{as_it_is, listening, one_connection, one_logged_connection};
use crate::support::book::Book;
use crate::support::net;
use crate::support::scene::Scene;
use crate::support::server::{Peer, Server};

pub(crate) fn fill(book: &mut Book) {
    book.add("port_is_printed_once_and_stdout_is_closed", |s| {
        let server = s.serve(listening(s, &["-1vHRl0"], &["true"]));
        server.wait_for_end_of_stdout();
        server.wait_for("tcpserver: status: ", 1);
        server.terminate();
    });
    book.add("nothing_is_printed_without_minus_1", |s| {
        let (_reserved, port) = net::reserve_port(std::net::Ipv4Addr::LOCALHOST);
        let mut server = s.serve_on(
            port,
            s.program(["-vHRl0", "127.0.0.1", &port.to_string(), "true"]),
        );
        server.wait_for_end_of_stdout();
        server.wait_for("tcpserver: status: ", 1);
        server.connect().receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add("port_that_nobody_reads_is_not_noticed", |s| {
        let (_reserved, port) = net::reserve_port(std::net::Ipv4Addr::LOCALHOST);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let writer = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
        let launch = s.program(["-1vHRl0", "127.0.0.1", &port.to_string(), "echo", "served"]);
        let mut server = s.serve_on(
            port,
            launch.stdout(crate::support::launch::Output::File(writer)),
        );
        server.wait_for("tcpserver: status: ", 1);
        server.connect().receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add("port_that_cannot_be_printed_is_not_noticed", |s| {
        let (_reserved, port) = net::reserve_port(std::net::Ipv4Addr::LOCALHOST);
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("the system has /dev/full");
        let launch = s.program(["-1vHRl0", "127.0.0.1", &port.to_string(), "echo", "served"]);
        let mut server = s.serve_on(
            port,
            launch.stdout(crate::support::launch::Output::File(full)),
        );
        server.wait_for("tcpserver: status: ", 1);
        server.connect().receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    for (name, banner) in [
        ("banner_is_sent_as_it_is", "220 ready"),
        ("banner_may_be_empty", ""),
        ("banner_may_hold_any_byte", "a\r\nb\t%\\n\u{e9}"),
        ("long_banner_is_sent_whole", &*"banner ".repeat(2000)),
    ] {
        let banner = banner.to_owned();
        book.add(name, move |s| {
            one_connection(
                s,
                &["-1HRl0", "-B", &banner],
                &["echo", " and the program"],
                as_it_is,
            )
        });
    }
    book.add("last_banner_counts", |s| {
        one_connection(s, &["-1HRl0", "-Ba", "-Bb"], &["echo"], as_it_is)
    });
    book.add("nodelay_is_set_only_when_asked_for", |s| {
        for option in ["-d", "-D", "-Dd", "-dD"] {
            let is_nodelay = |pid| format!("TCP_NODELAY: {}", net::is_nodelay(pid, 0));
            look_at_connection(s, option, Server::connect, is_nodelay);
        }
    });
    book.add(
        "ip_options_of_a_client_are_gone_unless_they_are_kept",
        |s| {
            for option in ["-d", "-O", "-o", "-oO", "-Oo"] {
                let bytes = |pid| format!("IP options: {} bytes", net::ip_options_bytes(pid, 0));
                look_at_connection(s, option, Server::connect_recording_the_route, bytes);
            }
        },
    )
    .differs("ip-options");
    for (name, options) in [
        ("ip_options_may_be_kept", ["-1vHRl0", "-o"]),
        ("ip_options_are_cleared_when_asked_for", ["-1vHRl0", "-O"]),
        ("backlog_may_be_given", ["-1vHRl0", "-b1"]),
        ("backlog_may_be_0", ["-1vHRl0", "-b0"]),
        (
            "paranoid_changes_nothing_without_a_remote_name",
            ["-1vHRl0", "-p"],
        ),
        ("paranoid_may_be_switched_off", ["-1vHRl0", "-pP"]),
        (
            "ident_timeout_does_not_matter_without_ident",
            ["-1vHRl0", "-t1"],
        ),
        (
            "missing_rules_option_does_not_matter_without_rules",
            ["-1vHRl0", "-X"],
        ),
        ("user_0_and_group_0_change_nothing", ["-1vHRl0", "-u0g0"]),
    ] {
        book.add(name, move |s| {
            let options: &[&str] = if options[1] == "-u0g0" {
                &[options[0], "-u0", "-g0"]
            } else {
                &options
            };
            one_logged_connection(s, options, &["env"], as_it_is);
        });
    }
}

/// Notes what `look` finds of the program whose descriptor 0 is a connection.
fn look_at_connection(
    s: &mut Scene,
    option: &str,
    connect: impl Fn(&mut Server) -> Peer,
    look: impl Fn(u32) -> String,
) {
    let script = "echo $$; read x";
    let mut server = s.serve(listening(s, &["-1HRl0", option], &["sh", "-c", script]));
    let mut client = connect(&mut server);
    let pid = client.take_line();
    let pid = String::from_utf8_lossy(&pid).trim().parse();
    s.note(&look(pid.expect("the program prints its pid")));
    client.send("end\n");
    client.receive_all();
    server.terminate();
}
