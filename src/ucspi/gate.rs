//! The gate: what is done to every connection, from accept to the verdict, in order. What is then done with it is the
//! server's.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::facts::{Facts, canonical};
use super::limits;
use super::names::{Lookups, Names, look_up};
use super::proxy::{Announced, V2_MAX, take::take};
use super::record::{Known, Record};
use crate::cli::Opt;
use crate::dns::Resolver;
use crate::rules::{Peer, Rules, Verdict};
use crate::service::{Appetite, Entered, Networks, Reason, SourceTerms, Sources};
use crate::sys::{socket, watch};

/// What the command line says about connections before they are served.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Sent to a peer that is refused.
    pub refusal: Vec<u8>,
    /// The compiled rules.
    pub rules: Option<Vec<u8>>,
    /// Rules that do not exist are no rules.
    pub rules_may_be_missing: bool,
    /// Sent to every peer at once.
    pub banner: Vec<u8>,
    /// Do not follow source routes.
    pub clear_ip_options: bool,
    /// Send small writes at once.
    pub no_delay: bool,
    /// From these sources each connection begins with a PROXY header.
    pub proxies: Networks,
    /// How long that may take to come.
    pub proxy_timeout: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            refusal: Vec::new(),
            rules: None,
            rules_may_be_missing: false,
            banner: Vec::new(),
            clear_ip_options: true,
            no_delay: false,
            proxies: Networks::default(),
            proxy_timeout: Duration::from_secs(5),
        }
    }
}

impl Terms {
    /// The options for them.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "x",
            "rules.cdb",
            "follow these rules, compiled by tcprules",
            |terms, value| {
                terms.rules = Some(value.bytes());
                Ok(())
            },
        ),
        Opt::flag(
            "X",
            "with -x: serve everybody when the rules do not exist",
            |terms| terms.rules_may_be_missing = true,
        ),
        Opt::value(
            "B",
            "banner",
            "send this to every peer at once",
            |terms, value| {
                terms.banner = value.bytes();
                Ok(())
            },
        ),
        Opt::value(
            "refusal",
            "text",
            "send this, as it is, to every peer that is refused",
            |terms, value| {
                terms.refusal = value.bytes();
                Ok(())
            },
        ),
        Opt::flag("o", "leave IP options alone", |terms| {
            terms.clear_ip_options = false;
        }),
        Opt::flag(
            "O",
            "clear IP options: do not follow source routes (default)",
            |terms| terms.clear_ip_options = true,
        ),
        Opt::flag(
            "d",
            "let the kernel gather small writes (default)",
            |terms| terms.no_delay = false,
        ),
        Opt::flag("D", "send small writes at once (TCP_NODELAY)", |terms| {
            terms.no_delay = true;
        }),
        Opt::value(
            "proxy",
            "networks",
            "believe the PROXY header, which these must send: 192.0.2.0/24,2001:db8::/32",
            |terms, value| {
                terms.proxies = value.parse(Networks::FORM, Networks::parse)?;
                Ok(())
            },
        ),
        Opt::value(
            "proxy-timeout",
            "seconds",
            "wait this long for a PROXY header (default 5)",
            |terms, value| {
                terms.proxy_timeout = value.seconds()?;
                Ok(())
            },
        ),
    ];

    /// True when a connection may have to be waited for.
    pub(crate) fn wait(&self) -> bool {
        !self.banner.is_empty() || !self.proxies.are_none()
    }

    /// How long a decision may take with these look-ups.
    pub(crate) fn limit(&self, lookups: &Lookups) -> Duration {
        if self.proxies.are_none() {
            return lookups.limit();
        }
        lookups.limit().saturating_add(self.proxy_timeout)
    }

    /// What memory connections take with these look-ups.
    pub(crate) fn appetite(&self, lookups: &Lookups) -> Appetite {
        let appetite = lookups.appetite();
        if self.proxies.are_none() {
            return appetite;
        }
        // Room for a header, and what it says.
        Appetite {
            arrival: appetite.arrival + 2 * V2_MAX,
            undecided: appetite.undecided + 2 * V2_MAX,
            ..appetite
        }
    }
}

/// The terms, and what is needed to keep them.
pub(crate) struct Gate {
    terms: Terms,
    limits: SourceTerms,
    lookups: Lookups,
    as_ipv6: bool,
    resolver: Resolver,
    rules: Option<RefCell<Rules>>,
    /// Those who connect, where it matters.
    sources: Option<Sources>,
    /// Where the server listens; port 0 when that is in several places.
    address: SocketAddr,
}

/// A connection of which all is known and decided.
pub(crate) struct Guest {
    /// Where it came in.
    pub(crate) local: SocketAddr,
    pub(crate) facts: Facts,
    pub(crate) verdict: Verdict,
    /// It counts for its source; to be kept until the connection has ended.
    pub(crate) entered: Option<Entered>,
}

impl Guest {
    /// What was found out, to be kept when the guest is gone.
    pub(super) fn known(&self) -> Known {
        Known {
            local: Some(self.local),
            host: self.facts.remote.host.clone(),
            info: self.facts.info.clone(),
            rule: self.verdict.rule(),
        }
    }
}

impl Guest {
    /// Where it comes from, as text.
    pub(crate) fn remote_ip(&self) -> &str {
        &self.facts.remote.ip
    }
}

/// Why a connection may not be served.
pub(crate) enum Refusal {
    /// The rules say so, or its source may not have it.
    Denied(Reason, Box<Guest>),
    /// No PROXY header came that can be believed: what was wrong.
    Unannounced(Vec<u8>),
    /// What could not be done, to follow the words "unable to", and why.
    Unable(Vec<u8>, io::Error),
    /// The server ends before that is known.
    Late,
    /// The layer of this name does not get on with the peer, and why.
    Unmet(&'static str, String),
    /// None: it is let go of before that is known, to be gone on with.
    LetGo,
}

impl Gate {
    /// The gate of a server that listens at `address`; `as_ipv6` shows IPv4 connections as IPv6.
    pub(crate) fn new(
        terms: Terms,
        limits: SourceTerms,
        lookups: Lookups,
        as_ipv6: bool,
        resolver: Resolver,
        address: SocketAddr,
    ) -> Self {
        let rules = terms.rules.as_deref().map(|file| {
            let path = OsStr::from_bytes(file).into();
            RefCell::new(Rules::new(path, terms.rules_may_be_missing))
        });
        let sources = (!limits.are_none()).then(|| Sources::new(limits.clone()));
        Self {
            terms,
            limits,
            lookups,
            as_ipv6,
            resolver,
            rules,
            sources,
            address,
        }
    }

    /// Keeps count of sources also where nothing limits them, and gives them.
    pub(crate) fn count_sources(&mut self) -> Sources {
        let new = || Sources::new(self.limits.clone());
        self.sources.get_or_insert_with(new).clone()
    }

    /// Comes first: takes the PROXY header, where one must come. From then on `record` is of the connection that it
    /// announces. From others a header is never looked at.
    ///
    /// # Errors
    /// None came that can be believed.
    pub(crate) async fn announce(
        &self,
        connection: &OwnedFd,
        record: &mut Record,
    ) -> Result<(), Refusal> {
        let proxies = &self.terms.proxies;
        if proxies.are_none() {
            return Ok(());
        }
        let mut announced = Announced::default();
        if proxies.hold(record.remote.ip()) {
            // In a box: a connection that brings none does not pay for its room.
            let header = Box::pin(take(connection, self.terms.proxy_timeout)).await;
            let header = header.map_err(Refusal::Unannounced)?;
            announced.ends = header.addresses.map(|ends| (record.remote, ends));
            announced.facts = header.facts;
        }
        record.announce(announced);
        Ok(())
    }

    /// The sources, where they are counted.
    pub(super) fn sources(&self) -> Option<&Sources> {
        self.sources.as_ref()
    }

    /// Goes on counting `sources`.
    pub(super) fn go_on_counting(&mut self, sources: Sources) {
        self.sources = Some(sources);
    }

    /// Takes a connection as far as the verdict, and what its rule limits. A peer that is refused is told so.
    ///
    /// # Errors
    /// It is not to be served: its source or the rules deny it, or something could not be done.
    pub(crate) async fn admit(
        &self,
        connection: &OwnedFd,
        record: &Record,
    ) -> Result<Guest, Refusal> {
        let decided = self.decide(connection, record).await;
        if let Err(refusal) = &decided {
            self.turn_away(connection, refusal);
        }
        decided
    }

    /// Does both, as far as that is not done.
    ///
    /// # Errors
    /// Those of both.
    pub(crate) async fn receive(
        &self,
        connection: &OwnedFd,
        record: &mut Record,
    ) -> Result<Guest, Refusal> {
        if record.announced.is_none() {
            self.announce(connection, record).await?;
        }
        self.admit(connection, record).await
    }

    async fn decide(&self, connection: &OwnedFd, record: &Record) -> Result<Guest, Refusal> {
        let remote = record.remote;
        let announced = record.announced.clone();
        let ends = announced.as_ref().and_then(|announced| announced.ends);
        let (peer, local) = match ends {
            Some((proxy, addresses)) => (proxy, Ok(addresses.local)),
            None => (remote, self.local_address(connection)),
        };
        self.set_options(connection, peer);
        let local = canonical(local.map_err(unable(b"get local address"))?);
        let guest = |names, verdict, entered| {
            let facts = Facts::of(local, remote, names, self.as_ipv6).with(announced.clone());
            Guest {
                local,
                facts,
                verdict,
                entered,
            }
        };
        let entered = self
            .sources
            .as_ref()
            .map(|sources| sources.enter(remote.ip()));
        let entered = entered.transpose().map_err(|reason| {
            let guest = guest(self.known_names(), Verdict::default(), None);
            Refusal::Denied(reason, guest.into())
        })?;
        banner(connection, &self.terms.banner, &record.greeted)
            .await
            .map_err(unable(b"print banner"))?;
        let names = self.names(local, remote, ends.is_some()).await;
        let mut guest = guest(names, Verdict::default(), entered);
        guest.verdict = self.verdict(remote.ip(), &guest.facts)?;
        if let Some(reason) = self.objection(&guest) {
            return Err(Refusal::Denied(reason, guest.into()));
        }
        if let Some(entered) = &mut guest.entered {
            entered.served();
        }
        Ok(guest)
    }

    /// What speaks against a guest of whom all is known: its rule, or what the rule limits.
    fn objection(&self, guest: &Guest) -> Option<Reason> {
        let Guest {
            verdict, entered, ..
        } = guest;
        if verdict.deny {
            return Some(Reason::Rule);
        }
        let entered = entered.as_ref().filter(|_| self.limits.are_ruled)?;
        limits::objection(verdict, entered)
    }

    /// Tells a peer that it is refused, in the words of its rule or of the command line, if it takes them at once.
    fn turn_away(&self, connection: &OwnedFd, refusal: &Refusal) {
        let of_rule = match refusal {
            Refusal::Denied(_, guest) if self.limits.are_ruled => limits::message(&guest.verdict),
            _ => None,
        };
        let text = of_rule.as_deref().unwrap_or(&self.terms.refusal);
        if !text.is_empty() && socket::send_now(connection, text).is_ok() {
            socket::discard(connection);
        }
    }

    fn set_options(&self, connection: &OwnedFd, remote: SocketAddr) {
        // As the original: a socket that does not take an option is served without it.
        if self.terms.clear_ip_options && remote.is_ipv4() {
            let _ = socket::clear_ip_options(connection);
        }
        if self.terms.no_delay {
            let _ = socket::no_delay(connection);
        }
    }

    /// The address at which `connection` came in, with the port that the server has.
    fn local_address(&self, connection: &OwnedFd) -> io::Result<SocketAddr> {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address = socket::local_address(connection)?;
            if self.address.port() != 0 {
                address.set_port(self.address.port());
            }
        }
        Ok(address)
    }

    async fn names(&self, local: SocketAddr, remote: SocketAddr, is_announced: bool) -> Names {
        let of_announced = is_announced.then(|| self.lookups.of_announced());
        let lookups = match &of_announced {
            Some(lookups) => lookups.as_ref(),
            None => Some(&self.lookups),
        };
        match lookups.filter(|lookups| lookups.are_needed()) {
            // In a box: a connection that needs none does not pay for their room.
            Some(lookups) => Box::pin(look_up(lookups, &self.resolver, local, remote)).await,
            None => self.known_names(),
        }
    }

    /// What is known without asking anybody.
    fn known_names(&self) -> Names {
        Names {
            local_host: self.lookups.local_host.clone(),
            ..Names::default()
        }
    }

    /// What the rules say about a connection from `ip`.
    fn verdict(&self, ip: IpAddr, facts: &Facts) -> Result<Verdict, Refusal> {
        let Some(rules) = &self.rules else {
            return Ok(Verdict::default());
        };
        let ip = ip.to_string();
        let mut rules = rules.borrow_mut();
        let verdict = rules.verdict(Peer {
            ip: ip.as_bytes(),
            host: facts.remote.host.as_deref(),
            info: facts.info.as_deref(),
        });
        let file = rules.path().as_os_str().as_bytes();
        verdict.map_err(unable(&[b"read ", file].concat()))
    }
}

fn unable(doing: &[u8]) -> impl FnOnce(io::Error) -> Refusal {
    move |error| Refusal::Unable(doing.to_vec(), error)
}

/// Sends all of `text` that was not `sent` yet, waiting for a peer that does not read.
async fn banner(connection: &OwnedFd, text: &[u8], sent: &Cell<usize>) -> io::Result<()> {
    while let Some(rest) = text.get(sent.get()..).filter(|rest| !rest.is_empty()) {
        match socket::send_now(connection, rest) {
            Ok(more) => sent.set(sent.get() + more),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let connection = watch::writable(connection.as_fd())?;
                connection.writable().await?.retain_ready();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
