//! The key process: it alone has private keys, and answers questions about them over a socket pair. It has no other
//! descriptor, leaves no core, and ends when nobody is there to ask.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::material::Material;
use super::message::{DONE, FAILED, LOAD, LOOK, MESSAGE_MAX, OPEN, Pair, Parts, SAME, SIGN};
use super::tickets::Secrets;
use crate::cli::reason;
use crate::sys::file::Version;
use crate::sys::signal::{self, Signal};
use crate::sys::{fd, process};

/// What the key process has.
struct Keys {
    material: Material,
    /// All that may still be asked for: those in force, and those before them, with which somebody may just be served.
    held: HashMap<u32, Arc<dyn SigningKey>>,
    /// The first number of those in force, and the next one.
    numbers: [u32; 2],
    /// The files, when they were last read, of use or not.
    seen: Option<Vec<(PathBuf, Option<Version>)>>,
    tickets: Secrets,
}

/// Schemes in the order in which they are preferred.
const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// The key process: answers what comes on `channel` until its other end is gone, and ends.
///
/// It stays who it is when the server gives up its privileges, so that it can read again what only root may.
pub(super) fn serve(channel: &OwnedFd, mut material: Material) -> ! {
    let _ = process::keep_others_out();
    // They are meant for the server, whose end is ours.
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGPIPE,
    ] {
        signal::ignore(signal);
    }
    let taken = material.take_passphrase();
    for number in 0..=2 {
        fd::occupy(number);
    }
    fd::keep_only(channel.as_fd());
    answer_all(channel, material, taken);
    process::exit_now(0)
}

/// Answers what comes on `channel` until its other end is gone; `taken` is how the passphrase was taken.
pub(super) fn answer_all(channel: &OwnedFd, material: Material, taken: io::Result<()>) {
    let mut keys = Keys {
        material,
        held: HashMap::new(),
        numbers: [0, 0],
        seen: None,
        tickets: Secrets::new(),
    };
    let mut room = vec![0; MESSAGE_MAX];
    loop {
        let question = match fd::read(channel, &mut room) {
            Ok(length @ 1..) => &room[..length],
            _ => return,
        };
        // The server looks every minute, so that no secret is kept for much longer than it is of use.
        keys.tickets.renew(Instant::now());
        let answered = match (question, &taken) {
            ([LOAD, ..], Err(error)) => {
                let why = format!("unable to read the passphrase: {}", reason(error));
                say(channel, &failed(&why))
            }
            ([LOAD, ..], _) => keys.load(channel),
            ([LOOK, ..], _) if keys.seen.as_ref() == Some(&keys.material.versions()) => {
                say(channel, &[SAME])
            }
            ([LOOK, ..], _) => keys.load(channel),
            ([SIGN, rest @ ..], _) => answer(channel, keys.sign(rest)),
            ([OPEN, name @ ..], _) => answer(channel, keys.open(name)),
            _ => say(channel, &failed("")),
        };
        if answered.is_err() {
            return;
        }
    }
}

impl Keys {
    /// Reads everything, says what it is, and keeps the keys. When something is of no use, all stays as it was.
    fn load(&mut self, channel: &OwnedFd) -> io::Result<()> {
        let is_first = self.held.is_empty();
        self.seen = Some(self.material.versions());
        let all = match self.material.read() {
            Ok(all) => all,
            Err(why) => return say(channel, &failed(&why)),
        };
        let useless = all.iter().find_map(|one| Some((one, one.objection?)));
        if let Some((one, why)) = useless.filter(|_| !is_first) {
            let why = format!("unable to use {}: {why}", one.file.display());
            return say(channel, &failed(&why));
        }
        let [before, mut next] = self.numbers;
        self.held.retain(|&number, _| number >= before);
        self.numbers[0] = next;
        for one in all {
            let usable = |scheme: &SignatureScheme| one.key.choose_scheme(&[*scheme]).is_some();
            let schemes = SCHEMES.into_iter().filter(usable).map(u16::from);
            let remark = one
                .objection
                .map(|why| format!("{}: {why}", one.file.display()));
            let pair = Pair {
                key: next,
                algorithm: one.key.algorithm().into(),
                schemes: schemes.collect(),
                name: one.name,
                remark: remark.map(String::into_bytes),
                chain: one.chain.iter().map(|one| one.to_vec()).collect(),
            };
            say(channel, &pair.packed())?;
            self.held.insert(next, one.key);
            next = next.wrapping_add(1);
        }
        self.numbers[1] = next;
        say(channel, &[DONE])
    }

    /// What `question` asks to be signed, signed.
    fn sign(&self, question: &[u8]) -> Option<Answer> {
        let mut parts = Parts(question);
        let key = self.held.get(&u32::from_le_bytes(parts.some()?))?;
        let scheme = SignatureScheme::from(u16::from_le_bytes(parts.some()?));
        let signature = key.choose_scheme(&[scheme])?.sign(parts.0).ok()?;
        self.done(&signature)
    }

    /// The key of the ticket called `name`.
    fn open(&self, name: &[u8]) -> Option<Answer> {
        let key = self.tickets.again(name.try_into().ok()?)?;
        self.done(&key[..])
    }

    /// An answer: the name and the key of another ticket, and what was asked for.
    fn done(&self, asked: &[u8]) -> Option<Answer> {
        let (name, key) = self.tickets.fresh()?;
        Some(Zeroizing::new(
            [&[DONE], &name[..], &key[..], asked].concat(),
        ))
    }
}

/// A message that is wiped.
type Answer = Zeroizing<Vec<u8>>;

fn failed(why: &str) -> Vec<u8> {
    [&[FAILED], why.as_bytes()].concat()
}

fn answer(channel: &OwnedFd, done: Option<Answer>) -> io::Result<()> {
    match done {
        Some(done) => say(channel, &done),
        None => say(channel, &failed("")),
    }
}

/// Sends one message.
fn say(channel: &OwnedFd, message: &[u8]) -> io::Result<()> {
    fd::write(channel, message).map(drop)
}
