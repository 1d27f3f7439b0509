//! What command lines say about TLS, and what rustls is told.

use std::ffi::OsString;
use std::fmt::Debug;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::material::{Material, Passphrase, certificates};
use super::provider;
use crate::cli::{Error, Group, Opt, PERMANENT, Value, group};
use crate::sys::process;

/// The versions of TLS that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    From12,
    /// 1.3.
    Only13,
    /// 1.2, for who insists on it.
    Only12,
}

impl Versions {
    /// The option for them.
    pub const OPTIONS: &'static [Opt<Self>] = &[Opt::value(
        "tls-min",
        "version",
        "speak no older TLS than this, 1.2 or 1.3 (default 1.2)",
        |versions, value| {
            *versions = value.parse("1.2 or 1.3", |text| match text {
                b"1.2" => Some(Self::From12),
                b"1.3" => Some(Self::Only13),
                _ => None,
            })?;
            Ok(())
        },
    )];

    /// All of these.
    pub(super) const ALL: [Self; 3] = [Self::From12, Self::Only13, Self::Only12];

    pub(super) fn all(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::From12 => &BOTH,
            Self::Only13 => &BOTH[..1],
            Self::Only12 => &BOTH[1..],
        }
    }
}

fn path(value: &Value) -> PathBuf {
    OsString::from_vec(value.bytes()).into()
}

impl Material {
    /// The options for certificates in files.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "cert",
            "file",
            "show this certificate (PEM, with those above it); may be repeated",
            |material, value| {
                material.pairs.push((path(value), None));
                Ok(())
            },
        ),
        Opt::value(
            "key",
            "file",
            "the private key of the --cert before it, if it is not in that file",
            |material, value| match material.pairs.last_mut() {
                Some((_, key @ None)) => {
                    *key = Some(path(value));
                    Ok(())
                }
                _ => Err(Error::operand("option --key needs a --cert before it")),
            },
        ),
        Opt::value(
            "passphrase-fd",
            "n",
            "read the passphrase of private keys from this descriptor",
            |material, value| {
                let number = value.number(0..=i32::MAX.unsigned_abs())?;
                material.passphrase = Passphrase::Descriptor(number.cast_signed());
                Ok(())
            },
        ),
        Opt::value(
            "passphrase-file",
            "file",
            "read the passphrase of private keys from this file",
            |material, value| {
                material.passphrase = Passphrase::File(path(value));
                Ok(())
            },
        ),
    ];

    /// The option for certificates in a folder.
    pub const FOLDER: &'static [Opt<Self>] = &[Opt::value(
        "certs",
        "folder",
        "show the certificate NAME.pem in this folder to who asks for NAME, or default.pem",
        |material, value| {
            material.folder = Some(path(value));
            Ok(())
        },
    )];
}

/// What a server says about TLS.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Certificates and keys.
    pub material: Material,
    /// The versions.
    pub versions: Versions,
    /// How clients are treated.
    pub manners: Manners,
}

/// How a server treats clients.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Certificates that clients must be signed by.
    pub client_ca: Option<PathBuf>,
    /// A client may come without a certificate.
    pub client_ca_optional: bool,
    /// How long a client may take for the handshake, and to go when the program has.
    pub patience: Duration,
    /// TLS begins when the program says so.
    pub is_delayed: bool,
    /// Protocols to agree on with a client (ALPN, RFC 7301), best first; none to agree on none.
    pub protocols: Vec<Vec<u8>>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            client_ca: None,
            client_ca_optional: false,
            patience: PATIENCE,
            is_delayed: false,
            protocols: Vec::new(),
        }
    }
}

/// How long a peer may take for what is not the program's business.
pub(super) const PATIENCE: Duration = Duration::from_secs(26);

impl Manners {
    /// The options for the certificates of clients.
    pub const CLIENTS: &'static [Opt<Self>] = &[
        Opt::value(
            "client-ca",
            "file",
            "take clients only with a certificate that one of these has signed",
            |manners, value| {
                manners.client_ca = Some(path(value));
                Ok(())
            },
        ),
        Opt::flag(
            "client-ca-optional",
            "with --client-ca: take clients without a certificate too",
            |manners| manners.client_ca_optional = true,
        ),
    ];

    /// The options for how long TLS may take, and when it begins.
    const TIMES: &'static [Opt<Self>] = &[
        Opt::value(
            "tls-timeout",
            "seconds",
            "give a client this long for the handshake, and to go at the end (default 26)",
            |manners, value| {
                manners.patience = value.seconds()?;
                Ok(())
            },
        ),
        Opt::flag(
            "delayed",
            "begin with TLS when the program says so (UCSPI-TLS)",
            |manners| manners.is_delayed = true,
        ),
    ];
}

impl Terms {
    /// Has `read` read a command line that has the options for them.
    pub fn read<T>(&mut self, read: impl FnOnce(&mut dyn Group) -> T) -> T {
        let mut material = group(&[Material::OPTIONS, Material::FOLDER], &mut self.material);
        let mut versions = group(&[Versions::OPTIONS], &mut self.versions);
        let mut manners = group(&[Manners::CLIENTS, Manners::TIMES], &mut self.manners);
        let groups: &mut [&mut dyn Group; 3] = &mut [&mut material, &mut versions, &mut manners];
        read(groups)
    }

    /// Looks whether they say enough.
    ///
    /// # Errors
    /// Usage, 100: no certificate.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.material.is_empty() {
            return Err(Error::operand("--cert or --certs is needed"));
        }
        if self.manners.client_ca_optional && self.manners.client_ca.is_none() {
            return Err(Error::operand("--client-ca-optional needs --client-ca"));
        }
        Ok(())
    }
}

pub(super) fn useless(error: impl std::fmt::Display) -> Error {
    Error::fatal(format!("unable to use TLS: {error}"))
}

/// The certificates in `file`, as roots.
///
/// # Errors
/// 111: it is of no use.
pub(super) fn roots(file: &Path) -> Result<RootCertStore, Error> {
    let certificates = certificates(file).map_err(Error::fatal)?;
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates);
    if usable == 0 {
        let file = file.display();
        return Err(Error::fatal(format!(
            "unable to use {file}: it has no certificate"
        )));
    }
    Ok(roots)
}

/// What a client says about TLS.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The certificate to show, if the server asks for one.
    pub material: Material,
    /// The versions.
    pub versions: Versions,
    /// Who is trusted.
    pub whom: Whom,
}

/// Whom a client trusts.
#[derive(Clone, Debug, Default)]
pub struct Whom {
    /// Certificates to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// Everybody.
    pub no_verify: bool,
    /// The server's name.
    pub name: Option<Vec<u8>>,
}

impl Whom {
    /// The options for it.
    const OPTIONS: &'static [Opt<Self>] = &[Self::CA, Self::NAME, Self::NO_VERIFY];
    /// The options for it, where there is more than one server.
    pub const OF_SEVERAL: &'static [Opt<Self>] = &[Self::CA, Self::NO_VERIFY];

    const CA: Opt<Self> = Opt::value(
        "ca",
        "file",
        "trust who one of these certificates has signed, and not the system's",
        |whom, value| {
            whom.ca = Some(path(value));
            Ok(())
        },
    );
    const NAME: Opt<Self> = Opt::value(
        "name",
        "name",
        "the server must be called this, and is asked for it",
        |whom, value| {
            whom.name = Some(value.bytes());
            Ok(())
        },
    );
    const NO_VERIFY: Opt<Self> = Opt::flag(
        "no-verify",
        "trust everybody: who is between can read and change everything",
        |whom| whom.no_verify = true,
    );
}

impl Trust {
    /// Has `read` read a command line that has the options for it.
    pub fn read<T>(&mut self, read: impl FnOnce(&mut dyn Group) -> T) -> T {
        let mut whom = group(&[Whom::OPTIONS], &mut self.whom);
        let mut material = group(&[Material::OPTIONS], &mut self.material);
        let mut versions = group(&[Versions::OPTIONS], &mut self.versions);
        let groups: &mut [&mut dyn Group; 3] = &mut [&mut whom, &mut material, &mut versions];
        read(groups)
    }

    /// The server's name, which is `operand` if no option says another.
    ///
    /// # Errors
    /// Usage, 100: that is no name.
    pub(super) fn server_name(&self, operand: &[u8]) -> Result<ServerName<'static>, Error> {
        let name = self.whom.name.as_deref().unwrap_or(operand);
        server_name(name).ok_or_else(|| {
            let text = [b"a server cannot be called \"", name, b"\": use --name"].concat();
            Error::operand(text)
        })
    }

    /// What rustls is told.
    ///
    /// # Errors
    /// 111: a file is of no use.
    pub(super) fn config(
        &self,
        own: Option<Arc<CertifiedKey>>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions.all())
            .map_err(useless)?;
        let builder = if self.whom.no_verify {
            let trusting = Arc::new(Trusting(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(trusting)
        } else {
            let roots = match &self.whom.ca {
                Some(file) => roots(file)?,
                None => roots(&system_roots()?)?,
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_webpki_verifier(verifier.build().map_err(useless)?)
        };
        Ok(Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(Own(own))),
        }))
    }
}

/// `name` as that of a server, if it can be one: of DNS, or an address.
pub(super) fn server_name(name: &[u8]) -> Option<ServerName<'static>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let text = std::str::from_utf8(name).ok()?;
    ServerName::try_from(text.to_owned()).ok()
}

/// Where systems have the certificates that they trust: Debian and Alpine, Red Hat, SUSE, OpenSSL's own.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file of the certificates that this system trusts: `$SSL_CERT_FILE`, as with OpenSSL, or the first that is there.
fn system_roots() -> Result<PathBuf, Error> {
    if let Some(file) = process::variable("SSL_CERT_FILE") {
        return Ok(OsString::from_vec(file).into());
    }
    let found = SYSTEM_ROOTS
        .into_iter()
        .find(|file| Path::new(file).exists());
    let found = found.map(PathBuf::from);
    found.ok_or_else(|| {
        Error::with_code(
            "no certificates to trust on this system: use --ca or install them",
            PERMANENT,
        )
    })
}

/// Shows always the same certificate.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Trusts every certificate, and sees to it only that the server has its key.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
