//! Addresses as text: which operands are an address, without asking anybody.
//!
//! Source: observed runs of the original.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that `text` spells, or `None` when it must be a name.
///
/// A text of digits, dots and brackets is an address, or several: `127.0.0.1`, `[127.0.0.1]`, `127.000.000.001`,
/// `10.0.0.1.10.0.0.2` (two). Every four numbers are one address, what is left over does not count, and too few are
/// none. A number above 255 makes the text none at all.
pub(super) fn addresses(text: &[u8]) -> Option<Vec<Ipv4Addr>> {
    if !text
        .iter()
        .all(|byte| byte.is_ascii_digit() || b".[]".contains(byte))
    {
        return None;
    }
    let numbers = text
        .split(|byte| b".[]".contains(byte))
        .filter(|digits| !digits.is_empty());
    let octets: Option<Vec<u8>> = numbers
        .map(|digits| u8::try_from(crate::cli::number(digits)?).ok())
        .collect();
    Some(
        octets
            .unwrap_or_default()
            .as_chunks()
            .0
            .iter()
            .map(|&octets: &[u8; 4]| octets.into())
            .collect(),
    )
}

/// The one address that `text` spells, of either family, without a zone.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    match (addresses(text).as_deref(), ipv6(text)) {
        (Some([address]), _) => Some((*address).into()),
        (None, Some((address, None))) => Some(address.into()),
        _ => None,
    }
}

/// The IPv6 address that `text` spells, in brackets or without, and its zone: `fe80::1%eth0`.
pub fn ipv6(text: &[u8]) -> Option<(Ipv6Addr, Option<&[u8]>)> {
    let text = match text {
        [b'[', inside @ .., b']'] => inside,
        text => text,
    };
    let percent = text.iter().position(|&byte| byte == b'%');
    let address = &text[..percent.unwrap_or(text.len())];
    let address = std::str::from_utf8(address).ok()?.parse().ok()?;
    Some((address, percent.map(|percent| &text[percent + 1..])))
}

/// The labels of `address` in the names of its zones, each with a dot: its numbers from the last to the first, `4.3.2.1.`, or
/// its 32 hexadecimal digits. RFC 1035 section 3.5, RFC 3596 section 2.5, RFC 5782 section 2.
pub fn backwards(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.")
        }
        IpAddr::V6(address) => {
            let nibbles = |octet: &u8| format!("{:x}.{:x}.", octet & 15, octet >> 4);
            address.octets().iter().rev().map(nibbles).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{address, addresses, backwards, ipv6};

    #[test]
    fn digits_dots_and_brackets_are_addresses() {
        for (text, spelled) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[127.0.0.1]", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.000.000.001", "127.0.0.1"),
            ("127.0.0.1.5", "127.0.0.1"),
            ("127.0.0.1.127.0.0.2", "127.0.0.1 127.0.0.2"),
            ("1.2.3", ""),
            ("", ""),
            ("127.0.0.256", ""),
            ("99999999999.0.0.1", ""),
        ] {
            let found = addresses(text.as_bytes()).unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), spelled, "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_name() {
        for text in ["localhost", "127.0.0.1x", "::1"] {
            assert_eq!(addresses(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ipv6_may_have_brackets_and_a_zone() {
        let read = |text: &'static str| {
            let (address, zone) = ipv6(text.as_bytes())?;
            Some((
                address.to_string(),
                zone.map(|zone| String::from_utf8_lossy(zone).into_owned()),
            ))
        };
        assert_eq!(read("2001:DB8::1"), Some(("2001:db8::1".into(), None)));
        assert_eq!(read("[::]"), Some(("::".into(), None)));
        assert_eq!(
            read("[fe80::1%eth0]"),
            Some(("fe80::1".into(), Some("eth0".into())))
        );
        for text in ["127.0.0.1", "::1::", "[::1", ":0", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn one_address_is_one_of_either_family() {
        assert_eq!(address(b"10.0.0.1"), "10.0.0.1".parse().ok());
        assert_eq!(address(b"::1"), "::1".parse().ok());
        for text in ["", "1.2.3", "10.0.0.1.10.0.0.2", "fe80::1%lo", "x"] {
            assert_eq!(address(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn address_is_written_backwards() {
        let written = |address: &str| backwards(address.parse().unwrap());
        assert_eq!(written("192.0.2.1"), "1.2.0.192.");
        let nibbles = format!("1.{}8.b.d.0.1.0.0.2.", "0.".repeat(23));
        assert_eq!(written("2001:db8::1"), nibbles);
    }
}
