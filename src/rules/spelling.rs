//! The forms under which rules may name an address, as text and as bits.
//!
//! An IPv6 address is tried as it is compiled, eight groups in upper case, then as the compressed text that the IPv6
//! patch of ucspi-tcp compiles; each beginning of that text that ends in a colon is a prefix. An IPv4 address is tried
//! with its dots, and in its mapped form `::ffff:1.2.3.4` in both of these ways.
//!
//! Source: observed runs of the originals.

use std::net::{IpAddr, Ipv6Addr};

/// An address in the forms under which rules may name it.
#[derive(Debug)]
pub(super) struct Spellings {
    /// 0.88: IPv4 in its only form, or what is no address as it is.
    pub(super) dotted: Option<Vec<u8>>,
    /// The IPv6 patch: compressed text.
    pub(super) patched: Option<Vec<u8>>,
    /// ucspi-tcp6 and we: the address.
    pub(super) v6: Option<Ipv6Addr>,
}

/// The address that `text` spells, without the zone that may follow it (`fe80::1%eth0`); a mapped one as the IPv4
/// address that it is.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    let zone = text.iter().position(|&byte| byte == b'%');
    let plain = &text[..zone.unwrap_or(text.len())];
    let address: IpAddr = std::str::from_utf8(plain).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

impl Spellings {
    pub(super) fn of(text: &[u8]) -> Self {
        match address(text) {
            None => Self {
                dotted: Some(text.to_vec()),
                patched: None,
                v6: None,
            },
            Some(IpAddr::V4(address)) => {
                let mapped = address.to_ipv6_mapped();
                Self {
                    dotted: Some(address.to_string().into()),
                    patched: Some(compressed(mapped).into()),
                    v6: Some(mapped),
                }
            }
            Some(IpAddr::V6(address)) => Self {
                dotted: None,
                patched: Some(compressed(address).into()),
                v6: Some(address),
            },
        }
    }

    /// The addresses whose networks are tried, IPv4 first.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpAddr> + Clone {
        let v4 = self.v6.and_then(|address| address.to_ipv4_mapped());
        let v4 = v4.map(IpAddr::V4).into_iter();
        v4.chain(self.v6.map(IpAddr::V6))
    }

    /// The beginnings of the texts that are prefixes, each with its length in bits as IPv6 counts them; the longest last.
    pub(super) fn text_prefixes(&self) -> Vec<(usize, Vec<u8>)> {
        let mut found = Vec::new();
        if let Some(text) = &self.dotted {
            let ends = (1..=text.len()).filter(|&end| text[end - 1] == b'.');
            found.extend(
                (V4_START + 8..)
                    .step_by(8)
                    .zip(ends)
                    .map(|(bits, end)| (bits, text[..end].to_vec())),
            );
        }
        if let (Some(text), Some(address)) = (&self.patched, self.v6) {
            let is_mapped = address.to_ipv4_mapped().is_some();
            for end in (1..=text.len()).filter(|&end| b".:".contains(&text[end - 1])) {
                let bits = if is_mapped {
                    mapped_bits(&text[..end])
                } else {
                    Some(patched_bits(text, end))
                };
                found.extend(bits.map(|bits| (bits, text[..end].to_vec())));
            }
        }
        // Stable: of two that are equally long, the one that was found first is taken first.
        found.reverse();
        found.sort_by_key(|(bits, _)| *bits);
        found
    }
}

/// Behind how many bits of its mapped form an IPv4 address begins.
pub(super) const V4_START: usize = 96;

/// How many bits a beginning of an IPv4 address's mapped text holds. Those that say nothing of it are no prefixes.
fn mapped_bits(beginning: &[u8]) -> Option<usize> {
    let dots = beginning
        .strip_prefix(b"::ffff:")?
        .iter()
        .filter(|&&byte| byte == b'.')
        .count();
    Some(V4_START + 8 * dots)
}

/// How many bits of an IPv6 address the beginning of `text` up to `end`, which is behind a colon, holds.
fn patched_bits(text: &[u8], end: usize) -> usize {
    let groups = |text: &[u8]| {
        text.split(|&byte| byte == b':')
            .filter(|group| !group.is_empty())
            .count()
    };
    let zeros = 8 - groups(text);
    let is_past_zeros = text[..end].windows(2).any(|pair| pair == b"::");
    let known = groups(&text[..end]) + if is_past_zeros { zeros } else { 0 };
    16 * known
}

/// The text of `address` as the IPv6 patch prints it.
pub(super) fn compressed(address: Ipv6Addr) -> String {
    if address.to_ipv4_mapped().is_some() {
        address.to_string()
    } else {
        patched(address)
    }
}

/// The same of one that is no IPv4 address: the longest run of zero groups is `::`, also a run of one.
fn patched(address: Ipv6Addr) -> String {
    let groups = address.segments();
    let run_at = |start: usize| {
        groups[start..]
            .iter()
            .take_while(|&&group| group == 0)
            .count()
    };
    // The first one of the longest.
    let (start, length) = (0..8)
        .map(|start| (start, run_at(start)))
        .rev()
        .max_by_key(|&(_, length)| length)
        .unwrap_or((0, 0));
    let text = |groups: &[u16]| {
        groups
            .iter()
            .map(|group| format!("{group:x}"))
            .collect::<Vec<_>>()
            .join(":")
    };
    if length == 0 {
        return text(&groups);
    }
    format!(
        "{}::{}",
        text(&groups[..start]),
        text(&groups[start + length..])
    )
}

#[cfg(test)]
mod tests {
    use super::patched;

    #[test]
    fn compressed_text_is_that_of_the_patch() {
        for (address, text) in [
            ("::", "::"),
            ("2001:db8::1", "2001:db8::1"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("0:0:1:0:0:0:0:1", "0:0:1::1"),
            ("1:0:2:3:4:5:6:7", "1::2:3:4:5:6:7"),
            ("0:1:2:3:4:5:6:7", "::1:2:3:4:5:6:7"),
            ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7::"),
            ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
            ("1:0:1:0:1:0:1:0", "1::1:0:1:0:1:0"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ] {
            assert_eq!(patched(address.parse().unwrap()), text);
        }
    }
}
