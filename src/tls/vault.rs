//! The server's side of the key process: starting it, asking it, and what rustls is given in place of private keys.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use zeroize::Zeroize;

use super::keys;
use super::material::{Material, Passphrase};
use super::message::{DONE, FAILED, LOAD, LOOK, MESSAGE_MAX, OPEN, Pair, Parts, SAME, SIGN};
use super::tickets::{Key, Name};
use crate::cli::{During, Error};
use crate::sys::process::{self, Fork};
use crate::sys::{fd, socket, watch};

/// The way to the key process. Clones lead to the same one.
#[derive(Clone, Debug)]
pub(super) struct Vault(Arc<Channel>);

#[derive(Debug)]
struct Channel {
    socket: OwnedFd,
    /// Who holds it asks.
    room: Mutex<Room>,
}

struct Room {
    /// Where answers are read into.
    answer: Vec<u8>,
    /// What came with answers for tickets that are not made yet; the last is the newest.
    spare: Vec<(Name, Key)>,
}

/// How many keys for tickets are kept at most: handshakes that are not finished leave some. Who finds none makes no ticket.
const SPARE_MAX: usize = 256;

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

/// A certificate and the key that the key process has for it.
#[derive(Clone, Debug)]
pub(super) struct Certified {
    /// The name that it is for, where its file says so, in lower case.
    pub(super) name: Option<Vec<u8>>,
    pub(super) certified: Arc<CertifiedKey>,
    /// What the administrator should know of it.
    pub(super) remark: Option<Vec<u8>>,
}

impl Vault {
    /// Starts the key process, which must happen before there is a second thread, a runtime, a connection, or another
    /// user: it has what this process has at that moment.
    ///
    /// # Errors
    /// 111: no process, or no descriptor.
    pub(super) fn start(material: &Material) -> Result<Self, Error> {
        let (ours, theirs) = socket::pair_for_messages().during("start the key process")?;
        match process::fork().during("start the key process")? {
            Fork::Child => {
                drop(ours);
                keys::serve(&theirs, material.clone())
            }
            Fork::Parent => {
                if let Passphrase::Descriptor(number) = material.passphrase {
                    fd::close_inherited(number);
                }
                Ok(Self::at(ours))
            }
        }
    }

    /// The way to who answers at the other end of `socket`.
    pub(super) fn at(socket: OwnedFd) -> Self {
        let room = Mutex::new(Room {
            answer: vec![0; MESSAGE_MAX],
            spare: Vec::new(),
        });
        Self(Arc::new(Channel { socket, room }))
    }

    /// All certificates, read anew.
    ///
    /// # Errors
    /// One sentence: why they are of no use. Then what was in force stays so.
    pub(super) fn load(&self) -> Result<Vec<Certified>, String> {
        self.pairs(LOAD).map(Option::unwrap_or_default)
    }

    /// The same if a file has changed since it was last read, of use or not; else none.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(super) fn look(&self) -> Result<Option<Vec<Certified>>, String> {
        self.pairs(LOOK)
    }

    fn pairs(&self, question: u8) -> Result<Option<Vec<Certified>>, String> {
        let mut pairs = Vec::new();
        let mut why = None;
        let mut is_same = false;
        let asked = self.ask(&[&[question]], |answer| {
            match answer {
                [DONE, ..] => return true,
                [SAME, ..] => is_same = true,
                [FAILED, text @ ..] => why = Some(String::from_utf8_lossy(text).into_owned()),
                pair => {
                    let pair = Pair::unpacked(pair).map(|pair| self.certified(pair));
                    pairs.extend(pair);
                    return false;
                }
            }
            true
        });
        match (asked, why) {
            (Err(_), _) => Err(GONE.to_owned()),
            (Ok(()), Some(why)) => Err(why),
            (Ok(()), None) => Ok((!is_same).then_some(pairs)),
        }
    }

    fn certified(&self, pair: Pair) -> Certified {
        let key = RemoteKey {
            vault: self.clone(),
            number: pair.key,
            algorithm: pair.algorithm.into(),
            schemes: pair.schemes.into_iter().map(Into::into).collect(),
        };
        let chain = pair.chain.into_iter().map(CertificateDer::from).collect();
        Certified {
            name: pair.name,
            certified: Arc::new(CertifiedKey::new(chain, Arc::new(key))),
            remark: pair.remark,
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // A thread that panicked ended the process.
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and has `take` read each message of the answer until it says that it was the last.
    pub(super) fn ask(
        &self,
        question: &[&[u8]],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<()> {
        let answer = &mut self.room().answer;
        fd::write(&self.0.socket, &question.concat())?;
        loop {
            let length = fd::read(&self.0.socket, answer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let is_last = take(&answer[..length]);
            answer[..length].zeroize();
            if is_last {
                return Ok(());
            }
        }
    }

    /// Asks for one thing, and has `take` read it; keeps the key for a ticket that comes with it. None when it cannot be had.
    fn ask_one<T>(&self, question: &[&[u8]], take: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let mut found = None;
        let mut fresh = None;
        let asked = self.ask(question, |message| {
            let mut parts = Parts(message);
            if parts.some() == Some([DONE]) {
                fresh = parts.some().zip(parts.some().map(Key::new));
                found = take(parts.0);
            }
            true
        });
        let spare = &mut self.room().spare;
        if spare.len() < SPARE_MAX {
            spare.extend(fresh);
        }
        asked.ok().and(found)
    }

    /// The name and the key of a ticket that is to be made; none when there are too many who make one.
    pub(super) fn spare(&self) -> Option<(Name, Key)> {
        self.room().spare.pop()
    }

    /// Asks for the key of the ticket called `name`; none when it is too old, or not from here.
    pub(super) fn key_of(&self, name: &Name) -> Option<Key> {
        let take = |key: &[u8]| Some(Key::new(key.try_into().ok()?));
        self.ask_one(&[&[OPEN], name], take)
    }

    /// Waits until the key process is gone. Must be called inside the runtime.
    pub(super) async fn ends(&self) -> Error {
        let socket = self.0.socket.try_clone().and_then(watch::end);
        if let Ok(socket) = socket {
            let _ = socket.readable().await;
        }
        Error::fatal(GONE)
    }
}

const GONE: &str = "the key process has ended";

/// A key that somebody else has.
#[derive(Clone, Debug)]
struct RemoteKey {
    vault: Vault,
    number: u32,
    algorithm: SignatureAlgorithm,
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self
            .schemes
            .iter()
            .find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner {
            vault: self.vault.clone(),
            number: self.number,
            scheme: *scheme,
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

/// The same, for one scheme.
#[derive(Debug)]
struct RemoteSigner {
    vault: Vault,
    number: u32,
    scheme: SignatureScheme,
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let number = self.number.to_le_bytes();
        let scheme = u16::from(self.scheme).to_le_bytes();
        let question = [&[SIGN], &number[..], &scheme, message];
        let signature = self
            .vault
            .ask_one(&question, |signature| Some(signature.to_vec()));
        signature.ok_or_else(|| rustls::Error::General("the key process does not sign".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
