//! A scanner as plain data, for the next version of this program.

use super::{Frame, Length, Scanner, Start, State};
use crate::service::{Packer, Unpacker};

impl Scanner {
    /// What it has seen.
    pub(in crate::pool) fn pack(&self, to: &mut Packer) {
        let (kind, numbers): (u8, [u64; 4]) = match self.state {
            State::Lines(left) => (0, [left.into(), 0, 0, 0]),
            State::Line(start) => {
                let [first, second] = start.bytes.map(u64::from);
                (1, [first, second, start.length.into(), start.last.into()])
            }
            State::Digits(length) => (2, [length.value, length.digits.into(), 0, 0]),
            State::Length(digits, length) => (3, [digits.into(), length.into(), 0, 0]),
            State::Body(left, None) => (4, [left, 0, 0, 0]),
            State::Body(left, Some(last)) => (5, [left, last.into(), 0, 0]),
            State::Open => (6, [0; 4]),
        };
        to.number(self.taken);
        to.number(kind);
        numbers.into_iter().for_each(|number| to.number(number));
    }

    /// One that was packed, of a `frame` and a limit as [`Self::new`] takes them.
    pub(in crate::pool) fn unpack(
        from: &mut Unpacker<'_>,
        frame: Frame,
        limit: u64,
    ) -> Option<Self> {
        let mut scanner = Self::new(frame, limit);
        scanner.taken = from.number()?;
        let kind: u8 = from.number()?;
        let mut numbers = [0; 4];
        for number in &mut numbers {
            *number = from.number::<u64>()?;
        }
        let byte = |at: usize| u8::try_from(numbers[at]).ok();
        scanner.state = match kind {
            0 => State::Lines(numbers[0].try_into().ok()?),
            1 => State::Line(Start {
                bytes: [byte(0)?, byte(1)?],
                length: byte(2)?,
                last: byte(3)?,
            }),
            2 => State::Digits(Length {
                value: numbers[0],
                digits: byte(1)?,
            }),
            3 => State::Length(byte(0)?, numbers[1].try_into().ok()?),
            4 => State::Body(numbers[0], None),
            5 => State::Body(numbers[0], Some(byte(1)?)),
            _ => State::Open,
        };
        Some(scanner)
    }
}
