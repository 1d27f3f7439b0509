//! tcpclient: a program with a connection on descriptors 6 and 7.
//!
//! All hosts are literal addresses, and `-HRl0` keeps every look-up away.

mod address;
mod connect;
mod environ;
mod program;
mod usage;

use std::net::Ipv4Addr;

use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;
use crate::support::server::Peer;

pub(crate) fn fill(book: &mut Book) {
    usage::fill(book);
    address::fill(book);
    connect::fill(book);
    environ::fill(book);
    program::fill(book);
}

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Runs `tcpclient options 127.0.0.1 PORT program` against a listener, which lets `talk` have its connection.
fn connected(
    s: &mut Scene,
    options: &[&str],
    program: &[&str],
    with: impl Fn(Launch) -> Launch,
    talk: impl Fn(&mut Peer),
) {
    let mut listener = s.listen(LOCALHOST);
    let port = listener.port.to_string();
    let args = [options, &["127.0.0.1", &port], program].concat();
    let client = s.start(with(s.program(args)));
    let mut peer = listener.accept();
    talk(&mut peer);
    s.finish(client);
}

/// As `connected`, for programs that say nothing to the other end.
fn run_connected(
    s: &mut Scene,
    options: &[&str],
    program: &[&str],
    with: impl Fn(Launch) -> Launch,
) {
    connected(s, options, program, with, |_| {});
}

fn as_it_is(launch: Launch) -> Launch {
    launch
}
