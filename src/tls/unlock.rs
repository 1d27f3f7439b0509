//! Certificates and private keys out of PEM, also of keys that a passphrase protects. RFC 7468; RFC 5958 and RFC 8018 for
//! `ENCRYPTED PRIVATE KEY`; RFC 1421 section 4.6 and OpenSSL's EVP_BytesToKey(3) for `Proc-Type: 4,ENCRYPTED`.
//!
//! Only the key process comes here with a key. What it had in hand is wiped.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use des::{Des, TdesEde3};
use md5::{Digest, Md5};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use zeroize::{Zeroize, Zeroizing};

use super::pem::{self, Section};

/// What a file of PEM has.
#[derive(Default)]
pub struct Found {
    /// All certificates, in the file's order.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The first private key.
    pub key: Option<PrivateKeyDer<'static>>,
}

/// Certificates, and no key: other sections are passed over.
///
/// # Errors
/// It is no PEM.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let sections = sections(text)?.into_iter();
    let certificates = sections.filter(|section| section.kind == CERTIFICATE);
    Ok(certificates.map(certificate).collect())
}

/// Certificates and the key, if there is one, which `passphrase` opens if it is locked.
///
/// # Errors
/// It is no PEM, or the key cannot be opened.
pub fn open(text: &[u8], passphrase: Option<&[u8]>) -> Result<Found, String> {
    let mut found = Found::default();
    for section in sections(text)? {
        if section.kind == CERTIFICATE {
            found.certificates.push(certificate(section));
        } else if section.kind.ends_with("PRIVATE KEY") && found.key.is_none() {
            let key = key(section, passphrase);
            wipe_stack();
            found.key = Some(key?);
        }
    }
    Ok(found)
}

const CERTIFICATE: &str = "CERTIFICATE";

fn sections(text: &[u8]) -> Result<Vec<Section>, String> {
    pem::sections(text).ok_or_else(|| "it is no PEM".to_owned())
}

fn certificate(mut section: Section) -> CertificateDer<'static> {
    std::mem::take(&mut *section.content).into()
}

// Not inlined: `wipe_stack` gets at what is below its caller.
#[inline(never)]
fn key(section: Section, passphrase: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, String> {
    let needed = || passphrase.ok_or("its key needs a passphrase");
    let Section {
        kind,
        lock,
        mut content,
    } = section;
    if kind == "ENCRYPTED PRIVATE KEY" {
        let locked = EncryptedPrivateKeyInfoRef::try_from(&content[..]);
        let locked = locked.map_err(|_| UNKNOWN_LOCK)?;
        // In its place: what `decrypt` makes leaves a copy behind.
        let mut room = Zeroizing::new(locked.encrypted_data.as_bytes().to_vec());
        let cipher = &locked.encryption_algorithm;
        let opened = cipher.decrypt_in_place(needed()?, &mut room);
        let opened = opened
            .ok()
            .filter(|key| PrivateKeyInfoRef::try_from(*key).is_ok());
        let opened = opened.ok_or(WRONG_PASSPHRASE)?;
        return Ok(PrivatePkcs8KeyDer::from(opened.to_vec()).into());
    }
    if let Some(lock) = lock {
        content = decrypted(&lock, &content, needed()?)?;
    }
    let content = std::mem::take(&mut *content);
    Ok(match &kind[..] {
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(content).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(content).into(),
        "PRIVATE KEY" => PrivatePkcs8KeyDer::from(content).into(),
        _ => return Err(format!("a key of the kind {kind} is not known")),
    })
}

/// Wipes what the call before this one left on the stack: ciphers work on copies of several blocks there.
#[inline(never)]
fn wipe_stack() {
    let mut room = [0_u8; STACK_BYTES];
    room.zeroize();
}

/// More than opening a key takes.
const STACK_BYTES: usize = 1 << 15;

const WRONG_PASSPHRASE: &str = "the passphrase does not open its key";
const UNKNOWN_LOCK: &str = "its key is locked in a way that is not known";

/// Decrypts what `lock`, the value of DEK-Info, says how: `CIPHER,IV`, the latter in hexadecimal.
fn decrypted(
    lock: &str,
    content: &[u8],
    passphrase: &[u8],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let (cipher, iv) = lock.split_once(',').ok_or(UNKNOWN_LOCK)?;
    let iv = hexadecimal(iv.trim()).ok_or(UNKNOWN_LOCK)?;
    let opened = match cipher {
        "AES-128-CBC" => opened::<cbc::Decryptor<Aes128>>(content, passphrase, &iv, 16),
        "AES-192-CBC" => opened::<cbc::Decryptor<Aes192>>(content, passphrase, &iv, 24),
        "AES-256-CBC" => opened::<cbc::Decryptor<Aes256>>(content, passphrase, &iv, 32),
        "DES-EDE3-CBC" => opened::<cbc::Decryptor<TdesEde3>>(content, passphrase, &iv, 24),
        "DES-CBC" => opened::<cbc::Decryptor<Des>>(content, passphrase, &iv, 8),
        _ => return Err(UNKNOWN_LOCK),
    };
    // A wrong passphrase gives what looks whole now and then, but seldom a DER sequence as well.
    let opened = opened.filter(|key| key.first() == Some(&SEQUENCE));
    opened.ok_or(WRONG_PASSPHRASE)
}

/// With this begin keys in DER. X.690 section 8.9
const SEQUENCE: u8 = 0x30;

fn opened<D: KeyIvInit + BlockModeDecrypt>(
    content: &[u8],
    passphrase: &[u8],
    iv: &[u8],
    key_bytes: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    // The salt is the beginning of the IV; one round of MD5 for each piece.
    let salt = iv.get(..8)?;
    let mut key = Zeroizing::new(Vec::new());
    let mut piece = Vec::new();
    while key.len() < key_bytes {
        let mut hash = Md5::new();
        hash.update(&piece);
        hash.update(passphrase);
        hash.update(salt);
        piece.zeroize();
        piece = hash.finalize().to_vec();
        key.extend_from_slice(&piece);
    }
    piece.zeroize();
    let cipher = D::new_from_slices(&key[..key_bytes], iv).ok()?;
    let opened = cipher.decrypt_padded_vec::<Pkcs7>(content).ok()?;
    Some(Zeroizing::new(opened))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}
