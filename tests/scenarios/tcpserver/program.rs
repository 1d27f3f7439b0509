//! What the program is started with.

use std::fs::File;

use super::{as_it_is, listening, one_connection};
use crate::scenarios::{exec, passed_on};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::probe;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("arguments_are_passed_on_exactly", |s| {
        one_connection(s, &["-1HRl0"], &passed_on::WORDS, as_it_is);
    });
    book.add("program_runs_in_the_servers_working_directory", |s| {
        one_connection(s, &["-1HRl0"], &["pwd"], as_it_is)
    });
    book.add("program_talks_both_ways", |s| {
        let mut server = s.serve(listening(
            s,
            &["-1vHRl0"],
            &["sh", "-c", "read x; echo \"you said $x\"; cat"],
        ));
        let mut client = server.connect();
        client.send("hello\n");
        client.receive_line();
        client.send("and more\n");
        client.half_close();
        client.receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add("megabyte_passes_both_ways", |s| {
        let mut server = s.serve(listening(s, &["-1HRl0"], &["cat"]));
        let mut client = server.connect();
        client.exchange(&b"0123456789abcdef".repeat(65536));
        server.terminate();
    });
    book.add("many_clients_at_once_are_all_served", |s| {
        let mut server = s.serve(listening(s, &["-1HRl0", "-c5"], &["cat"]));
        let mut clients: Vec<_> = (0..15).map(|_| server.connect()).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(format!("client {}\n", index + 1));
            client.half_close();
        }
        for client in &mut clients {
            client.receive_all();
        }
        server.terminate();
    });
    book.add("recordio_may_stand_between", |s| {
        let recordio = s.sibling("recordio", [""; 0]).path().display().to_string();
        s.name_word(&recordio, "recordio");
        let mut server = s.serve(listening(s, &["-1HRl0"], &[&recordio, "cat"]));
        let mut client = server.connect();
        client.send("hello\n");
        client.receive_line();
        client.half_close();
        client.receive_all();
        server.terminate();
    });
    book.add("tcpclient_talks_with_tcpserver", |s| {
        let server = s.serve(listening(
            s,
            &["-1HRl0"],
            &["sh", "-c", "read x; echo \"you said $x\""],
        ));
        let port = server.port.to_string();
        let script = "echo hello >&7; cat <&6";
        s.run(s.sibling(
            "tcpclient",
            ["-vHRl0", "127.0.0.1", &port, "sh", "-c", script],
        ));
        server.terminate();
    });
    book.add("program_inherits_the_umask", |s| {
        one_connection(s, &["-1HRl0"], &["sh", "-c", "umask"], |launch| {
            launch.umask(0o027)
        });
    });
    book.add("connection_is_0_and_1_and_the_log_is_2", |s| {
        descriptors(s, as_it_is)
    });
    book.add("inherited_descriptors_reach_the_program", |s| {
        descriptors(s, |launch| {
            launch
                .inherit(3, zero())
                .inherit(5, zero())
                .inherit(7, zero())
        });
    });
    book.add("stderr_may_be_closed_at_the_start", |s| {
        descriptors(s, |launch| launch.closed(2))
    });
    book.add("stdin_may_be_closed_at_the_start", |s| {
        descriptors(s, |launch| launch.closed(0))
    })
    .differs("closed-descriptors");
    book.add("stdin_and_stderr_may_be_closed_at_the_start", |s| {
        descriptors(s, |launch| launch.closed(0).closed(2))
    })
    .differs("closed-descriptors");
    book.add("stdout_may_be_closed_at_the_start", |s| {
        let (_reserved, port) = net::reserve_port(std::net::Ipv4Addr::LOCALHOST);
        let port_word = port.to_string();
        let args = [
            &["-vHRl0", "127.0.0.1", &port_word],
            &probe::DESCRIPTORS[..],
        ]
        .concat();
        let mut server = s.serve_on(port, s.program(args).closed(1));
        server.wait_for("tcpserver: status: ", 1);
        if let Some(mut client) = server.connect_if_it_listens() {
            client.receive_descriptors();
            server.wait_for_ends(1);
        }
        server.terminate();
    })
    .differs("closed-descriptors");
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            one_connection(s, &["-1HRl0"], &[case.word], |launch| {
                exec::with_path(launch, case)
            });
        });
    }
    book.add("program_is_looked_for_at_every_connection", |s| {
        let mut server = s.serve(listening(s, &["-1HRl0"], &["./late"]));
        server.connect().receive_all();
        s.script("late", "#!/bin/sh\necho here it is\n");
        server.connect().receive_all();
        server.terminate();
    });
}

fn descriptors(s: &mut Scene, with: impl Fn(Launch) -> Launch) {
    let mut server = s.serve(with(listening(s, &["-1HRl0"], &probe::DESCRIPTORS)));
    server.wait_for_end_of_stdout();
    if let Some(mut client) = server.connect_if_it_listens() {
        client.receive_descriptors();
    }
    server.terminate();
}

fn zero() -> File {
    File::open("/dev/zero").expect("the system has /dev/zero")
}
