//! Which files hold certificates and keys, and reading them. Only the key process does that.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use zeroize::{Zeroize, Zeroizing};

use super::message::MESSAGE_MAX;
use super::{der, unlock};
use crate::cli::reason;
use crate::sys::clock;
use crate::sys::fd;
use crate::sys::file::Version;

/// Where certificates and keys are.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// Files, each with a certificate and those above it; the key may be in a file of its own.
    pub pairs: Vec<(PathBuf, Option<PathBuf>)>,
    /// A folder with a file `NAME.pem` for each name, and `default.pem`.
    pub folder: Option<PathBuf>,
    /// What opens locked keys.
    pub passphrase: Passphrase,
}

/// Where a passphrase is.
#[derive(Clone, Debug, Default)]
pub enum Passphrase {
    /// There is none.
    #[default]
    None,
    /// The first line of a file.
    File(PathBuf),
    /// The first line of what an inherited descriptor gives.
    Descriptor(i32),
    /// This.
    Text(Zeroizing<Vec<u8>>),
}

impl Passphrase {
    /// This one, which is wiped when it is done with.
    pub(crate) fn of(text: Vec<u8>) -> Self {
        Self::Text(Zeroizing::new(text))
    }
}

/// A certificate and its key, as they were read.
pub(super) struct Read {
    pub(super) name: Option<Vec<u8>>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Arc<dyn SigningKey>,
    /// Where it is from.
    pub(super) file: PathBuf,
    /// From when to when the certificate is valid does not include this moment: why.
    pub(super) objection: Option<&'static str>,
}

/// What a passphrase may have, in bytes.
const PASSPHRASE_MAX: usize = 4096;

impl Material {
    /// True when no certificate was named.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.folder.is_none()
    }

    /// Reads what a descriptor has, once and for all.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn take_passphrase(&mut self) -> io::Result<()> {
        if let Passphrase::Descriptor(number) = self.passphrase {
            let mut text = Zeroizing::new(vec![0; PASSPHRASE_MAX]);
            let mut length = 0;
            let descriptor = fd::take_inherited(number)?;
            while length < text.len() && !text[..length].contains(&b'\n') {
                match fd::read(&descriptor, &mut text[length..])? {
                    0 => break,
                    more => length += more,
                }
            }
            self.passphrase = Passphrase::Text(first_line(&text[..length]));
        }
        Ok(())
    }

    /// All files, and whether they are still the same; for comparing only.
    pub(super) fn versions(&self) -> Vec<(PathBuf, Option<Version>)> {
        let version = |path: PathBuf| {
            let version = fs::metadata(&path).ok();
            (path, version.as_ref().map(Version::of))
        };
        let pairs = self.pairs.iter().flat_map(|(certificate, key)| {
            [Some(certificate), key.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
        });
        let inside = self
            .folder
            .iter()
            .flat_map(|folder| files(folder).unwrap_or_default());
        pairs.chain(inside).map(version).collect()
    }

    /// Reads everything.
    ///
    /// # Errors
    /// One sentence: which file is of no use, and why.
    pub(super) fn read(&self) -> Result<Vec<Read>, String> {
        let passphrase = self.passphrase()?;
        let passphrase = passphrase.as_ref().map(|text| &text[..]);
        let mut all = Vec::new();
        for (certificate, key) in &self.pairs {
            all.push(pair(certificate, key.as_deref(), passphrase)?);
        }
        if let Some(folder) = &self.folder {
            let files = files(folder).map_err(|error| unreadable(folder, &error))?;
            for file in files {
                let mut one = pair(&file, None, passphrase)?;
                let stem = file.file_stem().unwrap_or_default();
                one.name = Some(stem.as_bytes().to_ascii_lowercase());
                all.push(one);
            }
        }
        if all.is_empty() {
            return Err("there is no certificate".to_owned());
        }
        Ok(all)
    }

    fn passphrase(&self) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        match &self.passphrase {
            Passphrase::None | Passphrase::Descriptor(_) => Ok(None),
            Passphrase::Text(text) => Ok(Some(text.clone())),
            Passphrase::File(path) => {
                let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
                Ok(Some(first_line(&Zeroizing::new(text))))
            }
        }
    }
}

fn first_line(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let line = text.split(|&byte| byte == b'\n').next();
    Zeroizing::new(line.unwrap_or_default().to_vec())
}

/// The files of a folder whose names end in `.pem`, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("unable to read {}: {}", path.display(), reason(error))
}

/// Reads the certificate in `file`, and its key, from there or from `key`.
fn pair(file: &Path, key: Option<&Path>, passphrase: Option<&[u8]>) -> Result<Read, String> {
    let read = |path: &Path| {
        let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let text = Zeroizing::new(text);
        let found = unlock::open(&text, passphrase);
        found.map_err(|why| format!("unable to use {}: {why}", path.display()))
    };
    let useless = |why: &str| format!("unable to use {}: {why}", file.display());
    // With a key of its own, another in the certificate's file means nothing, locked or not.
    let found = match key {
        None => read(file)?,
        Some(key) => unlock::Found {
            certificates: certificates(file)?,
            key: read(key)?.key,
        },
    };
    let chain = found.certificates;
    let mut key = found.key.ok_or_else(|| useless("it has no key"))?;
    let first = chain
        .first()
        .ok_or_else(|| useless("it has no certificate"))?;
    if chain
        .iter()
        .map(|certificate| certificate.len() + 4)
        .sum::<usize>()
        > MESSAGE_MAX / 2
    {
        return Err(useless("its certificates are too long"));
    }
    let validity = der::validity(first).ok_or_else(|| useless("it has no certificate"))?;
    let signing = any_supported_type(&key);
    key.zeroize();
    let signing = signing.map_err(|_| useless("its key is of no use for TLS"))?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|error| {
        useless(match error {
            Error::InconsistentKeys(_) => "the key is not that of the certificate",
            // Of version 1, for example.
            _ => "its certificate is of no use for TLS",
        })
    })?;
    Ok(Read {
        name: None,
        chain: certified.cert,
        key: certified.key,
        file: file.to_owned(),
        objection: objection(&validity),
    })
}

/// All certificates in `file`.
///
/// # Errors
/// One sentence: the file is of no use, and why.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|error| unreadable(file, &error))?;
    let certificates = unlock::certificates(&Zeroizing::new(text));
    certificates.map_err(|why| format!("unable to use {}: {why}", file.display()))
}

/// What speaks against a certificate that is valid from the first to the second of these times.
fn objection([from, to]: &[Vec<u8>; 2]) -> Option<&'static str> {
    let now = clock::utc(std::time::SystemTime::now());
    let digits: Vec<u8> = now.bytes().filter(u8::is_ascii_digit).take(14).collect();
    if digits > *to {
        Some("its certificate has expired")
    } else if digits < *from {
        Some("its certificate is not valid yet")
    } else {
        None
    }
}
