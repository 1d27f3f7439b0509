//! Lines on descriptor 2: each is built first and written by one write(2), so that lines of many processes never mix.

use super::{CommandLine, Error, Opt};
use crate::sys::{log, process};

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

/// A program's way to speak: its name and how much it says.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    name: &'static str,
    /// What is said and what is not.
    pub verbosity: Verbosity,
}

impl Voice {
    /// The voice of the program `name`, which says what goes wrong.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            verbosity: Verbosity::Errors,
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

    /// Under `-v`, writes `line`, which has the name and the line feed already.
    pub fn tell_line(&self, line: &[u8]) {
        if self.tells_everything() {
            say(line);
        }
    }

    /// Unless quiet, writes `name: ` and the parts as one line.
    pub fn warn(&self, parts: &[&[u8]]) {
        if self.verbosity >= Verbosity::Errors {
            say(&self.line(parts));
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
        say(&error.lines(
            self.name,
            &program.usage(),
            self.verbosity == Verbosity::Quiet,
        ));
    }
}

/// Writes to descriptor 2; a message that cannot be written is lost, as in the original, and stops nothing.
fn say(line: &[u8]) {
    let _ = log::write(line);
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
