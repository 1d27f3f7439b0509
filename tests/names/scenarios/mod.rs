//! What the programs make of name servers and ident servers, compared with the original: the list of the names of these
//! scenarios is the specification.

mod client;
mod faults;
mod idents;
mod operand;
mod qualify;
mod server;
mod unknown;

use super::nameserver::NameServer;
use super::{HERE, NAME_SERVER, THERE};
use crate::support::book::{Book, Scenario};
use crate::support::launch::Launch;
use crate::support::scene::Scene;

type Fill = fn(&mut Book);

/// All scenarios.
pub(crate) fn all() -> Vec<Scenario> {
    let fill: [(&'static str, &[Fill]); 2] = [
        (
            "tcpserver",
            &[server::fill, faults::fill, idents::fill, operand::server],
        ),
        (
            "tcpclient",
            &[client::fill, operand::fill, qualify::fill, unknown::fill],
        ),
    ];
    fill.into_iter()
        .flat_map(|(program, fills)| {
            let mut book = Book::of(program);
            fills.iter().for_each(|fill| fill(&mut book));
            book.scenarios
        })
        .collect()
}

/// Tells the program whom to ask.
fn asking(launch: Launch) -> Launch {
    launch.env("DNSCACHEIP", NAME_SERVER.to_string())
}

/// Runs `tcpserver -1v options 127.0.0.1 0 env` for one client from 127.0.0.2.
fn serve_one(s: &mut Scene, options: &[&str], with: impl Fn(Launch) -> Launch) {
    let args = [&["-1v"], options, &["127.0.0.1", "0", "env"]].concat();
    let mut server = s.serve(with(s.program(args)));
    server.connect_between(THERE, HERE).receive_all();
    server.wait_for_ends(1);
    server.terminate();
}

/// Writes down what the name server was asked for; without the questions for IPv6 addresses, which the original does not
/// ask.
fn show_questions(s: &mut Scene, servers: &[&NameServer]) {
    for (index, server) in servers.iter().enumerate() {
        let label = match index {
            0 => "asked",
            _ => "asked the second",
        };
        s.note_lines(label, &but_ipv6(server.asked_for()));
    }
}

fn but_ipv6(mut questions: Vec<String>) -> Vec<String> {
    questions.retain(|question| !question.starts_with("AAAA "));
    questions
}
