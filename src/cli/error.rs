//! The one error of the crate: what could not be done, why, and what that means for the exit code.

use std::io;

use super::words::reason;

/// Exit code of a permanent failure: trying again cannot help (usage, bad rule syntax, peer denied).
pub const PERMANENT: u8 = 100;
/// Exit code of a temporary failure, or of anything the system said no to.
pub const FAILED: u8 = 111;

/// Why a program stops. Rooms return it; only [`super::main`] prints it and ends the process.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    /// The command line is wrong: the text if there is one, then the usage line. Exit code 100.
    Usage(Vec<u8>),
    /// This whole line, then the usage line: found while options are read, when `-q` does not count yet.
    Option(Vec<u8>),
    /// `name: fatal: text`, and then the lines of `more`, each with the name before it.
    Fatal {
        text: Vec<u8>,
        more: Option<Vec<u8>>,
        code: u8,
    },
    /// What the long option of this name prints: the effect of a letter that stands for it.
    Asked(&'static str),
    /// Ends with this code, and without a word: all was said, or asked for (`--help`).
    Silent(u8),
}

impl Error {
    /// Too few operands: the usage line alone.
    pub fn usage() -> Self {
        Self(Kind::Usage(Vec::new()))
    }

    /// A wrong operand: a line that says what is wrong, then the usage line.
    pub fn operand(text: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Usage(text.into()))
    }

    /// A wrong option: `invoked_as: text`, then the usage line, both said even after `-q`, as the original does.
    pub fn option(invoked_as: &[u8], text: impl AsRef<[u8]>) -> Self {
        Self(Kind::Option(
            [invoked_as, b": ", text.as_ref(), b"\n"].concat(),
        ))
    }

    /// A wrong option of which nothing more is said: the usage line alone, also after `-q`.
    pub fn bare_option() -> Self {
        Self(Kind::Option(Vec::new()))
    }

    /// A temporary failure, exit code 111: `name: fatal: text`.
    pub fn fatal(text: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Fatal {
            text: text.into(),
            more: None,
            code: FAILED,
        })
    }

    /// A failure with an exit code of its own: `name: fatal: text`.
    pub fn with_code(text: impl Into<Vec<u8>>, code: u8) -> Self {
        Self(Kind::Fatal {
            text: text.into(),
            more: None,
            code,
        })
    }

    /// A permanent failure, exit code 100: `name: fatal: text`, then `name: more`.
    pub fn permanent(text: impl Into<Vec<u8>>, more: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Fatal {
            text: text.into(),
            more: Some(more.into()),
            code: PERMANENT,
        })
    }

    /// The effect of a letter that stands for the long option `name`, `help` or `version`.
    pub fn asked(name: &'static str) -> Self {
        Self(Kind::Asked(name))
    }

    /// The long option that a letter stands for.
    pub(super) fn asked_for(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Asked(name) => Some(name),
            _ => None,
        }
    }

    /// An end without a message.
    pub fn silent(code: u8) -> Self {
        Self(Kind::Silent(code))
    }

    /// 100 or 111, or what [`Self::silent`] was given.
    pub fn exit_code(&self) -> u8 {
        match self.0 {
            Kind::Usage(_) | Kind::Option(_) | Kind::Asked(_) => PERMANENT,
            Kind::Fatal { code, .. } | Kind::Silent(code) => code,
        }
    }

    /// True if the command line is wrong.
    pub(super) fn is_about_usage(&self) -> bool {
        matches!(self.0, Kind::Usage(_) | Kind::Option(_))
    }

    /// What went wrong, without the program's name; for those who go on and only tell.
    pub fn text(&self) -> &[u8] {
        match &self.0 {
            Kind::Usage(text) | Kind::Option(text) | Kind::Fatal { text, .. } => text,
            Kind::Silent(_) | Kind::Asked(_) => b"",
        }
    }

    /// What a fatal error is, in one line; nothing of one that is about the command line.
    pub(super) fn fatal_text(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Fatal { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The lines to print, for a program called `name` whose usage line is `usage`; `quiet` is `-q`.
    pub(super) fn lines(&self, name: &str, usage: &str, quiet: bool) -> Vec<u8> {
        let mut lines = Vec::new();
        let mut line = |class: &str, text: &[u8]| {
            for part in [name.as_bytes(), b": ", class.as_bytes(), text, b"\n"] {
                lines.extend_from_slice(part);
            }
        };
        match &self.0 {
            Kind::Silent(_) | Kind::Asked(_) => {}
            Kind::Usage(_) | Kind::Fatal { .. } if quiet => {}
            Kind::Option(line) => lines.extend_from_slice(&[line, usage.as_bytes()].concat()),
            Kind::Usage(text) => {
                if !text.is_empty() {
                    line("", text);
                }
                lines.extend_from_slice(usage.as_bytes());
            }
            Kind::Fatal { text, more, .. } => {
                line("fatal: ", text);
                if let Some(more) = more {
                    line("", more);
                }
            }
        }
        lines
    }
}

/// Adds to a system's "no" what we were doing.
pub trait During<T> {
    /// Turns an `io::Error` into `unable to <what>: <reason>`, exit code 111.
    fn during(self, what: impl AsRef<[u8]>) -> Result<T, Error>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: impl AsRef<[u8]>) -> Result<T, Error> {
        self.map_err(|error| {
            Error::fatal(
                [
                    b"unable to ",
                    what.as_ref(),
                    b": ",
                    reason(&error).as_bytes(),
                ]
                .concat(),
            )
        })
    }
}
