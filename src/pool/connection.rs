//! One connection's life: it asks, a worker answers, and so on, until it has asked enough.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::client::{Asked, Client, Manners, Room};
use super::crew::Crew;
use super::frame::Scanner;
use super::queue::{QueryId, Reason};
use super::talk::Talk;
use crate::cli::{Json, Voice};
use crate::service::{Arrival, End, Entered, Service, Stage};
use crate::sys::process::Pid;
use crate::ucspi::gate::{Gate, Guest};
use crate::ucspi::log::Log;
use crate::ucspi::record::Record;

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
}

/// Serves one connection: it has ended when that has asked enough, or was refused.
#[allow(
    clippy::manual_async_fn,
    reason = "an async function stores its arguments twice"
)]
pub(super) fn serve(server: Rc<Server>, arrival: Arrival) -> impl Future<Output = ()> {
    async move {
        let log = &server.log;
        let mut record = log.arrived(arrival.remote);
        // In a box: what the gate needs is given back before the first query.
        let admitted = Box::pin(admit(&server, &arrival.connection, &mut record)).await;
        let Some(admitted) = admitted else {
            return;
        };
        arrival.undecided.served();
        server.clients.set(server.clients.get() + 1);
        match Client::new(arrival.connection, admitted.number, admitted.address) {
            Ok(mut client) => {
                let stages = server.service.stages();
                tokio::select! {
                    () = converse(&server, &mut client) => {}
                    () = stages.reach(Stage::Ask) => {}
                }
            }
            Err(error) => log.dropped(&record, b"watch it", &error),
        }
        server.clients.set(server.clients.get() - 1);
        if let Some(entered) = admitted.entered {
            entered.ended(End {
                status: Some(0),
                served: record.served(),
            });
        }
        log.ended(&record);
        // Named, or it would not be in here: it is free from now on.
        drop(arrival.slot);
    }
}

/// What is kept of a connection that was let in.
struct Admitted {
    /// For the log.
    number: Pid,
    /// What workers are told before each query.
    address: Option<Vec<u8>>,
    /// It counts for its source until its end. In a box: few do.
    entered: Option<Box<Entered>>,
}

/// Takes a connection through the gate; `None` when it is not to be served, and that was said.
async fn admit(server: &Server, connection: &OwnedFd, record: &mut Record) -> Option<Admitted> {
    let log = &server.log;
    let admitted = server.gate.receive(connection, record).await;
    let mut guest = match admitted {
        Ok(guest) => guest,
        Err(refusal) => {
            log.refused(record, &refusal);
            return None;
        }
    };
    log.let_in(record, &guest);
    server.note_settings(&guest);
    let address = server.manners.tells_address;
    Some(Admitted {
        number: log.served(record, &guest),
        address: address.then(|| format!("{} ", guest.remote_ip()).into_bytes()),
        entered: guest.entered.take().map(Box::new),
    })
}

/// The conversation with one client.
async fn converse(server: &Rc<Server>, client: &mut Client) {
    let manners = &server.manners;
    let mut asked = 0_u32;
    loop {
        // One that has not asked yet was accepted, and its query may be on the way.
        let stages = (asked > 0).then(|| server.service.stages());
        let goes_on = match client.query(manners, &server.room, stages).await {
            Asked::Nothing => break,
            Asked::Wrong(reason) => {
                Pending::new(server).wrong(client, reason).await;
                break;
            }
            Asked::Query(query) => answer(server, client, query).await,
            // In a box: a connection that needs none does not pay for its room.
            Asked::Part(part, scanner) => Box::pin(stream(server, client, part, *scanner)).await,
        };
        asked = asked.saturating_add(1);
        if !goes_on || asked == manners.queries {
            break;
        }
    }
    client.part(&server.room).await;
}

/// Has a whole query answered; true when the client may ask another.
async fn answer(server: &Rc<Server>, client: &Client, query: Vec<u8>) -> bool {
    let length = query.len() as u64;
    let mut pending = Pending::new(server);
    let Some(query) = server.addressed(client, query) else {
        pending.wrong(client, Reason::Bad).await;
        return false;
    };
    let talk = Talk::whole(query);
    pending.ask(&talk);
    let written = client.pass_reply(&talk, server.manners.idle).await;
    pending.end(client, &talk, written, length).await
}

/// Passes a query on as it comes, and its reply; true when the client may ask another.
async fn stream(
    server: &Rc<Server>,
    client: &mut Client,
    part: Vec<u8>,
    mut scanner: Scanner,
) -> bool {
    let idle = server.manners.idle;
    let mut length = part.len() as u64;
    let mut pending = Pending::new(server);
    let Some(part) = server.addressed(client, part) else {
        pending.wrong(client, Reason::Bad).await;
        return false;
    };
    let talk = Talk::streamed(part);
    pending.ask(&talk);
    let mut rest = Vec::new();
    let written = {
        let query = async {
            let passed = client.pass_query(&talk, &mut scanner, &server.room, idle);
            let (more, behind) = passed.await?;
            length += more;
            rest = behind;
            // The reply ends it.
            std::future::pending().await
        };
        tokio::select! {
            written = client.pass_reply(&talk, idle) => Ok(written),
            broken = query => broken,
        }
    };
    client.put_back(rest);
    match written {
        Ok(written) => pending.end(client, &talk, written, length).await,
        Err(reason) => {
            pending.wrong(client, reason).await;
            false
        }
    }
}

/// A query for which the statistics wait: it has failed, unless it is said otherwise.
struct Pending<'a> {
    server: &'a Rc<Server>,
    /// The queue's, until it knows the outcome.
    id: Option<QueryId>,
    is_counted: bool,
}

impl<'a> Pending<'a> {
    fn new(server: &'a Rc<Server>) -> Self {
        server.crew.statistics.borrow_mut().asked();
        Self {
            server,
            id: None,
            is_counted: false,
        }
    }

    fn ask(&mut self, talk: &Rc<Talk>) {
        self.id = Some(self.server.crew.ask(talk));
    }

    /// The client has asked what is no query.
    async fn wrong(self, client: &Client, reason: Reason) {
        self.server.tell_failure(client, reason, None);
        Box::pin(self.send_error(client, reason)).await;
    }

    /// The query has ended, and what came of its reply was written; true when the client may ask another.
    async fn end(
        mut self,
        client: &Client,
        talk: &Talk,
        written: io::Result<bool>,
        length: u64,
    ) -> bool {
        let Ok(has_begun) = written else {
            return false;
        };
        match talk.end() {
            Some(Ok(())) => {
                self.id = None;
                self.is_counted = true;
                let after = talk.since.elapsed();
                self.server.crew.statistics.borrow_mut().replied(after);
                self.server.tell_reply(client, talk, length, after);
                talk.is_whole()
            }
            Some(Err(reason)) => {
                self.id = None;
                self.server.tell_failure(client, reason, talk.pid());
                if has_begun {
                    // What it has got is not all.
                    client.reset();
                    return false;
                }
                // In a box, as all that few need.
                Box::pin(self.send_error(client, reason)).await && talk.is_whole()
            }
            None => false,
        }
    }

    /// Sends the answer of a query that has failed; false when the connection is to be closed.
    async fn send_error(self, client: &Client, reason: Reason) -> bool {
        let manners = &self.server.manners;
        if manners.error.is_empty() {
            return false;
        }
        let text = error_text(&manners.error, reason);
        let reply = manners.reply.wrap(&text);
        client.send(&reply, manners.idle).await.is_ok()
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.server.crew.leave(id);
        }
        if !self.is_counted {
            self.server.crew.statistics.borrow_mut().failed();
        }
    }
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
