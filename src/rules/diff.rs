//! What a change of the rules changes: for which addresses, as the shortest list of prefixes, and for which names.
//!
//! Two files mean the same to every peer if they mean the same to every address, and for each name have the same key.
//! Where there are keys of names, it counts for an address, too, whether it is decided before or after those.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;

use super::place::{Named, V4};
use super::set::Sets;
use super::store::{Reader, damaged};
use super::survey::{Deed, Deeds, Spans, Survey};
use super::text::rules;
use super::verdict::{self, Instruction, instructions};
use crate::cli::{During, Error};

/// Tells `say` what is different between the compiled rules in `old` and those in the text `new`, which may name `sets`:
/// `PREFIX old -> new` a line, IPv4 first, then `KEY old -> new` for keys of names. False when nothing is. `new_name` is
/// for messages.
///
/// # Errors
/// A file cannot be read, or the old one is damaged (111); a line of the new ones cannot be parsed (100); the first error
/// of `say`.
pub fn diff(
    old: &Path,
    new: impl Read,
    new_name: &[u8],
    sets: &Sets,
    mut say: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<bool, Error> {
    let mut deeds = Deeds::default();
    let old_name = old.as_os_str().as_encoded_bytes();
    let old = compiled(old, &mut deeds).during([b"read ", old_name].concat())?;
    let new = written(new, new_name, sets, &mut deeds)?;
    let comparison = Comparison::new(&old, &new, &mut deeds);
    let mut differs = false;
    comparison.all(|what, old, new| {
        differs = true;
        say(&[what, b" ", old, b" -> ", new, b"\n"].concat())
    })?;
    Ok(differs)
}

/// The keys of a compiled file.
fn compiled(path: &Path, deeds: &mut Deeds) -> io::Result<Survey> {
    let reader = Reader::open(path)?;
    let mut survey = Survey::default();
    reader.records(|key, data| {
        verdict::check(data)?;
        survey.add(key, deeds.of(data), 0);
        Ok(())
    })?;
    if !reader.is_unchanged()? {
        return Err(damaged());
    }
    survey.sort();
    Ok(survey)
}

/// The keys of rules as text.
fn written(input: impl Read, name: &[u8], sets: &Sets, deeds: &mut Deeds) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    let reading = [b"read ", name].concat();
    rules(input, &reading, |_, _, rule| {
        let deed = deeds.of(&rule.data);
        sets.keys(
            rule,
            |_, _, _| {},
            |key| {
                survey.add(key.bytes, deed, 0);
                Ok(())
            },
        )
    })?;
    survey.sort();
    Ok(survey)
}

/// What is done with an address, and after which names' keys.
#[derive(Clone, Copy, Debug)]
struct Decision {
    deed: Deed,
    turn: Turn,
}

/// When it is the turn of the key that decides about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Before that of any name but users'.
    BeforeHosts,
    /// After the hosts, before the domains.
    BeforeDomains,
    AfterNames,
}

impl Turn {
    fn words(self) -> &'static str {
        match self {
            Self::BeforeHosts => "before names",
            Self::BeforeDomains => "before domains",
            Self::AfterNames => "after names",
        }
    }
}

struct Comparison<'a> {
    old: &'a Survey,
    new: &'a Survey,
    deeds: &'a Deeds,
    /// What rules do with those whom they do not name: nothing.
    nothing: Deed,
    has_hosts: bool,
    has_domains: bool,
}

/// Addresses next to each other that are decided alike.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u128,
    last: u128,
    old: Decision,
    new: Decision,
}

type Say<'a> = dyn FnMut(&[u8], &[u8], &[u8]) -> Result<(), Error> + 'a;

impl<'a> Comparison<'a> {
    fn new(old: &'a Survey, new: &'a Survey, deeds: &'a mut Deeds) -> Self {
        let nothing = deeds.of(b"");
        let has = |named: &[Named]| old.has(named) || new.has(named);
        Self {
            old,
            new,
            deeds,
            nothing,
            has_hosts: has(&[Named::Host]),
            has_domains: has(&[Named::Domain]),
        }
    }

    fn all(
        &self,
        mut say: impl FnMut(&[u8], &[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let say: &mut Say<'_> = &mut say;
        self.addresses(true, say)?;
        self.addresses(false, say)?;
        self.names(say)
    }

    /// Tells of the addresses of a family.
    fn addresses(&self, is_v4: bool, say: &mut Say<'_>) -> Result<(), Error> {
        let mut so_far: Option<Run> = None;
        for run in self.runs() {
            let is_within = V4.0 <= run.first && run.last <= V4.1;
            if is_v4 && !is_within {
                continue;
            }
            so_far = match so_far {
                // No IPv6 peer is there: what lies on both sides may be one.
                Some(before) if !is_v4 && is_within => Some(Run {
                    last: run.last,
                    ..before
                }),
                Some(before)
                    if self.is_same(before.old, run.old) && self.is_same(before.new, run.new) =>
                {
                    Some(Run {
                        last: run.last,
                        ..before
                    })
                }
                before => {
                    self.run(before, is_v4, say)?;
                    Some(run)
                }
            };
        }
        self.run(so_far, is_v4, say)
    }

    /// All addresses, in pieces that do not reach over the borders of IPv4.
    fn runs(&self) -> Runs<'_> {
        Runs {
            comparison: self,
            old: Side::new(self.old),
            new: Side::new(self.new),
            first: Some(0),
        }
    }

    fn run(&self, run: Option<Run>, is_v4: bool, say: &mut Say<'_>) -> Result<(), Error> {
        let Some(run) = run.filter(|run| !self.is_same(run.old, run.new)) else {
            return Ok(());
        };
        let (mut old, mut new) = (self.text(run.old.deed), self.text(run.new.deed));
        if self.deeds.is_same(run.old.deed, run.new.deed) {
            old = [&old, &b", "[..], run.old.turn.words().as_bytes()].concat();
            new = [&new, &b", "[..], run.new.turn.words().as_bytes()].concat();
        }
        for network in prefixes(run.first, run.last, is_v4) {
            say(network.to_string().as_bytes(), &old, &new)?;
        }
        Ok(())
    }

    fn is_same(&self, one: Decision, other: Decision) -> bool {
        let is_of_turn = |turn| (one.turn == turn) == (other.turn == turn);
        self.deeds.is_same(one.deed, other.deed)
            && (!self.has_hosts || is_of_turn(Turn::BeforeHosts))
            && (!self.has_domains || is_of_turn(Turn::AfterNames))
    }

    /// Tells of the keys of names.
    fn names(&self, say: &mut Say<'_>) -> Result<(), Error> {
        let mut old = self.old.distinct().peekable();
        let mut new = self.new.distinct().peekable();
        loop {
            let (one, other) = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(one), Some(other)) => {
                    let (text, other_text) = (self.old.text(one), self.new.text(other));
                    (
                        old.next_if(|_| text <= other_text),
                        new.next_if(|_| other_text <= text),
                    )
                }
                _ => (old.next(), new.next()),
            };
            let is_same = match (one, other) {
                (Some(one), Some(other)) => self.deeds.is_same(one.deed, other.deed),
                _ => false,
            };
            if is_same {
                continue;
            }
            let key = one.map(|name| self.old.text(name));
            let key = key.or_else(|| other.map(|name| self.new.text(name)));
            let deed = |name: Option<&super::survey::Name>| match name {
                Some(name) => self.text(name.deed),
                None => b"none".to_vec(),
            };
            say(&shown(key.unwrap_or_default()), &deed(one), &deed(other))?;
        }
    }

    fn text(&self, deed: Deed) -> Vec<u8> {
        deed_text(self.deeds.data(deed))
    }
}

/// Instructions as they are written behind the colon of a rule.
fn deed_text(data: &[u8]) -> Vec<u8> {
    let is_denial = instructions(data).any(|instruction| instruction == Instruction::Deny);
    let mut text = if is_denial {
        b"deny".to_vec()
    } else {
        b"allow".to_vec()
    };
    for instruction in instructions(data) {
        if let Instruction::Set(setting) = instruction {
            let equals = setting.iter().position(|&byte| byte == b'=');
            let (name, value) = setting.split_at(equals.map_or(setting.len(), |at| at + 1));
            let mut quotes = b"\"'/|^!%&*+~".iter().chain(b"0123456789");
            let quote = quotes.find(|quote| !value.contains(quote)).unwrap_or(&b'"');
            let quote = std::slice::from_ref(quote);
            text.extend([b",", &shown(name)[..], quote, &shown(value), quote].concat());
        }
    }
    text
}

/// Bytes of a file for people: what is no text becomes `?`.
pub(super) fn shown(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.chars().map(|c| if c.is_control() { '?' } else { c });
    shown.collect::<String>().into()
}

/// One file, as far as it was read.
struct Side<'a> {
    survey: &'a Survey,
    spans: Spans<'a>,
    last: u128,
    decision: Option<Decision>,
}

impl<'a> Side<'a> {
    fn new(survey: &'a Survey) -> Self {
        Self {
            survey,
            spans: survey.spans(),
            last: 0,
            decision: None,
        }
    }

    /// What is decided of `address`, which is no lower than the one before.
    fn at(&mut self, address: u128, nothing: Deed) -> Decision {
        loop {
            match self.decision {
                Some(decision) if address <= self.last => return decision,
                _ => {}
            }
            let entry = match self.spans.next() {
                Some(span) => {
                    self.last = span.last;
                    span.entry.map(|entry| &self.survey.entries[entry])
                }
                None => None,
            };
            self.decision = Some(match entry {
                Some(entry) => Decision {
                    deed: entry.deed,
                    turn: if entry.is_exact() {
                        Turn::BeforeHosts
                    } else {
                        Turn::BeforeDomains
                    },
                },
                None => Decision {
                    deed: self
                        .survey
                        .everybody
                        .first()
                        .map_or(nothing, |first| first.0),
                    turn: Turn::AfterNames,
                },
            });
        }
    }
}

struct Runs<'a> {
    comparison: &'a Comparison<'a>,
    old: Side<'a>,
    new: Side<'a>,
    first: Option<u128>,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let first = self.first?;
        let nothing = self.comparison.nothing;
        let (old, new) = (self.old.at(first, nothing), self.new.at(first, nothing));
        let border = [V4.0 - 1, V4.1, u128::MAX];
        let border = border.into_iter().find(|&border| first <= border)?;
        let last = self.old.last.min(self.new.last).min(border);
        self.first = last.checked_add(1);
        Some(Run {
            first,
            last,
            old,
            new,
        })
    }
}

/// The fewest prefixes that hold the addresses from `first` to `last`, and no others of the family.
fn prefixes(first: u128, last: u128, is_v4: bool) -> impl Iterator<Item = IpNet> {
    let mut next = Some(first);
    let blocks = std::iter::from_fn(move || {
        let start = next.filter(|&start| start <= last)?;
        // As large as it may begin there, and as fits.
        let mut bits = start.trailing_zeros().min(128);
        let end = |bits: u32| start | u128::MAX.checked_shr(128 - bits).unwrap_or(0);
        while end(bits) > last {
            bits -= 1;
        }
        next = end(bits).checked_add(1);
        Some((start, bits, end(bits)))
    });
    blocks
        .filter(move |&(start, _, end)| is_v4 || !(V4.0 <= start && end <= V4.1))
        .filter_map(move |(start, bits, _)| network(start, bits, is_v4))
}

/// The network from `start`, with this many free bits.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low bits of a mapped address are the address"
)]
fn network(start: u128, bits: u32, is_v4: bool) -> Option<IpNet> {
    let bits = u8::try_from(bits).ok()?;
    let (address, whole) = if is_v4 {
        (IpAddr::from(Ipv4Addr::from(start as u32)), 32_u8)
    } else {
        (Ipv6Addr::from(start).into(), 128)
    };
    IpNet::new(address, whole.checked_sub(bits)?).ok()
}
