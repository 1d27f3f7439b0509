//! TLS for who stands between clients and servers, and carries their bytes himself: tcprelay.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, Error};
use tokio::time::timeout;

use super::carry::{Failure, Peer, Shaken};
use super::facts::Facts;
use super::material::{Material, Passphrase};
use super::options::{Terms, Trust, Versions, server_name};
use super::server::{APPETITE, Tls, words};
use super::session::{HANDSHAKE, Session};
use crate::cli::{self, Voice};
use crate::sys::{socket, watch};

/// How a listener takes clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As they come.
    #[default]
    Plain,
    /// With TLS.
    Tls(Versions),
    /// With TLS if their first byte is that of a handshake.
    Either(Versions),
}

/// The side of clients.
pub(crate) struct Inward {
    tls: Tls,
    patience: Duration,
    /// Of which files all that is.
    material: Material,
}

/// A client that was met.
pub(crate) enum Met {
    Plain(OwnedFd),
    Tls(Box<Shaken>, Facts),
}

/// What a client takes that is being met, in bytes.
pub(crate) const CLIENT_BYTES: usize = APPETITE;

impl Inward {
    /// Starts the key process, and reads certificates. To be called before there is a runtime, or another user.
    ///
    /// # Errors
    /// 100 for terms that say too little, 111 for files that are of no use.
    pub(crate) fn start(terms: &Terms, voice: Voice) -> Result<Self, cli::Error> {
        let tls = Tls::new(terms, voice)?;
        Ok(Self {
            patience: terms.manners.patience,
            material: Material {
                passphrase: Passphrase::None,
                ..terms.material.clone()
            },
            tls,
        })
    }

    /// True when it shows what is in the files of `material`.
    pub(crate) fn shows(&self, material: &Material) -> bool {
        let Material { pairs, folder, .. } = material;
        (pairs, folder) == (&self.material.pairs, &self.material.folder)
    }

    /// Reads certificates again.
    pub(crate) fn reload(&self) {
        self.tls.reload();
    }

    /// Looks whether certificates have changed when it is time; returns when the key process is gone.
    pub(crate) async fn keep(&self) -> cli::Error {
        self.tls.keep().await
    }

    /// Meets the client at the other end of `connection`, who comes by `entry`.
    ///
    /// # Errors
    /// Why it cannot be served, in words.
    pub(crate) async fn meet(&self, entry: Entry, connection: OwnedFd) -> Result<Met, String> {
        let began = Instant::now();
        let versions = match entry {
            Entry::Plain => return Ok(Met::Plain(connection)),
            Entry::Tls(versions) => versions,
            Entry::Either(versions) => {
                let first = timeout(self.patience, first_byte(&connection)).await;
                let first = first.map_err(|_| "timed out".to_owned())?.map_err(words)?;
                if first != Some(HANDSHAKE) {
                    return Ok(Met::Plain(connection));
                }
                versions
            }
        };
        let patience = self.patience.saturating_sub(began.elapsed());
        let peer = self.tls.peer(connection, versions, patience).await?;
        let facts = peer.facts();
        Ok(Met::Tls(Box::new(peer.shaken()), facts))
    }
}

/// The first byte that comes over `connection`, which stays there; none when it ends without.
async fn first_byte(connection: &OwnedFd) -> io::Result<Option<u8>> {
    let mut byte = [0];
    // A client that speaks first has done so, most of the time.
    let mut peeked = socket::peek_now(connection, &mut byte);
    let readable = watch::readable(connection.as_fd())?;
    loop {
        match peeked {
            Ok(length) => return Ok((length == 1).then_some(byte[0])),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) => {}
        }
        let mut ready = readable.readable().await?;
        peeked = socket::peek_now(connection, &mut byte);
        if peeked.is_err() {
            ready.clear_ready();
        }
    }
}

/// The name that a server must prove to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(ServerName<'static>);

impl Name {
    /// `text` as such a name, if it can be one.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        server_name(text).map(Self)
    }
}

/// Why there is no session with a server.
#[derive(Debug)]
pub(crate) enum Unmet {
    /// The connection to it.
    Io(io::Error),
    /// It does not take the protocol that it was offered, in words. It may well take another.
    Offer(String),
    /// It is not who it should be, or does not speak TLS as it should, in words.
    Server(String),
    /// It was not asked, in words.
    Ours(String),
}

impl From<Failure> for Unmet {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Io(error) => Self::Io(error),
            Failure::Tls(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                Self::Offer(failure.why())
            }
            _ => Self::Server(failure.why()),
        }
    }
}

/// The side of servers.
#[derive(Debug)]
pub(crate) struct Outward {
    trust: Trust,
    patience: Duration,
    /// What rustls is told, once somebody has asked for it.
    config: OnceCell<Arc<ClientConfig>>,
}

impl Outward {
    /// Servers that are met on the terms of `trust`, within `patience`.
    pub(crate) fn new(trust: Trust, patience: Duration) -> Self {
        Self {
            trust,
            patience,
            config: OnceCell::new(),
        }
    }

    /// Reads who is trusted, if that was not done yet.
    ///
    /// # Errors
    /// 111: a file is of no use.
    pub(crate) fn prepare(&self) -> Result<&Arc<ClientConfig>, cli::Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.trust.config(None)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// Meets the server called `name` at the other end of `connection`, and offers it `protocol`, if any.
    ///
    /// # Errors
    /// Why there is no session with it.
    pub(crate) async fn meet(
        &self,
        connection: OwnedFd,
        name: &Name,
        protocol: Option<&[u8]>,
    ) -> Result<(Box<Shaken>, Facts), Unmet> {
        let peer = self.peer(connection, name, protocol).await?;
        let facts = peer.facts();
        Ok((Box::new(peer.shaken()), facts))
    }

    /// The same, for who speaks with it himself: gives a stream for that, and the work of carrying its bytes, which ends with
    /// either end.
    ///
    /// # Errors
    /// As [`Self::meet`].
    pub(crate) async fn open(
        &self,
        connection: OwnedFd,
        name: &Name,
    ) -> Result<(OwnedFd, impl Future<Output = ()> + use<>), Unmet> {
        let peer = self.peer(connection, name, None).await?;
        let (ours, theirs) = socket::pair().map_err(Unmet::Io)?;
        let patience = self.patience;
        let carry = async move {
            peer.carry(ours, patience).await;
        };
        Ok((theirs, carry))
    }

    async fn peer(
        &self,
        connection: OwnedFd,
        name: &Name,
        protocol: Option<&[u8]>,
    ) -> Result<Peer, Unmet> {
        let unusable =
            |error: cli::Error| Unmet::Ours(String::from_utf8_lossy(error.text()).into_owned());
        let mut config = Arc::clone(self.prepare().map_err(unusable)?);
        if let Some(protocol) = protocol {
            let mut offering = ClientConfig::clone(&config);
            offering.alpn_protocols = vec![protocol.to_vec()];
            config = Arc::new(offering);
        }
        let session = Session::client(config, name.0.clone());
        let session = session.map_err(|error| Unmet::Ours(error.to_string()))?;
        let peer = Peer::new(session, connection).map_err(Unmet::Io)?;
        let mut peer = peer.with_name(name.0.to_str().into_owned());
        peer.shake(self.patience).await?;
        Ok(peer)
    }
}
