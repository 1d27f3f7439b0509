//! Data as bytes, for the next version of this program: numbers and byte strings, one after the other.
//!
//! | what | bytes |
//! |---|---|
//! | a number | 8, the least significant first |
//! | a byte string, a text | its length as a number, then itself |
//! | something that may be missing | the number 0, or the number 1 and the thing |
//! | a list | the number of things, then each |

use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Takes data.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        self.0.extend(number.into().to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(crate) fn text(&mut self, text: impl Display) {
        self.bytes(text.to_string().as_bytes());
    }

    pub(crate) fn maybe<T>(&mut self, thing: Option<T>, pack: impl FnOnce(&mut Self, T)) {
        self.number(thing.is_some());
        if let Some(thing) = thing {
            pack(self, thing);
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        things: impl ExactSizeIterator<Item = T>,
        mut pack: impl FnMut(&mut Self, T),
    ) {
        self.number(things.len() as u64);
        for thing in things {
            pack(self, thing);
        }
    }

    /// To the nanosecond, and at most 584 years.
    pub(crate) fn duration(&mut self, time: Duration) {
        self.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How long ago it was.
    pub(crate) fn past(&mut self, moment: Instant) {
        self.duration(moment.elapsed());
    }

    /// How far it is from `now`, before or after.
    pub(crate) fn moment(&mut self, moment: Instant, now: Instant) {
        self.duration(now.saturating_duration_since(moment));
        self.duration(moment.saturating_duration_since(now));
    }

    /// All that it has taken.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Gives data back, in the same order; nothing where there is none of that kind.
#[derive(Debug)]
pub(crate) struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        u64::from_le_bytes(*number).try_into().ok()
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn text<T: FromStr>(&mut self) -> Option<T> {
        std::str::from_utf8(self.bytes()?).ok()?.parse().ok()
    }

    pub(crate) fn maybe<T>(
        &mut self,
        unpack: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.number::<u8>()? {
            0 => Some(None),
            _ => unpack(self).map(Some),
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        mut unpack: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.number::<usize>()?;
        (0..count).map(|_| unpack(self)).collect()
    }

    pub(crate) fn duration(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_nanos)
    }

    /// A moment that was packed just now; this one, when the clock does not go back so far.
    pub(crate) fn past(&mut self) -> Option<Instant> {
        let now = Instant::now();
        Some(now.checked_sub(self.duration()?).unwrap_or(now))
    }

    /// A moment that was packed when it was `now`.
    pub(crate) fn moment(&mut self, now: Instant) -> Option<Instant> {
        let (before, after) = (self.duration()?, self.duration()?);
        now.checked_sub(before).unwrap_or(now).checked_add(after)
    }

    /// True when it is not 0.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        self.number::<u8>().map(|number| number != 0)
    }

    /// True when nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Packer, Unpacker};

    type Thing = (u64, Vec<u8>, Option<u32>, Vec<String>);

    fn pack((number, bytes, maybe, list): &Thing) -> Vec<u8> {
        let mut packer = Packer::default();
        packer.number(*number);
        packer.bytes(bytes);
        packer.maybe(*maybe, Packer::number);
        packer.list(list.iter(), Packer::text);
        packer.duration(Duration::from_nanos(*number));
        packer.done()
    }

    fn unpack(bytes: &[u8]) -> Option<Thing> {
        let mut from = Unpacker::new(bytes);
        let thing = (
            from.number()?,
            from.bytes()?.to_vec(),
            from.maybe(Unpacker::number)?,
            from.list(Unpacker::text)?,
        );
        let is_same = from.duration()? == Duration::from_nanos(thing.0);
        (is_same && from.is_done()).then_some(thing)
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_whole_or_not_at_all(thing in any::<Thing>()) {
            let bytes = pack(&thing);
            prop_assert_eq!(unpack(&bytes), Some(thing));
            for cut in 0..bytes.len() {
                prop_assert_eq!(unpack(&bytes[..cut]), None);
            }
        }

        #[test]
        fn bytes_of_others_do_no_harm(bytes in any::<Vec<u8>>()) {
            let _ = unpack(&bytes);
        }
    }
}
