//! One connection's life, from accept to its end line: what happens to it, in order.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use super::children::{Child, Children};
use super::environ::Entries;
use super::facts::Order;
use super::gate::{Gate, Guest, Refusal};
use super::log::Log;
use super::record::Record;
use crate::service::{Arrival, End, Entered, Service, Stage, Undecided};
use crate::sys::memory;
use crate::sys::process::Pid;
use crate::sys::spawn::{Failure, Step, Streams};

/// What all connections of a server share.
pub(super) struct Server {
    pub(super) service: Rc<Service>,
    pub(super) gate: Gate,
    pub(super) children: Rc<Children>,
    /// What was inherited.
    pub(super) environment: Entries,
    /// The program, by the name under which it is looked for.
    pub(super) program: Vec<u8>,
    pub(super) log: Log,
}

/// A connection that is not decided after so long is told of.
const NOTABLE: Duration = Duration::from_secs(1);

/// Serves one connection: returns when its program has ended, or when it was refused or dropped.
pub(super) async fn serve(server: Rc<Server>, arrival: Arrival) {
    let Arrival {
        connection,
        remote,
        // Let go of when all is over.
        slot: _slot,
        undecided,
    } = arrival;
    let mut record = server.log.arrived(remote);
    // In a box: what it takes to decide is of no use to a connection that is served, and there are many of them.
    let begun = Box::pin(begin(&server, connection, undecided, &mut record)).await;
    let Some((mut child, entered)) = begun else {
        return;
    };
    let stages = server.service.stages();
    let end = child.ended(stages).await;
    // Before the log says so: who reads it may count on it.
    if let Some(entered) = entered {
        entered.ended(End {
            status: Some(end.status),
            served: record.served(),
        });
    }
    record.end = Some(end);
    server.log.ended(&record);
    child.leave(stages).await;
}

/// Decides about a connection, and makes its child; nothing when it was refused or dropped. Nothing of ours holds a
/// connection that is served: the peer would not see its end.
async fn begin(
    server: &Server,
    connection: OwnedFd,
    undecided: Undecided,
    record: &mut Record,
) -> Option<(Child, Option<Entered>)> {
    let log = &server.log;
    let mut guest = match admit(server, &connection, record).await {
        Ok(guest) => guest,
        Err(refusal) => {
            log.refused(record, &refusal);
            return None;
        }
    };
    log.let_in(record, &guest);
    let child = spawn(server, &connection, &guest, record);
    let child = child
        .map_err(|error| log.dropped(record, b"fork", &error))
        .ok()?;
    log.begun(record, child.pid);
    if let Some(Failure { step, error }) = &child.failure {
        let doing = match step {
            Step::Run => &[b"run ", &server.program[..]].concat(),
            Step::Descriptors => &b"set up descriptors"[..],
        };
        log.failed(record, doing, error);
    }
    undecided.served();
    Some((child, guest.entered.take()))
}

/// Takes a connection through the gate, at most until programs are asked to end. When that takes long, the log says who
/// waits.
async fn admit(
    server: &Server,
    connection: &OwnedFd,
    record: &mut Record,
) -> Result<Guest, Refusal> {
    let ip = record.remote.ip();
    let (number, announced) =
        patiently(server, ip, None, server.gate.announce(connection, record)).await;
    record.number = number;
    announced?;
    let ip = record.remote.ip();
    let (number, admitted) =
        patiently(server, ip, number, server.gate.admit(connection, record)).await;
    record.number = number;
    admitted
}

/// Does a part of what the gate does, with a connection from `ip`; gives also the number that it has got, when it was told
/// of, if it had no `number` before.
async fn patiently<T>(
    server: &Server,
    ip: IpAddr,
    number: Option<Pid>,
    part: impl Future<Output = Result<T, Refusal>>,
) -> (Option<Pid>, Result<T, Refusal>) {
    let mut part = pin!(part);
    let mut part = poll_fn(|context| match part.as_mut().poll(context) {
        // The lack was met here, or by somebody who cannot do without: then this one's memory is back at least.
        _ if memory::is_short() => {
            let error = io::ErrorKind::OutOfMemory.into();
            Poll::Ready(Err(Refusal::Unable(b"get memory".to_vec(), error)))
        }
        done => done,
    });
    // Most are decided at once, and need no clock.
    tokio::select! {
        biased;
        done = &mut part => return (number, done),
        () = std::future::ready(()) => {}
    }
    wait(server, ip, number, &mut part).await
}

async fn wait<T>(
    server: &Server,
    ip: IpAddr,
    mut number: Option<Pid>,
    mut part: impl Future<Output = Result<T, Refusal>> + Unpin,
) -> (Option<Pid>, Result<T, Refusal>) {
    let mut notable = pin!(sleep(NOTABLE));
    loop {
        tokio::select! {
            biased;
            done = &mut part => return (number, done),
            () = server.service.stages().reach(Stage::Ask) => return (number, Err(Refusal::Late)),
            () = &mut notable, if number.is_none() && server.log.is_detailed() => {
                number = server.log.waiting(ip);
            }
        }
    }
}

/// Makes the child, with all that is known of the connection in its environment.
fn spawn(
    server: &Server,
    connection: &OwnedFd,
    guest: &Guest,
    record: &Record,
) -> io::Result<Child> {
    let mut changes = guest.facts.changes(Order::AddressFirst);
    // Last, so that a rule may override any of them.
    for setting in guest.verdict.settings() {
        changes.setting(setting);
    }
    let mut lines = server.log.beginning(record, guest);
    let environment = changes.apply(&server.environment);
    server
        .children
        .spawn(Streams::both(connection.as_fd()), environment, &mut lines)
}
