//! What is to be known of a session: the environment of its program, and the words of the log. Source: the manuals of
//! ucspi-ssl and s6-tlsd for the names; libtls for the form of the hash.

use std::fmt::Write as _;

use rustls::{CipherSuite, CommonState, ProtocolVersion, crypto::aws_lc_rs::cipher_suite};

use super::der;
use crate::ucspi::proxy;

/// What is to be known of a session whose handshake is done.
#[derive(Debug)]
pub(crate) struct Facts {
    protocol: &'static str,
    cipher: String,
    /// The name that was asked for.
    name: Option<String>,
    /// The protocol that was agreed on by ALPN.
    application: Option<Vec<u8>>,
    /// The peer's certificate, where it has shown one.
    certificate: Option<Vec<u8>>,
}

impl Facts {
    /// The facts of `state`, whose server was asked for `name`.
    pub(super) fn of(state: &CommonState, name: Option<String>) -> Self {
        let certificate = state.peer_certificates().and_then(<[_]>::first);
        Self {
            protocol: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: state
                .negotiated_cipher_suite()
                .map_or_else(String::new, |suite| cipher(suite.suite())),
            name,
            application: state.alpn_protocol().map(<[u8]>::to_vec),
            certificate: certificate.map(|certificate| certificate.to_vec()),
        }
    }

    /// Settings of the environment, `NAME=value`, and the names alone of what is not known: a stale value must not pass for
    /// one of ours.
    pub(super) fn settings(&self) -> Vec<Vec<u8>> {
        let certificate = self.certificate.as_deref();
        let hash = certificate.map(hash);
        [
            ("SSL_PROTOCOL", Some(self.protocol.as_bytes().to_vec())),
            ("SSL_CIPHER", Some(self.cipher.clone().into_bytes())),
            (
                "SSL_TLS_SNI_SERVERNAME",
                self.name.clone().map(String::into_bytes),
            ),
            ("SSL_PEER_CERT_HASH", hash.map(String::into_bytes)),
            ("SSL_PEER_CERT_SUBJECT", certificate.and_then(der::subject)),
        ]
        .into_iter()
        .map(|(name, value)| match value {
            Some(value) => [name.as_bytes(), b"=", &value].concat(),
            None => name.as_bytes().to_vec(),
        })
        .collect()
    }

    /// `TLSv1.3 CIPHER sni NAME`; without the last two where no name was asked for. rustls takes no name that is none.
    pub(crate) fn words(&self) -> String {
        let mut words = format!("{} {}", self.protocol, self.cipher);
        if let Some(name) = &self.name {
            let _ = write!(words, " sni {name}");
        }
        words
    }
}

impl Facts {
    /// The protocol that was agreed on by ALPN.
    pub(crate) fn application(&self) -> Option<&[u8]> {
        self.application.as_deref()
    }

    /// What a PROXY header says of them. A certificate that was shown to us was verified.
    pub(crate) fn announced(&self) -> proxy::Facts {
        let name = self.certificate.as_deref().and_then(der::common_name);
        proxy::Facts {
            alpn: self.application.clone(),
            authority: self.name.clone().map(String::into_bytes),
            unique_id: None,
            tls: Some(proxy::Tls {
                version: Some(self.protocol.into()),
                common_name: name,
                cipher: Some(self.cipher.clone().into_bytes()),
                ..proxy::Tls::default()
            }),
        }
    }
}

/// The name that OpenSSL has for a suite: as it is for TLS 1.3, and `ECDHE-RSA-AES256-GCM-SHA384` for
/// `TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384`. openssl-ciphers(1)
fn cipher(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or("unknown");
    let name = name.replace("TLS13_", "TLS_");
    let Some((exchange, bulk)) = name.split_once("_WITH_") else {
        return name;
    };
    let exchange = exchange.trim_start_matches("TLS_");
    let bulk = bulk
        .replace("AES_", "AES")
        .replace("POLY1305_SHA256", "POLY1305");
    format!("{exchange}-{bulk}").replace('_', "-")
}

/// `SHA256:` and the hash in hexadecimal.
fn hash(certificate: &[u8]) -> String {
    let mut text = "SHA256:".to_owned();
    if let Some(suite) = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13() {
        for byte in suite.common.hash_provider.hash(certificate).as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{cipher, hash};
    use rustls::CipherSuite;

    #[test]
    fn suites_have_the_names_of_openssl() {
        for (suite, name) in [
            (
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                "ECDHE-ECDSA-AES256-GCM-SHA384",
            ),
            (
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                "ECDHE-RSA-CHACHA20-POLY1305",
            ),
            (
                CipherSuite::TLS13_AES_128_GCM_SHA256,
                "TLS_AES_128_GCM_SHA256",
            ),
        ] {
            assert_eq!(cipher(suite), name);
        }
    }

    #[test]
    fn hash_is_sha_256() {
        let empty = "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash(b""), empty);
    }
}
