//! Rules as a stream of lines. Memory is bounded by the longest line.

use std::io::Read;

use super::line::{Fault, Rule, read, trim};
use crate::cli::{During, Error};
use crate::sys::places::all_places;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;

/// Calls `each` with the number of each line of `input`, from 1, and the line with its line feed, which the last one may
/// lack. `reading` is what is done meanwhile, for messages: `read input`.
///
/// # Errors
/// `input` cannot be read (111); the first error of `each`.
pub(super) fn lines(
    mut input: impl Read,
    reading: &[u8],
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut number = 0_u64;
    // What was read, of which the lines before `start` are done.
    let mut text = vec![0; READ_BYTES];
    let (mut start, mut end) = (0, 0);
    loop {
        if end == text.len() {
            // The rest of a line goes to the front; a line that fills all gets more room.
            text.copy_within(start.., 0);
            end -= start;
            start = 0;
            if end > text.len() / 2 {
                text.resize(2 * text.len(), 0);
            }
        }
        let length = input.read(&mut text[end..]).during(reading)?;
        if length == 0 {
            break;
        }
        let read = end;
        end += length;
        for line_feed in all_places(&text[read..end], b'\n') {
            let next = read + line_feed + 1;
            number += 1;
            each(number, &text[start..next])?;
            start = next;
        }
    }
    if start < end {
        each(number + 1, &text[start..end])
    } else {
        Ok(())
    }
}

/// Calls `each` with each rule of `input`, and the number and the text of its line.
///
/// # Errors
/// As [`lines`]; a line that cannot be parsed (100), with the original's message.
pub(super) fn rules(
    input: impl Read,
    reading: &[u8],
    mut each: impl FnMut(u64, &[u8], &Rule<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut room = Vec::new();
    lines(input, reading, |number, line| {
        match read(line, &mut room, |rule| each(number, line, rule)) {
            Ok(outcome) => outcome.unwrap_or(Ok(())),
            Err(fault) => Err(unparsable(line, number, &fault)),
        }
    })
}

/// What is said of a line that cannot be parsed: the original's line, which ends at a NUL, and where and why.
pub(super) fn unparsable(line: &[u8], number: u64, fault: &Fault) -> Error {
    let text = trim(line).split(|&byte| byte == 0).next();
    let text = text.unwrap_or_default();
    let Fault { column, expected } = fault;
    let place = format!("line {number}, column {column}: expected {expected}");
    Error::permanent([b"unable to parse this line: ", text].concat(), place)
}
