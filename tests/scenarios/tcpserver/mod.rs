//! tcpserver: a program for every connection.
//!
//! `-HRl0` keeps name and ident look-ups away, hosts are literal addresses, and port 0 with `-1` finds a free port.
//! Parent and children of the original write their log lines concurrently. The order is fixed all the same where one
//! connection follows the other: `status` comes before the fork, `end` after the child.

mod address;
mod environ;
mod limit;
mod log;
mod options;
mod privilege;
mod program;
mod rules;
mod signals;
mod usage;

use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    usage::fill(book);
    options::fill(book);
    address::fill(book);
    log::fill(book);
    limit::fill(book);
    environ::fill(book);
    rules::fill(book);
    program::fill(book);
    signals::fill(book);
    privilege::fill(book);
}

/// `tcpserver options 127.0.0.1 0 program`; the options include `-1`.
fn listening(s: &Scene, options: &[&str], program: &[&str]) -> Launch {
    s.program([options, &["127.0.0.1", "0"], program].concat())
}

/// One connection on a server without `-v`: what the client receives, what the log says.
fn one_connection(
    s: &mut Scene,
    options: &[&str],
    program: &[&str],
    with: impl Fn(Launch) -> Launch,
) {
    let mut server = s.serve(with(listening(s, options, program)));
    server.connect().receive_all();
    server.terminate();
}

/// One connection on a server with `-v`, up to its end in the log.
fn one_logged_connection(
    s: &mut Scene,
    options: &[&str],
    program: &[&str],
    with: impl Fn(Launch) -> Launch,
) {
    let mut server = s.serve(with(listening(s, options, program)));
    server.connect().receive_all();
    server.wait_for_ends(1);
    server.terminate();
}

/// Starts a server that may refuse to start; one that does start, with `-v`, serves nobody.
fn attempt(s: &mut Scene, options: &[&str], with: impl Fn(Launch) -> Launch) {
    match s.serve_if_it_can(with(listening(s, options, &["true"]))) {
        Ok(server) => {
            server.wait_for("tcpserver: status: ", 1);
            server.terminate();
        }
        Err(process) => s.finish(process),
    }
}

fn as_it_is(launch: Launch) -> Launch {
    launch
}
