//! One connection's life, from accept to its end line: what happens to it, in order.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use super::children::Child;
use super::environ::Changes;
use super::log::{self, Facts};
use super::names::{Names, look_up};
use super::server::Server;
use crate::cli::{FAILED, PERMANENT, reason};
use crate::rules::Verdict;
use crate::sys::{socket, watch};

/// Serves one connection: returns when its program has ended, or when it was refused or dropped.
pub(super) async fn serve(server: &Server, connection: OwnedFd, peer: SocketAddr) {
    let undecided = server.undecided.enter();
    let remote_ip = peer.ip().to_string();
    let dropped = |doing: &[u8], error: &io::Error| {
        let warn = |_| {
            server.voice.warn(&[
                DROPPING,
                b"unable to ",
                doing,
                b": ",
                reason(error).as_bytes(),
            ])
        };
        conclude(server, remote_ip.as_bytes(), warn, FAILED);
    };

    set_options(server, &connection);
    if let Err(error) = banner(&connection, &server.config.banner).await {
        return dropped(b"print banner", &error);
    }
    let local = match server.local_address(&connection) {
        Ok(address) => address,
        Err(error) => return dropped(b"get local address", &error),
    };
    let names = if server.config.lookups.are_needed() {
        // In a box: a connection that needs none does not pay for their room.
        Box::pin(look_up(
            &server.config.lookups,
            &server.resolver,
            local,
            peer,
        ))
        .await
    } else {
        Names {
            local_host: server.config.lookups.local_host.clone(),
            ..Names::default()
        }
    };
    let (local_ip, remote_port) = (local.ip().to_string(), peer.port().to_string());
    let facts = Facts {
        local_ip: local_ip.as_bytes(),
        local_port: server.local_port.as_bytes(),
        local_host: names.local_host.as_deref(),
        remote_ip: remote_ip.as_bytes(),
        remote_port: remote_port.as_bytes(),
        remote_host: names.remote_host.as_deref(),
        remote_info: names.remote_info.as_deref(),
    };
    let verdict = match server.verdict(&facts) {
        Ok(verdict) => verdict,
        Err((file, error)) => return dropped(&[b"read ", &file[..]].concat(), &error),
    };
    if verdict.deny {
        let deny = |number| {
            server
                .voice
                .tell_line(log::decided(true, &facts).fill(number))
        };
        return conclude(server, remote_ip.as_bytes(), deny, PERMANENT);
    }
    match spawn(server, &connection, &facts, &verdict) {
        Err(error) => {
            server
                .voice
                .warn(&[DROPPING, b"unable to fork: ", reason(&error).as_bytes()])
        }
        Ok(child) => {
            drop((connection, undecided));
            let pid = child.pid;
            let status = child.ended().await;
            server.voice.tell_line(log::ended(status).fill(pid));
        }
    }
}

/// How a line about a connection that is given up begins; part of the log interface.
pub(super) const DROPPING: &[u8] = b"warning: dropping connection, ";

fn set_options(server: &Server, connection: &OwnedFd) {
    // As the original: a socket that does not take an option is served without it.
    if server.config.clear_ip_options {
        let _ = socket::clear_ip_options(connection);
    }
    if server.config.no_delay {
        let _ = socket::no_delay(connection);
    }
}

/// Sends all of `text`, waiting for a peer that does not read.
async fn banner(connection: &OwnedFd, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match socket::send_now(connection, text) {
            Ok(sent) => text = &text[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                watch::writable(connection.as_fd())?
                    .writable()
                    .await?
                    .retain_ready();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the child, with all that is known of the connection in its environment.
fn spawn(
    server: &Server,
    connection: &OwnedFd,
    facts: &Facts<'_>,
    verdict: &Verdict,
) -> io::Result<Child> {
    let mut changes = Changes::default();
    changes.set("PROTO", b"TCP");
    changes.set("TCPLOCALIP", facts.local_ip);
    changes.set("TCPLOCALPORT", facts.local_port);
    changes.set_if_known("TCPLOCALHOST", facts.local_host);
    changes.set("TCPREMOTEIP", facts.remote_ip);
    changes.set("TCPREMOTEPORT", facts.remote_port);
    changes.set_if_known("TCPREMOTEHOST", facts.remote_host);
    changes.set_if_known("TCPREMOTEINFO", facts.remote_info);
    // Last, so that a rule may override any of them.
    for setting in &verdict.settings {
        changes.setting(setting);
    }
    let mut lines = Vec::new();
    if server.voice.tells_everything() {
        lines.extend([log::from(facts.remote_ip), log::decided(false, facts)]);
    }
    server.children.spawn(
        connection.as_fd(),
        changes.apply(&server.environment),
        &mut lines,
    )
}

/// Logs the life of a connection that no process served, under a number that no process can have: where it came from,
/// what `why` says, and its end with exit code `code`.
fn conclude(server: &Server, remote_ip: &[u8], why: impl FnOnce(i32), code: u8) {
    let number = server.next_number();
    server.voice.tell_line(log::from(remote_ip).fill(number));
    why(number);
    server
        .voice
        .tell_line(log::ended(i32::from(code) << 8).fill(number));
}
