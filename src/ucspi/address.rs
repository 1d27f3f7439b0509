//! Addresses as operands: which texts are an address, without asking anybody.
//!
//! Source: observed runs of the original. `0` and the empty operand are the caller's to understand: any address for a
//! server, this machine for a client.

use std::net::{IpAddr, Ipv4Addr};

/// The addresses that `text` spells, or `None` when it must be a name.
///
/// A text of digits, dots and brackets is an address, or several: `127.0.0.1`, `[127.0.0.1]`, `127.000.000.001`,
/// `10.0.0.1.10.0.0.2` (two). Every four numbers are one address, what is left over does not count, and too few are none.
/// A number above 255 makes the text none at all.
pub fn literal(text: &[u8]) -> Option<Vec<Ipv4Addr>> {
    if text.is_empty()
        || !text
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

/// The first address that `text` spells.
pub fn one(text: &[u8]) -> Option<IpAddr> {
    literal(text)?.first().copied().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn digits_dots_and_brackets_are_addresses() {
        for (text, addresses) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[127.0.0.1]", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.000.000.001", "127.0.0.1"),
            ("127.0.0.1.5", "127.0.0.1"),
            ("127.0.0.1.127.0.0.2", "127.0.0.1 127.0.0.2"),
            ("1.2.3", ""),
            ("127.0.0.256", ""),
            ("99999999999.0.0.1", ""),
        ] {
            let found = literal(text.as_bytes()).unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), addresses, "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_name() {
        for text in ["", "localhost", "127.0.0.1x", "::1"] {
            assert_eq!(literal(text.as_bytes()), None, "{text}");
        }
    }
}
