//! One connection's life, from accept to its end line: what happens to it, in order.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use super::children::Child;
use super::facts::{Facts, Order, canonical, shown};
use super::log;
use super::names::{Names, look_up};
use super::service::Service;
use super::slots::Counted;
use crate::cli::{FAILED, PERMANENT, reason};
use crate::rules::Verdict;
use crate::sys::{socket, watch};

/// Serves one connection: returns when its program has ended, or when it was refused or dropped. `undecided` is let go
/// as soon as the program runs.
pub(super) async fn serve(
    service: &Service,
    connection: OwnedFd,
    remote: SocketAddr,
    undecided: Counted,
) {
    let remote = canonical(remote);
    let remote_ip = shown(remote.ip(), service.config.as_ipv6);
    let dropped = |doing: &[u8], error: io::Error| {
        let why = |_| drop_line(service, doing, &error);
        conclude(service, &remote_ip, why, FAILED);
    };

    set_options(service, &connection, remote);
    if let Err(error) = banner(&connection, &service.config.banner).await {
        return dropped(b"print banner", error);
    }
    let local = match service.local_address(&connection) {
        Ok(address) => canonical(address),
        Err(error) => return dropped(b"get local address", error),
    };
    let names = names(service, local, remote).await;
    let facts = Facts::of(local, remote, names, service.config.as_ipv6);
    let verdict = match service.verdict(remote.ip(), &facts) {
        Ok(verdict) => verdict,
        Err((file, error)) => return dropped(&[b"read ", &file[..]].concat(), error),
    };
    if verdict.deny {
        let why = |number| service.log(log::decided(true, &facts), number);
        return conclude(service, &remote_ip, why, PERMANENT);
    }
    match spawn(service, &connection, &facts, &verdict) {
        Err(error) => drop_line(service, b"fork", &error),
        Ok(child) => {
            drop((connection, undecided));
            let pid = child.pid;
            let status = child.ended().await;
            service.log(log::ended(status), pid);
        }
    }
}

/// How a line about a connection that is given up begins; part of the log interface.
pub(super) const DROPPING: &[u8] = b"warning: dropping connection, unable to ";

fn drop_line(service: &Service, doing: &[u8], error: &io::Error) {
    let why = reason(error).as_bytes();
    service.voice.warn(&[DROPPING, doing, b": ", why]);
}

fn set_options(service: &Service, connection: &OwnedFd, remote: SocketAddr) {
    // As the original: a socket that does not take an option is served without it.
    if service.config.clear_ip_options && remote.is_ipv4() {
        let _ = socket::clear_ip_options(connection);
    }
    if service.config.no_delay {
        let _ = socket::no_delay(connection);
    }
}

/// Sends all of `text`, waiting for a peer that does not read.
async fn banner(connection: &OwnedFd, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match socket::send_now(connection, text) {
            Ok(sent) => text = &text[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let connection = watch::writable(connection.as_fd())?;
                connection.writable().await?.retain_ready();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn names(service: &Service, local: SocketAddr, remote: SocketAddr) -> Names {
    let lookups = &service.config.lookups;
    if lookups.are_needed() {
        // In a box: a connection that needs none does not pay for their room.
        return Box::pin(look_up(lookups, &service.resolver, local, remote)).await;
    }
    Names {
        local_host: lookups.local_host.clone(),
        ..Names::default()
    }
}

/// Makes the child, with all that is known of the connection in its environment.
fn spawn(
    service: &Service,
    connection: &OwnedFd,
    facts: &Facts,
    verdict: &Verdict,
) -> io::Result<Child> {
    let mut changes = facts.changes(Order::AddressFirst);
    // Last, so that a rule may override any of them.
    for setting in verdict.settings() {
        changes.setting(setting);
    }
    let mut lines = Vec::new();
    if service.voice.tells_everything() {
        lines.push(log::from(&facts.remote.ip));
        lines.push(log::decided(false, facts));
    }
    let environment = changes.apply(&service.environment);
    service
        .children
        .spawn(connection.as_fd(), environment, &mut lines)
}

/// Logs the life of a connection that no process served, under a number that no process can have: where it came from,
/// what `why` says, and its end with exit code `code`.
fn conclude(service: &Service, remote_ip: &str, why: impl FnOnce(i32), code: u8) {
    let number = service.next_number();
    service.log(log::from(remote_ip), number);
    why(number);
    service.log(log::ended(i32::from(code) << 8), number);
}
