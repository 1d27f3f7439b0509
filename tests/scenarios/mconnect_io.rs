//! mconnect-io: descriptors 0 and 1 on one side, a line-based server on 6 and 7 on the other.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};

use super::files;
use crate::support::book::Book;
use crate::support::launch::{Input, Launch};
use crate::support::net;
use crate::support::scene::Scene;
use crate::support::server::Peer;

const TEXTS: &[(&str, &[u8])] = &[
    ("line_feeds_get_a_cr", b"HELO here\nQUIT\n"),
    (
        "line_feeds_with_a_cr_get_one_more",
        b"HELO here\r\nQUIT\r\n",
    ),
    ("last_line_may_be_unfinished", b"HELO here\nQU"),
    ("nul_is_a_byte_like_others", b"\0\n\0\r\n\xff"),
    ("nothing_may_be_said", b""),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, bytes) in TEXTS {
        book.add(*name, move |s| {
            let (mut server, launch) = connected(s);
            let process = s.start(launch.input(bytes));
            let crs = bytes.iter().filter(|byte| **byte == b'\n').count();
            server.receive_count(bytes.len() + crs);
            server.send("221 bye\r\n");
            server.close();
            s.finish(process);
        });
    }
    book.add("answers_pass_unchanged", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.stdin(Input::Pipe));
        server.send(b"a\nb\r\nc\r\0\xff\r");
        server.close();
        s.finish(process);
    });
    book.add("end_of_stdin_does_not_lose_the_last_answer", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.input("QUIT\n"));
        server.receive_line();
        server.stays_silent();
        server.send("221 one\r\n");
        server.send("221 two\r\n");
        server.close();
        s.finish(process);
    });
    book.add("end_of_the_server_ends_all", |s| {
        let (server, launch) = connected(s);
        let process = s.start(launch.stdin(Input::Pipe));
        server.close();
        s.finish(process);
    });
    book.add("reset_by_the_server_ends_all", |s| {
        let (server, launch) = connected(s);
        let process = s.start(launch.stdin(Input::Pipe));
        server.reset();
        s.finish(process);
    });
    book.add("server_that_sends_no_more_ends_all", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.stdin(Input::Pipe));
        server.half_close();
        s.finish(process);
        server.receive_all();
    });
    book.add("conversation_goes_line_by_line", |s| {
        let (mut server, launch) = connected(s);
        let mut process = s.start(launch.stdin(Input::Pipe));
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        for number in 1..=3 {
            server.send(format!("220 answer {number}\r\n"));
            stdout.wait_for(&format!("answer {number}"), 1);
            let line = format!("line {number}\n");
            stdin.write_all(line.as_bytes()).expect("the program reads");
            server.receive_line();
        }
        server.close();
        s.finish(process);
    });
    book.add("streams_of_10_mb_pass_both_ways_at_once", |s| {
        let (mut server, launch) = connected(s);
        let bytes = files::noise(files::LONG_BYTES);
        let crs = bytes.iter().filter(|byte| **byte == b'\n').count();
        let count = bytes.len() + crs;
        let process = s.start(launch.input(bytes));
        server.exchange_exactly(&files::noise(files::LONG_BYTES + 7)[7..], count);
        server.close();
        s.finish(process);
    });
    book.add("server_that_answers_while_it_reads_is_heard", |s| {
        let (mut server, launch) = connected(s);
        let bytes = files::noise(files::LONG_BYTES);
        let crs = bytes.iter().filter(|byte| **byte == b'\n').count();
        let count = bytes.len() + crs;
        let process = s.start(launch.input(bytes));
        server.echo_exactly(count);
        server.close();
        s.finish(process);
    });
    failures(book);
}

fn failures(book: &mut Book) {
    book.add("closed_stdin_is_an_end_of_input", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.closed(0));
        server.send("220 hello\r\n");
        server.close();
        s.finish(process);
    });
    book.add("stdin_that_cannot_be_read_is_an_end_of_input", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.stdin(files::directory()));
        server.send("220 hello\r\n");
        server.close();
        s.finish(process);
    });
    book.add("closed_stdout_loses_only_the_answers", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.closed(1).input("QUIT\n"));
        server.send("220 hello\r\n");
        server.receive_line();
        server.send("221 bye\r\n");
        server.close();
        s.finish(process);
    });
    book.add("full_stdout_loses_only_the_answers", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.stdout(files::full()).input("QUIT\n"));
        server.send("220 hello\r\n");
        server.receive_line();
        server.send("221 bye\r\n");
        server.close();
        s.finish(process);
    });
    book.add("stdout_without_a_reader_loses_only_the_answers", |s| {
        let (mut server, launch) = connected(s);
        let process = s.start(launch.stdout(files::unread()).input("QUIT\n"));
        server.send("220 hello\r\n");
        server.receive_line();
        server.send("221 bye\r\n");
        server.close();
        s.finish(process);
    });
    book.add("without_a_network_it_ends", |s| {
        s.run(s.program([""; 0]).stdin(Input::Pipe));
    });
    book.add("without_descriptor_6_it_ends", |s| {
        let (server, stream) = pair(s);
        s.run(s.program([""; 0]).inherit(7, stream).stdin(Input::Pipe));
        server.close();
    });
    book.add("without_descriptor_7_answers_are_shown", |s| {
        let (mut server, stream) = pair(s);
        let launch = s.program([""; 0]).inherit(6, stream);
        let process = s.start(launch.stdin(Input::Pipe));
        server.send("220 hello\r\n");
        server.close();
        s.finish(process);
    });
    book.add("arguments_are_ignored", |s| {
        for args in [&["-n"][..], &["--helps"], &["", "x"]] {
            let (mut server, stream) = pair(s);
            let copy = stream.try_clone().expect("a descriptor can be duplicated");
            let launch = s.program(args).inherit(6, stream).inherit(7, copy);
            let process = s.start(launch.stdin(Input::Pipe));
            server.send("220 hello\r\n");
            server.close();
            s.finish(process);
        }
    });
}

/// A server, and the program connected with it.
fn connected(s: &mut Scene) -> (Peer, Launch) {
    let (server, stream) = pair(s);
    let copy = stream.try_clone().expect("a descriptor can be duplicated");
    let launch = s.program([""; 0]).inherit(6, stream).inherit(7, copy);
    (server, launch)
}

/// Both ends of a connection.
fn pair(s: &mut Scene) -> (Peer, TcpStream) {
    let listener = net::listener(Ipv4Addr::LOCALHOST);
    let address = listener.local_addr().expect("a listener has a name");
    let stream = TcpStream::connect(address).expect("we listen");
    let server = net::accept(&listener);
    (s.peer(server, "the server"), stream)
}
