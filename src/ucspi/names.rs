//! What the two ends of a connection are called, and whose it is: three look-ups that run together, under one deadline.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::ident;
use crate::cli::Opt;
use crate::dns::{Families, Resolver};
use crate::service::Appetite;

/// What the command line says about look-ups.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// The local name, if it is given; then it is not looked up.
    pub local_host: Option<Vec<u8>>,
    /// Look up the remote name.
    pub remote_host: bool,
    /// Names were asked for; without that, those of an announced connection are not looked up.
    pub names_are_asked: bool,
    /// Forget a remote name that does not lead back to the address.
    pub paranoid: bool,
    /// Ask the remote ident server.
    pub ident: bool,
    /// Ask it when all else is known. Whoever connects may be faster than the other end, which must have taken the
    /// connection before its ident server knows whose it is.
    pub ident_is_last: bool,
    /// How long to wait for the ident server.
    pub ident_timeout: Duration,
    /// How long all look-ups of a connection may take, if it is given; see `limit`.
    pub timeout: Option<Duration>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            local_host: None,
            remote_host: true,
            names_are_asked: false,
            paranoid: false,
            ident: true,
            ident_is_last: false,
            ident_timeout: Duration::from_secs(26),
            timeout: None,
        }
    }
}

/// How long look-ups may take when nothing is said.
const LIMIT: Duration = Duration::from_secs(30);

impl Lookups {
    /// The options for all of it but `paranoid` and `ident_timeout`.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("h", "look up the remote name (default)", |lookups| {
            lookups.remote_host = true;
            lookups.names_are_asked = true;
        }),
        Opt::flag("H", "do not look up the remote name", |lookups| {
            lookups.remote_host = false;
            lookups.names_are_asked = false;
        }),
        Opt::flag(
            "r",
            "ask the peer's ident server for $TCPREMOTEINFO (default)",
            |lookups| lookups.ident = true,
        ),
        Opt::flag("R", "do not ask the ident server", |lookups| {
            lookups.ident = false;
        }),
        Opt::value(
            "l",
            "localname",
            "use this $TCPLOCALHOST, do not look it up",
            |lookups, value| {
                lookups.local_host = Some(value.bytes());
                Ok(())
            },
        ),
        Opt::value(
            "lookup-timeout",
            "seconds",
            "give all look-ups of a connection this long (default 30, or -t)",
            |lookups, value| {
                lookups.timeout = Some(value.seconds()?);
                Ok(())
            },
        ),
    ];

    /// The options for `paranoid`.
    pub const PARANOID: &'static [Opt<Self>] = &[
        Opt::flag(
            "p",
            "paranoid: forget a remote name that does not lead back to the address",
            |lookups| {
                lookups.paranoid = true;
                lookups.names_are_asked = true;
            },
        ),
        Opt::flag("P", "not paranoid (default)", |lookups| {
            lookups.paranoid = false;
        }),
    ];

    /// The option for `ident_timeout`, whose argument each program calls by a name of its own.
    pub const fn ident_timeout(value: &'static str) -> Opt<Self> {
        Opt::value(
            "t",
            value,
            "wait this many seconds for the ident server (default 26)",
            |lookups, value| {
                lookups.ident_timeout = value.seconds()?;
                Ok(())
            },
        )
    }

    /// What to look up about a connection that a PROXY header announces; nothing if names were not asked for. Its ident
    /// server knows of another connection, that to the balancer.
    pub(super) fn of_announced(&self) -> Option<Self> {
        self.names_are_asked.then(|| Self {
            ident: false,
            ..self.clone()
        })
    }

    /// True when somebody has to be asked.
    pub(crate) fn are_needed(&self) -> bool {
        self.local_host.is_none() || self.remote_host || self.ident
    }

    /// What memory connections take, amply: less than 1 KiB as long as they are open; with look-ups less than 7 while they
    /// wait for answers, and one of 4 KiB may come over TCP for each.
    pub(crate) fn appetite(&self) -> Appetite {
        let kib = if self.are_needed() {
            [12, 6, 64]
        } else {
            [8, 1, 16]
        };
        let [arrival, undecided, reserve] = kib.map(|kib| kib * 1024);
        Appetite {
            arrival,
            undecided,
            reserve,
        }
    }

    /// How long all look-ups of a connection may take: what was given, else 30 seconds, or as long as the ident server
    /// has, if that is longer.
    pub(crate) fn limit(&self) -> Duration {
        self.timeout.unwrap_or(if self.ident {
            LIMIT.max(self.ident_timeout)
        } else {
            LIMIT
        })
    }
}

/// What was found out; `None` is not known.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) local_host: Option<Vec<u8>>,
    pub(super) remote_host: Option<Vec<u8>>,
    pub(super) remote_info: Option<Vec<u8>>,
}

impl Names {
    /// What is known without a look-up.
    pub(super) fn given(lookups: &Lookups) -> Self {
        Self {
            local_host: lookups.local_host.clone(),
            ..Self::default()
        }
    }
}

/// Finds out what `lookups` asks for. What takes longer than the limit is not known.
pub(super) async fn look_up(
    lookups: &Lookups,
    resolver: &Resolver,
    local: SocketAddr,
    remote: SocketAddr,
) -> Names {
    let deadline = Instant::now() + lookups.limit();
    // Pinned: what moves into another future is kept in two places.
    let local_host = pin!(timeout_at(deadline, async {
        match &lookups.local_host {
            Some(given) => Some(given.clone()),
            None => resolver.name(local.ip()).await.ok()?,
        }
    }));
    let remote_host = pin!(timeout_at(deadline, async {
        if !lookups.remote_host {
            return None;
        }
        let name = resolver.name(remote.ip()).await.ok()??;
        if lookups.paranoid {
            let family = if remote.is_ipv4() {
                Families::V4
            } else {
                Families::V6
            };
            let confirmed = resolver.addresses(&name, family).await.ok()?;
            if !confirmed.contains(&remote.ip()) {
                return None;
            }
        }
        Some(name)
    }));
    let remote_info = pin!(timeout_at(deadline, async {
        if !lookups.ident {
            return None;
        }
        ident::ask(local, remote, lookups.ident_timeout).await
    }));
    let hosts = async { tokio::join!(local_host, remote_host) };
    let ((local_host, remote_host), remote_info) = if lookups.ident_is_last {
        (hosts.await, remote_info.await)
    } else {
        tokio::join!(hosts, remote_info)
    };
    Names {
        local_host: local_host.unwrap_or_default(),
        remote_host: remote_host.unwrap_or_default(),
        remote_info: remote_info.unwrap_or_default(),
    }
}
