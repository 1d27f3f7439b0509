//! The PROXY protocol: what a balancer says of a connection ahead of its first byte.
//!
//! [`read()`] and [`Header::write`] are pure; `take` takes a header from a connection. Source: HAProxy's proxy-protocol.txt
//! (2020/03/05), here "the text": section 2.1 for version 1, 2.2 for version 2. What this leaves out: UDP and UNIX
//! addresses, which keep the real ones, and network namespaces.

mod crc32c;
#[cfg(test)]
mod laws;
pub(crate) mod take;
mod tlv;
mod v1;
mod v2;
mod write;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::service::{Packer, Unpacker};

pub use write::Version;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Between which addresses the connection is that the balancer has taken; `None` when it speaks for itself (LOCAL), or
    /// of a connection that is not of TCP (UNKNOWN, UNSPEC, UDP, UNIX).
    pub addresses: Option<Addresses>,
    /// What else it says of that connection.
    pub facts: Facts,
}

/// The two ends of a connection, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Who connected.
    pub remote: SocketAddr,
    /// To where.
    pub local: SocketAddr,
}

/// What a header of version 2 may say besides addresses. Foreign bytes, without NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The protocol that was agreed on by ALPN: `h2`.
    pub alpn: Option<Vec<u8>>,
    /// The host that was asked for, from SNI mostly.
    pub authority: Option<Vec<u8>>,
    /// What the balancer calls the connection: text if all of it is printable, else lower-case hexadecimal.
    pub unique_id: Option<Vec<u8>>,
    /// There is, when the client connected by TLS.
    pub tls: Option<Tls>,
}

/// The TLS that a client speaks with the balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.3`
    pub version: Option<Vec<u8>>,
    /// The common name in the client's certificate, if the balancer has verified it.
    pub common_name: Option<Vec<u8>>,
    /// `ECDHE-RSA-AES128-GCM-SHA256`
    pub cipher: Option<Vec<u8>>,
    /// How the balancer's certificate was signed: `SHA256`.
    pub signature: Option<Vec<u8>>,
    /// Of what kind the key of the balancer's certificate is: `RSA2048`.
    pub key: Option<Vec<u8>>,
}

/// What a PROXY header says of a connection; nothing where none came.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    /// Who said it, and between which ends it is; none where the real ones count.
    pub(crate) ends: Option<(SocketAddr, Addresses)>,
    pub(crate) facts: Facts,
}

impl Announced {
    pub(super) fn pack(&self, to: &mut Packer) {
        to.maybe(self.ends, |to, (proxy, ends)| {
            to.text(proxy);
            to.text(ends.remote);
            to.text(ends.local);
        });
        for (_, value) in self.facts.variables() {
            to.maybe(value, Packer::bytes);
        }
    }

    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let ends = from.maybe(|from| {
            let proxy = from.text()?;
            let (remote, local) = (from.text()?, from.text()?);
            Some((proxy, Addresses { remote, local }))
        })?;
        let mut known = HashMap::new();
        for (name, _) in Facts::default().variables() {
            known.insert(name, from.maybe(Unpacker::bytes)?);
        }
        let value = |name: &str| known.get(name)?.map(<[u8]>::to_vec);
        let facts = Facts::of_variables(value);
        Some(Self { ends, facts })
    }

    /// The balancer whose word counts for the ends of the connection.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        self.ends.map(|(proxy, _)| proxy)
    }
}

/// Why bytes are no header, in words that complete "bad PROXY header: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

/// The longest header of version 1, with its line end. The text, 2.1.
pub const V1_MAX: usize = 107;
/// The longest header of version 2 that is taken: this is much more than HAProxy sends, and the format goes on to 64 KiB.
pub const V2_MAX: usize = v2::FIXED + v2::REST_MAX;

/// Reads the header at the beginning of `bytes`, of either version, and gives it with its length; nothing when more bytes
/// are needed to know. What follows the header is not looked at.
///
/// # Errors
/// No bytes that could follow make a header of it.
pub fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, Wrong> {
    if bytes.starts_with(v1::START) {
        v1::read(bytes)
    } else if bytes.starts_with(v2::SIGNATURE) {
        v2::read(bytes)
    } else if v1::START.starts_with(bytes) || v2::SIGNATURE.starts_with(bytes) {
        Ok(None)
    } else {
        Err(Wrong("it begins otherwise"))
    }
}

impl Header {
    /// What the variables of a program say that serves a connection; the header of who speaks for himself when they do not
    /// say between which ends that is.
    pub(super) fn of_variables(value: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let text = |name: &str| String::from_utf8(value(name)?).ok();
        let end = |side: &str| {
            let ip: IpAddr = text(&format!("TCP{side}IP"))?.parse().ok()?;
            let port = text(&format!("TCP{side}PORT"))?.parse().ok()?;
            Some(SocketAddr::new(ip.to_canonical(), port))
        };
        match (end("REMOTE"), end("LOCAL")) {
            (Some(remote), Some(local)) => Self {
                addresses: Some(Addresses { remote, local }),
                facts: Facts::of_variables(value),
            },
            _ => Self::default(),
        }
    }
}

impl Facts {
    /// The facts, each with the variable that tells a program; those that are not known, too.
    pub(super) fn variables(&self) -> [(&'static str, Option<&[u8]>); 8] {
        let tls = self.tls.as_ref();
        let of = |part: fn(&Tls) -> &Option<Vec<u8>>| tls.and_then(|tls| part(tls).as_deref());
        [
            ("PROXY_ALPN", self.alpn.as_deref()),
            ("PROXY_AUTHORITY", self.authority.as_deref()),
            ("PROXY_UNIQUE_ID", self.unique_id.as_deref()),
            ("PROXY_SSL_VERSION", of(|tls| &tls.version)),
            ("PROXY_SSL_CN", of(|tls| &tls.common_name)),
            ("PROXY_SSL_CIPHER", of(|tls| &tls.cipher)),
            ("PROXY_SSL_SIG_ALG", of(|tls| &tls.signature)),
            ("PROXY_SSL_KEY_ALG", of(|tls| &tls.key)),
        ]
    }

    /// The facts that such variables tell.
    fn of_variables(value: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let tls = Tls {
            version: value("PROXY_SSL_VERSION"),
            common_name: value("PROXY_SSL_CN"),
            cipher: value("PROXY_SSL_CIPHER"),
            signature: value("PROXY_SSL_SIG_ALG"),
            key: value("PROXY_SSL_KEY_ALG"),
        };
        Self {
            alpn: value("PROXY_ALPN"),
            authority: value("PROXY_AUTHORITY"),
            unique_id: value("PROXY_UNIQUE_ID"),
            tls: (tls != Tls::default()).then_some(tls),
        }
    }
}
