//! Rules as values: how they may be written, and what the originals write for them.
//!
//! The keys follow the description of the formats: text for what ucspi-tcp 0.88 knows; the eight groups and the two bit
//! strings of ucspi-tcp6 for the rest.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::dice::Dice;

/// What a rule is about.
#[derive(Clone, Debug)]
pub(crate) enum About {
    Everybody,
    /// `1.2.3.4`
    V4(Ipv4Addr),
    /// `10.2.`: one to three numbers
    Dotted(Vec<u8>),
    /// `1.2.3.4-9`, or `1.2-5.`: numbers before, the range
    Range(Vec<u8>, u8, u8),
    /// `=host`
    Host(&'static str),
    /// `=.suffix`, with its dot
    Suffix(&'static str),
    /// `=`
    Named,
    UserAtV4(&'static str, Ipv4Addr),
    UserAtHost(&'static str, &'static str),
    V6(Ipv6Addr),
    UserAtV6(&'static str, Ipv6Addr),
    V4Net(Ipv4Addr, u8),
    V6Net(Ipv6Addr, u8),
}

pub(crate) const USERS: [&str; 3] = ["joe", "a-b", "x_y"];
pub(crate) const HOSTS: [&str; 4] = ["a.b.c", "x.b.c", "b.c", "mail.example.org"];
pub(crate) const SUFFIXES: [&str; 4] = [".b.c", ".c", ".example.org", ".org"];

impl About {
    /// What ucspi-tcp 0.88 can say.
    pub(crate) fn any_old(dice: &mut Dice) -> Self {
        match dice.below(11) {
            0 => Self::Everybody,
            1 | 2 => Self::V4(dice.ipv4()),
            3 | 4 => {
                let count = 1 + dice.below(3);
                Self::Dotted(dice.ipv4().octets()[..count].to_vec())
            }
            5 => {
                let octets = dice.ipv4().octets();
                let before = dice.below(4);
                let low = octets[before];
                Self::Range(
                    octets[..before].to_vec(),
                    low,
                    low.saturating_add(octets[3] % 7),
                )
            }
            6 => Self::Host(dice.pick(&HOSTS)),
            7 => Self::Suffix(dice.pick(&SUFFIXES)),
            8 => Self::Named,
            9 => Self::UserAtV4(dice.pick(&USERS), dice.ipv4()),
            _ => Self::UserAtHost(dice.pick(&USERS), dice.pick(&HOSTS)),
        }
    }

    /// What only ucspi-tcp6 can say: no length 0.
    pub(crate) fn any_new(dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::V6(dice.ipv6()),
            1 => Self::UserAtV6(dice.pick(&USERS), dice.ipv6()),
            2 | 3 => {
                let length = u8::try_from(1 + dice.below(32)).expect("at most 32");
                Self::V4Net(v4_start(dice.ipv4(), length), length)
            }
            _ => {
                let length = u8::try_from(1 + dice.below(128)).expect("at most 128");
                Self::V6Net(v6_start(dice.ipv6(), length), length)
            }
        }
    }

    /// One of many ways to write it.
    pub(crate) fn text(&self, dice: &mut Dice) -> String {
        match self {
            Self::Everybody => String::new(),
            Self::V4(ip) => ip.to_string(),
            Self::Dotted(numbers) => dotted(numbers),
            Self::Range(before, low, high) => {
                let rest = if before.len() < 3 { "." } else { "" };
                format!("{}{low}-{high}{rest}", dotted(before))
            }
            Self::Host(name) => format!("={name}"),
            Self::Suffix(name) => format!("={name}"),
            Self::Named => "=".to_owned(),
            Self::UserAtV4(user, ip) => format!("{user}@{ip}"),
            Self::UserAtHost(user, name) => format!("{user}@={name}"),
            Self::V6(ip) => spelled(*ip, dice),
            Self::UserAtV6(user, ip) => format!("{user}@{}", spelled(*ip, dice)),
            Self::V4Net(ip, length) => format!("{}/{length}", shortened(*ip, dice)),
            Self::V6Net(ip, length) => format!("{}/{length}", spelled(*ip, dice)),
        }
    }

    /// The keys that the originals write.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let text = match self {
            Self::Range(before, low, high) => {
                let rest = if before.len() < 3 { "." } else { "" };
                let key = |number| format!("{}{number}{rest}", dotted(before)).into_bytes();
                return (*low..=*high).map(key).collect();
            }
            Self::V4Net(ip, length) => return vec![v4_key(*ip, *length)],
            Self::V6Net(ip, length) => return vec![v6_key(*ip, *length)],
            Self::V6(ip) => groups(*ip),
            Self::UserAtV6(user, ip) => format!("{user}@{}", groups(*ip)),
            // All others are stored as they are written, and there is only one way to write them.
            other => other.text(&mut Dice::new(0)),
        };
        vec![text.into_bytes()]
    }
}

/// `10.2.`
fn dotted(numbers: &[u8]) -> String {
    numbers.iter().map(|number| format!("{number}.")).collect()
}

/// The first address with the same first `length` bits.
pub(crate) fn v4_start(ip: Ipv4Addr, length: u8) -> Ipv4Addr {
    let free = 32 - u32::from(length);
    let bits = u64::from(u32::from(ip)) >> free << free;
    Ipv4Addr::from(u32::try_from(bits).expect("no bit was added"))
}

/// The first address with the same first `length` bits.
pub(crate) fn v6_start(ip: Ipv6Addr, length: u8) -> Ipv6Addr {
    let free = 128 - u32::from(length);
    let bits = u128::from(ip);
    Ipv6Addr::from(bits.checked_shr(free).map_or(0, |bits| bits << free))
}

/// The key of an IPv4 prefix: each 1 bit by its place.
pub(crate) fn v4_key(ip: Ipv4Addr, length: u8) -> Vec<u8> {
    let mut key = b"_".to_vec();
    for place in 0..length {
        let octet = ip.octets()[usize::from(place / 8)];
        let bit = octet & (0x80 >> (place % 8));
        key.push(match (bit, place) {
            (0, _) => b'0',
            (_, 0..=25) => b'a' + place,
            (_, _) => b'1' + (place - 26),
        });
    }
    key
}

/// The key of an IPv6 prefix: each 1 bit by the number of those before it.
pub(crate) fn v6_key(ip: Ipv6Addr, length: u8) -> Vec<u8> {
    let mut key = b"^".to_vec();
    let mut ones = 0;
    for place in 0..length {
        let octet = ip.octets()[usize::from(place / 8)];
        if octet & (0x80 >> (place % 8)) == 0 {
            key.push(b'0');
        } else {
            key.push(0x60 + ones);
            ones += 1;
        }
    }
    key
}

/// The key of an IPv6 address: 39 bytes.
pub(crate) fn groups(ip: Ipv6Addr) -> String {
    let hex: String = ip
        .octets()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let groups: Vec<&str> = (0..8).map(|group| &hex[4 * group..4 * group + 4]).collect();
    groups.join(":")
}

/// An IPv4 network's address, perhaps without zeros at its end.
fn shortened(ip: Ipv4Addr, dice: &mut Dice) -> String {
    let octets = ip.octets();
    let needed = octets
        .iter()
        .rposition(|&octet| octet != 0)
        .map_or(1, |last| last + 1);
    let count = needed + dice.below(5 - needed);
    let text = dotted(&octets[..count]);
    // Three numbers or fewer may keep the dot behind them.
    if count < 4 && dice.one_in(2) {
        text
    } else {
        text.trim_end_matches('.').to_owned()
    }
}

/// An IPv6 address in one of its many spellings.
pub(crate) fn spelled(ip: Ipv6Addr, dice: &mut Dice) -> String {
    let groups = ip.segments();
    let mut words: Vec<String> = groups
        .iter()
        .map(|group| match dice.below(3) {
            0 => format!("{group:04X}"),
            1 => format!("{group:X}"),
            _ => format!("{group:x}"),
        })
        .collect();
    let mut last = 8;
    if dice.one_in(4) {
        let [.., a, b, c, d] = ip.octets();
        words.truncate(6);
        words.push(format!("{a}.{b}.{c}.{d}"));
        last = 6;
    }
    // Any run of zero groups, or a part of one, may become two colons.
    let zeros: Vec<usize> = (0..last).filter(|&group| groups[group] == 0).collect();
    if zeros.is_empty() || dice.one_in(4) {
        return words.join(":");
    }
    let start = zeros[dice.below(zeros.len())];
    let run = (start..last)
        .take_while(|&group| groups[group] == 0)
        .count();
    let end = start + 1 + dice.below(run);
    format!("{}::{}", words[..start].join(":"), words[end..].join(":"))
}

/// A whole rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) about: About,
    pub(crate) denies: bool,
    pub(crate) settings: Vec<(String, String)>,
}

impl Rule {
    pub(crate) fn any(about: About, dice: &mut Dice) -> Self {
        let settings = (0..dice.below(3))
            .map(|_| {
                let name = dice.pick(&["A", "RELAYCLIENT", "x y", ""]);
                let value = dice.pick(&["", "1", "two words", "a,b=c", ":allow"]);
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Self {
            about,
            denies: dice.one_in(2),
            settings,
        }
    }

    pub(crate) fn line(&self, dice: &mut Dice) -> String {
        let mut line = format!("{}:", self.about.text(dice));
        line.push_str(if self.denies { "deny" } else { "allow" });
        for (name, value) in &self.settings {
            let quote = dice.pick(&["\"", "'", "/", "q"]);
            line.push_str(&format!(",{name}={quote}{value}{quote}"));
        }
        line.push_str(dice.pick(&["", "", " ", "\t"]));
        line
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        if self.denies {
            data.extend_from_slice(b"D\0");
        }
        for (name, value) in &self.settings {
            data.extend_from_slice(format!("+{name}={value}\0").as_bytes());
        }
        data
    }
}

/// The text of `rules`, some comments among them.
pub(crate) fn text(rules: &[Rule], dice: &mut Dice) -> String {
    let mut text = String::new();
    for rule in rules {
        if dice.one_in(10) {
            text.push_str("# 10.0.0.0/8:deny\n\n");
        }
        text.push_str(&rule.line(dice));
        text.push('\n');
    }
    text
}

/// The file that the originals write for `rules`.
pub(crate) fn file(rules: &[Rule]) -> Vec<u8> {
    let records: Vec<(Vec<u8>, Vec<u8>)> = rules
        .iter()
        .flat_map(|rule| rule.about.keys().into_iter().map(|key| (key, rule.data())))
        .collect();
    let records: Vec<(&[u8], &[u8])> = records
        .iter()
        .map(|(key, data)| (&key[..], &data[..]))
        .collect();
    crate::support::cdb::file(&records)
}
