//! Lines on descriptor 2: each is built first and written by one write(2), so that lines of many processes never mix.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use super::{CommandLine, Error, Json, Opt};
use crate::sys::{clock, log, process};

/// How much a program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: nothing, not even why it ended.
    Quiet,
    /// `-Q`: what went wrong.
    Errors,
    /// `-v`: also what happens.
    Everything,
}

impl Verbosity {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("q", "say nothing, not even why it ends", |it| {
            *it = Self::Quiet
        }),
        Opt::flag("Q", "say what goes wrong (default)", |it| {
            *it = Self::Errors
        }),
        Opt::flag("v", "say what happens", |it| *it = Self::Everything),
    ];
}

/// What lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As the original's.
    #[default]
    Plain,
    /// The same, with the reason at the end of a refusal.
    Reason,
    /// An object of JSON each.
    Json,
}

impl Format {
    /// The option for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[Opt::value(
        "log",
        "format",
        "log in this format: json, or reason, which adds the reason to denials",
        |format, value| {
            *format = value.parse("json or reason", |text| match text {
                b"json" => Some(Self::Json),
                b"reason" => Some(Self::Reason),
                _ => None,
            })?;
            Ok(())
        },
    )];
}

/// A program's way to speak: its name, how much it says, and in what form.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    name: &'static str,
    /// What is said and what is not.
    pub verbosity: Verbosity,
    /// What it looks like.
    pub format: Format,
}

impl Voice {
    /// The voice of the program `name`, which says what goes wrong.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            verbosity: Verbosity::Errors,
            format: Format::Plain,
        }
    }

    /// The name with which each line begins.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// True under `-v`.
    pub fn tells_everything(&self) -> bool {
        self.verbosity == Verbosity::Everything
    }

    /// True when lines are JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Under `-v`, waits until a line may be written; false when none will be said.
    pub fn may_tell(&self) -> bool {
        self.tells_everything() && log::has_room()
    }

    /// Under `-v`, writes `name: ` and the parts as one line.
    pub fn tell(&self, parts: &[&[u8]]) {
        if self.tells_everything() {
            say(&self.line(parts));
        }
    }

    /// The same, or `event`, when lines are JSON.
    pub fn tell_as(&self, parts: &[&[u8]], event: impl FnOnce() -> Json) {
        if self.is_json() {
            self.tell_event(event);
        } else {
            self.tell(parts);
        }
    }

    /// Under `-v`, writes `event`, when lines are JSON.
    pub fn tell_event(&self, event: impl FnOnce() -> Json) {
        if self.tells_everything() && self.is_json() {
            say(&event().line());
        }
    }

    /// Under `-v`, writes `line`, which has the name and the line feed already.
    pub fn tell_line(&self, line: &[u8]) {
        if self.tells_everything() {
            say(line);
        }
    }

    /// Unless quiet, writes `name: ` and the parts as one line, or the event `warn`.
    pub fn warn(&self, parts: &[&[u8]]) {
        self.warn_as(parts, || {
            let text = parts.concat();
            let text = text.strip_prefix(b"warning: ").unwrap_or(&text);
            Json::event("warn").text("text", text)
        });
    }

    /// Unless quiet, writes `name: ` and the parts as one line, or `event`, when lines are JSON.
    pub fn warn_as(&self, parts: &[&[u8]], event: impl FnOnce() -> Json) {
        if self.verbosity < Verbosity::Errors {
            return;
        }
        if self.is_json() {
            say(&event().line());
        } else {
            say(&self.line(parts));
        }
    }

    /// Unless quiet, writes `name: ` and the parts as one line on descriptor 2, whatever happens to the others.
    pub fn warn_here(&self, parts: &[&[u8]]) {
        if self.verbosity >= Verbosity::Errors {
            say_here(&self.line(parts));
        }
    }

    /// `name: `, the parts and a line feed.
    pub fn line(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut line = Vec::with_capacity(
            self.name.len() + 3 + parts.iter().map(|part| part.len()).sum::<usize>(),
        );
        line.extend_from_slice(self.name.as_bytes());
        line.extend_from_slice(b": ");
        for part in parts {
            line.extend_from_slice(part);
        }
        line.push(b'\n');
        line
    }

    pub(super) fn error(&self, program: &CommandLine, error: &Error) {
        let is_event = self.is_json() && self.verbosity > Verbosity::Quiet;
        if is_event && let Some(text) = error.fatal_text() {
            return say(&Json::event("fatal").text("text", text).line());
        }
        let quiet = self.verbosity == Verbosity::Quiet;
        let mut lines = error.lines(self.name, &program.usage(), quiet);
        // To a person only: in a log, lines are the original's.
        if error.is_about_usage() && !lines.is_empty() && log::is_terminal() {
            lines.extend_from_slice(&self.line(&[b"try ", self.name.as_bytes(), b" --help"]));
        }
        say(&lines);
    }
}

/// Writes to descriptor 2, or where [`Syslog::take_over`] has it go; a message that cannot be written is lost, as in the
/// original, and stops nothing.
fn say(line: &[u8]) {
    match SYSLOG.get() {
        Some(syslog) => syslog.send(line),
        None => say_here(line),
    }
}

fn say_here(line: &[u8]) {
    let _ = log::write(line);
}

static SYSLOG: OnceLock<Syslog> = OnceLock::new();

/// The system's log: each line is one message of RFC 3164 to `/dev/log`.
#[derive(Debug)]
pub struct Syslog {
    socket: UnixDatagram,
    /// Facility * 8 + severity.
    priority: u8,
    /// In the place of the program's name.
    ident: Vec<u8>,
}

impl Syslog {
    /// Messages of this facility (0 to 23) and severity (0 to 7), from `ident`.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new(facility: u8, severity: u8, ident: Vec<u8>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // Nobody waits for who writes the log.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            priority: facility * 8 + severity,
            ident,
        })
    }

    /// From now on, and for ever, all lines of this process go there instead of descriptor 2.
    pub fn take_over(self) {
        // Who comes second changes nothing.
        let _ = SYSLOG.set(self);
    }

    fn send(&self, line: &[u8]) {
        let message = self.message(&clock::local(clock::now()), process::id(), line);
        // Asked for each time: it may have been started anew.
        let _ = self.socket.send_to(&message, "/dev/log");
    }

    /// `line` without the program's name and the line feed, as a message at `time`, `Fri Nov 20 21:49:20 2026`. RFC 3164
    /// section 4.1
    fn message(&self, time: &str, pid: process::Pid, line: &[u8]) -> Vec<u8> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let colon = text.windows(2).position(|pair| pair == b": ");
        let text = colon.map_or(text, |colon| &text[colon + 2..]);
        let stamp = time.get(4..19).unwrap_or_default();
        let head = format!("<{}>{stamp} ", self.priority);
        let pid = format!("[{pid}]: ");
        [head.as_bytes(), &self.ident, pid.as_bytes(), text].concat()
    }
}

/// Exit code after a bug of ours.
const BUG: i32 = 101;

/// Makes a bug end the process with one line and a code of its own.
pub(super) fn report_panics(name: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        say(format!("{name}: fatal: internal error, please report it: {panic}\n").as_bytes());
        process::exit_now(BUG);
    }));
}

#[cfg(test)]
mod tests {
    use super::Syslog;

    #[test]
    fn syslog_gets_messages_of_rfc_3164() {
        let syslog = Syslog::new(8, 6, b"me".to_vec()).unwrap();
        let message = |time, line: &[u8]| syslog.message(time, 7, line);
        assert_eq!(
            message("Fri Nov 20 21:49:20 2026", b"tcprelay: alive 10.0.0.1:22\n"),
            b"<70>Nov 20 21:49:20 me[7]: alive 10.0.0.1:22"
        );
        assert_eq!(
            message("Sun Nov  1 01:02:03 2026", b"tcprelay: warning: a: b\n"),
            b"<70>Nov  1 01:02:03 me[7]: warning: a: b"
        );
    }
}
