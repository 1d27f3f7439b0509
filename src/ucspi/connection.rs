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
use crate::service::{Arrival, Service};

/// What all connections of a server share.
pub(super) struct Server {
    pub(super) service: Rc<Service>,
    pub(super) gate: Gate,
    pub(super) children: Rc<Children>,
    /// What was inherited.
    pub(super) environment: Entries,
    pub(super) log: Log,
}

/// Serves one connection: returns when its program has ended, or when it was refused or dropped.
pub(super) async fn serve(server: Rc<Server>, arrival: Arrival) {
    let Server { gate, log, .. } = &*server;
    let connection = arrival.connection;
    let mut record = Record::new(arrival.remote);
    let guest = match gate.admit(&connection, &record).await {
        Ok(guest) => guest,
        Err(refusal) => return log.refused(&mut record, &refusal),
    };
    match spawn(&server, &connection, &guest) {
        Err(error) => log.dropped(b"fork", &error),
        Ok(child) => {
            // Nothing of ours holds a connection that is served: the peer would not see its end.
            drop((connection, arrival.undecided, guest));
            record.number = Some(child.pid);
            record.status = Some(child.ended(server.service.stages()).await);
            log.ended(&record);
        }
    }
}

/// Makes the child, with all that is known of the connection in its environment.
fn spawn(server: &Server, connection: &OwnedFd, guest: &Guest) -> io::Result<Child> {
    let mut changes = guest.facts.changes(Order::AddressFirst);
    // Last, so that a rule may override any of them.
    for setting in &guest.verdict.settings {
        changes.setting(setting);
    }
    let mut lines = server.log.beginning(guest);
    let environment = changes.apply(&server.environment);
    server
        .children
        .spawn(connection.as_fd(), environment, &mut lines)
}
