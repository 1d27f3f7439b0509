//! Addresses as text: which operands are an address, without asking anybody.
//!
//! Source: observed runs of the original.

use std::net::{IpAddr, Ipv4Addr};

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

/// The one address that `text` spells.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    match addresses(text)?[..] {
        [address] => Some(address.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::addresses;

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
}
