//! Remotes as they are used: one for each address, what is counted of it, and a connection to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::balance::{Terms, identity};
use super::names;
use super::written::{Place, Written};
use crate::cli::{Error, PERMANENT};
use crate::dns::{Resolver, literal};
use crate::sys::{errno, socket};
use crate::tls::between::Name;

impl Written {
    /// The name that it must prove to have, with TLS.
    fn server(&self) -> Result<Option<Name>, Error> {
        let name = match (&self.name, &self.place) {
            _ if !self.is_tls => return Ok(None),
            (Some(name), _) => name,
            (None, Place::Host(host, _)) => host,
            (None, Place::Path(path)) => path,
        };
        let unnamed = || {
            let text = [
                b"a server cannot be called \"",
                &name[..],
                b"\": use /name=",
            ];
            Error::with_code(text.concat(), PERMANENT)
        };
        Name::read(name).map(Some).ok_or_else(unnamed)
    }

    /// The remotes that it stands for: one for each address.
    ///
    /// # Errors
    /// 100: it speaks TLS and has no name. 111: it has no address, or that could not be found out now. 78: a configuration file
    /// has it, and it has none.
    pub(super) async fn resolved(
        &self,
        resolver: &Resolver,
        freed: &Arc<Notify>,
    ) -> Result<Vec<Target>, Error> {
        let server = self.server()?;
        let target = |address| {
            let freed = Arc::clone(freed);
            Target::new(self.clone(), server.clone(), address, freed)
        };
        let (host, port) = match &self.place {
            Place::Path(path) => return Ok(vec![target(Address::Path(path.clone()))]),
            Place::Host(host, port) => (host, *port),
        };
        let socket = |ip| target(Address::Socket(SocketAddr::new(ip, port)));
        if let Some(ip) = literal::address(host) {
            return Ok(vec![socket(ip)]);
        }
        let found = names::addresses(host, self.source.as_deref(), resolver).await?;
        Ok(found.into_iter().map(socket).collect())
    }
}

/// Where a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Socket(SocketAddr),
    Path(Vec<u8>),
}

/// One remote: what is settled about it, and what has been counted.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) written: Written,
    /// The name that it must prove to have, if it is to speak TLS.
    pub(super) server: Option<Name>,
    pub(super) address: Address,
    /// As it is called in the log: `10.0.0.1:22`, `unix:/run/app`.
    pub(super) name: String,
    counts: Arc<Counts>,
}

/// What all threads count of a remote, also when it was written anew.
#[derive(Debug)]
struct Counts {
    freed: Arc<Notify>,
    in_use: AtomicU32,
    /// Sessions that it took.
    sessions: AtomicU64,
    /// Connections that failed.
    failures: AtomicU64,
    /// Bytes to it and from it.
    bytes: [AtomicU64; 2],
    /// How long the connections of all its sessions needed to be made, in microseconds.
    connecting: AtomicU64,
}

impl Target {
    fn new(written: Written, server: Option<Name>, address: Address, freed: Arc<Notify>) -> Self {
        let name = match &address {
            Address::Socket(address) => address.to_string(),
            Address::Path(path) => {
                let clean = path.iter().map(|&byte| {
                    let is_plain = byte.is_ascii_graphic();
                    if is_plain { char::from(byte) } else { '?' }
                });
                format!("unix:{}", clean.collect::<String>())
            }
        };
        let counts = Counts {
            freed,
            in_use: AtomicU32::new(0),
            sessions: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
            connecting: AtomicU64::new(0),
        };
        Self {
            written,
            server,
            address,
            name,
            counts: Arc::new(counts),
        }
    }

    /// This one, with the counts of `known`, which has the same address.
    pub(super) fn continuing(mut self, known: &Self) -> Self {
        self.counts = Arc::clone(&known.counts);
        self
    }

    /// It took a session, whose connection was made in this time.
    pub(super) fn count_connection(&self, took: Duration) {
        self.counts.sessions.fetch_add(1, Ordering::Relaxed);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts.connecting.fetch_add(took, Ordering::Relaxed);
    }

    /// A connection to it failed.
    pub(super) fn count_failure(&self) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A session has ended that moved so many bytes to it and from it.
    pub(super) fn count_bytes(&self, moved: [u64; 2]) {
        for (sum, moved) in self.counts.bytes.iter().zip(moved) {
            sum.fetch_add(moved, Ordering::Relaxed);
        }
    }

    /// `remote NAME alive|dead use N total N failures N in BYTES out BYTES connect-us N`: sessions now and so far, failed
    /// connections, bytes from the clients and to them, and how long a connection took on average.
    pub(super) fn summary(&self, is_alive: bool) -> String {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let state = if is_alive { "alive" } else { "dead" };
        let counts = &self.counts;
        let sessions = now(&counts.sessions);
        let [from, to] = counts.bytes.each_ref().map(now);
        format!(
            "remote {} {state} use {} total {sessions} failures {} in {from} out {to} connect-us {}",
            self.name,
            self.in_use(),
            now(&counts.failures),
            now(&counts.connecting) / sessions.max(1)
        )
    }

    /// What a balance has to know of it; with `is_checked`, something finds out whether it lives.
    pub(super) fn terms(&self, is_checked: bool) -> Terms {
        Terms {
            weight: self.written.weight,
            max: self.written.max,
            is_backup: self.written.is_backup,
            is_checked,
            identity: identity(self.name.as_bytes()),
        }
    }

    /// How many sessions are on it.
    pub(super) fn in_use(&self) -> u32 {
        self.counts.in_use.load(Ordering::Relaxed)
    }

    /// A non-blocking socket on the way to it, from `local` unless it has a local address of its own; and whether it is
    /// connected already.
    ///
    /// # Errors
    /// The remote cannot be had, or we lack something: see [`is_ours`].
    pub(super) fn connect(&self, local: Option<IpAddr>) -> io::Result<(OwnedFd, bool)> {
        let address = match &self.address {
            Address::Path(path) => return socket::connect_to_path(path),
            Address::Socket(address) => *address,
        };
        let socket = socket::open(address.ip(), self.written.is_sctp)?;
        // A session that nobody ends and whose remote is gone would stay for ever. And what the client sent in pieces has
        // waited for more already. As elsewhere, a socket that does not take an option goes without it.
        let _ = socket::keep_alive(&socket);
        let _ = socket::urgent_in_line(&socket);
        let _ = socket::no_delay(&socket);
        if let Some(local) = self.written.local.or(local) {
            socket::bind_without_port(&socket, local)?;
        }
        let is_connected = socket::connect_now(&socket, address)?;
        Ok((socket, is_connected))
    }
}

/// True when `error` says nothing of a remote: there are no descriptors, no memory, no ports or no such local address here.
pub(super) fn is_ours(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            errno::EMFILE
                | errno::ENFILE
                | errno::ENOBUFS
                | errno::ENOMEM
                | errno::EADDRNOTAVAIL
                | errno::EADDRINUSE
        )
    )
}

/// A session on a target, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Lease(pub(super) Arc<Target>);

impl Lease {
    pub(super) fn of(target: &Arc<Target>) -> Self {
        target.counts.in_use.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(target))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let counts = &self.0.counts;
        counts.in_use.fetch_sub(1, Ordering::Relaxed);
        counts.freed.notify_waiters();
    }
}
