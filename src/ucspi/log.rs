//! What a server logs about a connection. The texts are an interface: log analysers depend on them.
//!
//! Source: observed runs of the original. Names and ident replies are foreign bytes, so every field is cleaned and cut
//! here, by one function: no peer can write a line of its own or split a field.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::facts::{Facts, shown};
use super::gate::{Guest, Refusal};
use super::record::{Known, Record};
use super::sum::Sum;
use crate::cli::{FAILED, Format, Json, PERMANENT, Voice, reason};
use crate::service::{List, Packer, Reason, Row, Tally, Unpacker};
use crate::sys::process::{Ended, Pid};
use crate::sys::spawn::PidLine;

/// How a line about a connection that is given up begins.
const DROPPING: &[u8] = b"warning: dropping connection, ";

/// No process id is larger. PID_MAX_LIMIT, proc(5) under /proc/sys/kernel/pid_max.
const PID_MAX: Pid = 1 << 22;

/// The log of a server: one method an event. What is logged is also counted, and listed where somebody may ask.
pub(crate) struct Log {
    voice: Voice,
    /// IPv4 addresses are shown as IPv6.
    as_ipv6: bool,
    /// Connections that no process served, so far.
    unserved: Cell<Pid>,
    sum: Sum,
    tally: Rc<Tally>,
    list: Option<List>,
}

/// What a log has counted.
pub(super) struct Counted {
    unserved: Pid,
    tally: Tally,
}

impl Counted {
    /// As [`Log::pack`] has packed it.
    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            unserved: from.number::<u32>()?.try_into().ok()?,
            tally: Tally::unpack(from)?,
        })
    }
}

impl Log {
    pub(crate) fn new(voice: Voice, as_ipv6: bool) -> Self {
        Self {
            voice,
            as_ipv6,
            unserved: Cell::new(0),
            sum: Sum::new(voice),
            tally: Rc::default(),
            list: None,
        }
    }

    /// Keeps `list` too.
    #[must_use]
    pub(crate) fn with_list(mut self, list: List) -> Self {
        self.list = Some(list);
        self
    }

    /// What it has counted, and goes on counting.
    pub(crate) fn tally(&self) -> Rc<Tally> {
        Rc::clone(&self.tally)
    }

    /// Says what happens to the server itself.
    pub(super) fn say(&self, words: &[u8]) {
        self.voice
            .tell_as(&[words], || Json::event("upgrade").text("text", words));
    }

    /// Says what goes wrong with the server itself.
    pub(super) fn warn(&self, words: &[u8]) {
        self.voice.warn(&[words]);
    }

    /// The server ends: what has not been said yet is.
    pub(crate) fn end_all(&self) {
        self.sum.tell();
    }

    /// What it has counted.
    pub(super) fn pack(&self, to: &mut Packer) {
        to.number(self.unserved.get().unsigned_abs());
        self.tally.pack(to);
    }

    /// Goes on counting from there.
    pub(super) fn go_on(&mut self, counted: Counted) {
        self.unserved = Cell::new(counted.unserved);
        self.tally = Rc::new(counted.tally);
    }

    /// A connection has arrived: what is known of it. Nothing is said yet.
    pub(crate) fn arrived(&self, remote: SocketAddr) -> Record {
        self.tally.accepted();
        let mut record = Record::new(remote);
        self.keep(&mut record);
        record
    }

    /// Lists a connection, where there is a list.
    pub(super) fn keep(&self, record: &mut Record) {
        record.listed = self.list.as_ref().map(|list| {
            let known = record.known.as_deref().cloned().unwrap_or_default();
            list.add(Row {
                arrived: record.arrived,
                number: record.number,
                remote: record.remote.to_string(),
                local: known.local.map(|local| local.to_string()),
                host: known.host,
                info: known.info,
                rule: known.rule,
            })
        });
    }

    /// `pid PID from IP` and `ok PID ...`: a connection gets its process. The child writes them, with its own pid, before
    /// the program can say anything.
    pub(super) fn beginning(&self, record: &Record, guest: &Guest) -> Vec<PidLine> {
        if !self.voice.may_tell() {
            return Vec::new();
        }
        if self.voice.is_json() {
            // The child puts its pid where the NULs are.
            let event = self.told("ok", record, &guest.known(), "\0", Some("\0"));
            let event = event.text("verdict", b"allow");
            return vec![PidLine::new(decided(event, record).line())];
        }
        let facts = &guest.facts;
        vec![
            self.from(b"pid ", &facts.remote.ip),
            self.decided(b"ok ", facts, None),
        ]
    }

    /// A connection is served under the number `number`: the pid of its process, if it has one.
    pub(crate) fn begun(&self, record: &mut Record, number: Pid) {
        self.tally.served();
        record.number = Some(number);
        if let Some(listed) = &record.listed {
            listed.update(|row| row.number = Some(number));
        }
    }

    /// `pid NUMBER from IP` and `ok NUMBER ...`: a connection is served, and no process is its own. No process has its
    /// number, which is also given.
    pub(crate) fn served(&self, record: &mut Record, guest: &Guest) -> Pid {
        let number = self.next_number();
        if self.voice.is_json() {
            self.voice.tell_event(|| {
                let event = self.told("ok", record, &guest.known(), number, None::<Pid>);
                decided(event.text("verdict", b"allow"), record)
            });
        } else {
            for line in self.beginning(record, guest) {
                self.tell(line, number);
            }
        }
        self.begun(record, number);
        record.end = Some(Ended::default());
        number
    }

    /// `end PID status STATUS`
    pub(crate) fn ended(&self, record: &Record) {
        let (Some(number), Some(end)) = (record.number, record.end) else {
            return;
        };
        self.tally.ended(end.status == 0, end.cpu);
        if self.voice.is_json() {
            self.voice.tell_event(|| {
                let nothing = Known::default();
                let known = record.known.as_deref().unwrap_or(&nothing);
                let event = self.told("end", record, known, number, served_by(number));
                let (status, signal) = parts(end.status);
                event
                    .text("verdict", b"allow")
                    .number("status", status)
                    .number("signal", signal)
                    .value("ms", record.served().as_millis())
                    .value("cpu_ms", end.cpu.as_millis())
                    .value("max_rss_kb", end.max_rss_kb)
            });
        } else {
            self.end(number, end);
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

    /// True when each step of a connection is told, in lines for people.
    pub(super) fn is_detailed(&self) -> bool {
        self.voice.tells_everything() && !self.voice.is_json()
    }

    /// The whole life of a connection that no process serves: `pid NUMBER from IP`, why, and its end, with the exit code
    /// that a process would have had. No process has its number.
    pub(crate) fn refused(&self, record: &mut Record, refusal: &Refusal) {
        let number = record.number.unwrap_or_else(|| self.next_number());
        record.number = Some(number);
        let is_told = self.is_detailed();
        if is_told {
            let ip = shown(record.remote.ip(), self.as_ipv6);
            self.tell(self.from(b"pid ", &ip), number);
        }
        self.turned_away(record, refusal);
    }

    /// The rest of the life of a connection that has a number: why it is not served, and its end.
    pub(crate) fn turned_away(&self, record: &mut Record, refusal: &Refusal) {
        let number = record.number.unwrap_or_default();
        let is_told = self.voice.tells_everything() && !self.voice.is_json();
        let code = match refusal {
            Refusal::Denied(reason, guest) => {
                self.denied(record, *reason, guest, number);
                PERMANENT
            }
            Refusal::Unable(doing, error) => {
                self.dropped(record, doing, error);
                FAILED
            }
            Refusal::Unannounced(why) => {
                self.tally.dropped();
                self.gave_up(record, why);
                FAILED
            }
            Refusal::LetGo => return,
            Refusal::Late => {
                self.tally.dropped();
                self.gave_up(record, b"unable to decide about it: the server ends");
                FAILED
            }
            Refusal::Unmet(layer, why) => {
                self.tally.dropped();
                self.layered(layer, number, format!("failed {why}").as_bytes());
                FAILED
            }
        };
        if is_told {
            let status = i32::from(code) << 8;
            let end = Ended {
                status,
                ..Ended::default()
            };
            self.end(number, end);
        }
    }

    fn denied(&self, record: &mut Record, reason: Reason, guest: &Guest, number: Pid) {
        self.tally.refused(reason);
        if !self.voice.tells_everything() {
            if reason != Reason::Rule {
                self.sum.add(reason);
            }
            return;
        }
        if self.voice.is_json() {
            record.decided = Some(record.arrived.elapsed());
            self.voice.tell_event(|| {
                let event = self.told("deny", record, &guest.known(), number, None::<Pid>);
                let event = event.text("verdict", b"deny");
                decided(event.text("reason", reason.word().as_bytes()), record)
            });
        } else {
            let reason = (self.voice.format == Format::Reason).then_some(reason);
            self.tell(self.decided(b"deny ", &guest.facts, reason), number);
        }
    }

    /// A connection is given up because of what the system said when we were `doing` something, to follow "unable to".
    pub(crate) fn dropped(&self, record: &Record, doing: &[u8], error: &io::Error) {
        self.tally.dropped();
        self.failed(record, doing, error);
    }

    /// A connection that has its process will not be served: what could not be done, and why.
    pub(super) fn failed(&self, record: &Record, doing: &[u8], error: &io::Error) {
        let why = [b"unable to ", doing, b": ", reason(error).as_bytes()].concat();
        self.gave_up(record, &why);
    }

    fn gave_up(&self, record: &Record, why: &[u8]) {
        self.voice.warn_as(&[DROPPING, why], || {
            let nothing = Known::default();
            let known = record.known.as_deref().unwrap_or(&nothing);
            let event = match record.number {
                Some(number) => self.told("drop", record, known, number, served_by(number)),
                None => self.told("drop", record, known, "null", None::<Pid>),
            };
            event.text("reason", b"error").text("text", why)
        });
    }

    /// `LAYER NUMBER WORDS`: what a layer has to say of a connection.
    pub(super) fn layered(&self, layer: &str, number: Pid, words: &[u8]) {
        self.tell(self.layer_line(layer, words, number), number);
    }

    /// The same, to be written by the process of the connection.
    pub(super) fn of_layer(&self, layer: &str, words: &[u8]) -> PidLine {
        self.layer_line(layer, words, "\0")
    }

    fn layer_line(&self, layer: &str, words: &[u8], number: impl std::fmt::Display) -> PidLine {
        if self.voice.is_json() {
            let event = Json::event(layer).value("number", number);
            return PidLine::new(event.text("text", words).line());
        }
        let before = format!("{layer} ");
        self.line(before.as_bytes(), &[b" ", words].concat())
    }

    /// A connection is let in: what is known of `guest` is kept where somebody may ask for it later.
    pub(crate) fn let_in(&self, record: &mut Record, guest: &Guest) {
        record.decided = Some(record.arrived.elapsed());
        if let Some(listed) = &record.listed {
            let known = guest.known();
            listed.update(|row| {
                row.local = known.local.map(|local| local.to_string());
                (row.host, row.info, row.rule) = (known.host, known.info, known.rule);
            });
        }
        if self.voice.is_json() || record.listed.is_some() {
            record.known = Some(guest.known().into());
        }
    }

    /// What every event of a connection tells.
    fn told(
        &self,
        event: &str,
        record: &Record,
        known: &Known,
        number: impl std::fmt::Display,
        pid: Option<impl std::fmt::Display>,
    ) -> Json {
        let local = known.local.map(|local| local.to_string());
        let event = Json::event(event)
            .value("number", number)
            .number("pid", pid)
            .known("local", local.as_ref().map(String::as_bytes))
            .text("remote", record.remote.to_string().as_bytes())
            .known("host", known.host.as_deref())
            .known("info", known.info.as_deref())
            .known("rule", known.rule.as_deref());
        match record.proxy() {
            Some(proxy) => event.text("proxy", proxy.to_string().as_bytes()),
            None => event,
        }
    }

    /// `EVENT NUMBER from IP`
    fn from(&self, event: &[u8], ip: &str) -> PidLine {
        self.line(event, format!(" from {ip}").as_bytes())
    }

    fn end(&self, number: Pid, end: Ended) {
        if self.voice.tells_everything() {
            let after = format!(" status {}", end.status);
            self.tell(self.line(b"end ", after.as_bytes()), number);
        }
    }

    /// `VERDICT NUMBER LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`, and perhaps `REASON`
    fn decided(&self, verdict: &[u8], facts: &Facts, reason: Option<Reason>) -> PidLine {
        let mut after = parties(facts);
        after.insert(0, b' ');
        if let Some(reason) = reason {
            after.push(b' ');
            after.extend_from_slice(reason.word().as_bytes());
        }
        self.line(verdict, &after)
    }

    /// `name: BEFORE`, a number, `AFTER`. Neither holds a NUL: what is foreign was cleaned.
    fn line(&self, before: &[u8], after: &[u8]) -> PidLine {
        let name = self.voice.name().as_bytes();
        PidLine::new([name, b": ", before, b"\0", after, b"\n"].concat())
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

/// The process with this number; none for a number above all pids.
fn served_by(number: Pid) -> Option<Pid> {
    (number <= PID_MAX).then_some(number)
}

/// The exit code and the signal in a wait status, of which it has one. wait(2)
fn parts(status: i32) -> (Option<i32>, Option<i32>) {
    match status & 0x7f {
        0 => (Some(status >> 8 & 0xff), None),
        signal => (None, Some(signal)),
    }
}

/// Adds how long it took to decide.
fn decided(event: Json, record: &Record) -> Json {
    let taken = record.decided.map(|taken| taken.as_millis());
    event.number("ms", taken)
}

/// `LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`
pub(crate) fn parties(facts: &Facts) -> Vec<u8> {
    let (local, remote) = (&facts.local, &facts.remote);
    let mut text = Vec::with_capacity(256);
    let mut part = |bytes: &[u8]| text.extend_from_slice(bytes);
    part(&field(local.host.as_deref()));
    part(format!(":{}:{} ", local.ip, local.port).as_bytes());
    part(&field(remote.host.as_deref()));
    part(format!(":{}:", remote.ip).as_bytes());
    part(&field(facts.info.as_deref()));
    part(format!(":{}", remote.port).as_bytes());
    text
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
