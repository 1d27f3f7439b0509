//! Options as the originals take them: single letters that bundle, `-c40` or `-c 40`, the last one wins, `--` ends
//! them, and so does the first operand. Long options (`--name`, `--name=value`) are ours alone.
//!
//! Everything is bytes: arguments, like names on the wire, need not be text.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{CommandLine, Error};
use crate::sys::{fd, process};

/// One option in one row: how it is written, what is said of it, and what it does to a `G`, a part of a program's
/// configuration.
#[derive(Debug)]
pub struct Opt<G: 'static> {
    spelling: Spelling,
    effect: Effect<G>,
}

#[derive(Debug)]
enum Effect<G> {
    Flag(fn(&mut G)),
    Question(fn(&mut G) -> Result<(), Error>),
    Value(fn(&mut G, &Value) -> Result<(), Error>),
}

/// How an option is written, and what `--help` says of it.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// One letter for `-c`, more for a long option.
    name: &'static str,
    /// What its argument is called; `None` for a flag.
    value: Option<&'static str>,
    /// One line: what it does, with unit and default.
    help: &'static str,
}

impl<G> Opt<G> {
    /// An option without an argument.
    pub const fn flag(name: &'static str, help: &'static str, effect: fn(&mut G)) -> Self {
        let value = None;
        Self {
            spelling: Spelling { name, value, help },
            effect: Effect::Flag(effect),
        }
    }

    /// An option without an argument that may find something wrong elsewhere, say in the environment.
    pub const fn question(
        name: &'static str,
        help: &'static str,
        effect: fn(&mut G) -> Result<(), Error>,
    ) -> Self {
        let value = None;
        Self {
            spelling: Spelling { name, value, help },
            effect: Effect::Question(effect),
        }
    }

    /// An option with an argument called `value`.
    pub const fn value(
        name: &'static str,
        value: &'static str,
        help: &'static str,
        effect: fn(&mut G, &Value) -> Result<(), Error>,
    ) -> Self {
        let value = Some(value);
        Self {
            spelling: Spelling { name, value, help },
            effect: Effect::Value(effect),
        }
    }
}

impl Spelling {
    fn is_long(&self) -> bool {
        self.name.len() > 1
    }

    /// As a person writes it: `-c` or `--name`.
    fn spelled(&self) -> String {
        format!("{}{}", if self.is_long() { "--" } else { "-" }, self.name)
    }
}

const HELP: Spelling = Spelling {
    name: "help",
    value: None,
    help: "print this help and exit",
};
const VERSION: Spelling = Spelling {
    name: "version",
    value: None,
    help: "print the version and exit",
};

/// Rows of options, and the part of a configuration that they change.
pub trait Group {
    /// The option of row `at`; `None` past the last one.
    fn spelling(&self, at: usize) -> Option<Spelling>;

    /// Does what row `at` says.
    ///
    /// # Errors
    /// Usage, 100: the argument is not what the option needs.
    fn apply(&mut self, at: usize, value: &Value) -> Result<(), Error>;
}

/// The options of `tables`, which change `target`.
pub fn group<'a, G>(tables: &'a [&'static [Opt<G>]], target: &'a mut G) -> impl Group + use<'a, G> {
    Bound { tables, target }
}

struct Bound<'a, G: 'static> {
    tables: &'a [&'static [Opt<G>]],
    target: &'a mut G,
}

impl<G> Bound<'_, G> {
    fn row(&self, at: usize) -> Option<&'static Opt<G>> {
        self.tables.iter().copied().flatten().nth(at)
    }
}

impl<G> Group for Bound<'_, G> {
    fn spelling(&self, at: usize) -> Option<Spelling> {
        self.row(at).map(|opt| opt.spelling)
    }

    fn apply(&mut self, at: usize, value: &Value) -> Result<(), Error> {
        match self.row(at).map(|opt| &opt.effect) {
            None => Ok(()),
            Some(Effect::Flag(effect)) => {
                effect(self.target);
                Ok(())
            }
            Some(Effect::Question(effect)) => effect(self.target),
            Some(Effect::Value(effect)) => effect(self.target, value),
        }
    }
}

/// Several groups as one.
impl<const N: usize> Group for [&mut dyn Group; N] {
    fn spelling(&self, at: usize) -> Option<Spelling> {
        let rows = self.iter().map(|group| &**group).flat_map(rows);
        rows.map(|(_, spelling)| spelling).nth(at)
    }

    fn apply(&mut self, mut at: usize, value: &Value) -> Result<(), Error> {
        for group in self {
            let length = rows(&**group).count();
            if at < length {
                return group.apply(at, value);
            }
            at -= length;
        }
        Ok(())
    }
}

/// All rows of `group`, each with its place.
fn rows(group: &dyn Group) -> impl Iterator<Item = (usize, Spelling)> {
    (0..).map_while(move |row| Some((row, group.spelling(row)?)))
}

/// All spellings of `groups`, each with its place.
fn spellings(groups: &[&mut dyn Group]) -> impl Iterator<Item = ((usize, usize), Spelling)> {
    groups.iter().enumerate().flat_map(|(number, group)| {
        rows(&**group).map(move |(row, spelling)| ((number, row), spelling))
    })
}

/// The words of the command line that have not been taken yet.
#[derive(Clone, Debug)]
pub struct Arguments {
    program: &'static CommandLine,
    words: VecDeque<Vec<u8>>,
    /// The argument of a long option may be the next word.
    is_like_getopt: bool,
}

impl Arguments {
    pub(super) fn new(program: &'static CommandLine, words: Vec<Vec<u8>>) -> Self {
        Self {
            program,
            words: words.into(),
            is_like_getopt: false,
        }
    }

    /// For a program that stands in for one with getopt_long(3): the argument of a long option may be the next word, and
    /// without a word the help is printed.
    pub fn be_like_getopt(&mut self) {
        self.is_like_getopt = true;
        if self.words.is_empty() {
            self.words.push_back(b"--help".to_vec());
        }
    }

    /// Takes all options, and does what they say, in order; operands are left.
    ///
    /// # Errors
    /// Usage, 100: an unknown option, a missing argument or a wrong one. `--help` and `--version` end the program with 0.
    pub fn options(&mut self, groups: &mut [&mut dyn Group]) -> Result<(), Error> {
        // A program of whose options all are long: the original has none, and takes `-x` for an operand.
        let takes_letters = spellings(groups).any(|(_, spelling)| !spelling.is_long());
        loop {
            match self.words.front().map(Vec::as_slice) {
                Some(b"--") if takes_letters => {
                    self.words.pop_front();
                    return Ok(());
                }
                Some([b'-', b'-', _, ..]) => self.long_option(groups)?,
                Some([b'-', _, ..]) if takes_letters => self.letters(groups)?,
                _ => return Ok(()),
            }
        }
    }

    /// One word of letters that bundle; the last may have its argument behind it, or in the next word.
    fn letters(&mut self, groups: &mut [&mut dyn Group]) -> Result<(), Error> {
        let word = self.words.pop_front().unwrap_or_default();
        let mut letters = &word[1..];
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let known = spellings(groups).find(|(_, one)| one.name.as_bytes() == [*letter]);
            let (at, spelling) =
                known.ok_or_else(|| wrong(&[b"illegal option -- ", &[*letter]]))?;
            let value = match spelling.value {
                None => Vec::new(),
                Some(_) if !letters.is_empty() => std::mem::take(&mut letters).to_vec(),
                Some(_) => {
                    let next = self.words.pop_front();
                    next.ok_or_else(|| wrong(&[b"option requires an argument -- ", &[*letter]]))?
                }
            };
            let done = groups[at.0].apply(at.1, &Value::of(&spelling, value));
            done.map_err(|error| match error.asked_for() {
                Some(name) => print(&self.standard(name.as_bytes(), groups).unwrap_or_default()),
                None => error,
            })?;
        }
        Ok(())
    }

    fn long_option(&mut self, groups: &mut [&mut dyn Group]) -> Result<(), Error> {
        let word = self.words.pop_front().unwrap_or_default();
        let word = &word[2..];
        // `--name=word` may be an option by itself, without an argument.
        let is_whole = |one: &Spelling| one.name.as_bytes() == word;
        let is_known = spellings(groups).any(|(_, one)| is_whole(&one));
        let split = word.iter().position(|&byte| byte == b'=');
        let (name, value) = match split.filter(|_| !is_known) {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let takes_none = || wrong(&[b"option takes no argument -- ", name]);
        if let Some(text) = self.standard(name, groups) {
            return Err(if value.is_some() {
                takes_none()
            } else {
                print(&text)
            });
        }
        let is_it = |one: &Spelling| one.is_long() && one.name.as_bytes() == name;
        let known = spellings(groups).find(|(_, one)| is_it(one));
        let (at, spelling) = known.ok_or_else(|| wrong(&[b"illegal option -- ", name]))?;
        let next = if self.is_like_getopt && spelling.value.is_some() && value.is_none() {
            self.words.pop_front()
        } else {
            None
        };
        match (spelling.value, value.or(next.as_deref())) {
            (Some(_), None) => Err(wrong(&[b"option requires an argument -- ", name])),
            (None, Some(_)) => Err(takes_none()),
            (_, value) => {
                let value = Value::of(&spelling, value.unwrap_or_default().to_vec());
                groups[at.0].apply(at.1, &value)
            }
        }
    }

    /// For a program without options: every word is an operand, but for `--help` and `--version` when they stand alone.
    ///
    /// # Errors
    /// 0: one of them was printed.
    pub(super) fn answer_alone(&self) -> Result<(), Error> {
        if self.words.len() != 1 {
            return Ok(());
        }
        let name = self.words[0].strip_prefix(b"--");
        match name.and_then(|name| self.standard(name, &[])) {
            Some(text) => Err(print(&text)),
            None => Ok(()),
        }
    }

    /// What the option `--name` that every program has prints.
    fn standard(&self, name: &[u8], groups: &[&mut dyn Group]) -> Option<String> {
        if name == HELP.name.as_bytes() {
            Some(self.help(groups))
        } else if name == VERSION.name.as_bytes() {
            let name = self.program.name;
            Some(format!(
                "{name} (ucspi-tcp) {}\n",
                env!("CARGO_PKG_VERSION")
            ))
        } else {
            None
        }
    }

    /// True when a word before the operands, or among them, is a long option other than `--except`.
    pub fn has_long_option(&self, except: &str) -> bool {
        let words = self.words.iter().take_while(|word| *word != b"--");
        let mut names = words.filter_map(|word| word.strip_prefix(b"--"));
        names.any(|name| name != except.as_bytes())
    }

    /// How many operands are left.
    pub fn left(&self) -> usize {
        self.words.len()
    }

    /// Prints the version and gives the way to end, for a program that has another option for it.
    pub fn version(&self) -> Error {
        print(
            &self
                .standard(VERSION.name.as_bytes(), &[])
                .unwrap_or_default(),
        )
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

    fn help(&self, groups: &[&mut dyn Group]) -> String {
        let CommandLine {
            name,
            synopsis,
            purpose,
        } = self.program;
        let mut help = format!("{name}: {purpose}\nusage: {name} {synopsis}\n");
        let own = spellings(groups).map(|(_, spelling)| spelling);
        for spelling in own.chain([HELP, VERSION]) {
            let mut option = spelling.spelled();
            if let Some(value) = spelling.value {
                option += if spelling.is_long() { "=" } else { " " };
                option += value;
            }
            help += &format!("  {option:<26} {}\n", spelling.help);
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
    fn of(spelling: &Spelling, bytes: Vec<u8>) -> Self {
        Self {
            option: spelling.spelled(),
            bytes,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
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

    /// The argument as a number of seconds, perhaps with decimals.
    ///
    /// # Errors
    /// As [`Self::number`].
    pub fn seconds(&self) -> Result<Duration, Error> {
        self.parse(&format!("a number from 0 to {}", u32::MAX), seconds)
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

/// A number of seconds, perhaps with up to nine decimals.
pub fn seconds(text: &[u8]) -> Option<Duration> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, decimals) = text.split_at(point.unwrap_or(text.len()));
    let nanoseconds = match decimals {
        [] => 0,
        [_, decimals @ ..] if decimals.len() <= 9 => {
            let unit = 10_u32.pow(9 - u32::try_from(decimals.len()).ok()?);
            number(decimals)? * unit
        }
        _ => return None,
    };
    Some(Duration::new(number(whole)?.into(), nanoseconds))
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

/// A number of bytes; `k`, `M` and `G` behind it are 2^10, 2^20 and 2^30.
pub fn size(text: &[u8]) -> Option<u64> {
    let (digits, shift) = match text {
        [digits @ .., b'k'] => (digits, 10),
        [digits @ .., b'M'] => (digits, 20),
        [digits @ .., b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    Some(u64::from(number(digits)?) << shift)
}
