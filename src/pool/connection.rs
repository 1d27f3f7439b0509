//! One connection's life: it asks, a worker answers, and so on, until it has asked enough.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::client::{Asked, Client, Manners, Parts, Room};
use super::crew::Crew;
use super::frame::Scanner;
use super::queue::Reason;
use super::session::{Pending, Session, Turn};
use super::talk::Talk;
use crate::cli::{Json, Voice};
use crate::service::{Arrival, End, Entered, Service, Slot, Stage, Tasks};
use crate::sys::process::Pid;
use crate::ucspi::gate::{Gate, Guest, Refusal};
use crate::ucspi::log::Log;
use crate::ucspi::record::Record;
use crate::ucspi::upgrade::Counts;

/// What all connections of a pool share.
pub(super) struct Server {
    pub(super) service: Rc<Service>,
    pub(super) gate: Gate,
    pub(super) log: Log,
    pub(super) voice: Voice,
    pub(super) crew: Rc<Crew>,
    pub(super) manners: Manners,
    /// Room that all connections read into, in turn.
    pub(super) room: Room,
    /// Connections that are open.
    pub(super) clients: Cell<u32>,
    /// It was said that workers do not get what rules set.
    pub(super) has_warned: Cell<bool>,
    /// Connections that were let go of.
    pub(super) moved: RefCell<Vec<Moved>>,
    pub(super) tasks: Tasks,
}

/// A connection that was let go of.
pub(super) struct Moved {
    pub(super) record: Record,
    /// It counts for its source.
    pub(super) counts: bool,
    pub(super) at: Place,
}

/// Where a connection is.
pub(super) enum Place {
    /// At the gate.
    Gate(OwnedFd),
    /// It talks.
    Session(Box<Session>),
}

impl Moved {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.at {
            Place::Gate(connection) => connection.as_fd(),
            Place::Session(session) => session.client.descriptor(),
        }
    }
}

/// A connection that is to be served.
pub(super) enum Case {
    /// It was just accepted.
    Arrived(Arrival),
    /// It was let go of.
    Moved(Box<(Moved, Counts)>),
}

/// A connection that was let in.
struct Open {
    record: Record,
    slot: Slot,
    /// It counts for its source until its end. In a box: few do.
    entered: Option<Box<Entered>>,
    session: Session,
}

/// Serves one connection: it has ended when that has asked enough, or was refused or let go of.
pub(super) fn serve(server: Rc<Server>, case: Case) -> impl Future<Output = ()> {
    let task = server.tasks.enter();
    // In a box, and no `async fn`, whose arguments stay: what the gate needs is given back before the first query.
    let opening = Box::pin(open(Rc::clone(&server), case));
    async move {
        let _task = &task;
        let Some(mut open) = opening.await else {
            return;
        };
        server.clients.set(server.clients.get() + 1);
        let stages = server.service.stages();
        let stage = tokio::select! {
            () = converse(&server, &mut open.session) => None,
            stage = stages.after(Stage::Leave) => Some(stage),
        };
        server.clients.set(server.clients.get() - 1);
        if stage == Some(Stage::Recall) {
            let at = Place::Session(Box::new(open.session));
            return server.let_go(open.record, open.entered.is_some(), at);
        }
        if let Turn::Waiting(pending) = &open.session.turn {
            server.give_up(pending);
        }
        server.end(&open.record, open.entered);
        drop(open.slot);
    }
}

/// Takes a connection as far as it is let in; nothing when it is not, or was let go of.
async fn open(server: Rc<Server>, case: Case) -> Option<Open> {
    let (mut record, counts, at) = match case {
        Case::Arrived(arrival) => {
            let counts = Counts {
                entered: None,
                slot: arrival.slot,
                undecided: Some(arrival.undecided),
            };
            let record = server.log.arrived(arrival.remote);
            (record, counts, Place::Gate(arrival.connection))
        }
        Case::Moved(moved) => {
            let (Moved { record, at, .. }, counts) = *moved;
            (record, counts, at)
        }
    };
    let (entered, session) = match at {
        Place::Session(session) => (counts.entered, *session),
        Place::Gate(connection) => {
            let guest = match admit(&server, &connection, &mut record).await {
                Ok(guest) => guest,
                Err(Refusal::LetGo) => {
                    server.let_go(record, false, Place::Gate(connection));
                    return None;
                }
                Err(refusal) => {
                    server.log.refused(&mut record, &refusal);
                    return None;
                }
            };
            let (number, address, entered) = let_in(&server, &mut record, guest);
            if let Some(undecided) = counts.undecided {
                undecided.served();
            }
            match Client::new(connection, number, address) {
                Ok(client) => (entered, Session::new(client)),
                Err(error) => {
                    server.log.dropped(&record, b"watch it", &error);
                    server.end(&record, entered.map(Box::new));
                    return None;
                }
            }
        }
    };
    Some(Open {
        record,
        slot: counts.slot,
        entered: entered.map(Box::new),
        session,
    })
}

/// Takes a connection through the gate, unless it is let go of there.
async fn admit(
    server: &Server,
    connection: &OwnedFd,
    record: &mut Record,
) -> Result<Guest, Refusal> {
    tokio::select! {
        biased;
        received = server.gate.receive(connection, record) => received,
        () = server.service.stages().recall() => Err(Refusal::LetGo),
    }
}

/// Says that a connection is served; gives its number, what workers are told of its client, and what it counts for.
fn let_in(
    server: &Server,
    record: &mut Record,
    mut guest: Guest,
) -> (Pid, Option<Vec<u8>>, Option<Entered>) {
    server.log.let_in(record, &guest);
    server.note_settings(&guest);
    let address = server.manners.tells_address;
    let address = address.then(|| format!("{} ", guest.remote_ip()).into_bytes());
    (
        server.log.served(record, &guest),
        address,
        guest.entered.take(),
    )
}

/// The conversation with one client. What is waited for may be dropped at any time: the session says how to go on.
async fn converse(server: &Rc<Server>, session: &mut Session) {
    let manners = &server.manners;
    let Session {
        client,
        asked,
        turn,
    } = session;
    loop {
        *turn = match turn {
            Turn::Asking(since) => {
                // One that has not asked yet was accepted, and its query may be on the way.
                let stages = (*asked > 0).then(|| server.service.stages());
                match client.query(manners, &server.room, *since, stages).await {
                    Asked::Nothing => Turn::Parting(None),
                    Asked::Wrong(reason) => {
                        server.crew.statistics.borrow_mut().asked();
                        server.fail(client, reason, None, false)
                    }
                    Asked::Query(query) => server.ask(client, query, None),
                    Asked::Part(part, scanner) => server.ask(client, part, Some(*scanner)),
                }
            }
            Turn::Waiting(pending) => {
                let answered = match pending.parts {
                    None => answer(server, client, &pending.talk).await,
                    // In a box: a connection that needs none does not pay for its room.
                    Some(_) => Box::pin(stream(server, client, pending)).await,
                };
                server.answered(client, pending, answered)
            }
            Turn::Told(goes_on) => {
                let is_told = client.send(manners.idle).await.is_ok();
                Turn::Over(is_told && *goes_on)
            }
            Turn::Over(goes_on) => {
                *asked = asked.saturating_add(1);
                if *goes_on && *asked != manners.queries {
                    client.sent.set(0);
                    Turn::Asking(Instant::now())
                } else {
                    Turn::Parting(None)
                }
            }
            Turn::Parting(since) => return client.part(&server.room, since).await,
        };
    }
}

/// How a query has ended for its connection.
enum Answered {
    /// As its talk says.
    Told,
    /// The client has left, or does not read.
    Left,
    /// What has come of it is no query.
    Wrong(Reason),
}

/// Passes on the reply to a query.
async fn answer(server: &Server, client: &Client, talk: &Talk) -> Answered {
    match client.pass_reply(talk, server.manners.idle).await {
        Ok(()) => Answered::Told,
        Err(_) => Answered::Left,
    }
}

/// Passes on a query as it comes, and its reply.
async fn stream(server: &Server, client: &mut Client, pending: &mut Pending) -> Answered {
    let talk = Rc::clone(&pending.talk);
    if let (false, Some(parts)) = (talk.is_whole(), &mut pending.parts) {
        let (idle, length) = (server.manners.idle, &mut pending.length);
        let passed = tokio::select! {
            answered = answer(server, client, &talk) => return answered,
            passed = client.pass_query(&talk, parts, &server.room, idle, length) => passed,
        };
        match passed {
            Ok(behind) => client.put_back(behind),
            Err(reason) => return Answered::Wrong(reason),
        }
    }
    answer(server, client, &talk).await
}

/// `text` with the word for `reason` in place of each `%r`.
pub(super) fn error_text(text: &[u8], reason: Reason) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"%r") {
            out.extend_from_slice(reason.word().as_bytes());
            rest = after;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}

impl Server {
    fn let_go(&self, record: Record, counts: bool, at: Place) {
        let moved = Moved { record, counts, at };
        self.moved.borrow_mut().push(moved);
    }

    /// A connection that was let in has ended.
    fn end(&self, record: &Record, entered: Option<Box<Entered>>) {
        if let Some(entered) = entered {
            entered.ended(End {
                status: Some(0),
                served: record.served(),
            });
        }
        self.log.ended(record);
    }

    /// Asks a query of which this is all, or the beginning.
    fn ask(&self, client: &Client, query: Vec<u8>, scanner: Option<Scanner>) -> Turn {
        self.crew.statistics.borrow_mut().asked();
        let length = query.len() as u64;
        let Some(query) = self.addressed(client, query) else {
            return self.fail(client, Reason::Bad, None, false);
        };
        let talk = match scanner {
            None => Talk::whole(query),
            Some(_) => Talk::streamed(query),
        };
        let parts = scanner.map(|scanner| {
            let since = Instant::now();
            Box::new(Parts { scanner, since })
        });
        Turn::Waiting(Pending {
            id: self.crew.ask(&talk),
            talk,
            length,
            parts,
        })
    }

    /// What follows when a query has ended.
    fn answered(&self, client: &Client, pending: &Pending, answered: Answered) -> Turn {
        let talk = &pending.talk;
        match (answered, talk.end()) {
            (Answered::Told, Some(Ok(()))) => {
                let after = talk.since.elapsed();
                self.crew.statistics.borrow_mut().replied(after);
                self.tell_reply(client, talk, pending.length, after);
                Turn::Over(talk.is_whole())
            }
            (Answered::Told, Some(Err(reason))) => {
                self.fail(client, reason, talk.pid(), talk.is_whole())
            }
            (Answered::Wrong(reason), _) => {
                self.crew.leave(pending.id);
                self.fail(client, reason, None, false)
            }
            (Answered::Left | Answered::Told, _) => {
                self.give_up(pending);
                Turn::Over(false)
            }
        }
    }

    /// Nobody waits for the answer any more.
    fn give_up(&self, pending: &Pending) {
        self.crew.leave(pending.id);
        self.crew.statistics.borrow_mut().failed();
    }

    /// A query has failed: the client is told so, if it has heard nothing yet. With `goes_on` it may then ask another.
    fn fail(&self, client: &Client, reason: Reason, pid: Option<Pid>, goes_on: bool) -> Turn {
        self.tell_failure(client, reason, pid);
        self.crew.statistics.borrow_mut().failed();
        if !client.takes_back() {
            // What it has got is not all.
            client.reset();
            return Turn::Over(false);
        }
        let manners = &self.manners;
        if manners.error.is_empty() {
            return Turn::Over(false);
        }
        let text = error_text(&manners.error, reason);
        client.tell(&manners.reply.wrap(&text));
        Turn::Told(goes_on)
    }

    /// A query as workers get it. `None`: it cannot be made longer.
    fn addressed(&self, client: &Client, query: Vec<u8>) -> Option<Vec<u8>> {
        match &client.address {
            None => Some(query),
            Some(address) => self.manners.query.replace_front(&query, 0, address),
        }
    }

    /// Says once that rules set what no worker gets.
    fn note_settings(&self, guest: &Guest) {
        if guest.verdict.settings().next().is_some() && !self.has_warned.replace(true) {
            const TEXT: &[u8] = b"the rules set variables, which workers do not get: they live longer than a connection";
            self.voice
                .tell_as(&[TEXT], || Json::event("note").text("text", TEXT));
        }
    }

    fn tell_reply(&self, client: &Client, talk: &Talk, length: u64, after: Duration) {
        if self.voice.tells_everything() {
            let (number, pid) = (client.number, talk.pid().unwrap_or(0));
            let millis = after.as_millis();
            let sent = client.sent.get();
            let line = format!("query {number} worker {pid} in {length} out {sent} ms {millis}");
            self.voice.tell_as(&[line.as_bytes()], || {
                Json::event("query")
                    .value("number", number)
                    .value("worker", pid)
                    .value("in", length)
                    .value("out", sent)
                    .value("ms", millis)
            });
        }
    }

    fn tell_failure(&self, client: &Client, reason: Reason, pid: Option<Pid>) {
        if self.voice.tells_everything() {
            let worker = pid.map_or_else(String::new, |pid| format!(" worker {pid}"));
            let line = format!("fail {} {}{worker}", client.number, reason.word());
            self.voice.tell_as(&[line.as_bytes()], || {
                Json::event("fail")
                    .value("number", client.number)
                    .number("worker", pid)
                    .text("reason", reason.word().as_bytes())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::serve;

    fn size_of_future<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// It is in the task of each; with those of the runtime and of the query, less than 2 kB.
    #[test]
    fn connection_takes_little_room() {
        let size = size_of_future(serve);
        assert!(size <= 1200, "{size} bytes");
    }
}
