//! How a query or a reply ends, found in bytes that come in any pieces.
//!
//! Nothing here keeps a byte of what it looks at: a scanner is a few numbers, whatever it is fed. Sources: netstrings as
//! D. J. Bernstein wrote them down in 1997 (no leading zeros); the lone dot of RFC 5321 section 4.5.2; the empty line of
//! postfix's policy protocol. Stuffed dots are the business of the two who talk.

mod pack;

use std::time::Duration;

use memchr::{memchr, memchr_iter};

use crate::cli::number;

/// How queries or replies end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line feed.
    Line,
    /// A carriage return and a line feed.
    Crlf,
    /// So many line feeds, at least 1.
    Lines(u32),
    /// An empty line; a carriage return may stand before each line feed.
    Blank,
    /// A line with nothing but a dot; a carriage return may stand before each line feed.
    Dot,
    /// A zero byte.
    Nul,
    /// `5:hello,`
    Netstring,
    /// Four bytes, the most significant first, say how many follow.
    Len4,
    /// So long a silence after at least one byte. Replies only.
    Idle(Duration),
    /// The end of the stream.
    Eof,
}

/// The longest silence that can be asked for, in milliseconds: an hour.
const IDLE_MAX: u32 = 3_600_000;
/// The most lines that can be one frame.
const LINES_MAX: u32 = 65_535;

/// What `--query` needs.
pub(super) const QUERIES: &str =
    "line, crlf, lines:N, blank, dot, nul, netstring, len4 or eof, N being from 1 to 65535";
/// What `--reply` needs.
pub(super) const REPLIES: &str = "line, crlf, lines:N, blank, dot, nul, netstring, len4, idle:MS or eof, N being from 1 \
                                  to 65535, MS milliseconds from 1 to 3600000";

impl Frame {
    /// The frame called `name` on the command line.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let counted = |prefix: &[u8], max| {
            let count = number(name.strip_prefix(prefix)?)?;
            (1..=max).contains(&count).then_some(count)
        };
        Some(match name {
            b"line" => Self::Line,
            b"crlf" => Self::Crlf,
            b"blank" => Self::Blank,
            b"dot" => Self::Dot,
            b"nul" => Self::Nul,
            b"netstring" => Self::Netstring,
            b"len4" => Self::Len4,
            b"eof" => Self::Eof,
            _ => {
                let idle = || {
                    let silence = counted(b"idle:", IDLE_MAX)?;
                    Some(Self::Idle(Duration::from_millis(silence.into())))
                };
                return counted(b"lines:", LINES_MAX).map(Self::Lines).or_else(idle);
            }
        })
    }

    /// The same for a query, which no silence ends.
    pub(super) fn of_query(name: &[u8]) -> Option<Self> {
        Self::parse(name).filter(|frame| !matches!(frame, Self::Idle(_)))
    }

    /// False where only time or the end of the stream ends it.
    pub fn ends_by_itself(self) -> bool {
        !matches!(self, Self::Idle(_) | Self::Eof)
    }

    /// `text`, which has no end of the frame in it and is not empty, as one whole frame. Where nothing in the bytes ends one, it is `text` and a line feed.
    pub fn wrap(self, text: &[u8]) -> Vec<u8> {
        let end: &[u8] = match self {
            Self::Line | Self::Lines(_) | Self::Idle(_) | Self::Eof => b"\n",
            Self::Crlf => b"\r\n",
            Self::Blank => b"\n\n",
            Self::Dot => b"\n.\n",
            Self::Nul => b"\0",
            Self::Netstring => b",",
            Self::Len4 => b"",
        };
        let mut frame = self.header(text.len() as u64).unwrap_or_default();
        frame.extend_from_slice(text);
        frame.extend_from_slice(end);
        if let Self::Lines(count) = self {
            frame.resize(frame.len() + count as usize - 1, b'\n');
        }
        frame
    }

    /// What stands before the content: its length, where the frame begins with one. `None`: that cannot be said.
    fn header(self, content: u64) -> Option<Vec<u8>> {
        match self {
            Self::Netstring => Some(format!("{content}:").into_bytes()),
            Self::Len4 => Some(u32::try_from(content).ok()?.to_be_bytes().to_vec()),
            _ => Some(Vec::new()),
        }
    }

    /// Replaces the first `cut` bytes of the content by `front`, in a frame of which at least the header is there.
    ///
    /// `None` when the content is shorter, or would be longer than the header can say.
    pub fn replace_front(self, frame: &[u8], cut: usize, front: &[u8]) -> Option<Vec<u8>> {
        let (content, length) = self.content(frame)?;
        let rest = content.get(cut..)?;
        let length = length
            .checked_sub(cut as u64)?
            .checked_add(front.len() as u64)?;
        Some([&self.header(length)?, front, rest].concat())
    }

    /// Takes the number and the blank from the front of a reply's content.
    ///
    /// `None`: it does not begin with a number that fits, and a blank.
    pub fn take_number(self, frame: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (content, _) = self.content(frame)?;
        let digits = content.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.take(NUMBER_DIGITS_MAX + 1).count();
        if digits == 0 || digits > NUMBER_DIGITS_MAX || content.get(digits) != Some(&b' ') {
            return None;
        }
        let shift = |number: u64, digit: &u8| number * 10 + u64::from(digit - b'0');
        let number = content[..digits].iter().fold(0, shift);
        Some((number, self.replace_front(frame, digits + 1, b"")?))
    }

    /// What stands after the header, as far as it is there, and how long the header says that the content is; where
    /// there is no header, so much as is there.
    fn content(self, frame: &[u8]) -> Option<(&[u8], u64)> {
        match self {
            Self::Netstring => {
                let colon = memchr(b':', frame)?;
                let mut length = Length::default();
                for &digit in &frame[..colon] {
                    length.digit(digit).ok()?;
                }
                Some((&frame[colon + 1..], length.value))
            }
            Self::Len4 => {
                let (length, content) = frame.split_first_chunk()?;
                Some((content, u32::from_be_bytes(*length).into()))
            }
            _ => Some((frame, frame.len() as u64)),
        }
    }
}

/// 10^18 fits into 64 bits: no length and no number of ours has more digits.
const NUMBER_DIGITS_MAX: usize = 18;

/// Where the frame ends that is being looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// After so many bytes of the piece.
    End(usize),
    /// Not in this piece, all of which belongs to it.
    More,
}

/// Why no frame will be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is longer than it may be.
    Long,
    /// It is none.
    Broken,
}

/// Looks for the end of one frame.
#[derive(Clone, Debug)]
pub struct Scanner {
    frame: Frame,
    /// The longest frame, in bytes, its end included.
    limit: u64,
    /// How many bytes belong to it so far.
    taken: u64,
    state: State,
}

/// What is known of the bytes so far.
#[derive(Clone, Copy, Debug)]
enum State {
    /// So many line feeds are still to come.
    Lines(u32),
    /// The line that has begun.
    Line(Start),
    /// Digits of a netstring's length.
    Digits(Length),
    /// So many bytes of the length have come, and make this number.
    Length(u8, u32),
    /// So many bytes are still to come, the last of which must be the comma of a netstring.
    Body(u64, Option<u8>),
    /// Nothing that comes ends it.
    Open,
}

/// The beginning of a line, and its last byte.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    bytes: [u8; 2],
    /// How long the line is; 3 is that or more.
    length: u8,
    last: u8,
}

/// The length of a netstring, as far as its digits have come.
#[derive(Clone, Copy, Debug, Default)]
struct Length {
    value: u64,
    digits: u8,
}

impl Length {
    fn digit(&mut self, digit: u8) -> Result<(), Fault> {
        let leading_zero = self.digits > 0 && self.value == 0;
        if !digit.is_ascii_digit() || leading_zero || usize::from(self.digits) == NUMBER_DIGITS_MAX
        {
            return Err(Fault::Broken);
        }
        self.value = self.value * 10 + u64::from(digit - b'0');
        self.digits += 1;
        Ok(())
    }
}

impl Scanner {
    /// Looks for the end of a `frame` of at most `limit` bytes, its end included; 0 is no limit.
    pub fn new(frame: Frame, limit: u64) -> Self {
        let state = match frame {
            Frame::Line => State::Lines(1),
            Frame::Lines(count) => State::Lines(count.max(1)),
            Frame::Crlf | Frame::Blank | Frame::Dot => State::Line(Start::default()),
            Frame::Netstring => State::Digits(Length::default()),
            Frame::Len4 => State::Length(0, 0),
            Frame::Nul | Frame::Idle(_) | Frame::Eof => State::Open,
        };
        Self {
            frame,
            limit: if limit == 0 { u64::MAX } else { limit },
            taken: 0,
            state,
        }
    }

    /// True when at least one byte has come.
    pub fn has_begun(&self) -> bool {
        self.taken > 0
    }

    /// Looks at the next bytes. After an end or a fault the scanner is used up.
    ///
    /// # Errors
    /// Too long, or no frame. A frame that says its length is refused as soon as that is known.
    pub fn scan(&mut self, piece: &[u8]) -> Result<Found, Fault> {
        // Never beyond the limit: what comes then cannot make it right.
        let room = self.limit - self.taken;
        let is_cut = piece.len() as u64 > room;
        let piece = if is_cut {
            &piece[..usize::try_from(room).unwrap_or(piece.len())]
        } else {
            piece
        };
        let end = self.find(piece)?;
        self.taken += end.unwrap_or(piece.len()) as u64;
        match end {
            Some(end) => Ok(Found::End(end)),
            None if is_cut => Err(Fault::Long),
            // One that ends by itself needs at least one byte more.
            None if self.taken == self.limit && self.frame.ends_by_itself() => Err(Fault::Long),
            None => Ok(Found::More),
        }
    }

    /// The stream has ended: true when that ends the frame, too.
    pub fn ends_with_the_stream(&self) -> bool {
        match self.frame {
            Frame::Eof => true,
            Frame::Idle(_) => self.has_begun(),
            _ => false,
        }
    }

    fn find(&mut self, piece: &[u8]) -> Result<Option<usize>, Fault> {
        let mut at = 0;
        while at < piece.len() {
            let rest = &piece[at..];
            match &mut self.state {
                State::Open if self.frame == Frame::Nul => {
                    return Ok(memchr(0, rest).map(|zero| at + zero + 1));
                }
                State::Open => return Ok(None),
                State::Lines(left) => {
                    for feed in memchr_iter(b'\n', rest) {
                        *left -= 1;
                        if *left == 0 {
                            return Ok(Some(at + feed + 1));
                        }
                    }
                    return Ok(None);
                }
                State::Line(start) => {
                    let feed = memchr(b'\n', rest);
                    start.add(&rest[..feed.unwrap_or(rest.len())]);
                    let Some(feed) = feed else { return Ok(None) };
                    at += feed + 1;
                    if start.ends(self.frame) {
                        return Ok(Some(at));
                    }
                    *start = Start::default();
                }
                State::Digits(length) => {
                    at += 1;
                    if rest[0] != b':' {
                        length.digit(rest[0])?;
                    } else if length.digits == 0 {
                        return Err(Fault::Broken);
                    } else {
                        let header = u64::from(length.digits) + 1;
                        let body = length.value + 1;
                        self.body(header, body, Some(b','))?;
                    }
                }
                State::Length(digits, length) => {
                    at += 1;
                    *length = *length << 8 | u32::from(rest[0]);
                    *digits += 1;
                    if *digits == 4 {
                        let body = u64::from(*length);
                        self.body(4, body, None)?;
                        if body == 0 {
                            return Ok(Some(at));
                        }
                    }
                }
                State::Body(left, last) => {
                    let Ok(length) = usize::try_from(*left) else {
                        *left -= rest.len() as u64;
                        return Ok(None);
                    };
                    if rest.len() < length {
                        *left -= rest.len() as u64;
                        return Ok(None);
                    }
                    let is_broken = last.is_some_and(|last| rest[length - 1] != last);
                    return if is_broken {
                        Err(Fault::Broken)
                    } else {
                        Ok(Some(at + length))
                    };
                }
            }
        }
        Ok(None)
    }

    fn body(&mut self, header: u64, body: u64, last: Option<u8>) -> Result<(), Fault> {
        if header + body > self.limit {
            return Err(Fault::Long);
        }
        self.state = State::Body(body, last);
        Ok(())
    }
}

impl Start {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().take(self.bytes.len() + 1) {
            if let Some(place) = self.bytes.get_mut(usize::from(self.length)) {
                *place = byte;
            }
            self.length = (self.length + 1).min(3);
        }
        self.last = *bytes.last().unwrap_or(&self.last);
    }

    /// True when the line, whose line feed has come, ends a `frame`.
    fn ends(&self, frame: Frame) -> bool {
        let line = self.bytes.get(..usize::from(self.length));
        match frame {
            Frame::Crlf => self.length > 0 && self.last == b'\r',
            Frame::Dot => matches!(line, Some(b"." | b".\r")),
            _ => matches!(line, Some(b"" | b"\r")),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
