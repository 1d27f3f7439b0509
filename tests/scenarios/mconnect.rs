//! mconnect: connect, and talk with a line-based server.

use std::io::Write as _;
use std::net::Ipv4Addr;

use super::files;
use crate::support::book::Book;
use crate::support::launch::{Input, Launch};
use crate::support::net;
use crate::support::process::Process;
use crate::support::scene::Scene;
use crate::support::server::Peer;

pub(crate) fn fill(book: &mut Book) {
    book.add("lines_get_a_cr_and_answers_pass_unchanged", |s| {
        let (mut server, process) = start(s, |launch| launch.input("HELO here\nQUIT\r\nlast"));
        server.receive_line();
        server.receive_line();
        server.receive_count(4);
        server.send("250 hello\r\n221 bye\n\0\x7f");
        server.close();
        s.finish(process);
    });
    book.add("conversation_goes_line_by_line", |s| {
        let (mut server, mut process) = start(s, |launch| launch.stdin(Input::Pipe));
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
    book.add("end_of_stdin_does_not_lose_the_last_answer", |s| {
        let (mut server, process) = start(s, |launch| launch.input("QUIT\n"));
        server.receive_line();
        server.stays_silent();
        server.send("221 one\r\n");
        server.send("221 two\r\n");
        server.close();
        s.finish(process);
    });
    book.add("streams_of_10_mb_pass_both_ways_at_once", |s| {
        let bytes = files::noise(files::LONG_BYTES);
        let crs = bytes.iter().filter(|byte| **byte == b'\n').count();
        let count = bytes.len() + crs;
        let (mut server, process) = start(s, |launch| launch.input(bytes));
        server.exchange_exactly(&files::noise(files::LONG_BYTES + 7)[7..], count);
        server.close();
        s.finish(process);
    });
    book.add("server_that_answers_while_it_reads_is_heard", |s| {
        let bytes = files::noise(files::LONG_BYTES);
        let crs = bytes.iter().filter(|byte| **byte == b'\n').count();
        let count = bytes.len() + crs;
        let (mut server, process) = start(s, |launch| launch.input(bytes));
        server.echo_exactly(count);
        server.close();
        s.finish(process);
    });
    book.add("reset_by_the_server_ends_all", |s| {
        let (mut server, process) = start(s, |launch| launch.stdin(Input::Pipe));
        server.send("220 hello\r\n");
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        stdout.wait_for("220", 1);
        server.reset();
        s.finish(process);
    });
    book.add("closed_stdin_is_an_end_of_input", |s| {
        let (mut server, process) = start(s, |launch| launch.closed(0));
        server.send("220 hello\r\n");
        server.close();
        s.finish(process);
    });
    book.add("full_stdout_loses_only_the_answers", |s| {
        let (mut server, process) = start(s, |launch| launch.stdout(files::full()).input("QUIT\n"));
        server.send("220 hello\r\n");
        server.receive_line();
        server.send("221 bye\r\n");
        server.close();
        s.finish(process);
    });
    book.add("closed_stdout_loses_only_the_answers", |s| {
        let (mut server, process) = start(s, |launch| launch.closed(1).input("QUIT\n"));
        server.send("220 hello\r\n");
        server.receive_line();
        server.send("221 bye\r\n");
        server.close();
        s.finish(process);
    });
    book.add("refused_connection_is_a_failure", |s| {
        let (_held, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        s.name_port(port, "PORT");
        s.run(s.program(["127.0.0.1".to_owned(), port.to_string()]));
    });
    book.add("port_that_nobody_knows_is_an_error", |s| {
        s.run(s.program(["127.0.0.1", "no-such-port"]));
    });
    for (name, args) in [
        ("host_is_this_one_and_port_25_when_none_is_given", &[][..]),
        ("empty_host_is_this_one", &[""]),
        ("port_may_be_a_name", &["127.0.0.1", "smtp"]),
        ("further_arguments_are_ignored", &["0", "25", "-n", "more"]),
    ] {
        book.add(name, move |s| {
            let mut listener = s.listen_at(Ipv4Addr::LOCALHOST, 25);
            let process = s.start(s.program(args).input("QUIT\n"));
            let mut server = listener.accept();
            server.receive_line();
            server.send("221 bye\r\n");
            server.close();
            s.finish(process);
        })
        .needs_network();
    }
}

fn start(s: &mut Scene, with: impl FnOnce(Launch) -> Launch) -> (Peer, Process) {
    let mut listener = s.listen(Ipv4Addr::LOCALHOST);
    let port = listener.port.to_string();
    let launch = with(s.program(["127.0.0.1", &port]));
    let process = s.start(launch);
    (listener.accept(), process)
}
