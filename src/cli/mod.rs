//! How every program of the suite speaks with the person who runs it: options, messages, exit codes.
//!
//! Source: the originals' manual pages and observed runs; the texts are part of the interface. This room knows no
//! socket and no rule.
#![forbid(unsafe_code)]

mod error;
mod exec;
mod json;
mod one;
mod options;
mod output;
mod say;
pub mod shell;
mod words;

pub use error::{During, Error, FAILED, PERMANENT};
pub use exec::exec;
pub use json::Json;
pub use one::{Main, one_of};
pub use options::{Arguments, Group, Opt, Value, group, number, seconds, size};
pub use output::Output;
pub use say::{Format, Syslog, Verbosity, Voice};
pub use words::{reason, words};

use crate::sys::process;

/// What the command line of one program looks like.
#[derive(Debug)]
pub struct CommandLine {
    /// The program's name, as its messages begin.
    pub name: &'static str,
    /// What follows the name in the usage line.
    pub synopsis: &'static str,
    /// One line that says what the program does, for `--help`.
    pub purpose: &'static str,
}

impl CommandLine {
    /// `name: usage: name synopsis`, ended by a line feed. The text is compared byte for byte with the original's.
    pub fn usage(&self) -> String {
        format!("{0}: usage: {0} {1}\n", self.name, self.synopsis)
    }
}

/// The frame of the `main` of a program with options, which `run` takes: runs `run`, says why it failed, and gives the exit
/// code.
pub fn main(
    program: &'static CommandLine,
    run: impl FnOnce(&mut Arguments, &mut Voice) -> Result<(), Error>,
) -> u8 {
    say::report_panics(program.name);
    let mut voice = Voice::new(program.name);
    let mut arguments = Arguments::new(program, process::arguments());
    match run(&mut arguments, &mut voice) {
        Ok(()) => 0,
        Err(error) => {
            voice.error(program, &error);
            error.exit_code()
        }
    }
}

/// The same for a program without options: every word is an operand, but for a lone `--help` or `--version`.
pub fn main_without_options(
    program: &'static CommandLine,
    run: impl FnOnce(&mut Arguments, &mut Voice) -> Result<(), Error>,
) -> u8 {
    main(program, |arguments, voice| {
        arguments.answer_alone()?;
        run(arguments, voice)
    })
}
