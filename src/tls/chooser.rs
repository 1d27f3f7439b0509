//! Which certificate a client is shown: the one for the name that it asks for.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::vault::Certified;

/// The certificates that are in force.
#[derive(Debug)]
pub(super) struct Chooser(RwLock<Vec<Certified>>);

thread_local! {
    /// The name that the last client of this thread asked for. rustls tells it to the chooser only.
    static ASKED: RefCell<Option<String>> = const { RefCell::new(None) };
    /// How many tickets the last client of this thread may still try.
    static TRIES: Cell<u32> = const { Cell::new(0) };
}

/// How many tickets a client may try. There is room for a thousand in its first message, each of which is a question to the
/// key process; clients have one or two.
pub(super) const TRIES_MAX: u32 = 4;

/// Takes the name that a client has asked for in what was just processed.
pub(super) fn take_asked() -> Option<String> {
    ASKED.take()
}

/// True when the client whose first message is being processed may try one more ticket.
pub(super) fn may_try_ticket() -> bool {
    let left = TRIES.get().checked_sub(1);
    TRIES.set(left.unwrap_or(0));
    left.is_some()
}

impl Chooser {
    /// From among these, in this order.
    pub(super) fn new(certificates: Vec<Certified>) -> Self {
        Self(RwLock::new(certificates))
    }

    /// Puts these in force instead. Sessions that there are go on.
    pub(super) fn replace(&self, certificates: Vec<Certified>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }

    fn choose(&self, name: Option<&str>, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let suits = |one: &&Certified| {
            let key = &one.certified.key;
            key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let chosen = match &all[..] {
            [only] if only.name.is_none() => Some(only),
            _ => name
                .and_then(|name| all.iter().filter(suits).find(|one| is_for(one, name)))
                .or_else(|| all.iter().find(|one| is_default(one)))
                .or_else(|| all.iter().find(|one| one.name.is_none())),
        };
        chosen.map(|one| Arc::clone(&one.certified))
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let chosen = self.choose(name.as_deref(), &hello);
        TRIES.set(TRIES_MAX);
        ASKED.set(name);
        chosen
    }
}

/// The name of the file that is for all others.
const DEFAULT: &[u8] = b"default";

fn is_default(one: &Certified) -> bool {
    one.name.as_deref() == Some(DEFAULT)
}

/// True when a certificate is for `name`, which is in lower case: by its file's name, or else by its own.
fn is_for(one: &Certified, name: &str) -> bool {
    match &one.name {
        Some(own) => own == name.as_bytes(),
        None => {
            let parsed = one.certified.end_entity_cert();
            let parsed = parsed.and_then(ParsedCertificate::try_from);
            let (Ok(parsed), Ok(name)) = (parsed, ServerName::try_from(name)) else {
                return false;
            };
            verify_server_name(&parsed, &name).is_ok()
        }
    }
}
