//! The gate: what is done to every connection, from accept to the verdict, in order. What is then done with it is the
//! server's.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use super::facts::{Facts, canonical};
use super::names::{Lookups, Names, look_up};
use super::record::Record;
use crate::cli::Opt;
use crate::dns::Resolver;
use crate::rules::{Peer, Rules, Verdict};
use crate::sys::{socket, watch};

/// What the command line says about connections before they are served.
#[derive(Debug)]
pub struct Terms {
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
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            rules: None,
            rules_may_be_missing: false,
            banner: Vec::new(),
            clear_ip_options: true,
            no_delay: false,
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
    ];
}

/// The terms, and what is needed to keep them.
pub(crate) struct Gate {
    terms: Terms,
    lookups: Lookups,
    as_ipv6: bool,
    resolver: Resolver,
    rules: Option<RefCell<Rules>>,
    /// Where the server listens.
    address: SocketAddr,
}

/// A connection of which all is known and decided.
pub(crate) struct Guest {
    pub(crate) facts: Facts,
    pub(crate) verdict: Verdict,
}

/// Why a connection may not be served.
pub(crate) enum Refusal {
    /// The rules say so.
    Denied(Box<Guest>),
    /// What could not be done, to follow the words "unable to", and why.
    Unable(Vec<u8>, io::Error),
    /// The server ends before that is known.
    Late,
}

impl Gate {
    /// The gate of a server that listens at `address`; `as_ipv6` shows IPv4 connections as IPv6.
    pub(crate) fn new(
        terms: Terms,
        lookups: Lookups,
        as_ipv6: bool,
        resolver: Resolver,
        address: SocketAddr,
    ) -> Self {
        let rules = terms.rules.as_deref().map(|file| {
            let path = OsStr::from_bytes(file).into();
            RefCell::new(Rules::new(path, terms.rules_may_be_missing))
        });
        Self {
            terms,
            lookups,
            as_ipv6,
            resolver,
            rules,
            address,
        }
    }

    /// Takes a connection as far as the verdict.
    ///
    /// # Errors
    /// It is not to be served: the rules deny it, or something could not be done.
    pub(crate) async fn admit(
        &self,
        connection: &OwnedFd,
        record: &Record,
    ) -> Result<Guest, Refusal> {
        let remote = record.remote;
        self.set_options(connection, remote);
        banner(connection, &self.terms.banner)
            .await
            .map_err(unable(b"print banner"))?;
        let local = self.local_address(connection);
        let local = canonical(local.map_err(unable(b"get local address"))?);
        let names = self.names(local, remote).await;
        let facts = Facts::of(local, remote, names, self.as_ipv6);
        let verdict = self.verdict(remote.ip(), &facts)?;
        let guest = Guest { facts, verdict };
        if guest.verdict.deny {
            return Err(Refusal::Denied(Box::new(guest)));
        }
        Ok(guest)
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
            address.set_port(self.address.port());
        }
        Ok(address)
    }

    async fn names(&self, local: SocketAddr, remote: SocketAddr) -> Names {
        let lookups = &self.lookups;
        if lookups.are_needed() {
            // In a box: a connection that needs none does not pay for their room.
            return Box::pin(look_up(lookups, &self.resolver, local, remote)).await;
        }
        Names {
            local_host: lookups.local_host.clone(),
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

/// Sends all of `text`, waiting for a peer that does not read.
async fn banner(connection: &OwnedFd, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match socket::send_now(connection, text) {
            Ok(sent) => text = &text[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let connection = watch::writable(connection.as_fd())?;
                connection.writable().await?.retain_ready();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
