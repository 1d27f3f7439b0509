//! Writing a header.

use std::net::{IpAddr, SocketAddr};

use super::tlv::{
    ALPN, AUTHORITY, CLIENT_CERT_CONN, CLIENT_CERT_SESS, CLIENT_SSL, SSL, SSL_CIPHER, SSL_CN,
    SSL_KEY_ALG, SSL_SIG_ALG, SSL_VERSION, UNIQUE_ID,
};
use super::v2::{LOCAL, PROXY, REST_MAX, SIGNATURE, TCP4, TCP6, UNSPEC};
use super::{Addresses, Facts, Header, Tls};

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One line.
    V1,
    /// Binary, with facts.
    V2,
}

impl Version {
    /// How to write it, for messages.
    pub const FORM: &'static str = "1 or 2";

    /// Reads `1` or `2`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"1" => Some(Self::V1),
            b"2" => Some(Self::V2),
            _ => None,
        }
    }
}

impl Header {
    /// The header in this version, as it stands ahead of a connection. Addresses of two families become IPv6 both. Version 1
    /// has no room for facts; in version 2, those are left out that do not fit in what others take, and all without addresses.
    pub fn write(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1 => self.line(),
            Version::V2 => self.binary(),
        }
    }

    fn line(&self) -> Vec<u8> {
        let Some(addresses) = self.addresses else {
            return b"PROXY UNKNOWN\r\n".to_vec();
        };
        let (remote, local) = alike(addresses);
        let protocol = if remote.is_ipv4() { "TCP4" } else { "TCP6" };
        let ports = format!("{} {}", remote.port(), local.port());
        let (remote, local) = (remote.ip(), local.ip());
        format!("PROXY {protocol} {remote} {local} {ports}\r\n").into_bytes()
    }

    fn binary(&self) -> Vec<u8> {
        let mut block = Vec::new();
        let (command, family) = match self.addresses {
            None => (LOCAL, UNSPEC),
            Some(addresses) => {
                let (remote, local) = alike(addresses);
                for ip in [remote.ip(), local.ip()] {
                    match ip {
                        IpAddr::V4(ip) => block.extend(ip.octets()),
                        IpAddr::V6(ip) => block.extend(ip.octets()),
                    }
                }
                block.extend(remote.port().to_be_bytes());
                block.extend(local.port().to_be_bytes());
                (PROXY, if remote.is_ipv4() { TCP4 } else { TCP6 })
            }
        };
        // Who speaks for himself says nothing else: nobody would look at it.
        let facts = self.addresses.map(|_| tlvs(&self.facts));
        for tlv in facts.into_iter().flatten() {
            if block.len() + tlv.len() <= REST_MAX {
                block.extend(tlv);
            }
        }
        let length = u16::try_from(block.len()).unwrap_or_default();
        let fixed = [SIGNATURE, &[command, family], &length.to_be_bytes()].concat();
        [fixed, block].concat()
    }
}

/// Both ends, as addresses of one family.
fn alike(addresses: Addresses) -> (SocketAddr, SocketAddr) {
    let Addresses { remote, local } = addresses;
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(ip) => SocketAddr::from((ip, address.port())),
    };
    if remote.is_ipv4() && local.is_ipv4() {
        (remote, local)
    } else {
        (mapped(remote), mapped(local))
    }
}

fn tlvs(facts: &Facts) -> Vec<Vec<u8>> {
    let known = [
        (ALPN, &facts.alpn),
        (AUTHORITY, &facts.authority),
        (UNIQUE_ID, &facts.unique_id),
    ];
    let mut all: Vec<_> = known.into_iter().filter_map(known_tlv).collect();
    all.extend(facts.tls.as_ref().and_then(|facts| tlv(SSL, &tls(facts))));
    all
}

fn tls(tls: &Tls) -> Vec<u8> {
    // A name is only there when its certificate was verified.
    let (client, verify) = match tls.common_name {
        Some(_) => (CLIENT_SSL | CLIENT_CERT_CONN | CLIENT_CERT_SESS, 0_u32),
        None => (CLIENT_SSL, 1),
    };
    let parts = [
        (SSL_VERSION, &tls.version),
        (SSL_CN, &tls.common_name),
        (SSL_CIPHER, &tls.cipher),
        (SSL_SIG_ALG, &tls.signature),
        (SSL_KEY_ALG, &tls.key),
    ];
    let mut value = vec![client];
    value.extend(verify.to_be_bytes());
    value.extend(parts.into_iter().filter_map(known_tlv).flatten());
    value
}

fn known_tlv((kind, value): (u8, &Option<Vec<u8>>)) -> Option<Vec<u8>> {
    tlv(kind, value.as_ref()?)
}

/// Nothing for a value that is too long for any.
fn tlv(kind: u8, value: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(value.len()).ok()?.to_be_bytes();
    Some([&[kind, high, low], value].concat())
}
