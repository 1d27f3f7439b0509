//! What a check has to say of a line, in one line.

use std::fmt;

use ipnet::IpNet;

use crate::cli::Json;

/// What is said of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    /// It is no rule: what was expected.
    Fault(&'a str),
    /// It has no colon, and is passed over.
    NoColon,
    /// Nobody has this address: why.
    NoAddress(&'a str),
    /// A prefix has bits set behind its length, and is taken for this one.
    HostBits(IpNet),
    /// A setting limits nothing without an option.
    NoLimit(&'static str),
    /// A value is quoted by what is hardly meant to.
    Quote(u8),
    /// A variable has a name that a shell cannot say.
    Variable(&'a [u8]),
    /// An IPv4 address or prefix as an IPv6 one: what it is.
    Mapped(&'a str),
    /// An IPv6 prefix holds all IPv4 addresses.
    HoldsV4,
    /// Another line stands first and has the same key.
    Doubled(u32),
    /// Every address of it is in a key of another line that is tried first; there may be more than one such line.
    Shadowed(u32, bool),
    /// It lets somebody in whom the denial in another line means, which is tried later.
    Undoes(u32),
    /// Prefixes hold all addresses, and come first.
    Late,
    /// There is no rule for everybody else.
    NoLast,
    /// No rule names this set.
    IdleSet(&'a [u8]),
}

impl Kind<'_> {
    /// A word for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Fault(_) => "syntax",
            Self::NoColon => "no-colon",
            Self::NoAddress(_) => "no-address",
            Self::HostBits(_) => "host-bits",
            Self::NoLimit(_) => "no-limit",
            Self::Quote(_) => "quote",
            Self::Variable(_) => "variable",
            Self::Mapped(_) => "mapped",
            Self::HoldsV4 => "holds-ipv4",
            Self::Doubled(_) => "doubled",
            Self::Shadowed(..) => "shadowed",
            Self::Undoes(_) => "undoes",
            Self::Late => "late",
            Self::NoLast => "no-last",
            Self::IdleSet(_) => "idle-set",
        }
    }

    /// The other line that it is about.
    fn other(&self) -> Option<u32> {
        match self {
            Self::Doubled(line) | Self::Shadowed(line, _) | Self::Undoes(line) => Some(*line),
            _ => None,
        }
    }

    /// True if the rules cannot be compiled.
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

/// For people.
impl fmt::Display for Kind<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = String::from_utf8_lossy;
        match self {
            Self::Fault(expected) => write!(to, "expected {expected}"),
            Self::NoColon => to.write_str("without a colon it is no rule"),
            Self::NoAddress(why) => write!(to, "nobody has this address: {why}"),
            Self::HostBits(network) => write!(to, "it is taken for {network}"),
            Self::NoLimit(name) => write!(to, "{name} limits nothing without --rule-limits"),
            Self::Quote(quote) => {
                write!(to, "the value is quoted by \"{}\"", quote.escape_ascii())
            }
            Self::Variable(name) => write!(to, "\"{}\" is no name of a variable", lossy(name)),
            Self::Mapped(meant) => write!(to, "it is the IPv4 address {meant}"),
            Self::HoldsV4 => to.write_str("it holds all IPv4 addresses, too"),
            Self::Doubled(line) => write!(to, "line {line} has the same address, and comes first"),
            Self::Shadowed(line, true) => {
                write!(to, "no address gets here: line {line} is tried first")
            }
            Self::Shadowed(line, false) => {
                write!(
                    to,
                    "no address gets here: line {line} and others are tried first"
                )
            }
            Self::Undoes(line) => {
                write!(to, "it is tried before line {line}, and undoes that denial")
            }
            Self::Late => {
                to.write_str("no peer gets here: prefixes that are tried first hold all addresses")
            }
            Self::NoLast => {
                to.write_str("everybody else is allowed: end with :deny, or say so with :allow")
            }
            Self::IdleSet(name) => write!(to, "no rule names the set {}", lossy(name)),
        }
    }
}

/// A line of a file, and what is said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding<'a> {
    pub(super) file: &'a [u8],
    pub(super) line: u64,
    pub(super) column: usize,
    pub(super) kind: Kind<'a>,
}

impl Finding<'_> {
    /// `file:line:column: warning: text`, or an object of JSON; with a line feed.
    pub(super) fn shown(&self, is_json: bool) -> Vec<u8> {
        let Self {
            file,
            line,
            column,
            kind,
        } = self;
        let severity = if kind.is_error() { "error" } else { "warning" };
        let text = kind.to_string();
        if is_json {
            return Json::default()
                .text("file", file)
                .value("line", line)
                .value("column", column)
                .text("severity", severity.as_bytes())
                .text("code", kind.code().as_bytes())
                .text("text", text.as_bytes())
                .number("other", kind.other())
                .line();
        }
        let place = format!(":{line}:{column}: {severity}: ");
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        [file, place.as_bytes(), text.as_bytes(), b"\n"].concat()
    }
}
