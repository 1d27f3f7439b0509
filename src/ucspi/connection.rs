//! One connection's life, from accept to its end line: what happens to it, in order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use super::children::{Child, Children};
use super::environ::Entries;
use super::facts::Order;
use super::gate::{Gate, Guest};
use super::log::Log;
use super::record::Record;
use crate::service::{Arrival, End, Service};
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

/// Serves one connection: returns when its program has ended, or when it was refused or dropped.
pub(super) async fn serve(server: Rc<Server>, arrival: Arrival) {
    let Server { gate, log, .. } = &*server;
    let connection = arrival.connection;
    let mut record = log.arrived(arrival.remote);
    let mut guest = match gate.admit(&connection, &record).await {
        Ok(guest) => guest,
        Err(refusal) => return log.refused(&mut record, &refusal),
    };
    log.let_in(&mut record, &guest);
    match spawn(&server, &connection, &guest, &record) {
        Err(error) => log.dropped(&record, b"fork", &error),
        Ok(mut child) => {
            log.begun(&mut record, child.pid);
            if let Some(Failure { step, error }) = &child.failure {
                let doing = match step {
                    Step::Run => &[b"run ", &server.program[..]].concat(),
                    Step::Descriptors => &b"set up descriptors"[..],
                };
                log.failed(&record, doing, error);
            }
            let entered = guest.entered.take();
            // Nothing of ours holds a connection that is served: the peer would not see its end.
            drop((connection, guest));
            arrival.undecided.served();
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
            log.ended(&record);
            child.leave(stages).await;
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
