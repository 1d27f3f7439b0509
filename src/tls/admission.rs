//! On what terms clients are met: what rustls is told of them, made anew when the certificates have changed that theirs must
//! be signed by.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::chooser::{self, Chooser};
use super::options::{Manners, Versions, roots, useless};
use super::provider;
use super::tickets::{self, LIFETIME};
use super::vault::Vault;
use crate::cli::Error;
use crate::sys::file;

/// On what terms clients are met.
#[derive(Debug)]
pub(super) struct Admission {
    terms: Terms,
    current: RefCell<Current>,
}

#[derive(Debug)]
struct Terms {
    manners: Manners,
    chooser: Arc<Chooser>,
    vault: Vault,
}

/// What is in force.
#[derive(Debug)]
struct Current {
    /// The file of [`Manners::client_ca`] when it was last read, of use or not.
    seen: Option<file::Version>,
    /// For each of [`Versions`].
    configs: [Arc<ServerConfig>; 3],
}

impl Admission {
    /// Clients are treated as `manners` say, and shown what `chooser` has.
    ///
    /// # Errors
    /// 111: a file is of no use.
    pub(super) fn new(
        manners: Manners,
        chooser: Arc<Chooser>,
        vault: Vault,
    ) -> Result<Self, Error> {
        let seen = version(&manners);
        let terms = Terms {
            manners,
            chooser,
            vault,
        };
        let (configs, _) = terms.read()?;
        let current = RefCell::new(Current { seen, configs });
        Ok(Self { terms, current })
    }

    /// What rustls is told, to speak these versions.
    pub(super) fn config(&self, versions: Versions) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow().configs[versions as usize])
    }

    /// Reads again by whom clients' certificates must be signed; how many there are, or none where nobody is asked for one.
    ///
    /// # Errors
    /// 111: they are of no use. Then what was in force stays so.
    pub(super) fn read(&self) -> Result<Option<usize>, Error> {
        let mut current = self.current.borrow_mut();
        current.seen = version(&self.terms.manners);
        let (configs, number) = self.terms.read()?;
        current.configs = configs;
        Ok(number)
    }

    /// The same if the file has changed since it was last read; else none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn look(&self) -> Result<Option<usize>, Error> {
        if self.current.borrow().seen == version(&self.terms.manners) {
            return Ok(None);
        }
        self.read()
    }
}

/// The file of those who sign clients' certificates, as it is.
fn version(manners: &Manners) -> Option<file::Version> {
    let metadata = fs::metadata(manners.client_ca.as_ref()?).ok()?;
    Some(file::Version::of(&metadata))
}

impl Terms {
    /// What rustls is told for each of [`Versions`], and how many there are who sign clients' certificates.
    fn read(&self) -> Result<([Arc<ServerConfig>; 3], Option<usize>), Error> {
        let roots = self.manners.client_ca.as_deref().map(roots).transpose()?;
        let number = roots.as_ref().map(RootCertStore::len);
        // Who was believed by others must come with his certificate again.
        let scope = roots.as_ref().map(scope).unwrap_or_default();
        let verifier = match roots {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(roots) => {
                let roots = Arc::new(roots);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                if self.manners.client_ca_optional {
                    verifier = verifier.allow_unauthenticated();
                }
                verifier.build().map_err(useless)?
            }
        };
        let tickets = Arc::new(Tickets {
            vault: self.vault.clone(),
            scope,
        });
        let make = |versions| self.make(versions, Arc::clone(&verifier), Arc::clone(&tickets));
        let [from12, only13, only12] = Versions::ALL.map(make);
        Ok(([from12?, only13?, only12?], number))
    }

    fn make(
        &self,
        versions: Versions,
        verifier: Arc<dyn ClientCertVerifier>,
        tickets: Arc<Tickets>,
    ) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions.all())
            .map_err(useless)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.chooser) as _);
        config.ticketer = tickets;
        // Tickets do it, and need no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Each further one costs 8 % of a handshake.
        config.send_tls13_tickets = 1;
        config.alpn_protocols.clone_from(&self.manners.protocols);
        Ok(Arc::new(config))
    }
}

/// What tells `roots` from others: the hash of their names and keys.
fn scope(roots: &RootCertStore) -> Vec<u8> {
    let mut hash = Context::new(&SHA256);
    for root in &roots.roots {
        for part in [&root.subject, &root.subject_public_key_info] {
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hash.finish().as_ref().to_vec()
}

/// Tickets under keys of the key process, so that all who ask the same one know each other's.
#[derive(Debug)]
struct Tickets {
    vault: Vault,
    /// What a client must come by to use one: where it has changed, a session of before is not believed.
    scope: Vec<u8>,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        tickets::seal(&self.vault.spare()?, &self.scope, plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let name = tickets::name(ticket)?;
        if !chooser::may_try_ticket() {
            return None;
        }
        tickets::open(&self.vault.key_of(name)?, &self.scope, ticket)
    }
}
