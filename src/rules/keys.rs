//! The keys under which a peer may be found, in the order in which they are tried. The first that exists decides.
//!
//! For 1.2.3.4, host `a.b.c`, info `joe`:
//!
//! 1. `joe@1.2.3.4`, `joe@=a.b.c`
//! 2. `1.2.3.4`, `=a.b.c`
//! 3. prefixes, longest first: /32 to /25, `1.2.3.` and /24, ... `1.` and /8, ... /0
//! 4. `=.b.c`, `=.c`, `=`
//! 5. the empty key
//!
//! An IPv6 address is tried as it is compiled, eight groups in upper case, then as the compressed text that the IPv6
//! patch of ucspi-tcp compiles; each beginning of that text that ends in a colon is a prefix. An IPv4 address and its
//! mapped form `::ffff:1.2.3.4` are the same peer and obey the rules of both.
//!
//! Source: tcprules(1) of the originals, and observed runs. The order is that of ucspi-tcp 0.88, in which CIDR prefixes
//! take their place by length.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::prefix;

/// What the look-up knows of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The address as text, in any spelling. What is no address is tried as it is.
    pub ip: &'a [u8],
    /// The name, when it is known; set but empty counts as known.
    pub host: Option<&'a [u8]>,
    /// The answer of its ident server, when there is one; set but empty counts as one.
    pub info: Option<&'a [u8]>,
}

/// One key of the order, and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key as it is stored.
    pub bytes: &'a [u8],
    meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The key is what was written.
    Text,
    /// The key ends in this address.
    Address(Ipv6Addr),
    Network(IpNet),
}

/// The length of [`prefix::expanded`].
const EXPANDED_BYTES: usize = 39;

impl Key<'_> {
    /// The rule's address as a person writes it: a prefix as `10.0.0.0/8`.
    pub fn shown(&self) -> Vec<u8> {
        match self.meaning {
            Meaning::Text => self.bytes.to_vec(),
            Meaning::Network(network) => network.to_string().into(),
            Meaning::Address(address) => {
                let user = &self.bytes[..self.bytes.len().saturating_sub(EXPANDED_BYTES)];
                [user, address.to_string().as_bytes()].concat()
            }
        }
    }
}

/// Which lengths CIDR prefixes have in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    v4: u64,
    v6: [u64; 3],
}

impl Lengths {
    /// Any length.
    pub const ALL: Self = Self {
        v4: u64::MAX,
        v6: [u64::MAX; 3],
    };
    /// No prefixes.
    pub const NONE: Self = Self { v4: 0, v6: [0; 3] };

    /// Adds the length of the prefix that a key is, by its first byte and its length, if it is one.
    pub(super) fn note(&mut self, kind: u8, key_bytes: usize) {
        let length = key_bytes - 1;
        match kind {
            b'_' if length <= 32 => self.v4 |= 1 << length,
            b'^' if length <= 128 => self.v6[length / 64] |= 1 << (length % 64),
            _ => {}
        }
    }

    fn has(&self, network: IpNet) -> bool {
        let length = usize::from(network.prefix_len());
        match network {
            IpNet::V4(_) => self.v4 >> length & 1 == 1,
            IpNet::V6(_) => self.v6[length / 64] >> (length % 64) & 1 == 1,
        }
    }
}

/// Calls `found` with one key after the other, until it gives a value; then that is the answer. Of CIDR prefixes, only
/// those whose length is in `lengths` are tried.
///
/// # Errors
/// The first error of `found`.
pub fn search<T, E>(
    peer: Peer<'_>,
    lengths: &Lengths,
    found: impl FnMut(Key<'_>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let ip = Spellings::of(peer.ip);
    let mut search = Search {
        found,
        key: Vec::with_capacity(64),
        hit: None,
    };
    search.run(peer, &ip, lengths)?;
    Ok(search.hit)
}

struct Search<T, F> {
    found: F,
    key: Vec<u8>,
    hit: Option<T>,
}

/// What ends a search: a hit, as an early return.
type Step<E> = Result<(), Option<E>>;

impl<T, E, F: FnMut(Key<'_>) -> Result<Option<T>, E>> Search<T, F> {
    fn run(&mut self, peer: Peer<'_>, ip: &Spellings, lengths: &Lengths) -> Result<(), E> {
        match self.all(peer, ip, lengths) {
            Ok(()) | Err(None) => Ok(()),
            Err(Some(error)) => Err(error),
        }
    }

    fn all(&mut self, peer: Peer<'_>, ip: &Spellings, lengths: &Lengths) -> Step<E> {
        if let Some(info) = peer.info {
            self.address(&[info, b"@"], ip)?;
            if let Some(host) = peer.host {
                self.text(&[info, b"@=", host])?;
            }
        }
        self.address(&[], ip)?;
        if let Some(host) = peer.host {
            self.text(&[b"=", host])?;
        }
        self.prefixes(ip, lengths)?;
        if let Some(host) = peer.host {
            for start in (0..host.len()).filter(|&start| host[start] == b'.') {
                self.text(&[b"=", &host[start..]])?;
            }
            self.text(&[b"="])?;
        }
        self.text(&[])
    }

    /// Tries `before` with each spelling of the address.
    fn address(&mut self, before: &[&[u8]], ip: &Spellings) -> Step<E> {
        if let Some(text) = &ip.dotted {
            self.text(&[before, &[text]].concat())?;
        }
        if let Some(address) = ip.v6 {
            let expanded = prefix::expanded(address);
            let parts = [before, &[expanded.as_bytes()]].concat();
            self.key(&parts, Meaning::Address(address))?;
        }
        match &ip.patched {
            Some(text) => self.text(&[before, &[text]].concat()),
            None => Ok(()),
        }
    }

    fn prefixes(&mut self, ip: &Spellings, lengths: &Lengths) -> Step<E> {
        let mut texts = ip.text_prefixes();
        let bits: Vec<_> = ip
            .networks
            .iter()
            .map(|&address| prefix::bits(address))
            .collect();
        // The last one is the narrowest: with an IPv4 address, its mapped form counts from bit 96.
        let longest = ip
            .networks
            .first()
            .map_or(0, |address| if address.is_ipv4() { 32 } else { 128 });
        for length in (0..=longest).rev() {
            while let Some((_, text)) = texts.pop_if(|(bits, _)| *bits >= usize::from(length)) {
                self.text(&[&text])?;
            }
            for (&address, bits) in ip.networks.iter().zip(&bits) {
                let all = if address.is_ipv4() { 32 } else { 128 };
                let length = length + (all - longest);
                let Ok(network) = IpNet::new(address, length) else {
                    continue;
                };
                if lengths.has(network) {
                    let key = &bits[..=usize::from(length)];
                    self.key(&[key], Meaning::Network(network.trunc()))?;
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, parts: &[&[u8]]) -> Step<E> {
        self.key(parts, Meaning::Text)
    }

    fn key(&mut self, parts: &[&[u8]], meaning: Meaning) -> Step<E> {
        self.key.clear();
        for part in parts {
            self.key.extend_from_slice(part);
        }
        let key = Key {
            bytes: &self.key,
            meaning,
        };
        match (self.found)(key) {
            Ok(None) => Ok(()),
            Ok(hit) => {
                self.hit = hit;
                Err(None)
            }
            Err(error) => Err(Some(error)),
        }
    }
}

/// An address in the forms under which rules may name it.
#[derive(Debug)]
struct Spellings {
    /// 0.88: IPv4 in its only form, or what is no address as it is.
    dotted: Option<Vec<u8>>,
    /// The IPv6 patch: compressed text.
    patched: Option<Vec<u8>>,
    /// ucspi-tcp6 and we: the address.
    v6: Option<Ipv6Addr>,
    /// ucspi-tcp6 and we: the addresses whose networks are tried, IPv4 first.
    networks: Vec<IpAddr>,
}

impl Spellings {
    fn of(text: &[u8]) -> Self {
        let zone = text.iter().position(|&byte| byte == b'%');
        let plain = &text[..zone.unwrap_or(text.len())];
        let address = std::str::from_utf8(plain)
            .ok()
            .and_then(|text| text.parse::<IpAddr>().ok());
        match address.map(|address| address.to_canonical()) {
            None => Self {
                dotted: Some(text.to_vec()),
                patched: None,
                v6: None,
                networks: Vec::new(),
            },
            Some(IpAddr::V4(address)) => {
                let mapped = address.to_ipv6_mapped();
                Self {
                    dotted: Some(address.to_string().into()),
                    patched: Some(mapped.to_string().into()),
                    v6: Some(mapped),
                    networks: vec![address.into(), mapped.into()],
                }
            }
            Some(IpAddr::V6(address)) => Self {
                dotted: None,
                patched: Some(patched(address).into()),
                v6: Some(address),
                networks: vec![address.into()],
            },
        }
    }

    /// The beginnings of the texts that are prefixes, each with its length in bits; the longest last.
    fn text_prefixes(&self) -> Vec<(usize, Vec<u8>)> {
        let mut found = Vec::new();
        if let Some(text) = &self.dotted {
            let ends = (1..=text.len()).filter(|&end| text[end - 1] == b'.');
            found.extend(
                (8..)
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

/// How many bits of an IPv4 address a beginning of its mapped text holds. Those that say nothing of it are no prefixes.
fn mapped_bits(beginning: &[u8]) -> Option<usize> {
    let dots = beginning
        .strip_prefix(b"::ffff:")?
        .iter()
        .filter(|&&byte| byte == b'.')
        .count();
    Some(8 * dots)
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

/// The text of `address` as the IPv6 patch prints it: the longest run of zero groups is `::`, also a run of one.
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
    use super::{Key, Lengths, Peer, patched, search};

    fn peer<'a>(ip: &'a str, host: Option<&'a str>, info: Option<&'a str>) -> Peer<'a> {
        Peer {
            ip: ip.as_bytes(),
            host: host.map(str::as_bytes),
            info: info.map(str::as_bytes),
        }
    }

    fn tried(peer: Peer<'_>, lengths: &Lengths) -> String {
        let mut tried = Vec::new();
        let none = search(peer, lengths, |key: Key<'_>| {
            tried.push(String::from_utf8(key.shown()).unwrap());
            Ok::<Option<()>, ()>(None)
        });
        assert_eq!(none, Ok(None));
        tried.join(" ")
    }

    #[test]
    fn ipv4_keys_are_those_of_the_original_and_of_the_mapped_form() {
        assert_eq!(
            tried(
                peer("86.75.30.9", Some("one.two.three"), Some("xyz")),
                &Lengths::NONE
            ),
            "xyz@86.75.30.9 xyz@::ffff:86.75.30.9 xyz@::ffff:86.75.30.9 xyz@=one.two.three \
             86.75.30.9 ::ffff:86.75.30.9 ::ffff:86.75.30.9 =one.two.three \
             86.75.30. ::ffff:86.75.30. 86.75. ::ffff:86.75. 86. ::ffff:86. ::ffff: \
             =.two.three =.three = "
        );
        let mapped = tried(peer("::FFFF:86.75.30.9", None, None), &Lengths::NONE);
        assert_eq!(
            mapped,
            tried(peer("86.75.30.9", None, None), &Lengths::NONE)
        );
    }

    #[test]
    fn prefixes_of_all_kinds_stand_in_the_order_of_their_lengths() {
        let mut lengths = Lengths::NONE;
        for length in [0, 1, 16, 24, 32] {
            lengths.note(b'_', length + 1);
        }
        for length in [96, 112] {
            lengths.note(b'^', length + 1);
        }
        assert_eq!(
            tried(peer("10.2.3.4", None, None), &lengths),
            "10.2.3.4 ::ffff:10.2.3.4 ::ffff:10.2.3.4 10.2.3.4/32 10.2.3. ::ffff:10.2.3. 10.2.3.0/24 \
             10.2. ::ffff:10.2. 10.2.0.0/16 ::ffff:10.2.0.0/112 10. ::ffff:10. 0.0.0.0/1 \
             ::ffff: 0.0.0.0/0 ::ffff:0.0.0.0/96 "
        );
    }

    #[test]
    fn ipv6_keys_are_those_of_both_families() {
        let mut lengths = Lengths::NONE;
        for length in [0, 10, 32, 64, 128] {
            lengths.note(b'^', length + 1);
        }
        assert_eq!(
            tried(peer("2001:DB8:0:0::5", Some("h"), Some("")), &lengths),
            "@2001:db8::5 @2001:db8::5 @=h 2001:db8::5 2001:db8::5 =h 2001:db8::5/128 2001:db8:: \
             2001:db8::/64 2001:db8: 2001:db8::/32 2001: 2000::/10 ::/0 = "
        );
        assert_eq!(
            tried(peer("fe80::1%eth0", None, None), &Lengths::NONE),
            "fe80::1 fe80::1 fe80:: fe80: "
        );
        assert_eq!(
            tried(peer("::1", None, None), &Lengths::NONE),
            "::1 ::1 :: : "
        );
    }

    #[test]
    fn what_is_no_address_is_tried_as_text() {
        assert_eq!(
            tried(peer("1.2.3.", None, Some("")), &Lengths::ALL),
            "@1.2.3. 1.2.3. 1.2.3. 1.2. 1. "
        );
        assert_eq!(
            tried(peer("", Some(".a"), None), &Lengths::ALL),
            " =.a =.a = "
        );
    }

    #[test]
    fn first_key_that_exists_ends_the_search() {
        let hit = search(peer("1.2.3.4", None, None), &Lengths::ALL, |key| {
            Ok::<_, ()>((key.bytes == b"_0000000h000000o00").then(|| key.shown()))
        });
        assert_eq!(hit, Ok(Some(b"1.2.0.0/17".to_vec())));
    }

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
