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

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::config::{self, Servers};
use super::memory::{Answer, Memory, Records};
use super::name::Name;
use super::packet::{Kind, Question, Record};
use super::{hosts, literal, name, query};
use crate::sys::{errno, limit, random};

/// How much longer a family of addresses is waited for when there are some of the other.
const SECOND_FAMILY: Duration = Duration::from_secs(1);

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
    memory: RefCell<Memory>,
    in_flight: RefCell<HashMap<Question, Rc<Flight>>>,
}

/// A question that is being asked.
#[derive(Debug, Default)]
struct Flight {
    /// The records, or the errno of the failure.
    landed: OnceCell<Result<Records, i32>>,
    news: Notify,
}

/// True for an operand that spells IPv4 addresses.
fn is_address(operand: &[u8]) -> bool {
    let has_mark = operand.iter().any(|byte| b".[]".contains(byte));
    has_mark && literal::addresses(operand).is_some()
}

impl Resolver {
    /// A resolver whose every question takes at most `limit`. Nothing is read before the first question.
    pub fn new(limit: Duration) -> Self {
        Self(Rc::new(Shared {
            limit,
            servers: RefCell::default(),
            memory: Memory::within(limit::memory()).into(),
            in_flight: RefCell::default(),
        }))
    }

    /// How long a question may take.
    pub(crate) fn limit(&self) -> Duration {
        self.0.limit
    }

    /// The addresses of an operand: of an IPv4 address itself, or of a name, which is qualified and looked up, first in
    /// `/etc/hosts` unless `$DNSCACHEIP` is set. IPv4 first, each family in random order; none when there are none.
    ///
    /// # Errors
    /// It could not be found out now: a file cannot be read, no server answers, or the name is too long (EPROTO).
    pub async fn host(&self, operand: &[u8], families: Families) -> io::Result<Vec<IpAddr>> {
        if let Some(found) = self.spelled(operand)? {
            return Ok(found);
        }
        let is_address = is_address(operand);
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

    /// The addresses of an operand that spells them, in random order, as long as no rule makes it a name; `None` where
    /// something has to be looked up. Nothing is waited for.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn spelled(&self, operand: &[u8]) -> io::Result<Option<Vec<IpAddr>>> {
        if !is_address(operand) {
            return Ok(None);
        }
        for name in config::rules(true)?.qualify(operand) {
            let Some(addresses) = literal::addresses(&name) else {
                return Ok(None);
            };
            if !addresses.is_empty() {
                let mut found: Vec<_> = addresses.into_iter().map(IpAddr::V4).collect();
                random::shuffle(&mut found);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The addresses of the full name `name`, of one family or of both. Where one family cannot be found out now, the
    /// other one is the answer; and when one has addresses, the other is not waited for much longer.
    ///
    /// # Errors
    /// No server gave a usable answer, or the name is too long (EPROTO).
    pub async fn addresses(&self, name: &[u8], families: Families) -> io::Result<Vec<IpAddr>> {
        let name = name::parse(name)?;
        let mut v4 = pin!(self.family(name.clone(), Kind::A));
        let mut v6 = pin!(self.family(name, Kind::Aaaa));
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

    async fn family(&self, name: Name, kind: Kind) -> io::Result<Vec<IpAddr>> {
        let records = self.records(name, kind).await?;
        let addresses = records.iter().filter_map(|record| match record {
            Record::Address(address) => Some(*address),
            Record::Text(_) => None,
        });
        Ok(addresses.collect())
    }

    /// The name of `address`: lower case, with unusual bytes escaped; the first one if it has several.
    ///
    /// # Errors
    /// No server gave a usable answer.
    pub async fn name(&self, address: IpAddr) -> io::Result<Option<Vec<u8>>> {
        let address = address.to_canonical();
        let zone = if address.is_ipv4() {
            "in-addr.arpa"
        } else {
            "ip6.arpa"
        };
        let name = name::parse([&literal::backwards(address), zone].concat().as_bytes())?;
        let records = self.records(name, Kind::Ptr).await?;
        Ok(texts(&records).next())
    }

    /// The texts of the full name `name`, each record's strings joined.
    ///
    /// # Errors
    /// No server gave a usable answer, or the name is too long (EPROTO).
    pub async fn text(&self, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let records = self.records(name::parse(name)?, Kind::Txt).await?;
        Ok(texts(&records).collect())
    }

    /// Forgets what was answered; memory is short.
    pub fn forget(&self) {
        self.0.memory.borrow_mut().forget();
    }

    /// The records of `kind` that `name` has.
    async fn records(&self, name: Name, kind: Kind) -> io::Result<Records> {
        let question = Question { name, kind };
        if let Some(records) = self.0.memory.borrow_mut().recall(&question) {
            return Ok(records);
        }
        let known = self.0.in_flight.borrow().get(&question).map(Rc::clone);
        let flight = known.unwrap_or_else(|| self.depart(question));
        loop {
            if let Some(landed) = flight.landed.get() {
                return landed.clone().map_err(io::Error::from_raw_os_error);
            }
            flight.news.notified().await;
        }
    }

    /// Starts asking, in a task of its own: whoever asked first may lose patience before the others.
    fn depart(&self, question: Question) -> Rc<Flight> {
        let flight = Rc::new(Flight::default());
        self.0
            .in_flight
            .borrow_mut()
            .insert(question.clone(), Rc::clone(&flight));
        let (shared, landing) = (Rc::clone(&self.0), Rc::clone(&flight));
        tokio::task::spawn_local(async move {
            let answer = shared.ask(&question).await;
            shared.in_flight.borrow_mut().remove(&question);
            let landed = match answer {
                Ok(answer) => {
                    let records = Rc::clone(&answer.records);
                    shared.memory.borrow_mut().remember(question, answer);
                    Ok(records)
                }
                Err(error) => Err(error.raw_os_error().unwrap_or(errno::ETIMEDOUT)),
            };
            let _ = landing.landed.set(landed);
            landing.news.notify_waiters();
        });
        flight
    }
}

/// The texts among `records`.
fn texts(records: &[Record]) -> impl Iterator<Item = Vec<u8>> {
    records.iter().filter_map(|record| match record {
        Record::Text(text) => Some(text.to_vec()),
        Record::Address(_) => None,
    })
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
    async fn ask(&self, question: &Question) -> io::Result<Answer> {
        let servers = self.servers()?;
        let (records, ttl) = timeout(self.limit, query::ask(servers.list(), question)).await??;
        Ok(Answer {
            records: records.into(),
            expires: Instant::now() + ttl,
        })
    }

    fn servers(&self) -> io::Result<Rc<Servers>> {
        let mut servers = self.servers.borrow_mut();
        match &*servers {
            Some(known) if !known.are_stale() => Ok(Rc::clone(known)),
            _ => Ok(Rc::clone(servers.insert(Rc::new(Servers::load()?)))),
        }
    }
}
