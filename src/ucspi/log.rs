//! What a server logs about a connection. The texts are an interface: log analysers depend on them.
//!
//! Source: observed runs of the original. Names and ident replies are foreign bytes, so every field is cleaned and cut
//! here, by one function: no peer can write a line of its own or split a field.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;

use super::facts::{Facts, shown};
use super::gate::{Guest, Refusal};
use super::record::Record;
use crate::cli::{FAILED, PERMANENT, Voice, reason};
use crate::sys::process::Pid;
use crate::sys::spawn::PidLine;

/// How a line about a connection that is given up begins.
pub(super) const DROPPING: &[u8] = b"warning: dropping connection, unable to ";

/// No process id is larger. PID_MAX_LIMIT, proc(5) under /proc/sys/kernel/pid_max.
const PID_MAX: Pid = 1 << 22;

/// The log of a server: one method an event.
pub(crate) struct Log {
    voice: Voice,
    /// IPv4 addresses are shown as IPv6.
    as_ipv6: bool,
    /// Connections that no process served, so far.
    unserved: Cell<Pid>,
}

impl Log {
    pub(crate) fn new(voice: Voice, as_ipv6: bool) -> Self {
        Self {
            voice,
            as_ipv6,
            unserved: Cell::new(0),
        }
    }

    /// `pid PID from IP` and `ok PID ...`: a connection gets its process. The child writes them, with its own pid, before
    /// the program can say anything.
    pub(super) fn beginning(&self, guest: &Guest) -> Vec<PidLine> {
        if !self.voice.may_tell() {
            return Vec::new();
        }
        let facts = &guest.facts;
        vec![
            self.from(b"pid ", &facts.remote.ip),
            self.decided(b"ok ", facts),
        ]
    }

    /// `end PID status STATUS`
    pub(super) fn ended(&self, record: &Record) {
        if let (true, Some(number), Some(status)) =
            (self.voice.tells_everything(), record.number, record.status)
        {
            self.tell(
                self.line(b"end ", format!(" status {status}").as_bytes()),
                number,
            );
        }
    }

    /// `waiting NUMBER from IP`: a connection is still in the gate. It has its number from here on; none if nobody hears.
    pub(super) fn waiting(&self, remote: IpAddr) -> Option<Pid> {
        if !self.is_detailed() {
            return None;
        }
        let number = self.next_number();
        let ip = shown(remote, self.as_ipv6);
        self.tell(self.from(b"waiting ", &ip), number);
        Some(number)
    }

    /// True when each step of a connection is told.
    pub(super) fn is_detailed(&self) -> bool {
        self.voice.tells_everything()
    }

    /// The whole life of a connection that no process serves: `pid NUMBER from IP`, why, and its end, with the exit code
    /// that a process would have had. No process has its number.
    pub(super) fn refused(&self, record: &mut Record, refusal: &Refusal) {
        let number = record.number.unwrap_or_else(|| self.next_number());
        record.number = Some(number);
        let ip = shown(record.remote.ip(), self.as_ipv6);
        if self.voice.tells_everything() {
            self.tell(self.from(b"pid ", &ip), number);
        }
        let code = match refusal {
            Refusal::Denied(guest) => {
                if self.voice.tells_everything() {
                    self.tell(self.decided(b"deny ", &guest.facts), number);
                }
                PERMANENT
            }
            Refusal::Unable(doing, error) => {
                self.dropped(doing, error);
                FAILED
            }
            Refusal::Late => {
                self.voice
                    .warn(&[DROPPING, b"decide about it: the server ends"]);
                FAILED
            }
        };
        record.status = Some(i32::from(code) << 8);
        self.ended(record);
    }

    /// A connection is given up because of what the system said.
    pub(super) fn dropped(&self, doing: &[u8], error: &io::Error) {
        let why = reason(error).as_bytes();
        self.voice.warn(&[DROPPING, doing, b": ", why]);
    }

    /// `EVENT NUMBER from IP`
    fn from(&self, event: &[u8], ip: &str) -> PidLine {
        self.line(event, format!(" from {ip}").as_bytes())
    }

    /// `VERDICT NUMBER LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`
    fn decided(&self, verdict: &[u8], facts: &Facts) -> PidLine {
        let (local, remote) = (&facts.local, &facts.remote);
        let mut after = Vec::with_capacity(256);
        let mut part = |text: &[u8]| after.extend_from_slice(text);
        part(b" ");
        part(&field(local.host.as_deref()));
        part(format!(":{}:{} ", local.ip, local.port).as_bytes());
        part(&field(remote.host.as_deref()));
        part(format!(":{}:", remote.ip).as_bytes());
        part(&field(facts.info.as_deref()));
        part(format!(":{}", remote.port).as_bytes());
        self.line(verdict, &after)
    }

    /// `name: BEFORE`, a number, `AFTER`.
    fn line(&self, before: &[u8], after: &[u8]) -> PidLine {
        let name = self.voice.name().as_bytes();
        PidLine::new(&[name, b": ", before].concat(), &[after, b"\n"].concat())
    }

    fn tell(&self, mut line: PidLine, number: Pid) {
        self.voice.tell_line(line.fill(number));
    }

    fn next_number(&self) -> Pid {
        let number = (self.unserved.get() + 1) % (Pid::MAX - PID_MAX);
        self.unserved.set(number);
        PID_MAX + number
    }
}

/// The longest field that is logged whole is one byte shorter.
const FIELD_BYTES: usize = 100;

/// `text` with every byte that is not printable, or that separates fields, as a question mark, and cut.
fn field(text: Option<&[u8]>) -> Vec<u8> {
    let text = text.unwrap_or_default();
    let clean = |&byte: &u8| {
        let is_plain = byte.is_ascii_graphic() && byte != b'%' && byte != b':';
        if is_plain { byte } else { b'?' }
    };
    let mut field: Vec<u8> = text.iter().take(FIELD_BYTES).map(clean).collect();
    if text.len() >= FIELD_BYTES {
        field.extend_from_slice(b"...");
    }
    field
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn field_holds_printable_bytes_only() {
        let cleaned = field(Some(b"a b\tc\nd%e:f\x7f\x80\xff~!"));
        assert_eq!(cleaned, b"a?b?c?d?e?f???~!");
    }

    #[test]
    fn field_of_a_hundred_bytes_or_more_is_cut_and_marked() {
        let cleaned = |length| field(Some(&vec![b'x'; length]));
        assert_eq!(cleaned(99), [b'x'; 99]);
        assert_eq!(cleaned(100), [&[b'x'; 100][..], b"..."].concat());
        assert_eq!(cleaned(500), [&[b'x'; 100][..], b"..."].concat());
    }

    #[test]
    fn what_is_not_known_is_empty() {
        assert_eq!(field(None), b"");
    }
}
