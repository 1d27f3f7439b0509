//! The configuration file of event-driven-servers' tcprelay and spawnd: text in, settings or a mistake with its place out.
//!
//! A file is a row of sections `id = name { directives }`; only the two sections that are asked for are read, the others
//! need only have matching braces. The spellings that its published manuals show are taken, and those that the program
//! takes today, which are not the same.
//!
//! Source: the manuals of tcprelay and spawnd (2022), and observed runs of the snapshot 2026.07.24, whose messages have
//! this form: `file:line: Expected 'a', 'b' or 'c', but got 'd'`. Lines count from 1; there they count from 0.
//!
//! What it leaves out: MAVIS modules, aliases, `${NAME}`, files from URLs.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::cli::{number, reason};
use crate::dns::literal;
use crate::service::Overload;

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

/// How deep files may include each other.
const DEPTH_MAX: u32 = 16;
/// The longest word, in bytes: the original's.
const WORD_MAX: usize = 4096;

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
    notes.extend(again);
    notes.dedup();
    config.notes = notes;
    Ok(config)
}

/// Finds the section `id` in `file` and reads its directives by `read`.
fn section(
    files: &dyn Files,
    file: &[u8],
    id: &[u8],
    notes: &mut Vec<Vec<u8>>,
    mut read: impl FnMut(&mut Parser<'_>) -> Result<(), Mistake>,
) -> Result<(), Mistake> {
    let last = find(files, file, id, notes, &mut read, 0)?;
    match last {
        Found::Section => Ok(()),
        Found::End(line) => Err(Mistake::new(
            file,
            line,
            &[b"No configuration for id '", id, b"' found."].concat(),
        )),
    }
}

enum Found {
    Section,
    /// Only the end of the file, in this line.
    End(u32),
}

fn find(
    files: &dyn Files,
    file: &[u8],
    id: &[u8],
    notes: &mut Vec<Vec<u8>>,
    read: &mut dyn FnMut(&mut Parser<'_>) -> Result<(), Mistake>,
    depth: u32,
) -> Result<Found, Mistake> {
    let text = files.read(file).map_err(|error| {
        let why = reason(&error).as_bytes();
        Mistake([b"unable to read ", file, b": ", why].concat())
    })?;
    let mut parser = Parser::new(file, &text, notes)?;
    loop {
        if parser.is_end {
            return Ok(Found::End(parser.line));
        }
        let word = parser.text.clone();
        match &word[..] {
            b"id" => {
                parser.next()?;
                parser.pass(b"=")?;
                let is_it = parser.text == id;
                parser.next()?;
                parser.expect(b"{")?;
                if is_it {
                    read(&mut parser)?;
                    parser.expect(b"}")?;
                    return Ok(Found::Section);
                }
                parser.skip()?;
            }
            b"include" => {
                parser.next()?;
                parser.pass(b"=")?;
                let pattern = parser.value()?;
                if depth == DEPTH_MAX {
                    return Err(parser.mistake(b"Files include each other too deeply"));
                }
                for name in files.matching(&pattern) {
                    let found = find(files, &name, id, parser.notes, read, depth + 1)?;
                    if matches!(found, Found::Section) {
                        return Ok(found);
                    }
                }
            }
            b"setenv" => {
                parser.next()?;
                let name = parser.value()?;
                parser.pass(b"=")?;
                let value = parser.text.clone();
                if name != b"IO_POLL_MECHANISM" || value != b"4" {
                    parser.note(&[b"setenv ", &name[..]].concat());
                }
                parser.value()?;
            }
            _ if parser.common(&mut Syslog::default())? => {}
            _ => {
                let known = [
                    "coredump",
                    "debug",
                    "id",
                    "include",
                    "proctitle",
                    "setenv",
                    "syslog",
                    "trace",
                ];
                return Err(parser.expected(&known));
            }
        }
    }
}

/// A file, and one word of it.
struct Parser<'a> {
    file: &'a [u8],
    rest: &'a [u8],
    /// Of the word.
    line: u32,
    line_of_rest: u32,
    /// The word, or one of `= , { }`; empty and not quoted at the end.
    text: Vec<u8>,
    is_quoted: bool,
    is_end: bool,
    notes: &'a mut Vec<Vec<u8>>,
}

impl Mistake {
    fn new(file: &[u8], line: u32, text: &[u8]) -> Self {
        Self([file, format!(":{line}: ").as_bytes(), text].concat())
    }
}

impl<'a> Parser<'a> {
    fn new(file: &'a [u8], text: &'a [u8], notes: &'a mut Vec<Vec<u8>>) -> Result<Self, Mistake> {
        let mut parser = Self {
            file,
            rest: text,
            line: 1,
            line_of_rest: 1,
            text: Vec::new(),
            is_quoted: false,
            is_end: false,
            notes,
        };
        parser.next()?;
        Ok(parser)
    }

    /// Goes on to the next word.
    fn next(&mut self) -> Result<(), Mistake> {
        self.text.clear();
        self.is_quoted = false;
        loop {
            self.line = self.line_of_rest;
            let Some(byte) = self.take() else {
                self.is_end = true;
                return Ok(());
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => {
                    while self.rest.first().is_some_and(|&byte| byte != b'\n') {
                        self.take();
                    }
                }
                b'=' | b',' | b'{' | b'}' => {
                    self.text.push(byte);
                    return Ok(());
                }
                b'"' | b'\'' => return self.quoted(byte),
                byte => {
                    self.push(byte)?;
                    while let Some(&byte) = self.rest.first()
                        && !b" \t\r\n=,{}".contains(&byte)
                    {
                        self.take();
                        self.push(byte)?;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line_of_rest += u32::from(byte == b'\n');
        Some(byte)
    }

    fn push(&mut self, byte: u8) -> Result<(), Mistake> {
        if self.text.len() == WORD_MAX {
            return Err(self.mistake(b"Word too long"));
        }
        self.text.push(byte);
        Ok(())
    }

    /// The rest of a string; a backslash means what it does in C.
    fn quoted(&mut self, quote: u8) -> Result<(), Mistake> {
        self.is_quoted = true;
        loop {
            let Some(byte) = self.take() else {
                return Err(self.mistake(b"EOF unexpected"));
            };
            match byte {
                byte if byte == quote => return Ok(()),
                b'\\' => {
                    let byte = match self.take() {
                        Some(b'a') => 7,
                        Some(b'b') => 8,
                        Some(b'e') => 27,
                        Some(b't') => b'\t',
                        Some(b'n') => b'\n',
                        Some(b'v') => 11,
                        Some(b'f') => 12,
                        Some(b'r') => b'\r',
                        Some(digit @ b'0'..=b'7') => self.octal(digit),
                        Some(byte) => byte,
                        None => return Err(self.mistake(b"EOF unexpected")),
                    };
                    self.push(byte)?;
                }
                byte => self.push(byte)?,
            }
        }
    }

    fn octal(&mut self, first: u8) -> u8 {
        let mut byte = first - b'0';
        for _ in 0..2 {
            let Some(&digit @ b'0'..=b'7') = self.rest.first() else {
                break;
            };
            self.take();
            byte = byte.wrapping_mul(8).wrapping_add(digit - b'0');
        }
        byte
    }

    fn is(&self, word: &[u8]) -> bool {
        !self.is_end && !self.is_quoted && self.text == word
    }

    /// Takes the word as a value.
    fn value(&mut self) -> Result<Vec<u8>, Mistake> {
        let is_sign = !self.is_quoted && matches!(self.text[..], [b'=' | b',' | b'{' | b'}']);
        if self.is_end || is_sign {
            return Err(self.instead_of("a value"));
        }
        let value = std::mem::take(&mut self.text);
        self.next()?;
        Ok(value)
    }

    /// Takes `word`, which must be there.
    fn expect(&mut self, word: &'static [u8]) -> Result<(), Mistake> {
        if !self.is(word) {
            return Err(self.expected(&[&String::from_utf8_lossy(word)]));
        }
        self.next()
    }

    /// Takes `word` if it is there.
    fn pass(&mut self, word: &[u8]) -> Result<(), Mistake> {
        if self.is(word) { self.next() } else { Ok(()) }
    }

    /// Takes a value after an equal sign.
    fn set(&mut self) -> Result<Vec<u8>, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        self.value()
    }

    /// Takes a value, with or without an equal sign: published samples leave it out.
    fn set_loosely(&mut self) -> Result<Vec<u8>, Mistake> {
        self.next()?;
        self.pass(b"=")?;
        self.value()
    }

    fn number_after_equal(&mut self) -> Result<u32, Mistake> {
        self.expect(b"=")?;
        self.number()
    }

    /// A number, decimal or after `0x`, with `k`, `M` or `G` behind it for 2^10, 2^20, 2^30.
    fn number(&mut self) -> Result<u32, Mistake> {
        let Some(number) = value_of(&self.text).filter(|_| !self.is_end) else {
            return Err(self.instead_of("an integer"));
        };
        self.next()?;
        Ok(number)
    }

    fn yes_or_no(&mut self) -> Result<bool, Mistake> {
        let answer = match &self.text[..] {
            b"yes" | b"true" | b"permit" => true,
            b"no" | b"false" | b"deny" => false,
            _ => return Err(self.expected(&["deny", "false", "no", "permit", "true", "yes"])),
        };
        self.next()?;
        Ok(answer)
    }

    fn yes_or_no_after_equal(&mut self) -> Result<bool, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        self.yes_or_no()
    }

    /// Takes the words `words`, the first of which is the one that is there.
    fn words(&mut self, words: &[&'static [u8]]) -> Result<(), Mistake> {
        self.next()?;
        for word in &words[1..] {
            self.expect(word)?;
        }
        Ok(())
    }

    /// Takes everything up to the brace that closes.
    fn skip(&mut self) -> Result<(), Mistake> {
        let mut depth = 1;
        while depth > 0 {
            if self.is_end {
                return Err(self.mistake(b"EOF unexpected"));
            }
            if self.is(b"{") {
                depth += 1;
            } else if self.is(b"}") {
                depth -= 1;
            }
            self.next()?;
        }
        Ok(())
    }

    fn place(&self) -> Vec<u8> {
        [self.file, format!(":{}", self.line).as_bytes()].concat()
    }

    fn mistake(&self, text: &[u8]) -> Mistake {
        Mistake::new(self.file, self.line, text)
    }

    /// `Expected WHAT, but got 'WORD'`
    fn instead_of(&self, what: &str) -> Mistake {
        let got = if self.is_end {
            b"the end of the file".to_vec()
        } else {
            [b"'", &self.text[..], b"'"].concat()
        };
        self.mistake(&[b"Expected ", what.as_bytes(), b", but got ", &got].concat())
    }

    /// One of `words` was expected, which are sorted.
    fn expected(&self, words: &[&str]) -> Mistake {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let what = match &quoted[..] {
            [one] => one.clone(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
            [] => String::new(),
        };
        self.instead_of(&what)
    }

    fn note(&mut self, what: &[u8]) {
        let place = self.place();
        self.notes
            .push([&place[..], b": ", what, b" has no effect here"].concat());
    }

    /// What may stand in each section and outside; false when it is something else.
    fn common(&mut self, syslog: &mut Syslog) -> Result<bool, Mistake> {
        match &self.text[..] {
            b"syslog" => self.syslog(syslog)?,
            b"proctitle" => {
                self.note(b"proctitle");
                self.set()?;
            }
            b"coredump" => {
                self.note(b"coredump directory");
                self.words(&[b"coredump", b"directory"])?;
                self.expect(b"=")?;
                self.value()?;
            }
            b"debug" | b"trace" => {
                self.note(b"debug");
                self.next()?;
                self.pass(b"redirect")?;
                self.expect(b"=")?;
                self.value()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn syslog(&mut self, syslog: &mut Syslog) -> Result<(), Mistake> {
        self.next()?;
        match &self.text[..] {
            b"ident" => syslog.ident = Some(self.set()?),
            b"facility" => {
                self.next()?;
                self.expect(b"=")?;
                syslog.facility = Some(self.one_of(&FACILITIES)?);
            }
            b"severity" | b"level" => {
                self.next()?;
                self.expect(b"=")?;
                syslog.severity = Some(self.one_of(&SEVERITIES)?);
            }
            _ => return Err(self.expected(&["facility", "ident", "severity"])),
        }
        Ok(())
    }

    /// The number of one of `names`, in any case.
    fn one_of(&mut self, names: &[(&str, u8)]) -> Result<u8, Mistake> {
        let is_it = |(name, _): &&(&str, u8)| self.text.eq_ignore_ascii_case(name.as_bytes());
        let Some(&(_, number)) = names.iter().find(is_it) else {
            let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            return Err(self.expected(&names));
        };
        self.next()?;
        Ok(number)
    }

    fn keepalive(&mut self, keepalive: &mut Keepalive) -> Result<(), Mistake> {
        self.next()?;
        if self.is(b"bufsize") {
            self.note(b"tcp bufsize");
            self.next()?;
            self.pass(b"=")?;
            self.number()?;
            return Ok(());
        }
        if !self.is(b"keepalive") {
            return Err(self.expected(&["bufsize", "keepalive"]));
        }
        self.next()?;
        let number = match &self.text[..] {
            b"count" => &mut keepalive.count,
            b"idle" => &mut keepalive.idle,
            b"interval" => &mut keepalive.interval,
            _ => return Err(self.expected(&["count", "idle", "interval"])),
        };
        self.next()?;
        *number = Some(self.number_after_equal()?);
        Ok(())
    }

    /// True when it is switched on.
    fn sticky(&mut self) -> Result<Option<bool>, Mistake> {
        self.words(&[b"sticky", b"cache"])?;
        let is_period = self.is(b"period");
        if !is_period && !self.is(b"size") {
            return Err(self.expected(&["period", "size"]));
        }
        if !is_period {
            self.note(b"sticky cache size");
        }
        self.next()?;
        let number = self.number_after_equal()?;
        Ok(is_period.then_some(number != 0))
    }

    fn retry_delay(&mut self) -> Result<u32, Mistake> {
        self.words(&[b"bind", b"retry", b"delay"])?;
        self.number_after_equal()
    }

    fn master(&mut self, master: &mut Master) -> Result<(), Mistake> {
        while !self.is_end {
            let word = self.text.clone();
            match &word[..] {
                b"}" => return Ok(()),
                b"permit" | b"deny" | b"acl" => self.access(master)?,
                b"listen" => self.listen(master)?,
                b"background" => master.is_background = Some(self.yes_or_no_after_equal()?),
                b"pidfile" | b"pid-file" => master.pidfile = Some(self.set()?),
                b"bind" => master.retry_delay = self.retry_delay()?,
                b"tcp" => self.keepalive(&mut master.keepalive)?,
                b"overload" => {
                    self.next()?;
                    self.expect(b"=")?;
                    let Some(how) = Overload::read(&self.text) else {
                        return Err(self.expected(&["close", "queue", "reset"]));
                    };
                    master.overload = how;
                    self.next()?;
                }
                b"single" => {
                    self.words(&[b"single", b"process"])?;
                    self.expect(b"=")?;
                    master.is_single = self.yes_or_no()?;
                }
                b"sticky" => {
                    let is_on = self.sticky()?;
                    master.is_sticky = is_on.unwrap_or(master.is_sticky);
                }
                b"spawn" => {
                    self.next()?;
                    self.pass(b"=")?;
                    self.expect(b"{")?;
                    while !self.is(b"}") {
                        if !self.spawn(master)? {
                            let known = [
                                "config",
                                "exec",
                                "groupid",
                                "id",
                                "instances",
                                "ipc",
                                "servers",
                                "sticky",
                                "userid",
                                "users",
                                "working",
                            ];
                            return Err(self.expected(&known));
                        }
                    }
                    self.next()?;
                }
                // The manual has a sample with these outside.
                b"exec" | b"id" | b"config" if self.spawn(master)? => {}
                _ if self.common(&mut master.syslog)? => {}
                _ => {
                    let known = [
                        "background",
                        "bind",
                        "coredump",
                        "debug",
                        "deny",
                        "listen",
                        "overload",
                        "permit",
                        "pid-file",
                        "pidfile",
                        "proctitle",
                        "single",
                        "spawn",
                        "sticky",
                        "syslog",
                        "tcp",
                        "trace",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        Ok(())
    }

    /// `permit [not] CIDR`, `deny [not] CIDR`, and a published `acl accept CIDR`.
    fn access(&mut self, master: &mut Master) -> Result<(), Mistake> {
        if self.is(b"acl") {
            self.next()?;
        }
        let permits = match &self.text[..] {
            b"permit" | b"accept" => true,
            b"deny" | b"reject" => false,
            _ => return Err(self.expected(&["accept", "deny", "permit", "reject"])),
        };
        self.next()?;
        let is_negated = self.is(b"not");
        self.pass(b"not")?;
        let Some(network) = network(&self.text) else {
            return Err(self.instead_of("an IP address or network in CIDR notation"));
        };
        master.access.push(Access {
            permits,
            is_negated,
            network,
        });
        self.next()
    }

    fn listen(&mut self, master: &mut Master) -> Result<(), Mistake> {
        self.next()?;
        self.pass(b"=")?;
        let mut listen = Listen {
            place: self.place(),
            ..Listen::default()
        };
        self.expect(b"{")?;
        while !self.is(b"}") {
            match &self.text[..] {
                b"address" => listen.address = Some(self.set_loosely()?),
                b"path" => listen.path = Some(self.set()?),
                b"port" => listen.port = Some(self.set_loosely()?),
                b"mode" => {
                    self.next()?;
                    self.expect(b"=")?;
                    let text = std::str::from_utf8(&self.text).unwrap_or_default();
                    let Some(mode) = u32::from_str_radix(text, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o7777)
                    else {
                        return Err(self.instead_of("a file mode in octal"));
                    };
                    listen.mode = Some(mode);
                    self.next()?;
                }
                b"userid" => listen.user = Some(self.set()?),
                b"groupid" => listen.group = Some(self.set()?),
                b"backlog" => {
                    self.next()?;
                    listen.backlog = Some(self.number_after_equal()?);
                }
                b"overload" => {
                    self.note(b"overload backlog");
                    self.words(&[b"overload", b"backlog"])?;
                    self.number_after_equal()?;
                }
                b"bind" => listen.retry_delay = Some(self.retry_delay()?),
                b"protocol" => listen.is_sctp = self.protocol()?,
                b"type" => {
                    self.next()?;
                    self.expect(b"=")?;
                    self.expect(b"STREAM")?;
                }
                b"tls" | b"ssl" => self.no_tls()?,
                b"tcp" => self.keepalive(&mut listen.keepalive)?,
                b"sticky" => {
                    let is_on = self.sticky()?;
                    master.is_sticky = is_on.unwrap_or(master.is_sticky);
                }
                b"dscp" => {
                    self.next()?;
                    self.expect(b"=")?;
                    let dscp = value_of(&self.text).and_then(|number| u8::try_from(number).ok());
                    let Some(dscp) = dscp.filter(|dscp| *dscp < 64) else {
                        return Err(self.instead_of("a DSCP value from 0 to 63"));
                    };
                    listen.dscp = Some(dscp);
                    self.next()?;
                }
                b"vrf" => listen.device = Some(self.set()?),
                b"realm" | b"haproxy" | b"flag" | b"aaa.protocol" => {
                    let what = self.text.clone();
                    self.note(&what);
                    self.set()?;
                }
                // A published sample begins with an address alone.
                text if literal::address(text).is_some() => listen.address = Some(self.value()?),
                _ => {
                    let known = [
                        "aaa.protocol",
                        "address",
                        "backlog",
                        "bind",
                        "dscp",
                        "flag",
                        "groupid",
                        "haproxy",
                        "mode",
                        "overload",
                        "path",
                        "port",
                        "protocol",
                        "realm",
                        "sticky",
                        "tcp",
                        "tls",
                        "type",
                        "userid",
                        "vrf",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        master.listens.push(listen);
        self.next()
    }

    /// True for SCTP.
    fn protocol(&mut self) -> Result<bool, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        let is_sctp = match &self.text[..] {
            b"TCP" | b"tcp" => false,
            b"SCTP" | b"sctp" => true,
            _ => return Err(self.expected(&["SCTP", "TCP"])),
        };
        self.next()?;
        Ok(is_sctp)
    }

    /// `tls = no`; whoever asks for TLS must not get a listener without it. A published sample has `tls` alone for `yes`.
    fn no_tls(&mut self) -> Result<(), Mistake> {
        self.next()?;
        if self.is(b"psk") {
            self.note(b"tls psk");
            self.next()?;
            self.expect(b"=")?;
            self.yes_or_no()?;
            return Ok(());
        }
        self.pass(b"=")?;
        if !matches!(
            self.text[..],
            [b'n', b'o'] | [b'd', b'e', b'n', b'y'] | [b'f', b'a', b'l', b's', b'e']
        ) {
            return Err(self.instead_of("'no', as there is no TLS in this tcprelay"));
        }
        self.next()
    }

    /// One directive of `spawn`; false when it is something else.
    fn spawn(&mut self, master: &mut Master) -> Result<bool, Mistake> {
        match &self.text[..] {
            b"exec" => {
                self.note(b"exec");
                self.set_loosely()?;
            }
            b"id" => master.child = Some(self.set()?),
            b"config" => master.child_file = Some(self.set()?),
            b"instances" | b"servers" => {
                let max = self.at_most(b"instances min")?;
                master.instances_max = max.or(master.instances_max);
            }
            b"users" => {
                let max = self.at_most(b"users min")?;
                master.users_max = max.or(master.users_max);
            }
            b"userid" => master.user = Some(self.set()?),
            b"groupid" => master.group = Some(self.set()?),
            b"working" => {
                self.words(&[b"working", b"directory"])?;
                self.expect(b"=")?;
                // The program wants it twice, and its manual once.
                self.pass(b"=")?;
                master.folder = Some(self.value()?);
            }
            b"ipc" => {
                self.note(b"ipc key");
                self.words(&[b"ipc", b"key"])?;
                self.number_after_equal()?;
            }
            b"sticky" => {
                let is_on = self.sticky()?;
                master.is_sticky = is_on.unwrap_or(master.is_sticky);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `min = N`, of which only a note is made, or `max = N`.
    fn at_most(&mut self, min: &[u8]) -> Result<Option<u32>, Mistake> {
        self.next()?;
        let is_max = match &self.text[..] {
            b"max" | b"maximum" => true,
            b"min" | b"minimum" => false,
            _ => return Err(self.expected(&["max", "min"])),
        };
        if !is_max {
            self.note(min);
        }
        self.next()?;
        self.expect(b"=")?;
        if is_max && value_of(&self.text) == Some(0) {
            return Err(self.instead_of("an integer above 0"));
        }
        let number = self.number()?;
        Ok(is_max.then_some(number))
    }

    fn relay(&mut self, relay: &mut Relaying) -> Result<(), Mistake> {
        while !self.is_end {
            let word = self.text.clone();
            match &word[..] {
                b"}" => return Ok(()),
                b"remote" => self.remote(relay)?,
                b"local" => {
                    self.words(&[b"local", b"address"])?;
                    self.expect(b"=")?;
                    let local = literal::address(&self.text);
                    relay.local = Some(local.ok_or_else(|| self.instead_of("an IP address"))?);
                    self.next()?;
                }
                b"rebalance" => {
                    self.next()?;
                    relay.rebalance = self.number_after_equal()?;
                }
                b"retire" => {
                    self.next()?;
                    self.pass(b"limit")?;
                    relay.retire = self.number_after_equal()?;
                }
                b"idle" => {
                    self.words(&[b"idle", b"timeout"])?;
                    relay.idle = self.number_after_equal()?;
                }
                b"tls" | b"ssl" => {
                    self.note(b"a certificate without a listener for TLS");
                    self.next()?;
                    let known: [&[u8]; 7] = [
                        b"cert",
                        b"certfile",
                        b"cert-file",
                        b"key",
                        b"keyfile",
                        b"key-file",
                        b"passphrase",
                    ];
                    if !known.contains(&&self.text[..]) {
                        return Err(self.expected(&["cert-file", "key-file", "passphrase"]));
                    }
                    self.set()?;
                }
                _ if self.common(&mut relay.syslog)? => {}
                _ => {
                    let known = [
                        "coredump",
                        "debug",
                        "idle",
                        "local",
                        "proctitle",
                        "rebalance",
                        "remote",
                        "retire",
                        "syslog",
                        "tls",
                        "trace",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        Ok(())
    }

    fn remote(&mut self, relay: &mut Relaying) -> Result<(), Mistake> {
        self.next()?;
        self.pass(b"=")?;
        let mut remote = Remote {
            place: self.place(),
            weight: 1,
            ..Remote::default()
        };
        self.expect(b"{")?;
        while !self.is(b"}") {
            match &self.text[..] {
                b"address" => remote.address = self.set()?,
                b"port" => remote.port = self.set()?,
                b"protocol" => remote.is_sctp = self.protocol()?,
                b"weight" => {
                    self.next()?;
                    remote.weight = self.number_after_equal()?.clamp(1, 65535);
                }
                _ => return Err(self.expected(&["address", "port", "protocol", "weight", "}"])),
            }
        }
        // The program takes one without an address, and cannot use it.
        if remote.address.is_empty() {
            return Err(self.expected(&["address"]));
        }
        if remote.port.is_empty() {
            return Err(self.expected(&["port"]));
        }
        relay.remotes.push(remote);
        self.next()
    }
}

fn value_of(text: &[u8]) -> Option<u32> {
    if let Some(digits) = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"))
    {
        let digits = std::str::from_utf8(digits).ok()?;
        return u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'));
    }
    let (digits, shift) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 10),
        [digits @ .., b'm' | b'M'] => (digits, 20),
        [digits @ .., b'g' | b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

/// An address or a prefix; as in the program, bits behind the prefix do not count.
fn network(text: &[u8]) -> Option<IpNet> {
    let slash = text.iter().position(|&byte| byte == b'/');
    let address = literal::address(&text[..slash.unwrap_or(text.len())])?.to_canonical();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match slash {
        None => bits,
        Some(slash) => u8::try_from(number(&text[slash + 1..])?).ok()?,
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}

/// syslog(3)'s, as RFC 3164 numbers them.
const FACILITIES: [(&str, u8); 20] = [
    ("auth", 4),
    ("authpriv", 10),
    ("cron", 9),
    ("daemon", 3),
    ("ftp", 11),
    ("kern", 0),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
    ("lpr", 6),
    ("mail", 2),
    ("news", 7),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
];
const SEVERITIES: [(&str, u8); 8] = [
    ("alert", 1),
    ("crit", 2),
    ("debug", 7),
    ("emerg", 0),
    ("err", 3),
    ("info", 6),
    ("notice", 5),
    ("warning", 4),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::{Access, Config, Files, Listen, Mistake, Remote, Sections, read};
    use crate::service::Overload;

    /// Files by name; a pattern is a name, or all that begin with what is before its star.
    struct Made(BTreeMap<&'static str, String>);

    impl Files for Made {
        fn read(&self, name: &[u8]) -> io::Result<Vec<u8>> {
            let name = std::str::from_utf8(name).unwrap_or_default();
            let text = self.0.get(name);
            text.map(|text| text.clone().into_bytes())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
            let pattern = std::str::from_utf8(pattern).unwrap_or_default();
            let names = self.0.keys().filter(|name| match pattern.split_once('*') {
                Some((start, _)) => name.starts_with(start),
                None => **name == pattern,
            });
            names.map(|name| name.as_bytes().to_vec()).collect()
        }
    }

    fn of(text: &str) -> Result<Config, String> {
        sections(text, &Sections::default())
    }

    fn sections(text: &str, sections: &Sections) -> Result<Config, String> {
        let files = Made(BTreeMap::from([("f", text.to_owned())]));
        read(&files, b"f", sections).map_err(said)
    }

    fn said(Mistake(text): Mistake) -> String {
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A file with these directives in the two sections.
    fn both(master: &str, relay: &str) -> Result<Config, String> {
        of(&format!(
            "id = spawnd {{ {master} }}\nid = tcprelay {{ {relay} }}\n"
        ))
    }

    fn listen(port: &str) -> Listen {
        Listen {
            port: Some(port.into()),
            place: b"f:1".to_vec(),
            ..Listen::default()
        }
    }

    fn master(text: &str) -> super::Master {
        both(text, "").unwrap().master
    }

    #[test]
    fn sample_that_comes_with_the_program_is_read() {
        let config = of(
            "#!../../../sbin/tcprelay\nid = spawnd { listen = { address = 127.0.0.1 port = 2222 } background = no }\n\
             id = tcprelay { remote = { address = 127.0.0.1 port = 22 } }\n#id = spawnd { listen = { tls = yes }\n",
        )
        .unwrap();
        let place = Listen {
            address: Some(b"127.0.0.1".to_vec()),
            place: b"f:2".to_vec(),
            ..listen("2222")
        };
        assert_eq!(config.master.listens, [place]);
        assert_eq!(config.master.is_background, Some(false));
        let remote = Remote {
            address: b"127.0.0.1".to_vec(),
            port: b"22".to_vec(),
            is_sctp: false,
            weight: 1,
            place: b"f:3".to_vec(),
        };
        assert_eq!(config.relay.remotes, [remote]);
        assert_eq!(config.notes, [b""; 0]);
    }

    #[test]
    fn sample_of_the_manual_is_refused_where_it_asks_for_tls_and_read_without() {
        let text = "#!/usr/local/sbin/spawnd\nid = spawnd {\n    listen = { port = 2222 }\n    listen = { address = ::0 port = 2222 }\n    \
            listen = { ::0 port = 2224 }\n    listen = { port = 2225 tls = yes }\n    spawn {\n        users max = 4000\n        users min = 10\n        \
            servers min = 1\n        servers max = 20\n    }\n}\n\nid = tcprelay {\n        remote = { address = 169.254.1.2 port = 22 }\n        \
            ssl cert = /some/where/sample.pem\n        ssl passphrase =  12345\n}\n";
        assert_eq!(
            of(text),
            Err(
                "f:6: Expected 'no', as there is no TLS in this tcprelay, but got 'yes'".to_owned()
            )
        );
        let config = of(&text.replace("tls = yes", "tls = no")).unwrap();
        let addresses: Vec<_> = config
            .master
            .listens
            .iter()
            .map(|it| it.address.as_deref())
            .collect();
        assert_eq!(addresses, [None, Some(&b"::0"[..]), Some(b"::0"), None]);
        assert_eq!(config.master.users_max, Some(4000));
        assert_eq!(config.master.instances_max, Some(20));
        let notes = [
            "f:9: users min has no effect here",
            "f:10: instances min has no effect here",
            "f:17: a certificate without a listener for TLS has no effect here",
            "f:18: a certificate without a listener for TLS has no effect here",
        ];
        assert_eq!(config.notes, notes.map(|note| note.as_bytes().to_vec()));
    }

    #[test]
    fn sample_of_spawnd_s_manual_is_read() {
        let config = of(
            "id = spawnd {\n    listen { port 21 }\n    listen { address = ::0 port = 2121 }\n    spawn {\n        users minimum = 10\n        \
             users maximum = 100\n        instances minimum = 10\n        instances maximum = 100\n        exec = /usr/local/libexec/ftpd\n        \
             id = ftpd\n        config = f\n    }\n    background = true\n}\nid = ftpd { }\n",
        )
        .unwrap();
        assert_eq!(config.master.listens.len(), 2);
        assert_eq!(config.master.listens[0].port, Some(b"21".to_vec()));
        assert_eq!(config.master.users_max, Some(100));
        assert_eq!(config.master.instances_max, Some(100));
        assert_eq!(config.master.is_background, Some(true));
    }

    #[test]
    fn tls_that_is_asked_for_in_any_spelling_is_refused() {
        for (spelling, got) in [
            ("tls", "}"),
            ("tls = yes", "yes"),
            ("ssl = true", "true"),
            ("tls = auto", "auto"),
            ("tls = TLSv1.3", "TLSv1.3"),
            ("tls = DTLSv1.2,DTLSv1.3", "DTLSv1.2"),
        ] {
            let text = format!("listen {{ port = 1 {spelling} }}");
            let said =
                format!("f:1: Expected 'no', as there is no TLS in this tcprelay, but got '{got}'");
            assert_eq!(both(&text, ""), Err(said), "{spelling}");
        }
    }

    #[test]
    fn sections_are_chosen_by_name() {
        let text = "id = spawnd { exec = /path/to/ftpd }\nid = spawnd2 { exec = /path/to/ftpd id = myftpd pidfile = p2 }\n\
            id = myftpd { rebalance = 7 }\nid = ftpd { rebalance = 8 }\nid = tcprelay { rebalance = 9 }\n";
        let rebalance = |sections: &Sections| {
            super::read(
                &Made(BTreeMap::from([("f", text.to_owned())])),
                b"f",
                sections,
            )
            .unwrap()
            .relay
            .rebalance
        };
        assert_eq!(rebalance(&Sections::default()), 9);
        let second = Sections {
            master: b"spawnd2".to_vec(),
            relay: None,
        };
        assert_eq!(rebalance(&second), 7);
        let third = Sections {
            relay: Some(b"ftpd".to_vec()),
            ..second
        };
        assert_eq!(rebalance(&third), 8);
        let none = Sections {
            master: b"nobody".to_vec(),
            relay: None,
        };
        assert_eq!(
            sections(text, &none),
            Err("f:6: No configuration for id 'nobody' found.".to_owned())
        );
    }

    #[test]
    fn access_is_by_the_first_that_matches() {
        let config = both(
            "permit 127.0.0.1/8\ndeny 192.168.5.0/8\npermit 192.168.0.0/16\nacl accept ::1\ndeny not 10.0.0.0/8",
            "",
        );
        let access = |permits, is_negated, network: &str| Access {
            permits,
            is_negated,
            network: network.parse().unwrap(),
        };
        let all = [
            access(true, false, "127.0.0.0/8"),
            access(false, false, "192.0.0.0/8"),
            access(true, false, "192.168.0.0/16"),
            access(true, false, "::1/128"),
            access(false, true, "10.0.0.0/8"),
        ];
        assert_eq!(config.unwrap().master.access, all);
    }

    #[test]
    fn list_decides_who_may_connect() {
        let list = |text: &str| both(text, "").unwrap().master.access;
        let may = |list: &[Access], ip: &str| super::permits(list, ip.parse().unwrap());
        assert!(may(&[], "10.0.0.1"));
        let some = list("permit 10.0.0.0/8 deny 192.168.0.0/16 permit 192.0.0.0/8");
        for (ip, is_permitted) in [
            ("10.9.9.9", true),
            ("192.168.1.1", false),
            ("192.1.1.1", true),
            ("1.1.1.1", false),
            ("::1", false),
        ] {
            assert_eq!(may(&some, ip), is_permitted, "{ip}");
        }
        let all_but = list("deny not 10.0.0.0/8 permit 10.1.0.0/16");
        assert!(
            !may(&all_but, "11.0.0.1") && may(&all_but, "10.1.0.1") && !may(&all_but, "10.2.0.1")
        );
    }

    #[test]
    fn directives_of_a_listener_are_read() {
        let config = both(
            "listen = { path = /run/s mode = 0660 userid = root groupid = 7 backlog = 9 bind retry delay = 3 tcp keepalive count = 4 \
             tcp keepalive idle = 0x10 tcp keepalive interval = 6 dscp = 0x38 vrf = blue protocol = SCTP type = STREAM }",
            "",
        );
        let listens = config.unwrap().master.listens;
        let listen = &listens[0];
        assert_eq!(listen.path.as_deref(), Some(&b"/run/s"[..]));
        assert_eq!(
            (listen.mode, listen.dscp, listen.backlog),
            (Some(0o660), Some(0x38), Some(9))
        );
        assert_eq!(listen.retry_delay, Some(3));
        let keepalive = listen.keepalive;
        assert_eq!(
            (keepalive.count, keepalive.idle, keepalive.interval),
            (Some(4), Some(16), Some(6))
        );
        assert!(listen.is_sctp && listen.device.as_deref() == Some(b"blue"));
    }

    #[test]
    fn directives_of_the_master_are_read() {
        let all = master(
            "pid-file = /run/p bind retry delay = 5 overload = reset single process = yes sticky cache period = 60 \
             syslog ident = me syslog facility = LOCAL0 syslog severity = Notice tcp keepalive idle = 1k \
             spawn = { userid = nobody groupid = nogroup working directory = = / }",
        );
        assert_eq!(all.pidfile.as_deref(), Some(&b"/run/p"[..]));
        assert_eq!((all.retry_delay, all.overload), (5, Overload::Reset));
        assert!(all.is_single && all.is_sticky);
        assert_eq!(
            (all.syslog.facility, all.syslog.severity),
            (Some(16), Some(5))
        );
        assert_eq!(all.keepalive.idle, Some(1024));
        assert_eq!(all.folder.as_deref(), Some(&b"/"[..]));
        assert_eq!(
            master("spawn { working directory = / }").folder.as_deref(),
            Some(&b"/"[..])
        );
        assert!(!master("sticky cache period = 0").is_sticky);
    }

    #[test]
    fn directives_of_the_relay_are_read() {
        let relay = both(
            "",
            "remote = { address = 10.0.0.1 port = ssh weight = 0 protocol = SCTP } remote = { port = 1 address = h weight = 3 }\n\
             local address = 10.0.0.9 rebalance = 100 retire limit = 5 idle timeout = 60",
        );
        let relay = relay.unwrap().relay;
        assert_eq!(relay.remotes.len(), 2);
        assert_eq!(
            (relay.remotes[0].weight, relay.remotes[0].is_sctp),
            (1, true)
        );
        assert_eq!((relay.rebalance, relay.retire, relay.idle), (100, 5, 60));
        assert_eq!(both("", "retire = 5").unwrap().relay.retire, 5);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (master, relay, told) in [
            (
                "\nbackground = maybe",
                "",
                "f:2: Expected 'deny', 'false', 'no', 'permit', 'true' or 'yes', but got 'maybe'",
            ),
            ("background yes", "", "f:1: Expected '=', but got 'yes'"),
            (
                "overload = wait",
                "",
                "f:1: Expected 'close', 'queue' or 'reset', but got 'wait'",
            ),
            (
                "permit 10.0.0.0/33",
                "",
                "f:1: Expected an IP address or network in CIDR notation, but got '10.0.0.0/33'",
            ),
            (
                "permit everybody",
                "",
                "f:1: Expected an IP address or network in CIDR notation, but got 'everybody'",
            ),
            (
                "listen = { protocol = UDP }",
                "",
                "f:1: Expected 'SCTP' or 'TCP', but got 'UDP'",
            ),
            (
                "listen = { type = DGRAM }",
                "",
                "f:1: Expected 'STREAM', but got 'DGRAM'",
            ),
            (
                "listen = { mode = 999 }",
                "",
                "f:1: Expected a file mode in octal, but got '999'",
            ),
            (
                "listen = { dscp = 64 }",
                "",
                "f:1: Expected a DSCP value from 0 to 63, but got '64'",
            ),
            (
                "listen = { backlog = many }",
                "",
                "f:1: Expected an integer, but got 'many'",
            ),
            (
                "listen = { tcp keepalive never = 1 }",
                "",
                "f:1: Expected 'count', 'idle' or 'interval', but got 'never'",
            ),
            (
                "listen = { port = }",
                "",
                "f:1: Expected a value, but got '}'",
            ),
            (
                "spawn { users max = 0 }",
                "",
                "f:1: Expected an integer above 0, but got '0'",
            ),
            (
                "spawn { users = 5 }",
                "",
                "f:1: Expected 'max' or 'min', but got '='",
            ),
            (
                "sticky cache colour = 1",
                "",
                "f:1: Expected 'period' or 'size', but got 'colour'",
            ),
            (
                "syslog facility = nowhere",
                "",
                "f:1: Expected 'auth', 'authpriv', 'cron', 'daemon', 'ftp', 'kern', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7', 'lpr', 'mail', 'news', 'syslog', 'user' or 'uucp', but got 'nowhere'",
            ),
            (
                "",
                "remote = { port = 22 }",
                "f:2: Expected 'address', but got '}'",
            ),
            (
                "",
                "remote = { address = h }",
                "f:2: Expected 'port', but got '}'",
            ),
            (
                "",
                "remote = { address = h colour = red }",
                "f:2: Expected 'address', 'port', 'protocol', 'weight' or '}', but got 'colour'",
            ),
            (
                "",
                "local address = here",
                "f:2: Expected an IP address, but got 'here'",
            ),
            (
                "",
                "idle timeout = 4294967296",
                "f:2: Expected an integer, but got '4294967296'",
            ),
            (
                "",
                "idle timeout = 4G",
                "f:2: Expected an integer, but got '4G'",
            ),
            (
                "",
                "mavis module = x",
                "f:2: Expected 'coredump', 'debug', 'idle', 'local', 'proctitle', 'rebalance', 'remote', 'retire', 'syslog', 'tls', 'trace' or '}', but got 'mavis'",
            ),
        ] {
            assert_eq!(both(master, relay), Err(told.to_owned()));
        }
        for (text, told) in [
            ("", "f:1: No configuration for id 'spawnd' found."),
            (
                "id = spawnd {\n",
                "f:2: Expected '}', but got the end of the file",
            ),
            ("id = other {\n{ }", "f:2: EOF unexpected"),
            ("id = spawnd { pidfile = \"x", "f:1: EOF unexpected"),
            (
                "nonsense",
                "f:1: Expected 'coredump', 'debug', 'id', 'include', 'proctitle', 'setenv', 'syslog' or 'trace', but got 'nonsense'",
            ),
            (
                "include = g\n",
                "f:2: No configuration for id 'spawnd' found.",
            ),
        ] {
            assert_eq!(of(text), Err(told.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_has_no_effect_is_noted() {
        let config = both(
            "proctitle = yes coredump directory = /x debug = ALL tcp bufsize 5 spawn { ipc key = 7 exec /x instances min = 2 } \
             listen { port = 1 realm = r haproxy = yes flag = access aaa.protocol = radius.tcp tls psk = no overload backlog = 5 }",
            "proctitle = no",
        );
        let notes = config.unwrap().notes;
        let notes: Vec<_> = notes
            .iter()
            .map(|note| String::from_utf8_lossy(note))
            .collect();
        let said = |what: &str| format!("f:1: {what} has no effect here");
        let whats = [
            "proctitle",
            "coredump directory",
            "debug",
            "tcp bufsize",
            "ipc key",
            "exec",
            "instances min",
            "realm",
            "haproxy",
            "flag",
            "aaa.protocol",
            "tls psk",
            "overload backlog",
        ];
        let mut all: Vec<String> = whats.map(said).to_vec();
        all.push("f:2: proctitle has no effect here".to_owned());
        assert_eq!(notes, all);
        let config = of(
            "setenv IO_POLL_MECHANISM = 4 setenv IO_POLL_MECHANISM = 16 id = spawnd { } id = tcprelay { }",
        );
        assert_eq!(
            config.unwrap().notes,
            [b"f:1: setenv IO_POLL_MECHANISM has no effect here"]
        );
    }

    #[test]
    fn files_are_included_and_cannot_go_in_circles() {
        let files = |main: &str| {
            Made(BTreeMap::from([
                ("f", main.to_owned()),
                ("d/a", "id = other { }".to_owned()),
                ("d/b", "id = spawnd { pidfile = b }".to_owned()),
                ("self", "include = self".to_owned()),
            ]))
        };
        let read = |main: &str| read(&files(main), b"f", &Sections::default()).map_err(said);
        let config = read("include = d/*\nid = tcprelay { }").unwrap();
        assert_eq!(config.master.pidfile.as_deref(), Some(&b"b"[..]));
        assert_eq!(
            read("include = self"),
            Err("self:1: Files include each other too deeply".to_owned())
        );
        assert!(
            read("include = d/b")
                .unwrap_err()
                .ends_with("No configuration for id 'tcprelay' found.")
        );
    }

    #[test]
    fn strings_are_those_of_c() {
        let all = master(r#"pidfile = "a b\n\101\"\0'" syslog ident = 'x\'y'"#);
        assert_eq!(all.pidfile.as_deref(), Some(&b"a b\nA\"\0'"[..]));
        assert_eq!(all.syslog.ident.as_deref(), Some(&b"x'y"[..]));
    }
}
