//! Prefixes of addresses: what makes a source, who is exempt, who is banned, who is trusted.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cli::number;

/// Reads an address, or a network as `ADDRESS/LENGTH`, whose further bits count for nothing. An IPv4 address in IPv6
/// form is the IPv4 address.
pub(crate) fn prefix(text: &[u8]) -> Option<IpNet> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once('/') {
        None => text
            .parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical().into()),
        Some((ip, length)) => {
            let length = u8::try_from(number(length.as_bytes())?).ok()?;
            Some(IpNet::new(ip.parse().ok()?, length).ok()?.trunc())
        }
    }
}

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// So many networks there can be: each connection is compared with all.
const NETWORKS_MAX: usize = 256;

impl Networks {
    /// How to write them, for messages.
    pub const FORM: &'static str =
        "addresses or networks like 192.0.2.0/24, at most 256 of them, joined by commas";

    /// Reads `ADDRESS/LENGTH,...`
    pub fn parse(text: &[u8]) -> Option<Self> {
        let items = text.split(|&byte| byte == b',');
        let list = items.map(prefix).collect::<Option<Vec<_>>>()?;
        (list.len() <= NETWORKS_MAX).then_some(Self(list))
    }

    /// True when there are none.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// True when one of them holds `ip`, an IPv4 address as IPv4.
    pub(crate) fn hold(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// The lengths of the prefixes that make one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    v4: u8,
    v6: u8,
}

impl Lengths {
    /// One IPv4 address; the network that an IPv6 customer gets at least.
    pub const SOURCE: Self = Self { v4: 32, v6: 64 };
    /// The networks that MAXCONNC counts.
    pub(super) const NEIGHBOURS: Self = Self { v4: 24, v6: 48 };
    /// How to write them, for messages.
    pub const FORM: &'static str = "a prefix length of IPv4, from 0 to 32, or one and one of IPv6, from 0 to 128, joined by a comma";

    /// Reads `V4` or `V4,V6`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(2, |&byte| byte == b',');
        let mut length = |default, max| {
            let given = parts.next().map_or(Some(default), number)?;
            u8::try_from(given).ok().filter(|&length| length <= max)
        };
        Some(Self {
            v4: length(32, 32)?,
            v6: length(64, 128)?,
        })
    }

    /// The prefix of `ip` that counts.
    pub(super) fn of(self, ip: IpAddr) -> IpNet {
        let length = if ip.is_ipv4() { self.v4 } else { self.v6 };
        // A length that is too long for its family cannot be made.
        IpNet::new(ip, length).map_or(ip.into(), |network| network.trunc())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lengths, prefix};

    #[test]
    fn prefix_is_an_address_or_a_network() {
        for (text, read) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let found = prefix(text.as_bytes()).map(|prefix| prefix.to_string());
            assert_eq!(found.as_deref(), Some(read));
        }
        for wrong in [
            "",
            "/",
            "1.2.3.4/",
            "/8",
            "1.2.3.4/33",
            "::/129",
            "1.2.3",
            "1.2.3.4/-1",
            "a",
            "::1%lo",
            "\u{e9}",
        ] {
            assert_eq!(prefix(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(prefix(b"\xff"), None);
    }

    #[test]
    fn lengths_are_those_of_both_families() {
        let both = |v4, v6| Some(Lengths { v4, v6 });
        for (text, read) in [
            ("24", both(24, 64)),
            ("0,0", both(0, 0)),
            ("32,128", both(32, 128)),
        ] {
            assert_eq!(Lengths::parse(text.as_bytes()), read, "{text}");
        }
        for wrong in [
            "", ",", "33", "24,", "24,129", ",64", "24,64,1", "x", "24 ,64",
        ] {
            assert_eq!(Lengths::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
