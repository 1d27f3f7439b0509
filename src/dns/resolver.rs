//! Asking by name and by address, with a memory.
//!
//! All connections of a process share one resolver. A question that is being asked is asked once, whoever else wants to
//! know; what was answered is remembered for its time to live, within bounds, also that there is nothing. What could
//! not be found out is not remembered. The name servers are read when the first question is asked, and again when
//! `/etc/resolv.conf` has changed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::config::{self, Servers};
use super::query::{self, Question};
use super::{hosts, literal, name};
use crate::sys::random;

/// What is remembered is remembered at most so long.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// The same for "there is nothing", and for how long when the answer does not say. RFC 2308 section 5.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
const NEGATIVE_TTL: Duration = Duration::from_secs(10);
/// How many answers are remembered.
const ANSWERS_MAX: usize = 4096;
/// How much longer a family of addresses is waited for when there are some of the other.
const SECOND_FAMILY: Duration = Duration::from_secs(1);
/// How many aliases may lead from a name to its records.
const ALIASES_MAX: usize = 16;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
    /// All addresses.
    Both,
}

/// The way to ask. Clones share one memory. Must be used inside a `LocalSet`.
#[derive(Clone, Debug)]
pub struct Resolver(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// No question takes longer.
    limit: Duration,
    servers: RefCell<Option<Rc<Servers>>>,
    answers: RefCell<HashMap<Key, Answer>>,
    in_flight: RefCell<HashMap<Key, Rc<Flight>>>,
}

type Key = (Name, RecordType);

/// Records of one kind, in the order of the answer; none when there are none.
pub(super) type Records = Rc<[RData]>;

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) records: Records,
    expires: Instant,
}

/// A question that is being asked.
#[derive(Debug, Default)]
struct Flight {
    /// The records, or the errno of the failure.
    landed: OnceCell<Result<Records, i32>>,
    news: Notify,
}

impl Resolver {
    /// A resolver whose every question takes at most `limit`. Nothing is read before the first question.
    pub fn new(limit: Duration) -> Self {
        Self(Rc::new(Shared {
            limit,
            servers: RefCell::default(),
            answers: RefCell::default(),
            in_flight: RefCell::default(),
        }))
    }

    /// The addresses of an operand: of an IPv4 address itself, or of a name, which is qualified and looked up, first in
    /// `/etc/hosts` unless `$DNSCACHEIP` is set. IPv4 first, each family in random order; none when there are none.
    ///
    /// # Errors
    /// It could not be found out now: a file cannot be read, no server answers, or the name is too long (EPROTO).
    pub async fn host(&self, operand: &[u8], families: Families) -> io::Result<Vec<IpAddr>> {
        let has_mark = operand.iter().any(|byte| b".[]".contains(byte));
        let is_address = has_mark && literal::addresses(operand).is_some();
        let mut found = Vec::new();
        if !is_address && !config::is_given_a_cache() {
            // A hosts file that cannot be read is none: without it the name servers are asked, as the original always does.
            let hosts = std::fs::read("/etc/hosts").unwrap_or_default();
            found = hosts::addresses(&hosts, operand);
            found.retain(|address| address.is_ipv4() || families == Families::Both);
        }
        if found.is_empty() {
            for name in config::rules(is_address)?.qualify(operand) {
                found = match literal::addresses(&name) {
                    Some(addresses) => addresses.into_iter().map(IpAddr::V4).collect(),
                    None => self.addresses(&name, families).await?,
                };
                if !found.is_empty() {
                    break;
                }
            }
        }
        random::shuffle(&mut found);
        found.sort_by_key(IpAddr::is_ipv6);
        Ok(found)
    }

    /// The addresses of the full name `name`, of one family or of both. Where one family cannot be found out now, the
    /// other one is the answer; and when one has addresses, the other is not waited for much longer.
    ///
    /// # Errors
    /// No server gave a usable answer, or the name is too long (EPROTO).
    pub async fn addresses(&self, name: &[u8], families: Families) -> io::Result<Vec<IpAddr>> {
        let name = name::parse(name)?;
        let mut v4 = pin!(self.family(name.clone(), RecordType::A));
        let mut v6 = pin!(self.family(name, RecordType::AAAA));
        let (v4, v6) = match families {
            Families::V4 => return v4.await,
            Families::V6 => return v6.await,
            Families::Both => tokio::select! {
                first = &mut v4 => {
                    let second = second_family(&first, v6).await;
                    (first, second)
                }
                first = &mut v6 => {
                    let second = second_family(&first, v4).await;
                    (second, first)
                }
            },
        };
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok([v4, v6].concat()),
            (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
                if found.is_empty() {
                    Err(error)
                } else {
                    Ok(found)
                }
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    async fn family(&self, name: Name, kind: RecordType) -> io::Result<Vec<IpAddr>> {
        let records = self.records(name, kind).await?;
        let addresses = records.iter().filter_map(|record| match record {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// The name of `address`: lower case, with unusual bytes escaped; the first one if it has several.
    ///
    /// # Errors
    /// No server gave a usable answer.
    pub async fn name(&self, address: IpAddr) -> io::Result<Option<Vec<u8>>> {
        let records = self
            .records(Name::from(address.to_canonical()), RecordType::PTR)
            .await?;
        Ok(records.iter().find_map(|record| match record {
            RData::PTR(found) => Some(name::text(found)),
            _ => None,
        }))
    }

    /// The texts of the full name `name`, each record's strings joined.
    ///
    /// # Errors
    /// No server gave a usable answer, or the name is too long (EPROTO).
    pub async fn text(&self, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let records = self.records(name::parse(name)?, RecordType::TXT).await?;
        let texts = records.iter().filter_map(|record| match record {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The records of `kind` that `name` has.
    async fn records(&self, name: Name, kind: RecordType) -> io::Result<Records> {
        let key = (name, kind);
        if let Some(answer) = self.0.answers.borrow().get(&key)
            && answer.expires > Instant::now()
        {
            return Ok(Rc::clone(&answer.records));
        }
        let known = self.0.in_flight.borrow().get(&key).map(Rc::clone);
        let flight = known.unwrap_or_else(|| self.depart(key));
        loop {
            if let Some(landed) = flight.landed.get() {
                return landed.clone().map_err(io::Error::from_raw_os_error);
            }
            flight.news.notified().await;
        }
    }

    /// Starts asking, in a task of its own: whoever asked first may lose patience before the others.
    fn depart(&self, key: Key) -> Rc<Flight> {
        let flight = Rc::new(Flight::default());
        self.0
            .in_flight
            .borrow_mut()
            .insert(key.clone(), Rc::clone(&flight));
        let (shared, landing) = (Rc::clone(&self.0), Rc::clone(&flight));
        tokio::task::spawn_local(async move {
            let answer = shared.ask(&key).await;
            shared.in_flight.borrow_mut().remove(&key);
            let landed = match answer {
                Ok(answer) => {
                    let records = Rc::clone(&answer.records);
                    shared.remember(key, answer);
                    Ok(records)
                }
                Err(error) => Err(error.raw_os_error().unwrap_or(libc::ETIMEDOUT)),
            };
            let _ = landing.landed.set(landed);
            landing.news.notify_waiters();
        });
        flight
    }
}

/// The addresses of the second family; none when the first one has some and these take too long. Some name servers never
/// answer when asked for IPv6 addresses.
async fn second_family(
    first: &io::Result<Vec<IpAddr>>,
    second: impl Future<Output = io::Result<Vec<IpAddr>>>,
) -> io::Result<Vec<IpAddr>> {
    match first {
        Ok(found) if !found.is_empty() => timeout(SECOND_FAMILY, second).await?,
        _ => second.await,
    }
}

impl Shared {
    async fn ask(&self, (name, kind): &Key) -> io::Result<Answer> {
        let servers = self.servers()?;
        let question = Question {
            name: name.clone(),
            kind: *kind,
        };
        let message = timeout(self.limit, query::ask(servers.list(), &question)).await??;
        Ok(read(&message, &question))
    }

    fn servers(&self) -> io::Result<Rc<Servers>> {
        let mut servers = self.servers.borrow_mut();
        match &*servers {
            Some(known) if !known.are_stale() => Ok(Rc::clone(known)),
            _ => Ok(Rc::clone(servers.insert(Rc::new(Servers::load()?)))),
        }
    }

    fn remember(&self, key: Key, answer: Answer) {
        let mut answers = self.answers.borrow_mut();
        if answers.len() >= ANSWERS_MAX {
            let now = Instant::now();
            answers.retain(|_, answer| answer.expires > now);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
        }
        answers.insert(key, answer);
    }
}

/// The records that `message` has for `question`, under its name or one that aliases lead to.
pub(super) fn read(message: &Message, question: &Question) -> Answer {
    let mut owner = &question.name;
    let mut ttl = TTL_MAX;
    for _ in 0..ALIASES_MAX {
        let alias = message
            .answers
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(alias) if record.name == *owner => Some((&alias.0, record.ttl)),
                _ => None,
            });
        let Some((alias, alias_ttl)) = alias else {
            break;
        };
        owner = alias;
        ttl = ttl.min(lifetime(alias_ttl));
    }
    let mut records = Vec::new();
    for record in &message.answers {
        if record.name == *owner && record.record_type() == question.kind {
            ttl = ttl.min(lifetime(record.ttl));
            records.push(record.data.clone());
        }
    }
    if records.is_empty() {
        ttl = ttl.min(negative_ttl(message));
    }
    Answer {
        records: records.into(),
        expires: Instant::now() + ttl,
    }
}

/// A time to live; one with the top bit set is none. RFC 2181 section 8.
fn lifetime(ttl: u32) -> Duration {
    Duration::from_secs(if ttl >> 31 == 1 { 0 } else { ttl.into() })
}

/// How long "there is nothing" may be remembered. RFC 2308 section 5.
fn negative_ttl(message: &Message) -> Duration {
    let stated = message
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(lifetime(record.ttl).min(lifetime(soa.minimum))),
            _ => None,
        });
    stated.unwrap_or(NEGATIVE_TTL).min(NEGATIVE_TTL_MAX)
}
