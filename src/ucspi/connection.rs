//! One connection's life, from accept to its end line: what happens to it, in order.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::children::{Child, Children};
use super::environ::Marked;
use super::facts::Order;
use super::gate::{Gate, Guest, Refusal};
use super::layer::{Layer, Met};
use super::log::Log;
use super::moved::{Moved, Place};
use super::record::Record;
use super::upgrade::Counts;
use crate::service::{Arrival, End, Entered, Service, Slot, Stage, Stages, Tasks, Undecided};
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
    pub(super) environment: Marked,
    /// The program, by the name under which it is looked for.
    pub(super) program: Vec<u8>,
    pub(super) log: Log,
    /// What stands between a connection and its program.
    pub(super) layer: Option<Rc<dyn Layer>>,
    /// Connections that were let go of.
    pub(super) moved: RefCell<Vec<Moved>>,
    /// The tasks of connections, also of those that have no slot any more.
    pub(super) tasks: Tasks,
}

/// A connection that is to be served.
pub(super) enum Case {
    /// It was just accepted.
    Arrived(Arrival),
    /// It was let go of.
    Moved(Box<(Moved, Counts)>),
}

/// How far a connection has come.
enum Begun {
    /// It was refused or dropped.
    Refused,
    /// It was let go of at the gate.
    LetGo(OwnedFd),
    /// Its program runs, or has ended. What carries its bytes, if the program does not have the connection itself.
    Program(Child, Option<Entered>, Option<JoinHandle<()>>),
}

/// A connection that was let in.
struct Open {
    record: Record,
    slot: Option<Slot>,
    child: Child,
    entered: Option<Entered>,
    carrying: Option<JoinHandle<()>>,
    /// How its program ended is told.
    is_told: bool,
}

/// A connection that is not decided after so long is told of.
const NOTABLE: Duration = Duration::from_secs(1);

/// Serves one connection: returns when its program has ended, or when it was refused, dropped or let go of.
pub(super) fn serve(server: Rc<Server>, case: Case) -> impl Future<Output = ()> {
    let task = server.tasks.enter();
    // In a box, and no `async fn`, whose arguments stay: what it takes to decide is of no use to a connection that is served,
    // and there are many of them.
    let opening = Box::pin(open(Rc::clone(&server), case));
    async move {
        let _task = &task;
        let Some(mut open) = opening.await else {
            return;
        };
        let stages = server.service.stages();
        if !open.is_told {
            let Some(end) = open.child.ended(stages).await else {
                let counts = open.entered.is_some();
                return server.let_go(open.record, counts, Place::Program(open.child));
            };
            if let Some(carrying) = open.carrying.take() {
                carried(carrying, stages).await;
            }
            // Before the log says so: who reads it may count on it.
            if let Some(entered) = open.entered.take() {
                entered.ended(End {
                    status: Some(end.status),
                    served: open.record.served(),
                });
            }
            open.record.end = Some(end);
            server.log.ended(&open.record);
        }
        if !open.child.was_told() {
            // What goes on by itself needs none.
            open.slot = None;
        }
        if open.child.leave(stages).await {
            server.let_go(open.record, false, Place::Rest(open.child));
        }
    }
}

impl Server {
    fn let_go(&self, record: Record, counts: bool, at: Place) {
        let moved = Moved { record, counts, at };
        self.moved.borrow_mut().push(moved);
    }
}

/// Takes a connection as far as it is let in; nothing when it is not, or was let go of.
async fn open(server: Rc<Server>, case: Case) -> Option<Open> {
    let (mut record, slot, connection, undecided) = match case {
        Case::Arrived(arrival) => {
            let record = server.log.arrived(arrival.remote);
            let undecided = Some(arrival.undecided);
            (record, arrival.slot, arrival.connection, undecided)
        }
        Case::Moved(moved) => {
            let (Moved { record, at, .. }, counts) = *moved;
            let Counts {
                entered,
                slot,
                undecided,
            } = counts;
            let is_told = matches!(at, Place::Rest(_));
            match at {
                Place::Gate(connection) => (record, slot, connection, undecided),
                Place::Program(child) | Place::Rest(child) => {
                    return Some(Open {
                        record,
                        slot: Some(slot),
                        child,
                        entered,
                        carrying: None,
                        is_told,
                    });
                }
            }
        }
    };
    match begin(&server, connection, undecided, &mut record).await {
        Begun::Refused => None,
        Begun::LetGo(connection) => {
            server.let_go(record, false, Place::Gate(connection));
            None
        }
        Begun::Program(child, entered, carrying) => Some(Open {
            record,
            slot: Some(slot),
            child,
            entered,
            carrying,
            is_told: false,
        }),
    }
}

/// Decides about a connection, and makes its child. Nothing of ours holds a connection that is served, but a layer: the
/// peer would not see its end.
async fn begin(
    server: &Rc<Server>,
    connection: OwnedFd,
    undecided: Option<Undecided>,
    record: &mut Record,
) -> Begun {
    let log = &server.log;
    let mut guest = match admit(server, &connection, record).await {
        Ok(guest) => guest,
        Err(Refusal::LetGo) => return Begun::LetGo(connection),
        Err(refusal) => {
            log.refused(record, &refusal);
            return Begun::Refused;
        }
    };
    log.let_in(record, &guest);
    let (stream, met) = match &server.layer {
        None => (connection, None),
        Some(layer) => match layer.meet(connection).await {
            Ok((stream, met)) => (stream, Some(met)),
            Err(why) => {
                log.refused(record, &Refusal::Unmet(layer.name(), why));
                return Begun::Refused;
            }
        },
    };
    let (child, failure) = match spawn(server, &stream, met.as_ref(), &guest, record) {
        Ok(made) => made,
        Err(error) => {
            log.dropped(record, b"fork", &error);
            return Begun::Refused;
        }
    };
    log.begun(record, child.pid);
    if let Some(Failure { step, error }) = &failure {
        let doing = match step {
            Step::Run => &[b"run ", &server.program[..]].concat(),
            Step::Descriptors => &b"set up descriptors"[..],
        };
        log.failed(record, doing, error);
    }
    if let Some(undecided) = undecided {
        undecided.served();
    }
    let carrying = met.map(|met| carry(server, met, child.pid));
    Begun::Program(child, guest.entered.take(), carrying)
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
    let ip = record.remote.ip();
    if record.announced.is_none() {
        let before = record.number;
        let (number, announced) = {
            let announced = pin!(server.gate.announce(connection, record));
            patiently(server, ip, before, announced).await
        };
        record.number = number;
        announced?;
    }
    let number = record.number;
    let ip = record.remote.ip();
    let (number, admitted) = {
        let admitted = pin!(server.gate.admit(connection, record));
        patiently(server, ip, number, admitted).await
    };
    record.number = number;
    admitted
}

/// Does a part of what the gate does, with a connection from `ip`; gives also the number that it has got, when it was told
/// of, if it had no `number` before. Each part has its place with the caller: as an argument it would have two.
async fn patiently<T>(
    server: &Server,
    ip: IpAddr,
    number: Option<Pid>,
    mut part: Pin<&mut impl Future<Output = Result<T, Refusal>>>,
) -> (Option<Pid>, Result<T, Refusal>) {
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
            () = server.service.stages().recall() => return (number, Err(Refusal::LetGo)),
            () = &mut notable, if number.is_none() && server.log.is_detailed() => {
                number = server.log.waiting(ip);
            }
        }
    }
}

/// Makes the child, with all that is known of the connection in its environment; if it fails to be the program, with why.
fn spawn(
    server: &Server,
    stream: &OwnedFd,
    met: Option<&Met>,
    guest: &Guest,
    record: &Record,
) -> io::Result<(Child, Option<Failure>)> {
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
