//! Whom a stored key means: the order of [`keys`](super::keys), read backwards.
//!
//! All addresses are numbers of 128 bits, the IPv4 ones in their mapped form. There, every key of an address or a prefix
//! is a row of addresses, and of all that hold a peer the one with the most bits decides; of those with equally many,
//! the one whose [`Rank`] is lower. What hangs on a name is one key each.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memrchr;

use super::prefix;
use super::spelling::{V4_START, compressed};

/// Whom a key means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'key> {
    /// Every peer.
    Everybody,
    /// The peers with an address in a row.
    Row(Row),
    /// Those of whom a name is known, or what their ident server says: the key in its only spelling, its rank, and of
    /// whom.
    Name(Cow<'key, [u8]>, Rank, Named),
    /// No peer.
    Nobody,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: u128,
    /// How many bits they have in common; [`EXACT`] for an address that is named without a length.
    pub(super) depth: u8,
    pub(super) rank: Rank,
}

/// Which of the keys that mean the same is tried first: the lowest.
pub(super) type Rank = u8;

/// An address comes before the prefix that holds it alone.
pub(super) const EXACT: u8 = 129;

/// Of whom more than the address must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `joe@1.2.3.4`, with the address.
    UserAtAddress(u128),
    /// `joe@=host`
    UserAtHost,
    /// `=host`
    Host,
    /// `=.domain`, and `=` of them all.
    Domain,
    /// `2001:0:`: the IPv6 patch compares text, and which addresses begin so depends on where their zeros are.
    Text,
}

/// The first and the last IPv4 address.
pub(super) const V4: (u128, u128) = (0xffff << 32, 0xffff_ffff_ffff);

impl Row {
    /// The last address.
    pub(super) fn last(&self) -> u128 {
        self.start | u128::MAX.checked_shr(self.depth.into()).unwrap_or(0)
    }

    fn exact(address: Ipv6Addr, rank: Rank) -> Self {
        Self {
            start: address.to_bits(),
            depth: EXACT,
            rank,
        }
    }

    /// The row of the first `length` bits of `address`.
    pub(super) fn network(address: IpAddr, length: u8, rank: Rank) -> Self {
        let (bits, depth) = match address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), V4_DEPTH + length),
            IpAddr::V6(v6) => (v6.to_bits(), length),
        };
        Self {
            start: bits,
            depth,
            rank,
        }
    }
}

/// [`V4_START`], as depths are counted.
#[allow(clippy::cast_possible_truncation, reason = "it is 96")]
const V4_DEPTH: u8 = V4_START as u8;

/// The ranks of prefixes with equally many bits; texts of addresses have those of [`exact`].
const DOTTED: Rank = 0;
const PATCHED: Rank = 1;
const BITS_V4: Rank = 2;
const BITS_V6: Rank = 3;

/// Whom `key` means.
pub(super) fn place(key: &[u8]) -> Place<'_> {
    if key.is_empty() {
        return Place::Everybody;
    }
    if let Some(network) = prefix::network_of(key) {
        let address = network.addr();
        let rank = if address.is_ipv4() { BITS_V4 } else { BITS_V6 };
        return Place::Row(Row::network(address, network.prefix_len(), rank));
    }
    if let Some(at) = memrchr(b'@', key) {
        return user(key, at);
    }
    if let Some(name) = key.strip_prefix(b"=") {
        let is_domain = name.first().is_none_or(|&byte| byte == b'.');
        let named = if is_domain {
            Named::Domain
        } else {
            Named::Host
        };
        return Place::Name(Cow::Borrowed(key), 0, named);
    }
    if let Some(row) = dotted(key, DOTTED).or_else(|| patched(key)) {
        return Place::Row(row);
    }
    // Also one that is an address: it is the beginning of others, too.
    if key.ends_with(b":") && key.iter().all(|byte| b"0123456789abcdef:".contains(byte)) {
        return Place::Name(Cow::Borrowed(key), 0, Named::Text);
    }
    match exact(key) {
        Some((address, rank)) => Place::Row(Row::exact(address, rank)),
        None => Place::Nobody,
    }
}

/// Whom a key means with a user, whose name ends before the byte `at`.
fn user(key: &[u8], at: usize) -> Place<'_> {
    let (user, rest) = (&key[..=at], &key[at + 1..]);
    if let Some((address, rank)) = exact(rest) {
        let bits = address.to_bits();
        let shown = IpAddr::from(address).to_canonical().to_string();
        let name = [user, shown.as_bytes()].concat();
        return Place::Name(name.into(), rank, Named::UserAtAddress(bits));
    }
    match rest {
        [b'=', first, ..] if *first != b'.' => {
            Place::Name(Cow::Borrowed(key), 0, Named::UserAtHost)
        }
        _ => Place::Nobody,
    }
}

/// The address that a text is in one of its spellings, and the rank of that.
fn exact(text: &[u8]) -> Option<(Ipv6Addr, Rank)> {
    let text = str::from_utf8(text).ok()?;
    match text.parse().ok()? {
        // It has one spelling only.
        IpAddr::V4(v4) => Some((v4.to_ipv6_mapped(), 0)),
        IpAddr::V6(v6) if prefix::expanded(v6) == text => Some((v6, 1)),
        IpAddr::V6(v6) if compressed(v6) == text => Some((v6, 2)),
        IpAddr::V6(_) => None,
    }
}

/// One to three numbers, each with a dot behind it.
fn dotted(text: &[u8], rank: Rank) -> Option<Row> {
    let numbers = text.strip_suffix(b".")?;
    let mut octets = [0; 4];
    let mut count = 0;
    for number in numbers.split(|&byte| byte == b'.') {
        *octets[..3].get_mut(usize::from(count))? = prefix::number(number)?;
        count += 1;
    }
    let address = Ipv4Addr::from(octets);
    Some(Row::network(address.into(), 8 * count, rank))
}

/// A beginning of the text of addresses that is a prefix: of IPv4 ones in mapped form, or groups of which none is zero.
fn patched(text: &[u8]) -> Option<Row> {
    if let Some(numbers) = text.strip_prefix(b"::ffff:") {
        if numbers.is_empty() {
            return Some(Row::network(Ipv4Addr::UNSPECIFIED.into(), 0, PATCHED));
        }
        return dotted(numbers, PATCHED);
    }
    let groups = text.strip_suffix(b":")?;
    let mut segments = [0; 8];
    let mut count = 0;
    for group in groups.split(|&byte| byte == b':') {
        let text = str::from_utf8(group).ok()?;
        let segment = u16::from_str_radix(text, 16).ok()?;
        if segment == 0 || format!("{segment:x}") != text {
            return None;
        }
        *segments[..7].get_mut(usize::from(count))? = segment;
        count += 1;
    }
    let address = Ipv6Addr::from(segments);
    Some(Row::network(address.into(), 16 * count, PATCHED))
}

#[cfg(test)]
mod tests {
    use super::{EXACT, Named, Place, place};

    fn row(key: &str) -> Option<(u128, u8, u8)> {
        match place(key.as_bytes()) {
            Place::Row(row) => Some((row.start, row.depth, row.rank)),
            _ => None,
        }
    }

    #[test]
    fn keys_of_addresses_and_prefixes_are_rows() {
        let v4 = |octets: [u8; 4]| 0xffff << 32 | u128::from(u32::from_be_bytes(octets));
        let v6 = 0x2001_0db8_u128 << 96;
        for (key, expected) in [
            ("10.1.2.3", (v4([10, 1, 2, 3]), EXACT, 0)),
            (
                "0000:0000:0000:0000:0000:FFFF:0A01:0203",
                (v4([10, 1, 2, 3]), EXACT, 1),
            ),
            ("::ffff:10.1.2.3", (v4([10, 1, 2, 3]), EXACT, 2)),
            ("10.", (v4([10, 0, 0, 0]), 104, 0)),
            ("10.1.2.", (v4([10, 1, 2, 0]), 120, 0)),
            ("::ffff:", (v4([0; 4]), 96, 1)),
            ("::ffff:10.1.", (v4([10, 1, 0, 0]), 112, 1)),
            ("_0000e0g0", (v4([10, 0, 0, 0]), 104, 2)),
            ("_", (v4([0; 4]), 96, 2)),
            ("^", (0, 0, 3)),
            ("^00`", (1 << 125, 3, 3)),
            (
                "2001:0DB8:0000:0000:0000:0000:0000:0001",
                (v6 | 1, EXACT, 1),
            ),
            ("2001:db8::1", (v6 | 1, EXACT, 2)),
            ("2001:db8:", (v6, 32, 1)),
        ] {
            assert_eq!(row(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn other_keys_mean_names_or_nobody() {
        for (key, expected) in [
            ("=", Some(Named::Domain)),
            ("=.a", Some(Named::Domain)),
            ("=a.b", Some(Named::Host)),
            ("joe@=a.b", Some(Named::UserAtHost)),
            ("@::1", Some(Named::UserAtAddress(1))),
            ("2001:0:", Some(Named::Text)),
            ("::", Some(Named::Text)),
            ("10", None),
            ("10.1", None),
            ("010.", None),
            ("256.", None),
            ("10.1.2.3.", None),
            (" 10.", None),
            ("joe@10.", None),
            ("joe@", None),
            ("joe@=.a", None),
            ("2001:DB8::1", None),
            ("2001:db8", None),
            ("%set", None),
            ("_x", None),
        ] {
            let found = match place(key.as_bytes()) {
                Place::Name(_, _, named) => Some(named),
                Place::Nobody => None,
                other => panic!("{key}: {other:?}"),
            };
            assert_eq!(found, expected, "{key}");
        }
    }
}
