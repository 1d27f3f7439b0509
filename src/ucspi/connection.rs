//! One connection's life, from accept to its end line: what happens to it, in order.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::children::{Child, Children};
use super::environ::Entries;
use super::facts::Order;
use super::gate::{Gate, Guest, Refusal};
use super::layer::{Layer, Met};
use super::log::Log;
use super::record::Record;
use crate::service::{Arrival, End, Entered, Service, Stage, Stages, Undecided};
use crate::sys::fd;
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
    /// What stands between a connection and its program.
    pub(super) layer: Option<Rc<dyn Layer>>,
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
    let Some(Begun {
        mut child,
        entered,
        carrying,
    }) = begun
    else {
        return;
    };
    let stages = server.service.stages();
    let end = child.ended(stages).await;
    if let Some(carrying) = carrying {
        carried(carrying, stages).await;
    }
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

/// A connection that is served.
struct Begun {
    child: Child,
    entered: Option<Entered>,
    /// What carries its bytes, if the program does not have the connection itself.
    carrying: Option<JoinHandle<()>>,
}

/// Decides about a connection, and makes its child; nothing when it was refused or dropped. Nothing of ours holds a
/// connection that is served, but a layer: the peer would not see its end.
async fn begin(
    server: &Rc<Server>,
    connection: OwnedFd,
    undecided: Undecided,
    record: &mut Record,
) -> Option<Begun> {
    let log = &server.log;
    let mut guest = match admit(server, &connection, record).await {
        Ok(guest) => guest,
        Err(refusal) => {
            log.refused(record, &refusal);
            return None;
        }
    };
    log.let_in(record, &guest);
    let (stream, met) = match &server.layer {
        None => (connection, None),
        Some(layer) => match layer.meet(connection).await {
            Ok((stream, met)) => (stream, Some(met)),
            Err(why) => {
                log.refused(record, &Refusal::Unmet(layer.name(), why));
                return None;
            }
        },
    };
    let child = spawn(server, &stream, met.as_ref(), &guest, record);
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
    let carrying = met.map(|met| carry(server, met, child.pid));
    Some(Begun {
        child,
        entered: guest.entered.take(),
        carrying,
    })
}

/// Has a layer carry the bytes of a connection whose process is `pid`. What only the process is to hold is let go of.
fn carry(server: &Rc<Server>, met: Met, pid: Pid) -> JoinHandle<()> {
    let counted = server.service.carry();
    let ours = Rc::clone(server);
    let carry = (met.carry)(Rc::new(move |words| {
        if let Some(layer) = &ours.layer {
            ours.log.layered(layer.name(), pid, words);
        }
    }));
    tokio::task::spawn_local(async move {
        let _counted = counted;
        carry.await;
    })
}

/// Waits until what the program has left behind is carried, at most until connections are ended.
async fn carried(mut carrying: JoinHandle<()>, stages: &Stages) {
    tokio::select! {
        _ = &mut carrying => {}
        () = stages.reach(Stage::Kill) => carrying.abort(),
    }
}

/// Takes a connection through the gate, at most until programs are asked to end. When that takes long, the log says who
/// waits.
async fn admit(
    server: &Server,
    connection: &OwnedFd,
    record: &mut Record,
) -> Result<Guest, Refusal> {
    let (number, admitted) = {
        let mut gate = pin!(server.gate.admit(connection, record));
        let mut gate = poll_fn(|context| match gate.as_mut().poll(context) {
            // The lack was met here, or by somebody who cannot do without: then this one's memory is back at least.
            _ if memory::is_short() => {
                let error = io::ErrorKind::OutOfMemory.into();
                Poll::Ready(Err(Refusal::Unable(b"get memory".to_vec(), error)))
            }
            admitted => admitted,
        });
        // Most are decided at once, and need no clock.
        tokio::select! {
            biased;
            admitted = &mut gate => return admitted,
            () = std::future::ready(()) => {}
        }
        wait(server, record.remote.ip(), &mut gate).await
    };
    record.number = number;
    admitted
}

/// Waits for the gate; gives also the number that a connection from `ip` got when it was told of.
async fn wait(
    server: &Server,
    ip: IpAddr,
    mut gate: impl Future<Output = Result<Guest, Refusal>> + Unpin,
) -> (Option<Pid>, Result<Guest, Refusal>) {
    let mut notable = pin!(sleep(NOTABLE));
    let mut number = None;
    loop {
        tokio::select! {
            biased;
            admitted = &mut gate => return (number, admitted),
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
    stream: &OwnedFd,
    met: Option<&Met>,
    guest: &Guest,
    record: &Record,
) -> io::Result<Child> {
    let mut changes = guest.facts.changes(Order::AddressFirst);
    let mut lines = server.log.beginning(record, guest);
    if let (Some(layer), Some(met)) = (&server.layer, met) {
        changes.call(layer.protocol());
        met.settings
            .iter()
            .for_each(|setting| changes.setting(setting));
        if !met.words.is_empty() && !lines.is_empty() {
            lines.push(server.log.of_layer(layer.name(), &met.words));
        }
        for other in &met.others {
            fd::survive_exec(other.as_fd())?;
        }
    }
    // Last, so that a rule may override any of them.
    for setting in guest.verdict.settings() {
        changes.setting(setting);
    }
    let environment = changes.apply(&server.environment);
    server
        .children
        .spawn(Streams::both(stream.as_fd()), environment, &mut lines)
}
