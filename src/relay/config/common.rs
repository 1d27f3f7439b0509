//! The directives that may stand in more than one place.

use super::parser::Parser;
use super::{Keepalive, Mistake, Syslog};

impl Parser<'_> {
    /// What may stand in each section and outside; false when it is something else.
    pub(super) fn common(&mut self, syslog: &mut Syslog) -> Result<bool, Mistake> {
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
                self.debug()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `redirect = FILE`, or an equal sign and the names of some levels.
    fn debug(&mut self) -> Result<(), Mistake> {
        self.next()?;
        if self.is(b"redirect") {
            self.set()?;
            return Ok(());
        }
        self.expect(b"=")?;
        let is_level = |text: &[u8]| {
            let name = text.strip_prefix(b"-").unwrap_or(text);
            DEBUG_LEVELS.iter().any(|level| level.as_bytes() == name)
        };
        if !is_level(&self.text) {
            return Err(self.expected(&DEBUG_LEVELS));
        }
        while is_level(&self.text) {
            self.next()?;
        }
        Ok(())
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

    pub(super) fn keepalive(&mut self, keepalive: &mut Keepalive) -> Result<(), Mistake> {
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
    pub(super) fn sticky(&mut self) -> Result<Option<bool>, Mistake> {
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

    pub(super) fn retry_delay(&mut self) -> Result<u32, Mistake> {
        self.words(&[b"bind", b"retry", b"delay"])?;
        self.number_after_equal()
    }

    /// True for SCTP. What goes in datagrams is named: it is taken there, and cannot be relayed.
    pub(super) fn protocol(&mut self) -> Result<bool, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        let is_sctp = match &self.text[..] {
            b"TCP" | b"tcp" => false,
            b"SCTP" | b"sctp" => true,
            b"UDP" | b"udp" => {
                return Err(self.instead_of("'SCTP' or 'TCP', as datagrams are not relayed"));
            }
            _ => return Err(self.expected(&["SCTP", "TCP"])),
        };
        self.next()?;
        Ok(is_sctp)
    }
}

/// What may be said of what happens: observed, as the program names none of them.
const DEBUG_LEVELS: [&str; 21] = [
    "ACCT",
    "ACL",
    "ALL",
    "AUTHEN",
    "AUTHOR",
    "BUFFER",
    "CMD",
    "CONFIG",
    "CONTROL",
    "DNS",
    "HEX",
    "LOCK",
    "MAVIS",
    "NET",
    "NONE",
    "PACKET",
    "PARSE",
    "PATH",
    "PROC",
    "REGEX",
    "USERINPUT",
];

/// syslog(3)'s, as RFC 3164 numbers them, and the older names of <syslog.h>.
const FACILITIES: [(&str, u8); 21] = [
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
    ("security", 4),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
];
const SEVERITIES: [(&str, u8); 11] = [
    ("alert", 1),
    ("crit", 2),
    ("debug", 7),
    ("emerg", 0),
    ("err", 3),
    ("error", 3),
    ("info", 6),
    ("notice", 5),
    ("panic", 0),
    ("warn", 4),
    ("warning", 4),
];
