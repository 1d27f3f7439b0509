//! What is odd about rules as text: rules that no peer can reach, addresses that are none, and whatever else is hardly
//! what was meant. Nothing is compiled.

use std::io::Read;
use std::net::IpAddr;

use ipnet::IpNet;
use memchr::memrchr;

use super::finding::{Finding, Kind};
use super::line::{Remark, Rule, address_of, parse, settings, trim};
use super::place::{Named, Place, V4, place};
use super::prefix;
use super::set::{Sets, key};
use super::survey::{Deeds, Entry, Name, Survey};
use super::text::lines;
use crate::cli::Error;

/// What came of a check; the worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// There is nothing to say.
    Clean,
    /// Some rules are odd.
    Odd,
    /// Some lines are no rules.
    Wrong,
}

/// Looks at the rules in `input`, which may name `sets`, and tells `say` what is odd or wrong: first of each line by itself,
/// then of lines beside others. Each is one line, `name:line:column: warning: text`, or JSON.
///
/// # Errors
/// A file cannot be read (111); the first error of `say`.
pub fn check(
    input: impl Read,
    name: &[u8],
    sets: &Sets,
    is_json: bool,
    mut say: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Health, Error> {
    let mut health = Health::Clean;
    let mut tell = |finding: &Finding<'_>| {
        health = health.max(if finding.kind.is_error() {
            Health::Wrong
        } else {
            Health::Odd
        });
        say(&finding.shown(is_json))
    };
    let mut check = Check {
        name,
        say: &mut tell,
        survey: Survey::default(),
        deeds: Deeds::default(),
        line: 0,
    };
    let reading = [b"read ", name].concat();
    lines(input, &reading, |number, line| {
        check.line = number;
        check.line(line, sets)
    })?;
    check.whole()?;
    for set in sets.idle() {
        check.say(1, Kind::IdleSet(&set.name))?;
    }
    Ok(health)
}

struct Check<'a> {
    name: &'a [u8],
    say: &'a mut dyn FnMut(&Finding<'_>) -> Result<(), Error>,
    survey: Survey,
    deeds: Deeds,
    /// The number of the line that was read last.
    line: u64,
}

impl Check<'_> {
    /// Says something of the line that was read last.
    fn say(&mut self, column: usize, kind: Kind<'_>) -> Result<(), Error> {
        (self.say)(&Finding {
            file: self.name,
            line: self.line,
            column,
            kind,
        })
    }

    /// Looks at one line by itself.
    fn line(&mut self, line: &[u8], sets: &Sets) -> Result<(), Error> {
        match parse(line) {
            Ok(Some(rule)) => {
                self.remarks(&rule)?;
                self.settings(line)?;
                self.keys(line, &rule, sets)
            }
            Ok(None) if trim(line).is_empty() || line[0] == b'#' => Ok(()),
            Ok(None) => self.say(1, Kind::NoColon),
            Err(fault) => self.say(fault.column, Kind::Fault(&fault.expected)),
        }
    }

    fn remarks(&mut self, rule: &Rule<'_>) -> Result<(), Error> {
        for remark in &rule.remarks {
            match remark {
                Remark::HostBits(network) => self.say(1, Kind::HostBits(*network))?,
                Remark::NoLimit(column, name) => self.say(*column, Kind::NoLimit(name))?,
            }
        }
        Ok(())
    }

    fn settings(&mut self, line: &[u8]) -> Result<(), Error> {
        for (column, name, quote) in settings(line) {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            if name.is_empty() || !name.iter().all(is_plain) {
                self.say(column, Kind::Variable(name))?;
            }
            if !quote.is_ascii_punctuation() || quote == b',' {
                self.say(column + name.len() + 1, Kind::Quote(quote))?;
            }
        }
        Ok(())
    }

    /// Takes the keys of a rule.
    fn keys(&mut self, line: &[u8], rule: &Rule<'_>, sets: &Sets) -> Result<(), Error> {
        // Of more lines than these, the last ones are one.
        let number = u32::try_from(self.line).unwrap_or(u32::MAX);
        let deed = self.deeds.of(&rule.data);
        if let Some(set) = sets.of(rule) {
            return set.prefixes(|line, found| {
                let mut say = |column, kind| {
                    (self.say)(&Finding {
                        file: &set.file,
                        line,
                        column,
                        kind,
                    })
                };
                match found {
                    Ok(written) => {
                        let network = written.trunc();
                        self.survey.add(&key(network), deed, number);
                        if network == written {
                            Ok(())
                        } else {
                            say(1, Kind::HostBits(network))
                        }
                    }
                    Err(fault) => say(fault.column, Kind::Fault(&fault.expected)),
                }
            });
        }
        let mut means_somebody = false;
        rule.keys(|key| {
            means_somebody |= self.survey.add(key, deed, number);
            Ok::<(), Error>(())
        })?;
        let address = address_of(line);
        if !means_somebody {
            return self.say(1, Kind::NoAddress(&nobody(address)));
        }
        if let Some(why) = no_name(address) {
            return self.say(1, Kind::NoAddress(why));
        }
        match network(address) {
            Some(IpNet::V6(v6)) => {
                let (first, last) = (v6.network().to_bits(), v6.broadcast().to_bits());
                let v4 = v6.network().to_ipv4_mapped();
                match (v4, v6.prefix_len().checked_sub(96)) {
                    (Some(v4), Some(32)) => self.say(1, Kind::Mapped(&v4.to_string())),
                    (Some(v4), Some(length)) => {
                        self.say(1, Kind::Mapped(&format!("{v4}/{length}")))
                    }
                    _ if first <= V4.0 && V4.1 <= last => self.say(1, Kind::HoldsV4),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Looks at all rules beside each other.
    fn whole(&mut self) -> Result<(), Error> {
        self.survey.sort();
        let reached = self.reached();
        let is_full = self.survey.spans().all(|span| span.entry.is_some());
        let mut found = self.unreached(&reached);
        self.doubled(&mut found);
        self.undone(&reached, &mut found);
        if is_full {
            let everybody = self.survey.everybody.first().map(|(_, rule)| *rule);
            let domains = self.survey.distinct();
            let domains = domains.filter(|name| name.named == Named::Domain);
            let late = domains.map(|name| name.rule).chain(everybody);
            found.extend(late.map(|rule| (rule, Kind::Late)));
        }
        found.sort_by_key(|(rule, _)| *rule);
        for (rule, kind) in found {
            (self.say)(&Finding {
                file: self.name,
                line: rule.into(),
                column: 1,
                kind,
            })?;
        }
        if !is_full && self.survey.everybody.is_empty() {
            self.line = self.line.max(1);
            self.say(1, Kind::NoLast)?;
        }
        Ok(())
    }

    /// Which of the entries decide about some address.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.survey.entries.len()];
        for entry in self.survey.spans().filter_map(|span| span.entry) {
            reached[entry] = true;
        }
        reached
    }

    /// The rules of which no key is reached, and those of which one is another's.
    fn unreached(&self, reached: &[bool]) -> Vec<(u32, Kind<'static>)> {
        let entries = &self.survey.entries;
        let rules = entries.iter().map(|entry| entry.rule).max();
        // One thing is said of a rule, however many keys it has.
        let mut is_done = vec![false; rules.map_or(0, |rule| rule as usize + 1)];
        let mut found = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            if reached[place] {
                continue;
            }
            if let Some(by) = self.twin(place)
                && by != entry.rule
                && !is_done[entry.rule as usize]
            {
                is_done[entry.rule as usize] = true;
                found.push((entry.rule, Kind::Doubled(by)));
            }
        }
        for (entry, _) in entries.iter().zip(reached).filter(|(_, reached)| **reached) {
            is_done[entry.rule as usize] = true;
        }
        for (place, entry) in entries.iter().enumerate() {
            let is_done = &mut is_done[entry.rule as usize];
            if std::mem::replace(is_done, true) {
                continue;
            }
            // What is tried before it stands behind it; a set may have some of that, too.
            let mut rest = entries[place + 1..].iter();
            if let Some(by) = rest.find(|other| other.rule != entry.rule) {
                let is_alone = by.row().last() == entry.row().last();
                found.push((entry.rule, Kind::Shadowed(by.rule, is_alone)));
            }
        }
        found
    }

    /// The rule whose key is the same as that of the entry at `place`, and is found.
    fn twin(&self, place: usize) -> Option<u32> {
        let (entry, rest) = self.survey.entries[place..].split_first()?;
        let twins = rest.iter().take_while(|other| other.row() == entry.row());
        Some(twins.last()?.rule)
    }

    /// The rules whose key is one of a name, or of everybody, and another's, too.
    fn doubled(&self, found: &mut Vec<(u32, Kind<'static>)>) {
        let mut first: Option<&Name> = None;
        for name in &self.survey.names {
            match first {
                Some(one) if self.survey.text(one) == self.survey.text(name) => {
                    found.push((name.rule, Kind::Doubled(one.rule)));
                }
                _ => first = Some(name),
            }
        }
        if let Some(((_, one), rest)) = self.survey.everybody.split_first() {
            found.extend(rest.iter().map(|(_, rule)| (*rule, Kind::Doubled(*one))));
        }
    }

    /// The rules of users and hosts that let somebody in whom a denial means that is tried later.
    fn undone(&self, reached: &[bool], found: &mut Vec<(u32, Kind<'static>)>) {
        let survey = &self.survey;
        let denials = || {
            let entries = survey.entries.iter().zip(reached);
            let entries = entries.filter(|(_, reached)| **reached);
            let denies = |entry: &&Entry| self.deeds.denies(entry.deed);
            entries.map(|(entry, _)| entry).filter(denies)
        };
        let first = denials().map(|entry| entry.rule).min();
        let prefixes = denials().filter(|entry| !entry.is_exact());
        let first_prefix = prefixes.map(|entry| entry.rule).min();
        let denial_of_host = |host: &[u8]| {
            let names = &survey.names;
            let place = names.partition_point(|name| survey.text(name) < host);
            let name = names.get(place).filter(|name| survey.text(name) == host)?;
            self.deeds.denies(name.deed).then_some(name.rule)
        };
        let mut users = Vec::new();
        for name in survey.distinct() {
            if self.deeds.denies(name.deed) {
                continue;
            }
            let denial = match name.named {
                Named::UserAtAddress(address) => {
                    users.push((address, name.rule));
                    None
                }
                Named::UserAtHost => {
                    let text = survey.text(name);
                    let host = memrchr(b'@', text).map_or(text, |at| &text[at + 1..]);
                    denial_of_host(host).or(first)
                }
                Named::Host => first_prefix,
                Named::Domain | Named::Text => None,
            };
            found.extend(denial.map(|denial| (name.rule, Kind::Undoes(denial))));
        }
        users.sort_unstable();
        let mut users = users.into_iter().peekable();
        for span in survey.spans() {
            while let Some((_, rule)) = users.next_if(|(address, _)| *address <= span.last) {
                let entry = span.entry.map(|entry| &survey.entries[entry]);
                let entry = entry.filter(|entry| self.deeds.denies(entry.deed));
                found.extend(entry.map(|entry| (rule, Kind::Undoes(entry.rule))));
            }
        }
    }
}

/// The address or the prefix that a text is.
fn network(text: &[u8]) -> Option<IpNet> {
    if text.contains(&b'/') {
        return Some(prefix::network(text).ok()?.trunc());
    }
    let address: IpAddr = str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.into())
}

/// Why the name in an address, if there is one, is nobody's.
fn no_name(address: &[u8]) -> Option<&'static str> {
    let start = memrchr(b'@', address).map_or(0, |at| at + 1);
    let name = address[start..].strip_prefix(b"=")?;
    if name.iter().any(u8::is_ascii_uppercase) {
        Some("names are looked up in lower case")
    } else if name.iter().any(u8::is_ascii_whitespace) {
        Some("blanks in it count")
    } else if name.contains(&b'*') {
        Some("all names below a domain are =.domain")
    } else if name.ends_with(b".") {
        Some("names have no dot at their end")
    } else {
        None
    }
}

/// Why a text is nobody's address.
fn nobody(text: &[u8]) -> String {
    let dotted = [text, b"."].concat();
    if let Place::Row(_) = place(&dotted) {
        let dotted = String::from_utf8_lossy(&dotted);
        return format!("a prefix ends in a dot, {dotted}");
    }
    let why = if text.iter().any(u8::is_ascii_whitespace) {
        "blanks in it count"
    } else if text.starts_with(b"%") {
        "there is no such set"
    } else if text.contains(&b'@') {
        "a user is at one address or one host"
    } else if text.contains(&b'-') {
        "there is none from the first number to the second"
    } else {
        "it is no address, no prefix, and no name, which begins with ="
    };
    why.to_owned()
}
