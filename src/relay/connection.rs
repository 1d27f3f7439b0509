//! One connection's life in a relay, from accept to the carrier that takes it over: what happens to it, in order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::balance::identity;
use super::carriers::{Cargo, Carriers, Handed};
use super::carry::Wire;
use super::config::{Access, permits};
use super::log::Log;
use super::remotes::{self, Caller, Greeting, Remotes, Unreached};
use super::written::Written;
use crate::cli::number;
use crate::dns::Resolver;
use crate::service::{Allowance, Arrival, Overload, Place, Service};
use crate::sys::socket;
use crate::tls::between::{Entry, Inward, Met, Outward};
use crate::tls::facts as tls;
use crate::ucspi::gate::{Gate, Guest};
use crate::ucspi::log;
use crate::ucspi::proxy::{Addresses, Facts, Header};
use crate::ucspi::record::Record;

/// What all connections of a relay share.
pub(super) struct Relay {
    pub(super) service: Rc<Service>,
    pub(super) gate: Gate,
    pub(super) resolver: Resolver,
    pub(super) carriers: Carriers,
    pub(super) log: Log,
    pub(super) refusals: log::Log,
    pub(super) sessions: Cell<u32>,
    /// Sessions since the process began, and the news that they are enough.
    pub(super) carried: Cell<u32>,
    pub(super) retire: Notify,
    /// What HUP replaces.
    pub(super) current: RefCell<Rc<Current>>,
    /// TLS with clients, where a listener has it.
    pub(super) inward: Option<Rc<Inward>>,
}

/// What is in force.
pub(super) struct Current {
    pub(super) terms: remotes::Terms,
    /// How clients come in by each listener.
    pub(super) entries: Vec<(Place, Entry)>,
    /// TLS with remotes.
    pub(super) outward: Outward,
    /// Who may connect.
    pub(super) access: Vec<Access>,
    /// How long a session may move nothing; `None` is for ever.
    pub(super) idle: Option<Duration>,
    /// After so many sessions the process is replaced; 0 is never.
    pub(super) retire: u32,
    pub(super) remotes: Rc<Remotes>,
    /// Remotes that rules name, as they are written there.
    pub(super) routes: RefCell<HashMap<Vec<u8>, Rc<Remotes>>>,
}

/// What the rules want of a session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    /// `RELAYTO`: this remote and no other.
    to: Option<Vec<u8>>,
    /// `RELAYMAX`: so many sessions for each source.
    max: Option<u32>,
    /// `RELAYIDLE`: seconds, 0 for ever.
    idle: Option<u32>,
}

/// Serves one connection, which has come by the listener at `place`: returns when a carrier has it, or when it was refused,
/// or no remote took it.
pub(super) async fn serve(relay: Rc<Relay>, place: Rc<Place>, arrival: Arrival) {
    let began = Instant::now();
    let Arrival {
        connection: client,
        remote,
        slot,
        undecided,
    } = arrival;
    let mut record = relay.refusals.arrived(remote);
    let session = relay.next_number();
    record.number = i32::try_from(session).ok();
    // Whoever comes by a UNIX socket comes from nowhere that could be told.
    let is_local = record.remote == socket::PATH_PEER;
    let announced = if is_local {
        Ok(())
    } else {
        relay.gate.announce(&client, &mut record).await
    };
    let ip = record.remote.ip();
    relay.log.opened(session, ip);
    if let Err(refusal) = announced {
        return relay.refusals.turned_away(&mut record, &refusal);
    }
    let current = Rc::clone(&relay.current.borrow());
    if !is_local && !permits(&current.access, ip) {
        return relay.log.denied(session, ip, began.elapsed());
    }
    let guest = if is_local {
        None
    } else {
        match relay.gate.admit(&client, &record).await {
            Ok(guest) => Some(guest),
            Err(refusal) => return relay.refusals.turned_away(&mut record, &refusal),
        }
    };
    let failed = |why: &[u8]| relay.log.failed(session, why, began.elapsed());
    let verdict = guest.as_ref().map(|guest| &guest.verdict);
    let wishes = match Wishes::of(|name| verdict?.setting(name)) {
        Ok(wishes) => wishes,
        Err(why) => return failed(&why),
    };
    let allowance = Allowance {
        open: wishes.max,
        ..Allowance::default()
    };
    let entered = guest.as_ref().and_then(|guest| guest.entered.as_ref());
    if entered.is_some_and(|entered| entered.hold_to(&allowance).is_err()) {
        return failed(b"RELAYMAX sessions of this source");
    }
    let Some(entry) = current.entry(&place) else {
        return failed(b"its listener is gone");
    };
    let (client, secured) = match relay.meet(client, entry).await {
        Ok(met) => met,
        Err(why) => return relay.log.unmet(session, &why, began.elapsed()),
    };
    if let Some(secured) = &secured {
        relay.log.secured(session, None, &secured.words());
    }
    let remotes = match current.route(&wishes, &relay.resolver).await {
        Ok(remotes) => remotes,
        Err(why) => return failed(&why),
    };
    let header = header(&record, guest.as_ref(), secured.as_ref());
    let caller = Caller {
        session,
        client: client_identity(ip),
        greeting: Greeting {
            header: &header,
            protocol: secured.as_ref().and_then(tls::Facts::application),
            outward: &current.outward,
        },
    };
    let (connection, lease) = match remotes.reach(caller, &current.terms, relay.log).await {
        Ok(reached) => reached,
        Err(unreached) => {
            let is_reset = current.terms.overload == Overload::Reset;
            if matches!(unreached, Unreached::Full) && is_reset {
                client.reset();
            }
            return failed(&unreached.why());
        }
    };
    let facts = guest.as_ref().map(|guest| &guest.facts);
    relay.log.carried(session, facts, &lease.0);
    let entered = guest.and_then(|guest| guest.entered).map(Box::new);
    relay.carriers.carry(Handed {
        client,
        remote: connection,
        idle: wishes.idle.map_or(current.idle, limit),
        cargo: Cargo {
            number: session,
            began,
            lease,
            held: (slot, entered),
        },
    });
    undecided.served();
    relay.count(current.retire);
}

/// What a remote is told of a connection. Of one that came by a UNIX socket there is nothing to say. What the client has
/// said to us with TLS counts, and not what somebody before us says of his.
fn header(record: &Record, guest: Option<&Guest>, secured: Option<&tls::Facts>) -> Header {
    let announced = record.announced.as_ref();
    let announced = announced.map(|it| it.facts.clone()).unwrap_or_default();
    Header {
        addresses: guest.map(|guest| Addresses {
            remote: record.remote,
            local: guest.local,
        }),
        facts: match secured {
            None => announced,
            Some(secured) => Facts {
                unique_id: announced.unique_id,
                ..secured.announced()
            },
        },
    }
}

impl Relay {
    /// The client, after the handshake if it speaks TLS; or why it does not get on with it.
    async fn meet(
        &self,
        client: OwnedFd,
        entry: Entry,
    ) -> Result<(Wire, Option<tls::Facts>), String> {
        if entry == Entry::Plain {
            return Ok((Wire::Plain(client), None));
        }
        let inward = self.inward.as_ref().ok_or("there are no keys")?;
        // In a box: a session without it does not pay for its room.
        Ok(match Box::pin(inward.meet(entry, client)).await? {
            Met::Plain(client) => (Wire::Plain(client), None),
            Met::Tls(shaken, facts) => (Wire::Tls(shaken), Some(facts)),
        })
    }

    fn next_number(&self) -> u32 {
        // As large as a connection's number can be.
        let number = self.sessions.get() % i32::MAX.unsigned_abs() + 1;
        self.sessions.set(number);
        number
    }

    /// Counts a session that is carried, of which there may be `max` until the process is replaced.
    fn count(&self, max: u32) {
        let carried = self.carried.get().saturating_add(1);
        self.carried.set(carried);
        if max != 0 && carried >= max {
            self.retire.notify_one();
        }
    }
}

impl Current {
    /// How clients come in at `place`; none when a reload has closed it, and nobody may guess.
    fn entry(&self, place: &Place) -> Option<Entry> {
        let found = self.entries.iter().find(|(known, _)| known == place);
        found.map(|(_, entry)| *entry)
    }

    /// The remotes for a session.
    async fn route(&self, wishes: &Wishes, resolver: &Resolver) -> Result<Rc<Remotes>, Vec<u8>> {
        let Some(text) = &wishes.to else {
            return Ok(Rc::clone(&self.remotes));
        };
        if let Some(known) = self.routes.borrow().get(text) {
            return Ok(Rc::clone(known));
        }
        let written = Written::read(text).map_err(|mistake| mistake.text())?;
        // What is known of a remote is known of it here too.
        let all = Some(&*self.remotes);
        let remotes = Remotes::new(&[written], &self.terms, resolver, all).await;
        let remotes = remotes.map_err(|error| error.text().to_vec())?;
        let remotes = Rc::new(remotes);
        let mut routes = self.routes.borrow_mut();
        Ok(Rc::clone(routes.entry(text.clone()).or_insert(remotes)))
    }
}

impl Wishes {
    /// What `setting` gives for the names of settings. One that cannot be read lets nobody through: it may be there to keep
    /// somebody from where he must not go.
    fn of<'rule>(setting: impl Fn(&str) -> Option<&'rule [u8]>) -> Result<Self, Vec<u8>> {
        let count = |name: &str| {
            let wrong = || [name.as_bytes(), b" is not a number"].concat();
            let text = setting(name);
            text.map(|text| number(text).ok_or_else(wrong)).transpose()
        };
        Ok(Self {
            to: setting("RELAYTO").map(<[u8]>::to_vec),
            max: count("RELAYMAX")?,
            idle: count("RELAYIDLE")?,
        })
    }
}

impl Unreached {
    fn why(&self) -> Vec<u8> {
        match self {
            Self::NoRemote => b"no remote".to_vec(),
            Self::Full => b"all remotes are full".to_vec(),
            Self::Unable(why) => [b"unable to connect: ", why.as_bytes()].concat(),
        }
    }
}

/// A limit in seconds; 0 is none.
pub(super) fn limit(seconds: u32) -> Option<Duration> {
    (seconds != 0).then(|| Duration::from_secs(seconds.into()))
}

/// By what a client is known when its remote depends on it.
fn client_identity(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => identity(&ip.octets()),
        IpAddr::V6(ip) => identity(&ip.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::Wishes;

    /// What a rule with these settings wants.
    fn wishes(settings: &[(&str, &'static str)]) -> Result<Wishes, Vec<u8>> {
        Wishes::of(|name| {
            let (_, value) = settings.iter().find(|(known, _)| *known == name)?;
            Some(value.as_bytes())
        })
    }

    #[test]
    fn settings_are_read() {
        let read = wishes(&[("RELAYIDLE", "7"), ("X", "1"), ("RELAYTO", "a:1")]);
        let meant = Wishes {
            to: Some(b"a:1".to_vec()),
            max: None,
            idle: Some(7),
        };
        assert_eq!(read, Ok(meant));
        assert_eq!(wishes(&[]), Ok(Wishes::default()));
    }

    #[test]
    fn setting_that_cannot_be_read_lets_nobody_through() {
        for (name, value) in [("RELAYMAX", "many"), ("RELAYIDLE", "")] {
            let why = format!("{name} is not a number").into_bytes();
            assert_eq!(wishes(&[(name, value)]), Err(why));
        }
    }
}
