//! Sets: files of prefixes that a rule means by one name, `%NAME`.
//!
//! ```text
//! line    := [ prefix ] [ ( "#" | ";" ) anything ]
//! prefix  := address [ "/" length ]
//! ```
//!
//! A prefix that ucspi-tcp 0.88 can read is stored as it would be written for that: `10.`, `10.1.`, `10.1.2.`,
//! `10.1.2.3`. All others are stored as rules with a slash are. Files are read each time that they are named, so a set
//! takes no memory.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;

use ipnet::IpNet;

use super::line::{Fault, Rule};
use super::prefix;
use super::store::Hashed;
use super::text::lines;
use crate::cli::{During, Error, Opt};

/// The sets that rules may name.
#[derive(Debug, Default)]
pub struct Sets(Vec<Set>);

#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: Vec<u8>,
    pub(super) file: Vec<u8>,
    is_named: Cell<bool>,
}

impl Sets {
    /// The option for them.
    pub const OPTIONS: &'static [Opt<Self>] = &[Opt::value(
        "set",
        "set",
        "%name in rules means the prefixes in file, for a set name=file",
        |sets, value| {
            let needed = "a new name of letters, digits, _ and ., an equals sign and a file";
            value.parse(needed, |text| sets.define(text))
        },
    )];

    /// Adds the set that `definition`, `NAME=FILE`, names; `None` when it does not, or there is one of that name.
    pub fn define(&mut self, definition: &[u8]) -> Option<()> {
        let equals = definition.iter().position(|&byte| byte == b'=')?;
        let (name, file) = (&definition[..equals], &definition[equals + 1..]);
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.".contains(byte);
        if name.is_empty() || file.is_empty() || !name.iter().all(is_plain) || self.has(name) {
            return None;
        }
        self.0.push(Set {
            name: name.to_vec(),
            file: file.to_vec(),
            is_named: Cell::new(false),
        });
        Some(())
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|set| set.name == name)
    }

    /// The set that `rule` means.
    pub(super) fn of(&self, rule: &Rule<'_>) -> Option<&Set> {
        let name = rule.literal()?.strip_prefix(b"%")?;
        let set = self.0.iter().find(|set| set.name == name)?;
        set.is_named.set(true);
        Some(set)
    }

    /// Those that no rule has meant so far.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Set> {
        self.0.iter().filter(|set| !set.is_named.get())
    }

    /// Calls `each` with every key that `rule` is stored under, in order. `remark` is told of prefixes of a set that are
    /// not taken as they stand: the file, the line, and what it is taken for.
    ///
    /// # Errors
    /// A set's file cannot be read (111), or a line of it is none (100); the first error of `each`.
    pub(super) fn keys(
        &self,
        rule: &Rule<'_>,
        mut remark: impl FnMut(&Set, u64, IpNet),
        mut each: impl FnMut(Hashed<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(set) = self.of(rule) else {
            return rule.hashed_keys(each);
        };
        set.prefixes(|number, found| match found {
            Ok(written) => {
                let network = written.trunc();
                if network != written {
                    remark(set, number, network);
                }
                each(Hashed::new(&key(network)))
            }
            Err(fault) => {
                let Fault { column, expected } = fault;
                let text = [b"unable to parse ", &set.file[..]].concat();
                let place = format!("line {number}, column {column}: expected {expected}");
                Err(Error::permanent(text, place))
            }
        })
    }
}

impl Set {
    /// Calls `each` with each prefix, and the number of its line; or with what is wrong there.
    pub(super) fn prefixes(
        &self,
        mut each: impl FnMut(u64, Result<IpNet, Fault>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let reading = [b"read ", &self.file[..]].concat();
        let file = File::open(OsStr::from_bytes(&self.file)).during(&reading)?;
        lines(file, &reading, |number, line| {
            let end = line.iter().position(|byte| b"#;\n".contains(byte));
            let text = &line[..end.unwrap_or(line.len())];
            let start = text.len() - text.trim_ascii_start().len();
            let text = text.trim_ascii();
            if text.is_empty() {
                return Ok(());
            }
            let prefix = prefix(text);
            each(number, prefix.map_err(|fault| fault.after(start)))
        })
    }
}

/// An address, or a prefix.
fn prefix(text: &[u8]) -> Result<IpNet, Fault> {
    if text.contains(&b'/') {
        return Ok(prefix::network(text)?);
    }
    if text.contains(&b':') {
        return Ok(IpAddr::from(prefix::ipv6(text)?).into());
    }
    let address = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    match address {
        Some(IpAddr::V4(address)) => Ok(IpAddr::V4(address).into()),
        _ => Err(Fault::at(0, "an address, or address/length")),
    }
}

/// The key of a prefix, as 0.88 can read it where that can be.
pub(super) fn key(network: IpNet) -> Vec<u8> {
    match network {
        IpNet::V4(v4) if v4.prefix_len() == 32 => v4.addr().to_string().into(),
        IpNet::V4(v4) if matches!(v4.prefix_len(), 8 | 16 | 24) => {
            let octets = v4.addr().octets();
            let octets = &octets[..usize::from(v4.prefix_len() / 8)];
            let dotted = octets.iter().map(|octet| format!("{octet}."));
            dotted.collect::<String>().into()
        }
        IpNet::V6(v6) if v6.prefix_len() == 128 => prefix::expanded(v6.addr()).into(),
        network => prefix::network_key(network),
    }
}
