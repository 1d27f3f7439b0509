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
//! An address is tried in each of its [`spellings`](super::spelling). An IPv4 address and its mapped form
//! `::ffff:1.2.3.4` are the same peer and obey the rules of both; so the IPv6 prefixes that are shorter than /96 follow
//! IPv4's /0.
//!
//! Source: tcprules(1) of the originals, and observed runs. The order is that of ucspi-tcp 0.88, in which CIDR prefixes
//! take their place by length.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow;

use ipnet::IpNet;

use super::prefix;
use super::spelling::{Spellings, V4_START};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key as it is stored.
    pub bytes: Cow<'a, [u8]>,
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

    /// The same key, with bytes of its own.
    pub(super) fn kept(&self) -> Key<'static> {
        Key {
            bytes: Cow::Owned(self.bytes.to_vec()),
            meaning: self.meaning,
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

    /// Whether there are prefixes of this length among those for addresses like `address`.
    fn has(&self, address: IpAddr, length: usize) -> bool {
        match address {
            IpAddr::V4(_) => self.v4 >> length & 1 == 1,
            IpAddr::V6(_) => self.v6[length / 64] >> (length % 64) & 1 == 1,
        }
    }
}

/// Calls `found` with one key after the other, until it breaks off. Of CIDR prefixes, only those whose length is in
/// `lengths` are tried.
pub fn search<B>(
    peer: Peer<'_>,
    lengths: &Lengths,
    found: impl FnMut(Key<'_>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let ip = Spellings::of(peer.ip);
    let mut search = Search {
        found,
        key: Vec::with_capacity(64),
    };
    search.all(peer, &ip, lengths)
}

struct Search<F> {
    found: F,
    key: Vec<u8>,
}

impl<B, F: FnMut(Key<'_>) -> ControlFlow<B>> Search<F> {
    fn all(&mut self, peer: Peer<'_>, ip: &Spellings, lengths: &Lengths) -> ControlFlow<B> {
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
    fn address(&mut self, before: &[&[u8]], ip: &Spellings) -> ControlFlow<B> {
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
            None => ControlFlow::Continue(()),
        }
    }

    fn prefixes(&mut self, ip: &Spellings, lengths: &Lengths) -> ControlFlow<B> {
        let mut texts = ip.text_prefixes();
        let networks = ip.networks();
        let bits = networks.clone().map(prefix::bits);
        let networks: Vec<_> = networks.zip(bits).collect();
        // Bits as IPv6 counts them, of which IPv4 has the last 32.
        for depth in (0..=128_usize).rev() {
            while let Some((_, text)) = texts.pop_if(|(bits, _)| *bits >= depth) {
                self.text(&[&text])?;
            }
            for (address, bits) in &networks {
                let start = if address.is_ipv4() { V4_START } else { 0 };
                if let Some(length) = depth.checked_sub(start)
                    && lengths.has(*address, length)
                    && let Ok(network) = prefix::beginning(*address, length)
                {
                    self.key(&[&bits[..=length]], Meaning::Network(network))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn text(&mut self, parts: &[&[u8]]) -> ControlFlow<B> {
        self.key(parts, Meaning::Text)
    }

    fn key(&mut self, parts: &[&[u8]], meaning: Meaning) -> ControlFlow<B> {
        self.key.clear();
        for part in parts {
            self.key.extend_from_slice(part);
        }
        (self.found)(Key {
            bytes: Cow::Borrowed(&self.key),
            meaning,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::{Key, Lengths, Peer, search};

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
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(none, ControlFlow::Continue(()));
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
        for length in [0, 80, 95, 96, 112] {
            lengths.note(b'^', length + 1);
        }
        assert_eq!(
            tried(peer("10.2.3.4", None, None), &lengths),
            "10.2.3.4 ::ffff:10.2.3.4 ::ffff:10.2.3.4 10.2.3.4/32 10.2.3. ::ffff:10.2.3. 10.2.3.0/24 \
             10.2. ::ffff:10.2. 10.2.0.0/16 ::ffff:10.2.0.0/112 10. ::ffff:10. 0.0.0.0/1 \
             ::ffff: 0.0.0.0/0 ::ffff:0.0.0.0/96 ::fffe:0:0/95 ::/80 ::/0 "
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
        let hit = search(
            peer("1.2.3.4", None, None),
            &Lengths::ALL,
            |key| match &*key.bytes {
                b"_0000000h000000o00" => ControlFlow::Break(key.shown()),
                _ => ControlFlow::Continue(()),
            },
        );
        assert_eq!(hit, ControlFlow::Break(b"1.2.0.0/17".to_vec()));
    }
}
