//! The look through a whole database: is all of it what a writer makes?
//!
//! A file has no check sum, but its records and its hash tables say the same thing twice: every record must be where a
//! slot leads that a look-up of its key comes past, and no slot may lead to anything else. How large a table is, and in
//! which order they stand, is the writer's own affair: that of D. J. Bernstein makes them twice as large as their
//! entries, and others round that up, or make all of the same size.
//!
//! The work is bounded by what is stored, not by what lengths and counts promise: a file with holes in it, which take no
//! room on a disk, costs no more than a whole one.

use std::io::{self, BufRead, BufReader, Cursor, Seek, SeekFrom};

use super::keys::Lengths;
use super::store::{
    HASH_START, HEADER_BYTES, RECORD_BYTES_MAX, Reader, SLOT_BYTES, damaged, hash_on, pair,
};

/// The size of a read.
const SCAN_BYTES: usize = 64 * 1024;
/// How many slots a file may have, whatever its records.
const SLOTS_FREE: u64 = 1 << 20;
/// How many slots a file may have for each record.
const SLOTS_OF_A_RECORD: u64 = 16;
/// How many records in a row may be without key and data: a hole looks like them.
const EMPTY_IN_A_ROW_MAX: u32 = 4096;

impl Reader {
    /// Looks through the whole file, once: is every record where the hash tables lead, and do they lead to nothing else?
    /// Which lengths have the CIDR prefixes that are stored?
    ///
    /// # Errors
    /// The file is damaged (`InvalidData`), cannot be read, or ends too soon (`UnexpectedEof`).
    pub fn inspect(&self) -> io::Result<Lengths> {
        match &self.memory {
            Some(bytes) => self.look_through(Cursor::new(bytes)),
            None => self.look_through(BufReader::with_capacity(SCAN_BYTES, &self.file)),
        }
    }

    /// Calls `each` with the key and the data of every record, in the order in which they were written; of equal keys the
    /// first is the one that is found. Looks through the file before.
    ///
    /// # Errors
    /// As [`Self::inspect`]; the first error of `each`.
    pub(super) fn records(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.inspect()?;
        let mut file: Box<dyn BufRead + '_> = match &self.memory {
            Some(bytes) => Box::new(&bytes[..]),
            None => {
                let mut file = &self.file;
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(SCAN_BYTES, file))
            }
        };
        file.read_exact(&mut [0; 2048])?;
        let end = self.records_end();
        let (mut record, mut at) = (Vec::new(), HEADER_BYTES);
        while at < end {
            let mut head = [0; 8];
            file.read_exact(&mut head)?;
            let (key, data) = pair(&head);
            let length = u64::from(key) + u64::from(data);
            // It was looked at, and may have changed since.
            if length > RECORD_BYTES_MAX {
                return Err(damaged());
            }
            record.resize(key as usize + data as usize, 0);
            file.read_exact(&mut record)?;
            let (key, data) = record.split_at(key as usize);
            if !(key.is_empty() && data.first() == Some(&0)) {
                each(key, data)?;
            }
            at += 8 + length;
        }
        Ok(())
    }

    /// Where the records end: before the first table.
    fn records_end(&self) -> u64 {
        let tables = (0..256).map(|number| self.table(number));
        let in_use = tables.filter(|(_, slots)| *slots > 0);
        in_use.map(|(at, _)| at.into()).min().unwrap_or(self.size)
    }

    fn look_through(&self, mut file: impl BufRead + Seek) -> io::Result<Lengths> {
        let tables: Vec<Table> = (0..256).map(|number| Table::of(self, number)).collect();
        // A header of nothing but zeros is what a power cut leaves; writers give also empty tables a place.
        if tables.iter().all(|table| table.position == 0) {
            return Err(damaged());
        }
        let in_use = || tables.iter().filter(|table| table.slots > 0);
        let end = self.records_end();
        // From here on, an end of file is no damage: the file is cut while it is read, or a read gave less than there is.
        if end > self.size || in_use().any(|table| table.end() > self.size) {
            return Err(damaged());
        }
        let mut lengths = Lengths::NONE;
        let records = records(&mut file, end, &mut lengths)?;
        let slots: u64 = in_use().map(|table| u64::from(table.slots)).sum();
        if slots > SLOTS_FREE.max(SLOTS_OF_A_RECORD * records.count) {
            return Err(damaged());
        }
        let mut ways = 0_u64;
        let mut at = end;
        for table in in_use() {
            // Relative: most tables follow each other, and what was read ahead is kept.
            file.seek_relative(i64::from(table.position) - at.cast_signed())?;
            ways = ways.wrapping_add(table.ways(&mut file)?);
            at = table.end();
        }
        if ways == records.ways {
            Ok(lengths)
        } else {
            Err(damaged())
        }
    }
}

/// What all records of a file add up to.
struct Records {
    count: u64,
    /// The sum of the ways that must lead to them.
    ways: u64,
}

/// Passes over all records, which stand between the header and `end`.
fn records(
    file: &mut (impl BufRead + Seek),
    end: u64,
    lengths: &mut Lengths,
) -> io::Result<Records> {
    file.seek(SeekFrom::Start(HEADER_BYTES))?;
    let mut records = Records { count: 0, ways: 0 };
    let mut empty_in_a_row = 0;
    let mut at = HEADER_BYTES;
    while at < end {
        let mut head = [0; 8];
        if at + 8 > end {
            return Err(damaged());
        }
        file.read_exact(&mut head)?;
        let (key_length, data_length) = pair(&head);
        let length = u64::from(key_length) + u64::from(data_length);
        empty_in_a_row = if length == 0 { empty_in_a_row + 1 } else { 0 };
        let is_within = length <= RECORD_BYTES_MAX && at + 8 + length <= end;
        if !is_within || empty_in_a_row > EMPTY_IN_A_ROW_MAX {
            return Err(damaged());
        }
        let mut hash = HASH_START;
        let mut left = key_length as usize;
        let mut kind = None;
        while left > 0 {
            let bytes = file.fill_buf()?;
            let bytes = &bytes[..bytes.len().min(left)];
            kind = kind.or(bytes.first().copied());
            hash = hash_on(hash, bytes);
            let read = bytes.len();
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
            file.consume(read);
        }
        if let Some(kind) = kind {
            lengths.note(kind, key_length as usize);
        }
        if !is_filler(file, key_length, data_length)? {
            records.count += 1;
            records.ways = records.ways.wrapping_add(way(hash, at));
        }
        file.seek_relative(data_length.into())?;
        at += 8 + length;
    }
    if at == end {
        Ok(records)
    } else {
        Err(damaged())
    }
}

/// Whether the record whose data begins here is one that tinycdb has taken out: no key, and zeros for all that was there.
/// No slot leads to such, and no instruction begins with a NUL.
fn is_filler(file: &mut impl BufRead, key_length: u32, data_length: u32) -> io::Result<bool> {
    Ok(key_length == 0 && data_length > 0 && file.fill_buf()?.first() == Some(&0))
}

/// One of the 256 hash tables.
struct Table {
    number: u32,
    position: u32,
    slots: u32,
}

impl Table {
    fn of(reader: &Reader, number: u32) -> Self {
        let (position, slots) = reader.table(number);
        Self {
            number,
            position,
            slots,
        }
    }

    /// Where it ends in the file.
    fn end(&self) -> u64 {
        u64::from(self.position) + u64::from(self.slots) * SLOT_BYTES
    }

    /// Passes over the table, which begins here in `file`, and adds up the ways to records; each must be one that a
    /// look-up can go.
    fn ways(&self, file: &mut impl BufRead) -> io::Result<u64> {
        let mut ways = 0_u64;
        // How many taken slots in a row stand before this one, and whether no free one stands before those.
        let mut run = 0;
        let mut is_first_run = true;
        // The longest run at the end that the slots of the first run are in need of: a look-up goes around.
        let mut needed = 0;
        let mut block = [[0; 8]; 512];
        let mut slot = 0;
        while slot < self.slots {
            let block = &mut block[..(self.slots - slot).min(512) as usize];
            file.read_exact(block.as_flattened_mut())?;
            for (hash, record) in block.iter().map(pair) {
                if record == 0 {
                    run = 0;
                    is_first_run = false;
                } else {
                    // From where the search for this hash begins.
                    let start = (hash >> 8) % self.slots;
                    let steps = if slot >= start {
                        slot - start
                    } else {
                        self.slots - start + slot
                    };
                    if hash & 0xff != self.number || steps > run && !is_first_run {
                        return Err(damaged());
                    }
                    needed = needed.max(steps.saturating_sub(run));
                    run += 1;
                    ways = ways.wrapping_add(way(hash, record.into()));
                }
                slot += 1;
            }
        }
        if is_first_run || run >= needed {
            Ok(ways)
        } else {
            Err(damaged())
        }
    }
}

/// A number for the fact that `hash` leads to the record at `position`: a sum of such is the same in any order.
fn way(hash: u32, position: u64) -> u64 {
    let mixed = (u64::from(hash) << 32 | position).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
