//! A file of words: the next one, what is expected of it, and what to say when it is something else.
//!
//! `include = PATTERN` may stand wherever a word may: the words of the files come in its place.

use super::{Files, Mistake};
use crate::cli::{number, reason};

/// Some files, and one word of them.
pub(super) struct Parser<'a> {
    files: &'a dyn Files,
    /// The file that is read, above those that include it and those that follow.
    open: Vec<Reading>,
    /// Files that were included so far.
    included: usize,
    /// Of the word.
    pub(super) line: u32,
    /// The word, or one of `= , { }`; empty and not quoted at the end.
    pub(super) text: Vec<u8>,
    is_quoted: bool,
    pub(super) is_end: bool,
    pub(super) notes: &'a mut Vec<Vec<u8>>,
}

/// A file, as far as it was read.
struct Reading {
    file: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    line: u32,
    /// How many files include it, one inside the other.
    depth: usize,
}

impl Reading {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

impl Mistake {
    pub(super) fn new(file: &[u8], line: u32, text: &[u8]) -> Self {
        Self([file, format!(":{line}: ").as_bytes(), text].concat())
    }
}

impl<'a> Parser<'a> {
    /// # Errors
    /// The file cannot be read, or does not begin with a word.
    pub(super) fn new(
        files: &'a dyn Files,
        file: &[u8],
        notes: &'a mut Vec<Vec<u8>>,
    ) -> Result<Self, Mistake> {
        let mut parser = Self {
            files,
            open: Vec::new(),
            included: 0,
            line: 1,
            text: Vec::new(),
            is_quoted: false,
            is_end: false,
            notes,
        };
        let first = parser.read(file, 0);
        parser.open.push(first.map_err(Mistake)?);
        parser.next()?;
        Ok(parser)
    }

    fn read(&self, file: &[u8], depth: usize) -> Result<Reading, Vec<u8>> {
        let text = self.files.read(file).map_err(|error| {
            let why = reason(&error).as_bytes();
            [b"unable to read ", file, b": ", why].concat()
        })?;
        Ok(Reading {
            file: file.to_vec(),
            text,
            at: 0,
            line: 1,
            depth,
        })
    }

    /// Goes on to the next word, which may be the first one of a file that is included.
    pub(super) fn next(&mut self) -> Result<(), Mistake> {
        self.word()?;
        while self.is(b"include") {
            self.word()?;
            if self.is(b"=") {
                self.word()?;
            }
            self.include()?;
            self.word()?;
        }
        Ok(())
    }

    /// Puts the files that the word means before what follows.
    fn include(&mut self) -> Result<(), Mistake> {
        self.is_value()?;
        let depth = self.reading().depth + 1;
        if depth > DEPTH_MAX {
            return Err(self.mistake(b"Files include each other too deeply"));
        }
        let names = self.files.matching(&self.text);
        self.included += names.len();
        if self.included > INCLUDED_MAX {
            return Err(self.mistake(b"Too many files are included"));
        }
        let files = names.iter().map(|name| self.read(name, depth));
        let files: Result<Vec<_>, _> = files.collect();
        let files = files.map_err(|why| self.mistake(&why))?;
        self.open.extend(files.into_iter().rev());
        Ok(())
    }

    /// Goes on to the next word of the files that are open.
    fn word(&mut self) -> Result<(), Mistake> {
        self.text.clear();
        self.is_quoted = false;
        loop {
            self.line = self.reading().line;
            let Some(byte) = self.take() else {
                if self.open.len() > 1 {
                    self.open.pop();
                    continue;
                }
                self.is_end = true;
                return Ok(());
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'#' => {
                    while self.reading().peek().is_some_and(|byte| byte != b'\n') {
                        self.take();
                    }
                }
                b'=' | b',' | b'{' | b'}' => {
                    self.text.push(byte);
                    return Ok(());
                }
                b'"' | b'\'' => return self.quoted(byte),
                byte => {
                    self.push(byte)?;
                    while let Some(byte) = self.reading().peek()
                        && !b" \t\r\n=,{}".contains(&byte)
                    {
                        self.take();
                        self.push(byte)?;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn reading(&self) -> &Reading {
        &self.open[self.open.len() - 1]
    }

    fn take(&mut self) -> Option<u8> {
        let reading = self.open.last_mut()?;
        let byte = reading.peek()?;
        reading.at += 1;
        reading.line += u32::from(byte == b'\n');
        Some(byte)
    }

    fn push(&mut self, byte: u8) -> Result<(), Mistake> {
        if self.text.len() == WORD_MAX {
            return Err(self.mistake(b"Word too long"));
        }
        self.text.push(byte);
        Ok(())
    }

    /// The rest of a string; a backslash means what it does in C.
    fn quoted(&mut self, quote: u8) -> Result<(), Mistake> {
        self.is_quoted = true;
        loop {
            let Some(byte) = self.take() else {
                return Err(self.mistake(b"EOF unexpected"));
            };
            match byte {
                byte if byte == quote => return Ok(()),
                b'\\' => {
                    let byte = match self.take() {
                        Some(b'a') => 7,
                        Some(b'b') => 8,
                        Some(b'e') => 27,
                        Some(b't') => b'\t',
                        Some(b'n') => b'\n',
                        Some(b'v') => 11,
                        Some(b'f') => 12,
                        Some(b'r') => b'\r',
                        Some(digit @ b'0'..=b'7') => self.octal(digit),
                        Some(byte) => byte,
                        None => return Err(self.mistake(b"EOF unexpected")),
                    };
                    self.push(byte)?;
                }
                byte => self.push(byte)?,
            }
        }
    }

    fn octal(&mut self, first: u8) -> u8 {
        let mut byte = first - b'0';
        for _ in 0..2 {
            let Some(digit @ b'0'..=b'7') = self.reading().peek() else {
                break;
            };
            self.take();
            byte = byte.wrapping_mul(8).wrapping_add(digit - b'0');
        }
        byte
    }

    pub(super) fn is(&self, word: &[u8]) -> bool {
        !self.is_end && !self.is_quoted && self.text == word
    }

    fn is_value(&self) -> Result<(), Mistake> {
        let is_sign = !self.is_quoted && matches!(self.text[..], [b'=' | b',' | b'{' | b'}']);
        if self.is_end || is_sign {
            return Err(self.instead_of("a value"));
        }
        Ok(())
    }

    /// Takes the word as a value.
    pub(super) fn value(&mut self) -> Result<Vec<u8>, Mistake> {
        self.is_value()?;
        let value = std::mem::take(&mut self.text);
        self.next()?;
        Ok(value)
    }

    /// Takes `word`, which must be there.
    pub(super) fn expect(&mut self, word: &'static [u8]) -> Result<(), Mistake> {
        if !self.is(word) {
            return Err(self.expected(&[&String::from_utf8_lossy(word)]));
        }
        self.next()
    }

    /// Takes `word` if it is there.
    pub(super) fn pass(&mut self, word: &[u8]) -> Result<(), Mistake> {
        if self.is(word) { self.next() } else { Ok(()) }
    }

    /// Takes a value after an equal sign.
    pub(super) fn set(&mut self) -> Result<Vec<u8>, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        self.value()
    }

    /// Takes a value, with or without an equal sign: published samples leave it out.
    pub(super) fn set_loosely(&mut self) -> Result<Vec<u8>, Mistake> {
        self.next()?;
        self.pass(b"=")?;
        self.value()
    }

    pub(super) fn number_after_equal(&mut self) -> Result<u32, Mistake> {
        self.expect(b"=")?;
        self.number()
    }

    /// A number, decimal or after `0x`, with `k`, `M` or `G` behind it for 2^10, 2^20, 2^30.
    pub(super) fn number(&mut self) -> Result<u32, Mistake> {
        let Some(number) = value_of(&self.text).filter(|_| !self.is_end) else {
            return Err(self.instead_of("an integer"));
        };
        self.next()?;
        Ok(number)
    }

    pub(super) fn yes_or_no(&mut self) -> Result<bool, Mistake> {
        let answer = match &self.text[..] {
            b"yes" | b"true" | b"permit" => true,
            b"no" | b"false" | b"deny" => false,
            _ => return Err(self.expected(&["deny", "false", "no", "permit", "true", "yes"])),
        };
        self.next()?;
        Ok(answer)
    }

    pub(super) fn yes_or_no_after_equal(&mut self) -> Result<bool, Mistake> {
        self.next()?;
        self.expect(b"=")?;
        self.yes_or_no()
    }

    /// Takes the words `words`, the first of which is the one that is there.
    pub(super) fn words(&mut self, words: &[&'static [u8]]) -> Result<(), Mistake> {
        self.next()?;
        for word in &words[1..] {
            self.expect(word)?;
        }
        Ok(())
    }

    /// Takes everything from a brace that opens to the one that closes. What is included there is not looked at.
    pub(super) fn skip(&mut self) -> Result<(), Mistake> {
        if !self.is(b"{") {
            return Err(self.expected(&["{"]));
        }
        let mut depth = 1;
        while depth > 0 {
            self.word()?;
            if self.is_end {
                return Err(self.mistake(b"EOF unexpected"));
            }
            if self.is(b"{") {
                depth += 1;
            } else if self.is(b"}") {
                depth -= 1;
            }
        }
        self.next()
    }

    pub(super) fn place(&self) -> Vec<u8> {
        [
            &self.reading().file[..],
            format!(":{}", self.line).as_bytes(),
        ]
        .concat()
    }

    pub(super) fn mistake(&self, text: &[u8]) -> Mistake {
        Mistake::new(&self.reading().file, self.line, text)
    }

    /// `Expected WHAT, but got 'WORD'`
    pub(super) fn instead_of(&self, what: &str) -> Mistake {
        let got = if self.is_end {
            b"the end of the file".to_vec()
        } else {
            [b"'", &self.text[..], b"'"].concat()
        };
        self.mistake(&[b"Expected ", what.as_bytes(), b", but got ", &got].concat())
    }

    /// One of `words` was expected, which are sorted.
    pub(super) fn expected(&self, words: &[&str]) -> Mistake {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let what = match &quoted[..] {
            [one] => one.clone(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
            [] => String::new(),
        };
        self.instead_of(&what)
    }

    pub(super) fn note(&mut self, what: &[u8]) {
        self.remark(&[what, b" has no effect here"].concat());
    }

    /// Has `text` said by who checks the file.
    pub(super) fn remark(&mut self, text: &[u8]) {
        let place = self.place();
        self.notes.push([&place[..], b": ", text].concat());
    }
}

/// A number, decimal or after `0x`, with `k`, `M` or `G` behind it for 2^10, 2^20, 2^30.
pub(super) fn value_of(text: &[u8]) -> Option<u32> {
    if let Some(digits) = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"))
    {
        let digits = std::str::from_utf8(digits).ok()?;
        return u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'));
    }
    let (digits, shift) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 10),
        [digits @ .., b'm' | b'M'] => (digits, 20),
        [digits @ .., b'g' | b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

/// The longest word, in bytes: the original's.
const WORD_MAX: usize = 4096;

/// How deep files may include each other, and how many may be included.
const DEPTH_MAX: usize = 16;
const INCLUDED_MAX: usize = 10_000;
