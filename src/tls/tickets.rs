//! Session tickets, each under a key of its own: the key process makes it, and only it can make it again, from the ticket's
//! name and a secret that it never gives away. So who has the network can seal and open a ticket himself, and knows of the
//! keys of others nothing.
//!
//! A ticket is `name (20 bytes), AES-256-GCM(what it holds)`; the key is HMAC-SHA-256 of the name under the secret that the
//! name's first bytes tell. RFC 5077 section 4 has the idea of such a ticket.

use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

/// The name of a ticket: the label of a secret, and chance.
pub(super) type Name = [u8; LABEL_BYTES + CHANCE_BYTES];
/// The key of one ticket.
pub(super) type Key = Zeroizing<[u8; 32]>;

const LABEL_BYTES: usize = 4;
const CHANCE_BYTES: usize = 16;

/// For how long a ticket is of use at most.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// The key process's side: what makes keys.
pub(super) struct Secrets(Vec<Secret>);

struct Secret {
    label: [u8; LABEL_BYTES],
    key: hmac::Key,
    made: Instant,
}

impl Secrets {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps a secret as long as a ticket of its time may be of use, and makes a new one when the last has had its time;
    /// `now` is never before that of the last call.
    pub(super) fn renew(&mut self, now: Instant) {
        let age = |secret: &Secret| now.duration_since(secret.made);
        self.0.retain(|secret| age(secret) < 2 * LIFETIME);
        if self.0.last().is_none_or(|last| age(last) >= LIFETIME) {
            self.0.extend(Secret::new(now));
        }
    }

    /// A name that nobody has had before, and its key.
    pub(super) fn fresh(&self) -> Option<(Name, Key)> {
        let secret = self.0.last()?;
        let mut name = [0; LABEL_BYTES + CHANCE_BYTES];
        name[..LABEL_BYTES].copy_from_slice(&secret.label);
        rand::fill(&mut name[LABEL_BYTES..]).ok()?;
        Some((name, secret.key_of(&name)))
    }

    /// The key of the ticket called `name`; none when it is too old, or not of these secrets.
    pub(super) fn again(&self, name: &Name) -> Option<Key> {
        let secret = self.0.iter().find(|it| name.starts_with(&it.label))?;
        Some(secret.key_of(name))
    }
}

impl Secret {
    fn new(made: Instant) -> Option<Self> {
        let mut label = [0; LABEL_BYTES];
        rand::fill(&mut label).ok()?;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok()?;
        Some(Self { label, key, made })
    }

    fn key_of(&self, name: &Name) -> Key {
        let tag = hmac::sign(&self.key, name);
        let mut key = Key::default();
        key.copy_from_slice(tag.as_ref());
        key
    }
}

/// The ticket called `name` that holds `plain`, for who comes by `scope`. With this name and key that is done once.
pub(super) fn seal((name, key): &(Name, Key), scope: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut ticket = Vec::with_capacity(name.len() + plain.len() + AES_256_GCM.tag_len());
    ticket.extend_from_slice(name);
    ticket.extend_from_slice(plain);
    let key = cipher(key)?;
    let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(scope), &mut ticket[name.len()..]);
    ticket.extend_from_slice(tag.ok()?.as_ref());
    Some(ticket)
}

/// The name of a ticket.
pub(super) fn name(ticket: &[u8]) -> Option<&Name> {
    ticket.first_chunk()
}

/// What `ticket` holds, if it is whole, `key` is its key, and it was made for who comes by `scope`.
pub(super) fn open(key: &Key, scope: &[u8], ticket: &[u8]) -> Option<Vec<u8>> {
    let (_, sealed) = ticket.split_first_chunk::<{ LABEL_BYTES + CHANCE_BYTES }>()?;
    let mut plain = sealed.to_vec();
    let length = {
        let opened = cipher(key)?.open_in_place(nonce(), Aad::from(scope), &mut plain);
        opened.ok()?.len()
    };
    plain.truncate(length);
    Some(plain)
}

fn cipher(key: &Key) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, &key[..])
        .ok()
        .map(LessSafeKey::new)
}

/// Of use because a key seals but one ticket. NIST SP 800-38D section 8
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LIFETIME, Secrets, name, open, seal};

    #[test]
    fn ticket_opens_for_whom_it_was_made_and_not_when_a_bit_of_it_is_another() {
        let mut secrets = Secrets::new();
        secrets.renew(Instant::now());
        let fresh = secrets.fresh().unwrap();
        let ticket = seal(&fresh, b"scope", b"what it holds").unwrap();
        let opened = |ticket: &[u8], scope: &[u8]| {
            let key = secrets.again(name(ticket)?)?;
            open(&key, scope, ticket)
        };
        assert_eq!(opened(&ticket, b"scope").unwrap(), b"what it holds");
        assert_eq!(opened(&ticket, b"another scope"), None);
        for length in 0..ticket.len() {
            assert_eq!(opened(&ticket[..length], b"scope"), None, "{length}");
        }
        for place in 0..ticket.len() {
            let mut bent = ticket.clone();
            bent[place] ^= 1;
            assert_eq!(opened(&bent, b"scope"), None, "{place}");
        }
        assert!(!ticket.windows(4).any(|four| four == b"hold"));
    }

    #[test]
    fn secret_changes_every_12_hours_and_is_gone_12_hours_later() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let mut secrets = Secrets::new();
        secrets.renew(begin);
        let (first, key) = secrets.fresh().unwrap();
        secrets.renew(begin + LIFETIME - second);
        let (last, _) = secrets.fresh().unwrap();
        assert_eq!(first[..4], last[..4]);
        assert_ne!(first, last);
        secrets.renew(begin + LIFETIME);
        let (next, _) = secrets.fresh().unwrap();
        assert_ne!(first[..4], next[..4]);
        secrets.renew(begin + 2 * LIFETIME - second);
        assert_eq!(secrets.again(&first).unwrap(), key);
        secrets.renew(begin + 2 * LIFETIME);
        assert!(secrets.again(&first).is_none() && secrets.again(&last).is_none());
        // It has just been replaced.
        assert!(secrets.again(&next).is_some());
        secrets.renew(begin + 9 * LIFETIME);
        assert!(secrets.again(&next).is_none() && secrets.fresh().is_some());
    }

    #[test]
    fn names_of_other_secrets_are_not_known() {
        let mut both = [Secrets::new(), Secrets::new()];
        for secrets in &mut both {
            secrets.renew(Instant::now());
        }
        let (name, _) = both[0].fresh().unwrap();
        assert!(both[1].again(&name).is_none());
    }
}
