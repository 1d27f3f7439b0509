//! What the clients that show a server's answer have in common, and all of who@ and date@.

use std::net::Ipv4Addr;

use super::files;
use crate::support::book::{Book, Scenario};
use crate::support::launch::{Input, Launch};
use crate::support::nameserver::NameServer;
use crate::support::net;
use crate::support::process::Process;
use crate::support::scene::Scene;
use crate::support::server::Peer;
use crate::support::zone::Zone;

const HOST: &str = "127.0.0.1";
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// How one of these programs is called, and what the server sees of that.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    /// The port when none is given.
    pub(crate) port: u16,
    /// The arguments after the host.
    pub(crate) more: &'static [&'static str],
    /// A last argument is the port.
    pub(crate) takes_port: bool,
    /// How many lines it sends.
    pub(crate) request_lines: usize,
    /// Between the program and its output stands another program, whose status is the original's.
    pub(crate) is_pipeline: bool,
    /// What a server says before the text that is shown.
    pub(crate) head: &'static str,
}

const WHO: Client = Client {
    port: 11,
    more: &[],
    takes_port: false,
    request_lines: 0,
    is_pipeline: true,
    head: "",
};

const DATE: Client = Client { port: 13, ..WHO };

pub(crate) fn fill_who(book: &mut Book) {
    WHO.fill(book);
}

pub(crate) fn fill_date(book: &mut Book) {
    DATE.fill(book);
}

const TEXTS: &[(&str, &[u8])] = &[
    ("nothing_is_shown_as_nothing", b""),
    ("line_ends_are_shown", b"a\nb\r\nc\r\r\nd\n"),
    ("last_line_may_be_unfinished", b"one\r\ntwo"),
    ("last_byte_may_be_a_cr", b"one\r\ntwo\r"),
    ("tabs_and_blanks_are_shown", b"\tone  two \n \t\n"),
    ("nul_is_shown", b"\0one\0\r\ntwo\0\0\n"),
    ("cr_elsewhere_is_shown", b"\rone\rtwo\r\tthree\n"),
];

impl Client {
    /// The scenarios that are the same for all.
    pub(crate) fn fill(self, book: &mut Book) {
        for (name, bytes) in TEXTS {
            self.add(book, name, move |s| self.shows(s, &[bytes]));
        }
        self.add(book, "all_byte_values_are_shown", move |s| {
            let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
            self.shows(s, &[&bytes]);
        });
        self.add(book, "answer_may_come_in_pieces", move |s| {
            self.shows(s, &[b"one\r", b"\ntwo\r", b"three", b"\r", b"\r\n", b".\n"]);
        });
        let stream = self.add(book, "answer_of_10_mb_is_shown", move |s| {
            let (mut server, process) = self.start(s, |launch| launch);
            let bytes = files::noise(files::LONG_BYTES);
            server.send([self.head.as_bytes(), &bytes].concat());
            server.close();
            s.finish(process);
        });
        if !self.head.is_empty() {
            stream.differs("http-empty-lines");
        }
        self.add(book, "server_sees_no_end_before_it_closes", move |s| {
            let (mut server, process) = self.start(s, |launch| launch);
            server.stays_silent();
            server.send(format!("{}bye\n", self.head));
            server.close();
            s.finish(process);
        });
        self.add(book, "standard_input_is_not_read", move |s| {
            for input in [Input::Pipe, Input::Closed, files::directory()] {
                let (mut server, process) = self.start(s, |launch| launch.stdin(input));
                server.send(format!("{}hello\n", self.head));
                server.close();
                s.finish(process);
            }
        });
        self.failures(book);
        self.operands(book);
    }

    fn failures(self, book: &mut Book) {
        let refused = self.add(book, "refused_connection_is_a_failure", move |s| {
            let mut args = self.arguments();
            let mut held = None;
            if self.takes_port {
                let (socket, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
                s.name_port(port, "PORT");
                args.push(port.to_string());
                held = Some(socket);
            }
            s.run(s.program(args));
            drop(held);
        });
        if self.is_pipeline {
            refused.differs("wrapper-status");
        }
        let broken = self.add(book, "connection_that_breaks_is_a_failure", move |s| {
            let (mut server, process) = self.start(s, |launch| launch);
            server.send(format!("{}half a line", self.head));
            // Connected it must be: one that sends something has shown that it is.
            if self.request_lines == 0 {
                let stdout = process.stdout.clone().expect("stdout is a pipe");
                stdout.wait_for_bytes(11);
            }
            server.reset();
            let outcome = process.outcome();
            s.record_but_stdout(&outcome);
        });
        broken.differs("wrapper-status");
        let full = self.add(book, "full_stdout_is_a_failure", move |s| {
            let (mut server, process) = self.start(s, |launch| launch.stdout(files::full()));
            server.send(format!("{}hello\n", self.head));
            server.close();
            s.finish(process);
        });
        full.differs("wrapper-status");
        let closed = self.add(book, "closed_stdout_is_a_failure", move |s| {
            let (mut server, process) = self.start(s, |launch| launch.closed(1));
            server.send(format!("{}hello\n", self.head));
            server.close();
            s.finish(process);
        });
        closed.differs("wrapper-status");
        let unread = self.add(book, "stdout_without_a_reader_kills", move |s| {
            let (mut server, process) = self.start(s, |launch| launch.stdout(files::unread()));
            server.send(format!("{}hello\n", self.head));
            server.close();
            s.finish(process);
        });
        if self.is_pipeline {
            unread.differs("wrapper-status");
        }
    }

    fn operands(self, book: &mut Book) {
        let unknown = book.add("host_may_look_like_an_option", |s| {
            let _server = NameServer::of(NAME_SERVER, Zone::default());
            for host in ["-v", "--", "-n", "--helps"] {
                let launch = s.program([host]);
                s.run(launch.env("DNSCACHEIP", NAME_SERVER.to_string()));
            }
        });
        unknown.needs_network();
        if self.is_pipeline {
            unknown.differs("wrapper-status");
        }
        let by_name = book.add("host_may_be_a_name", move |s| {
            let zone = Zone::default().a("there.test", &[Ipv4Addr::new(127, 0, 0, 2)]);
            let _server = NameServer::of(NAME_SERVER, zone);
            let mut listener = s.listen_at(Ipv4Addr::new(127, 0, 0, 2), self.port);
            let launch = s.program(["there.test"]);
            let process = s.start(launch.env("DNSCACHEIP", NAME_SERVER.to_string()));
            self.answer(s, &mut listener, process);
        });
        by_name.needs_network();
        for (name, args) in [
            ("host_is_this_one_when_none_is_given", &[][..]),
            ("host_0_is_this_one", &["0"]),
            ("empty_host_is_this_one", &[""]),
        ] {
            let here = book.add(name, move |s| {
                let mut listener = s.listen_at(Ipv4Addr::LOCALHOST, self.port);
                let process = s.start(s.program(args));
                self.answer(s, &mut listener, process);
            });
            here.needs_network();
        }
        self.add(book, "further_arguments_are_ignored", move |s| {
            let (mut listener, mut args) = self.target(s);
            args.extend(["-n".to_owned(), "more".to_owned()]);
            let process = s.start(s.program(args));
            self.answer(s, &mut listener, process);
        });
    }

    /// Adds a scenario that needs a network of its own if the port is a fixed one.
    pub(crate) fn add<'a>(
        self,
        book: &'a mut Book,
        name: &str,
        steps: impl Fn(&mut Scene) + Send + Sync + 'static,
    ) -> &'a mut Scenario {
        let scenario = book.add(name, steps);
        if !self.takes_port {
            scenario.needs_network();
        }
        scenario
    }

    fn answer(
        self,
        s: &mut Scene,
        listener: &mut crate::support::server::Listener,
        process: Process,
    ) {
        let mut server = listener.accept();
        self.receive_request(&mut server);
        server.send(format!("{}hello\r\n", self.head));
        server.close();
        s.finish(process);
    }

    /// The program shows an answer that comes in these pieces.
    pub(crate) fn shows(self, s: &mut Scene, pieces: &[&[u8]]) {
        let (mut server, process) = self.start(s, |launch| launch);
        if !self.head.is_empty() {
            server.send(self.head);
        }
        for piece in pieces {
            server.send(piece);
        }
        server.close();
        s.finish(process);
    }

    /// Starts the program; the server has its request.
    pub(crate) fn start(
        self,
        s: &mut Scene,
        with: impl FnOnce(Launch) -> Launch,
    ) -> (Peer, Process) {
        let (mut listener, args) = self.target(s);
        let launch = s.program(args);
        let process = s.start(with(launch));
        let mut server = listener.accept();
        server.send_at_once();
        self.receive_request(&mut server);
        (server, process)
    }

    fn receive_request(self, server: &mut Peer) {
        for _ in 0..self.request_lines {
            server.receive_line();
        }
    }

    /// A server, and the arguments that lead there.
    fn target(self, s: &mut Scene) -> (crate::support::server::Listener, Vec<String>) {
        let mut args = self.arguments();
        if !self.takes_port {
            return (s.listen_at(Ipv4Addr::LOCALHOST, self.port), args);
        }
        let listener = s.listen(Ipv4Addr::LOCALHOST);
        args.push(listener.port.to_string());
        (listener, args)
    }

    fn arguments(self) -> Vec<String> {
        let words = [HOST].into_iter().chain(self.more.iter().copied());
        words.map(str::to_owned).collect()
    }
}
