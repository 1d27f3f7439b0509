//! What follows the addresses in a header of version 2: type, length, value, and so on. The text, 2.2.1 to 2.2.7.

use super::crc32c::crc32c;
use super::{Facts, Tls, Wrong};

/// The types that are understood. Others are passed over, as the text asks.
pub(super) const ALPN: u8 = 0x01;
pub(super) const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
pub(super) const UNIQUE_ID: u8 = 0x05;
pub(super) const SSL: u8 = 0x20;

/// The types inside of `SSL`.
pub(super) const SSL_VERSION: u8 = 0x21;
pub(super) const SSL_CN: u8 = 0x22;
pub(super) const SSL_CIPHER: u8 = 0x23;
pub(super) const SSL_SIG_ALG: u8 = 0x24;
pub(super) const SSL_KEY_ALG: u8 = 0x25;

/// The first byte of `SSL`: the client has connected by TLS.
pub(super) const CLIENT_SSL: u8 = 0x01;
/// The same: it has shown a certificate on this connection.
pub(super) const CLIENT_CERT_CONN: u8 = 0x02;
/// The same: it has shown a certificate in this TLS session.
pub(super) const CLIENT_CERT_SESS: u8 = 0x04;
/// The first byte of `SSL`, and what has become of the certificate: 0 when it was verified.
const SSL_FIXED: usize = 5;

/// A type and a length.
const TLV_FIXED: usize = 3;

const CUT: Wrong = Wrong("a TLV is cut");

/// What the TLVs say that begin at `start` of the whole header.
pub(super) fn facts(whole: &[u8], start: usize) -> Result<Facts, Wrong> {
    let mut facts = Facts::default();
    let mut at = start;
    while at < whole.len() {
        let (kind, value) = tlv(&whole[at..])?;
        let value_at = at + TLV_FIXED;
        at = value_at + value.len();
        match kind {
            ALPN => facts.alpn = Some(text(value)?),
            AUTHORITY => facts.authority = Some(text(value)?),
            UNIQUE_ID => facts.unique_id = Some(unique_id(value)),
            SSL => facts.tls = tls(value)?,
            CRC32C => {
                let sum = value.try_into().ok().map(u32::from_be_bytes);
                // Of the header with zeros in place of the sum.
                let bytes = whole.iter().enumerate().map(|(index, &byte)| {
                    let is_of_sum = (value_at..at).contains(&index);
                    if is_of_sum { 0 } else { byte }
                });
                if sum != Some(crc32c(bytes)) {
                    return Err(Wrong("its checksum is wrong"));
                }
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// The TLV at the beginning of `bytes`: its type and its value.
fn tlv(bytes: &[u8]) -> Result<(u8, &[u8]), Wrong> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk().ok_or(CUT)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    Ok((kind, rest.get(..length).ok_or(CUT)?))
}

fn tls(value: &[u8]) -> Result<Option<Tls>, Wrong> {
    let (&[client, verify @ ..], mut rest) = value.split_first_chunk::<SSL_FIXED>().ok_or(CUT)?;
    let has_certificate = client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) != 0;
    let mut tls = Tls::default();
    while !rest.is_empty() {
        let (kind, value) = tlv(rest)?;
        rest = &rest[TLV_FIXED + value.len()..];
        let place = match kind {
            SSL_VERSION => &mut tls.version,
            // A certificate that was not verified says nothing of who has it.
            SSL_CN if verify == [0; 4] && has_certificate => &mut tls.common_name,
            SSL_CIPHER => &mut tls.cipher,
            SSL_SIG_ALG => &mut tls.signature,
            SSL_KEY_ALG => &mut tls.key,
            _ => continue,
        };
        *place = Some(text(value)?);
    }
    Ok((client & CLIENT_SSL != 0).then_some(tls))
}

/// Bytes that can be the value of a variable.
fn text(value: &[u8]) -> Result<Vec<u8>, Wrong> {
    if value.contains(&0) {
        return Err(Wrong("a NUL is in what should be text"));
    }
    Ok(value.to_vec())
}

fn unique_id(value: &[u8]) -> Vec<u8> {
    if value.iter().all(u8::is_ascii_graphic) {
        value.to_vec()
    } else {
        let digits = value.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>().into_bytes()
    }
}
