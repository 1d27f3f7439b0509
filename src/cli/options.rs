//! Options as the originals take them: single letters that bundle, `-c40` or `-c 40`, the last one wins, `--` ends
//! them, and so does the first operand. Long options (`--name`, `--name=value`) are ours alone.
//!
//! Everything is bytes: arguments, like names on the wire, need not be text.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{CommandLine, Error};
use crate::sys::{fd, process};

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// One letter for `-c`, more for a long option.
    pub name: &'static str,
    /// What its argument is called; `None` for a flag.
    pub value: Option<&'static str>,
    /// One line for `--help`: what it does, with unit and default.
    pub help: &'static str,
}

impl Opt {
    /// An option without an argument.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value: None,
            help,
        }
    }

    /// An option with an argument called `value`.
    pub const fn value(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value: Some(value),
            help,
        }
    }

    fn is_long(&self) -> bool {
        self.name.len() > 1
    }

    /// As a person writes it: `-c` or `--name`.
    fn spelled(&self) -> String {
        format!("{}{}", if self.is_long() { "--" } else { "-" }, self.name)
    }
}

const STANDARD: &[Opt] = &[
    Opt::flag("help", "print this help and exit"),
    Opt::flag("version", "print the version and exit"),
];

/// The words of the command line that have not been taken yet.
#[derive(Debug)]
pub struct Arguments {
    program: &'static CommandLine,
    words: VecDeque<Vec<u8>>,
    /// Option letters left of the word that is being read.
    bundle: VecDeque<u8>,
}

/// An option that was given.
#[derive(Debug)]
pub struct Choice {
    /// Its name, as in [`Opt::name`].
    pub name: &'static str,
    /// Its argument; empty for a flag.
    pub value: Value,
}

impl Arguments {
    pub(super) fn new(program: &'static CommandLine, words: Vec<Vec<u8>>) -> Self {
        Self {
            program,
            words: words.into(),
            bundle: VecDeque::new(),
        }
    }

    /// The next option, or `None` when only operands are left.
    ///
    /// # Errors
    /// Usage, 100: an unknown option, a missing argument. `--help` and `--version` end the program with 0.
    pub fn option(&mut self) -> Result<Option<Choice>, Error> {
        if self.program.options.is_empty() {
            return Ok(None);
        }
        if self.bundle.is_empty() {
            match self.words.front().map(Vec::as_slice) {
                Some(b"--") if self.takes_letters() => {
                    self.words.pop_front();
                    return Ok(None);
                }
                Some([b'-', b'-', _, ..]) => return self.long_option().map(Some),
                Some([b'-', _, ..]) if self.takes_letters() => {
                    self.bundle = self
                        .words
                        .pop_front()
                        .unwrap_or_default()
                        .split_off(1)
                        .into();
                }
                _ => return Ok(None),
            }
        }
        let Some(letter) = self.bundle.pop_front() else {
            return Ok(None);
        };
        let known = self
            .program
            .options
            .iter()
            .find(|opt| opt.name.as_bytes() == [letter]);
        let opt = known.ok_or_else(|| wrong(&[b"illegal option -- ", &[letter]]))?;
        let value = match opt.value {
            None => Vec::new(),
            Some(_) if !self.bundle.is_empty() => std::mem::take(&mut self.bundle).into(),
            Some(_) => {
                let next = self.words.pop_front();
                next.ok_or_else(|| wrong(&[b"option requires an argument -- ", &[letter]]))?
            }
        };
        Ok(Some(Choice {
            name: opt.name,
            value: Value::of(opt, value),
        }))
    }

    /// False for a program whose options are all long: the original has none, and takes `-x` for an operand.
    fn takes_letters(&self) -> bool {
        self.program.options.iter().any(|opt| !opt.is_long())
    }

    fn long_option(&mut self) -> Result<Choice, Error> {
        let word = self.words.pop_front().unwrap_or_default();
        let word = &word[2..];
        let split = word.iter().position(|&byte| byte == b'=');
        let (name, value) = match split {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let mut all = self
            .program
            .options
            .iter()
            .chain(STANDARD)
            .filter(|opt| opt.is_long());
        let known = all.find(|opt| opt.name.as_bytes() == name);
        let opt = known.ok_or_else(|| wrong(&[b"illegal option -- ", name]))?;
        match (opt.name, opt.value, value) {
            ("help", ..) => Err(print(&self.help())),
            ("version", ..) => Err(print(&format!(
                "{} (ucspi-tcp) {}\n",
                self.program.name,
                env!("CARGO_PKG_VERSION")
            ))),
            (_, Some(_), None) => Err(wrong(&[b"option requires an argument -- ", name])),
            (_, None, Some(_)) => Err(wrong(&[b"option takes no argument -- ", name])),
            (_, _, value) => Ok(Choice {
                name: opt.name,
                value: Value::of(opt, value.unwrap_or_default().to_vec()),
            }),
        }
    }

    /// The next operand.
    pub fn operand(&mut self) -> Option<Vec<u8>> {
        self.words.pop_front()
    }

    /// All operands that are left: a program and its arguments.
    ///
    /// # Errors
    /// Usage, 100: there is none.
    pub fn program(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        if self.words.is_empty() {
            Err(Error::usage())
        } else {
            Ok(std::mem::take(&mut self.words).into())
        }
    }

    fn help(&self) -> String {
        let CommandLine {
            name,
            synopsis,
            purpose,
            options,
        } = self.program;
        let mut help = format!("{name}: {purpose}\nusage: {name} {synopsis}\n");
        for opt in options.iter().chain(STANDARD) {
            let mut option = opt.spelled();
            if let Some(value) = opt.value {
                option += if opt.is_long() { "=" } else { " " };
                option += value;
            }
            help += &format!("  {option:<26} {}\n", opt.help);
        }
        help
    }
}

/// An option's argument, as it was given, with the option for messages.
#[derive(Debug)]
pub struct Value {
    option: String,
    bytes: Vec<u8>,
}

impl Value {
    fn of(opt: &Opt, bytes: Vec<u8>) -> Self {
        Self {
            option: opt.spelled(),
            bytes,
        }
    }

    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The argument as a decimal number in `range`.
    ///
    /// # Errors
    /// Usage, 100, naming the option, what it needs and what it got.
    pub fn number(&self, range: RangeInclusive<u32>) -> Result<u32, Error> {
        let found = number(&self.bytes).filter(|number| range.contains(number));
        found.ok_or_else(|| {
            self.wrong(&format!(
                "a number from {} to {}",
                range.start(),
                range.end()
            ))
        })
    }

    /// The argument as a number of seconds.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn seconds(&self) -> Result<Duration, Error> {
        Ok(Duration::from_secs(self.number(0..=u32::MAX)?.into()))
    }

    /// The argument read by `parse`.
    ///
    /// # Errors
    /// Usage, 100: `parse` gave nothing. `needed` completes "option -i needs ...".
    pub fn parse<T>(
        &self,
        needed: &str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        parse(&self.bytes).ok_or_else(|| self.wrong(needed))
    }

    fn wrong(&self, needed: &str) -> Error {
        wrong(&[
            b"option ",
            self.option.as_bytes(),
            b" needs ",
            needed.as_bytes(),
            b", not \"",
            &self.bytes,
            b"\"",
        ])
    }
}

/// Decimal digits, all of them and nothing else, as a number that fits.
pub fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    })
}

/// A usage error in the originals' form: the last part of argv\[0\], then the text.
fn wrong(text: &[&[u8]]) -> Error {
    let invoked = process::invoked_as().unwrap_or_default();
    let name = invoked
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or(&invoked);
    Error::option(name, text.concat())
}

/// Prints what was asked for and gives the way to end: 0, or 111 when it could not be written.
fn print(text: &str) -> Error {
    Error::silent(if fd::write_all(fd::STDOUT, text.as_bytes()).is_ok() {
        0
    } else {
        super::FAILED
    })
}
