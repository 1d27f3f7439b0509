//! Addresses and prefixes as an administrator writes them, and the keys under which they are stored.
//!
//! | written | stored |
//! |---|---|
//! | `2001:db8::1` | `2001:0DB8:0000:0000:0000:0000:0000:0001` |
//! | `10.0.0.0/8` | `_0000e0g0`: a 1 bit is the byte of its place in `a`..`z`, `1`..`6` |
//! | `fe80::/10` | ``^`abcdef0g0``: the n-th 1 bit is the byte 0x60 + n, n from 0 |
//!
//! Source: observed runs of ucspi-tcp6, whose keys these are; its leniency (garbage is 0.0.0.0, octets modulo 256, host
//! bits dropped, trailing text ignored) is not copied.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, PrefixLenError};

use crate::cli;

/// What is wrong with an address: the byte of the text at which it shows, from 0, and what was expected there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) expected: String,
}

fn mistake<T>(at: usize, expected: impl Into<String>) -> Result<T, Mistake> {
    let expected = expected.into();
    Err(Mistake { at, expected })
}

/// Reads `address/length`; the part before the slash may be shortened for IPv4 (`10/8`, `127./8`), and may have bits set
/// behind the first `length`.
pub(super) fn network(text: &[u8]) -> Result<IpNet, Mistake> {
    let slash = text.iter().position(|&byte| byte == b'/');
    let slash = slash.unwrap_or(text.len());
    let length_at = (slash + 1).min(text.len());
    let address = address(&text[..slash])?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = number(&text[length_at..]).filter(|&length| length <= bits);
    let network = length.and_then(|length| IpNet::new(address, length).ok());
    let Some(network) = network else {
        return mistake(length_at, format!("a prefix length from 0 to {bits}"));
    };
    Ok(network)
}

fn address(text: &[u8]) -> Result<IpAddr, Mistake> {
    if text.contains(&b':') {
        ipv6(text).map(IpAddr::V6)
    } else {
        shortened(text).map(IpAddr::V4)
    }
}

/// Reads up to four numbers with dots; those that are missing at the end are 0.
fn shortened(text: &[u8]) -> Result<Ipv4Addr, Mistake> {
    let mut octets = [0; 4];
    let mut at = 0;
    for (place, octet) in octets.iter_mut().enumerate() {
        let dot = text[at..].iter().position(|&byte| byte == b'.');
        let end = dot.map_or(text.len(), |length| at + length);
        let Some(number) = number(&text[at..end]) else {
            return mistake(at, "a number from 0 to 255 without leading zeros");
        };
        *octet = number;
        at = end + 1;
        // A dot may end it, as in a dotted prefix: `127.`
        if end == text.len() || at == text.len() && place < 3 {
            return Ok(octets.into());
        }
    }
    mistake(at - 1, "a slash after the fourth number")
}

/// Reads a number from 0 to 255, in its only spelling.
pub(super) fn number(digits: &[u8]) -> Option<u8> {
    let has_leading_zero = digits.len() > 1 && digits[0] == b'0';
    let number = cli::number(digits).filter(|_| !has_leading_zero)?;
    u8::try_from(number).ok()
}

/// Reads an IPv6 address in any spelling.
pub(super) fn ipv6(text: &[u8]) -> Result<Ipv6Addr, Mistake> {
    if let Some(zone) = text.iter().position(|&byte| byte == b'%') {
        return mistake(zone, "an address without a zone");
    }
    if text.first() == Some(&b'[') {
        return mistake(0, "an address without brackets");
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => mistake(0, "an IPv6 address, because of the colon in it"),
    }
}

/// The key of exactly `address`: eight groups of four upper-case digits.
pub(super) fn expanded(address: Ipv6Addr) -> String {
    let groups = address.segments().map(|group| format!("{group:04X}"));
    groups.join(":")
}

/// The key of a network.
pub(super) fn network_key(network: IpNet) -> Vec<u8> {
    let mut key = bits(network.addr());
    key.truncate(1 + usize::from(network.prefix_len()));
    key
}

/// The network whose key `key` is.
pub(super) fn network_of(key: &[u8]) -> Option<IpNet> {
    let (kind, bits) = key.split_first()?;
    let length = u8::try_from(bits.len()).ok()?;
    let whole = match kind {
        b'_' => 32_u32,
        b'^' => 128,
        _ => return None,
    };
    let start = bits
        .iter()
        .fold(0_u128, |start, &bit| start << 1 | u128::from(bit != b'0'));
    let start = start
        .checked_shl(whole.checked_sub(length.into())?)
        .unwrap_or(0);
    let address = match u32::try_from(start) {
        Ok(start) if *kind == b'_' => Ipv4Addr::from(start).into(),
        _ => IpAddr::from(Ipv6Addr::from(start)),
    };
    let network = IpNet::new(address, length).ok()?;
    (network_key(network) == key).then_some(network)
}

/// The network of the first `length` bits of `address`.
///
/// # Errors
/// It has not so many.
pub(super) fn beginning(address: IpAddr, length: usize) -> Result<IpNet, PrefixLenError> {
    let length = u8::try_from(length).map_err(|_| PrefixLenError)?;
    Ok(IpNet::new(address, length)?.trunc())
}

/// The key of `address` with all its bits, of which the key of each shorter prefix is the beginning.
pub(super) fn bits(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => ipv4_bits(address),
        IpAddr::V6(address) => ipv6_bits(address),
    }
}

fn ipv4_bits(address: Ipv4Addr) -> Vec<u8> {
    const SYMBOLS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz123456";
    let mut key = vec![b'_'];
    for (place, &symbol) in SYMBOLS.iter().enumerate() {
        let is_set = (address.to_bits() << place) >> 31 == 1;
        key.push(if is_set { symbol } else { b'0' });
    }
    key
}

fn ipv6_bits(address: Ipv6Addr) -> Vec<u8> {
    let mut key = vec![b'^'];
    let mut symbol = b'`';
    for place in 0..128 {
        let is_set = (address.to_bits() << place) >> 127 == 1;
        key.push(if is_set { symbol } else { b'0' });
        symbol += u8::from(is_set);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{expanded, ipv6, network, network_key, network_of};

    #[test]
    fn keys_are_those_of_ucspi_tcp6() {
        let documentation = format!("^00`000000000000a0000bc0de0fgh{}i", "0".repeat(98));
        let mapped = format!("^{}`abcdefghijklmno", "0".repeat(80));
        for (text, key) in [
            ("10.0.0.0/8", "_0000e0g0"),
            ("127./8", "_0bcdefgh"),
            ("10/8", "_0000e0g0"),
            ("172.16.0.0/12", "_a0c0ef00000l"),
            ("1.2.3.4/32", "_0000000h000000o0000000wx00000400"),
            ("128.0.0.0/1", "_a"),
            ("0.0.0.0/0", "_"),
            ("fe80::/10", "^`abcdef0g0"),
            ("10.1.2.3/8", "_0000e0g0"),
            ("fe80::1/10", "^`abcdef0g0"),
            ("::/1", "^0"),
            ("::/0", "^"),
            ("2001:db8::1/128", &documentation),
            ("::ffff:0:0/96", &mapped),
        ] {
            let made = network_key(network(text.as_bytes()).unwrap());
            assert_eq!(
                network_of(&made),
                Some(network(text.as_bytes()).unwrap().trunc())
            );
            assert_eq!(String::from_utf8(made).unwrap(), key, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_of_a_network_is_none() {
        for key in [
            "",
            "_b",
            "_00000000000000000000000000000000a",
            "^a",
            "^0a",
            "10.",
            "_A",
        ] {
            assert_eq!(network_of(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn exact_address_is_expanded_in_upper_case() {
        let written = ipv6(b"2001:DB8:0:0::5").unwrap();
        assert_eq!(expanded(written), "2001:0DB8:0000:0000:0000:0000:0000:0005");
    }

    #[test]
    fn what_is_no_prefix_says_where_and_why() {
        const OCTET: &str = "a number from 0 to 255 without leading zeros";
        for (text, at, expected) in [
            ("garbage/8", 0, OCTET),
            ("300.1.2.3/8", 0, OCTET),
            ("010.0.0.0/8", 0, OCTET),
            ("10..0/8", 3, OCTET),
            ("/8", 0, OCTET),
            ("10.0.0.0.0/8", 8, "a slash after the fourth number"),
            ("10.0.0.0./8", 8, "a slash after the fourth number"),
            ("10.0.0.0/", 9, "a prefix length from 0 to 32"),
            ("10.0.0.0/33", 9, "a prefix length from 0 to 32"),
            ("10.0.0.0/08", 9, "a prefix length from 0 to 32"),
            ("10.0.0.0/8/8", 9, "a prefix length from 0 to 32"),
            ("2001:db8::/129", 11, "a prefix length from 0 to 128"),
            ("fe80::1%eth0/64", 7, "an address without a zone"),
            ("[fe80::]/64", 0, "an address without brackets"),
            (
                "12345::/16",
                0,
                "an IPv6 address, because of the colon in it",
            ),
        ] {
            let mistake = network(text.as_bytes()).unwrap_err();
            assert_eq!(
                (mistake.at, &mistake.expected[..]),
                (at, expected),
                "{text}"
            );
        }
    }
}
