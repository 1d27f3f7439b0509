//! The configuration file of event-driven-servers' tcprelay and spawnd: text in, settings or a mistake with its place out.
//!
//! A file is a row of sections `id = name { directives }`; only the two sections that are asked for are read, the others
//! need only have matching braces. The spellings that its published manuals show are taken, and those that the program
//! takes today, which are not the same.
//!
//! Source: the manuals of tcprelay and spawnd (2022), and observed runs of the snapshot 2026.07.24, whose messages have
//! this form: `file:line: Expected 'a', 'b' or 'c', but got 'd'`. Lines count from 1; there they count from 0.
//!
//! What it leaves out: MAVIS modules, what an alias stands for, `${NAME}`, files from URLs.

mod common;
mod listening;
mod parser;
mod relaying;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::service::Overload;
use crate::tls::between::Entry;
use parser::Parser;

/// Where files come from.
pub trait Files {
    /// The content of `name`.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &[u8]) -> io::Result<Vec<u8>>;

    /// The files that `pattern` means, sorted: shell wildcards, or the name of one.
    fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>>;
}

/// Which sections are read.
#[derive(Clone, Debug)]
pub struct Sections {
    /// What listens: `spawnd`.
    pub master: Vec<u8>,
    /// What relays: `tcprelay`, unless the first one names another.
    pub relay: Option<Vec<u8>>,
}

impl Default for Sections {
    fn default() -> Self {
        Self {
            master: b"spawnd".to_vec(),
            relay: None,
        }
    }
}

/// What is wrong, as a line to print: `file:line: what was expected, and what was there`.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake(pub Vec<u8>);

/// Both sections.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub(super) master: Master,
    pub(super) relay: Relaying,
    /// What is accepted and has no effect here, each as a line to print.
    pub notes: Vec<Vec<u8>>,
}

/// What listens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) listens: Vec<Listen>,
    /// In order: the first that matches decides.
    pub(super) access: Vec<Access>,
    pub(super) is_background: Option<bool>,
    pub(super) pidfile: Option<Vec<u8>>,
    pub(super) retry_delay: u32,
    pub(super) keepalive: Keepalive,
    pub(super) overload: Overload,
    /// By `sticky cache period`.
    pub(super) is_sticky: bool,
    pub(super) is_single: bool,
    pub(super) users_max: Option<u32>,
    pub(super) instances_max: Option<u32>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) folder: Option<Vec<u8>>,
    child: Option<Vec<u8>>,
    child_file: Option<Vec<u8>>,
    pub(super) syslog: Syslog,
}

/// One `permit` or `deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// It lets in.
    pub permits: bool,
    /// It is about all who are not in the network.
    pub is_negated: bool,
    /// The network.
    pub network: IpNet,
}

/// True when `ip` may connect: everybody, without a list; with one, whom the first entry that matches permits.
pub(super) fn permits(list: &[Access], ip: IpAddr) -> bool {
    let matching = |access: &&Access| access.network.contains(&ip) != access.is_negated;
    list.is_empty()
        || list
            .iter()
            .find(matching)
            .is_some_and(|access| access.permits)
}

/// A place to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listen {
    /// `None` is any address.
    pub(super) address: Option<Vec<u8>>,
    pub(super) port: Option<Vec<u8>>,
    /// A UNIX socket.
    pub(super) path: Option<Vec<u8>>,
    pub(super) mode: Option<u32>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) is_sctp: bool,
    pub(super) backlog: Option<u32>,
    pub(super) retry_delay: Option<u32>,
    pub(super) keepalive: Keepalive,
    pub(super) dscp: Option<u8>,
    pub(super) device: Option<Vec<u8>>,
    pub(super) entry: Entry,
    /// `file:line`, for what can only be found wrong later.
    pub(super) place: Vec<u8>,
}

/// How it is found out that a client is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keepalive {
    /// Probes.
    pub(super) count: Option<u32>,
    /// Seconds.
    pub(super) idle: Option<u32>,
    /// Seconds.
    pub(super) interval: Option<u32>,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Syslog {
    pub(super) ident: Option<Vec<u8>>,
    pub(super) facility: Option<u8>,
    pub(super) severity: Option<u8>,
}

/// What relays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Relaying {
    pub(super) remotes: Vec<Remote>,
    pub(super) local: Option<IpAddr>,
    pub(super) rebalance: u32,
    pub(super) retire: u32,
    /// Seconds; 0 is for ever.
    pub(super) idle: u32,
    pub(super) syslog: Syslog,
    pub(super) tls: Certificate,
}

/// What listeners for TLS show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The certificate.
    pub(super) file: Option<Vec<u8>>,
    /// Its key, where that is in another file.
    pub(super) key: Option<Vec<u8>>,
    pub(super) passphrase: Option<Vec<u8>>,
    /// `file:line` of the first directive about it.
    pub(super) place: Vec<u8>,
}

/// A remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) address: Vec<u8>,
    pub(super) port: Vec<u8>,
    pub(super) is_sctp: bool,
    pub(super) weight: u32,
    /// `file:line`, for what can only be found wrong later.
    pub(super) place: Vec<u8>,
}

/// Reads the two sections `sections` of `file`.
///
/// # Errors
/// The first mistake.
pub fn read(files: &dyn Files, file: &[u8], sections: &Sections) -> Result<Config, Mistake> {
    let mut config = Config::default();
    let mut notes = Vec::new();
    let master = &mut config.master;
    section(files, file, &sections.master, &mut notes, |parser| {
        parser.master(master)
    })?;
    let child = sections.relay.as_deref().or(master.child.as_deref());
    let child = child.unwrap_or(b"tcprelay").to_vec();
    let child_file = master.child_file.clone();
    let relay = &mut config.relay;
    let file = child_file.as_deref().unwrap_or(file);
    // What stands outside the sections was noted already.
    let mut again = Vec::new();
    section(files, file, &child, &mut again, |parser| {
        parser.relay(relay)
    })?;
    again.retain(|note| !notes.contains(note));
    notes.extend(again);
    config.notes = notes;
    Ok(config)
}

/// Finds the section `id` in `file` and reads its directives by `read`.
fn section(
    files: &dyn Files,
    file: &[u8],
    id: &[u8],
    notes: &mut Vec<Vec<u8>>,
    read: impl FnOnce(&mut Parser<'_>) -> Result<(), Mistake>,
) -> Result<(), Mistake> {
    let mut parser = Parser::new(files, file, notes)?;
    while !parser.is_end {
        if !parser.is(b"id") {
            parser.outside()?;
            continue;
        }
        parser.next()?;
        parser.pass(b"=")?;
        let is_it = parser.text == id;
        parser.next()?;
        if is_it {
            parser.expect(b"{")?;
            read(&mut parser)?;
            return parser.expect(b"}");
        }
        parser.skip()?;
    }
    let text = [b"No configuration for id '", id, b"' found."].concat();
    Err(parser.mistake(&text))
}

impl Parser<'_> {
    /// One directive outside the sections.
    fn outside(&mut self) -> Result<(), Mistake> {
        let word = self.text.clone();
        match &word[..] {
            b"setenv" => {
                self.next()?;
                let name = self.value()?;
                self.pass(b"=")?;
                if name != b"IO_POLL_MECHANISM" || self.text != b"4" {
                    self.note(&[b"setenv ", &name[..]].concat());
                }
                self.value()?;
            }
            b"alias" => {
                self.note(b"alias");
                self.next()?;
                self.pass(b"=")?;
                self.value()?;
                self.skip()?;
            }
            b"cleanup" => {
                self.note(b"cleanup interval");
                self.words(&[b"cleanup", b"interval"])?;
                self.number_after_equal()?;
            }
            b"gcore" | b"debug-cmd" => {
                self.note(&word);
                self.set()?;
            }
            _ if self.common(&mut Syslog::default())? => {}
            _ => {
                let known = [
                    "alias",
                    "cleanup",
                    "coredump",
                    "debug",
                    "debug-cmd",
                    "gcore",
                    "id",
                    "include",
                    "proctitle",
                    "setenv",
                    "syslog",
                    "trace",
                ];
                return Err(self.expected(&known));
            }
        }
        Ok(())
    }
}
