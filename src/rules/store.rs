//! The file that holds compiled rules, a constant database (cdb), and look-ups in it.
//!
//! Source: cdb(5) of the original, and its files. All numbers are little-endian 32-bit. 256 header entries (table
//! position, slot count), then records (key length, data length, key, data), then 256 hash tables of slots (hash, record
//! position; position 0 is a free slot).
//!
//! Reading is ours (docs/decisions.md): it reads the file in place, checks every bound, and a file that shrinks or
//! changes while it is read gives an error, not a signal. A small file is taken into memory whole, so that it cannot
//! change under a look-up; of a large one [`Reader::is_unchanged`] tells afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::hint::Hint;
use crate::sys::errno;
use crate::sys::file::{self, Version};

pub(super) const HEADER_BYTES: u64 = 2048;
pub(super) const SLOT_BYTES: u64 = 8;
/// The longest record, key and data together. tcprules writes none that is longer, and no program could be given it.
pub(super) const RECORD_BYTES_MAX: u64 = 1 << 20;
/// A file that is no larger is read into memory.
const SMALL_BYTES: u64 = 64 * 1024;
/// How many slots one read takes: others than the right one may stand before it.
const SLOTS_AT_ONCE: u32 = 32;
/// The same in memory, where the next ones are no system call away.
const SLOTS_IN_MEMORY: u32 = 4;
/// What one read takes of a record besides its lengths and its key: most instructions are no longer.
const DATA_AT_ONCE: usize = 120;
/// How many keys with the hash of the one that is looked for may stand before it. By chance there is one in a file of
/// 10^5 records.
const COLLISIONS_MAX: u32 = 1000;

/// A database that is open for look-ups.
#[derive(Debug)]
pub struct Reader {
    pub(super) file: File,
    /// All of a small file.
    pub(super) memory: Option<Box<[u8]>>,
    pub(super) header: Box<[u8; 2048]>,
    /// In bytes.
    pub(super) size: u64,
    version: Version,
    is_settled: bool,
    /// Which keys may be there.
    hint: Option<Hint>,
}

impl Reader {
    /// Opens the database `path`. Of a large file that is being changed, waits a moment for the end of that.
    ///
    /// # Errors
    /// The file cannot be opened or read; it is a directory (EISDIR) or too short to be a database (`UnexpectedEof`,
    /// `InvalidData`).
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_up_to(path, SMALL_BYTES)
    }

    /// The same, with all of the file in memory, whatever its size.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_whole(path: &Path) -> io::Result<Self> {
        let mut reader = Self::open_up_to(path, u64::MAX)?;
        reader.hint = reader.hint();
        Ok(reader)
    }

    /// Opens a file, of which no more than `in_memory` bytes are read into memory.
    fn open_up_to(path: &Path, in_memory: u64) -> io::Result<Self> {
        let file = file::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from_raw_os_error(errno::EISDIR));
        }
        let mut version = Version::of(&metadata);
        let mut is_settled = version.is_settled();
        if version.size() > SMALL_BYTES && !is_settled {
            version = file::settled(&file)?;
            is_settled = true;
        }
        let mut memory = None;
        if version.size() <= in_memory {
            let mut bytes = vec![0; usize::try_from(version.size()).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            memory = Some(bytes.into_boxed_slice());
        }
        let mut reader = Self {
            file,
            memory,
            header: Box::new([0; 2048]),
            size: version.size(),
            version,
            is_settled,
            hint: None,
        };
        let mut header = [0; 2048];
        reader.read_exact_at(&mut header, 0)?;
        *reader.header = header;
        Ok(reader)
    }

    /// Which keys may be there; `None` if some table is not.
    fn hint(&self) -> Option<Hint> {
        let tables = (0..256).map(|number| self.table(number));
        let slots: u64 = tables.clone().map(|(_, slots)| u64::from(slots)).sum();
        // No table is less than half empty, where a program of ours has made it.
        let mut hint = Hint::new(usize::try_from(slots / 2).ok()?);
        for (table, slots) in tables {
            let start = usize::try_from(table).ok()?;
            let length = usize::try_from(u64::from(slots) * SLOT_BYTES).ok()?;
            let table = self.memory.as_ref()?.get(start..)?.get(..length)?;
            for (hash, position) in table.as_chunks().0.iter().map(pair) {
                if position != 0 {
                    hint.add(hash);
                }
            }
        }
        Some(hint)
    }

    /// Which version of the file was opened.
    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Whether the file's times tell this version from every later one. Where they do not yet, the file may be opened
    /// again for the next look-up, but this one is as good.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether the open file still is what was opened: whether all that was found was read from one version of it.
    ///
    /// # Errors
    /// The system does not say.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(Version::of(&self.file.metadata()?) == self.version)
    }

    /// The data of the first record with `key`.
    ///
    /// # Errors
    /// The file is damaged where the search went (`InvalidData`), cannot be read, or ends too soon (`UnexpectedEof`).
    pub fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        if self.hint.as_ref().is_some_and(|hint| !hint.may_have(hash)) {
            return Ok(None);
        }
        let (table, slots) = self.table(hash & 0xff);
        if slots == 0 {
            return Ok(None);
        }
        if u64::from(table) + u64::from(slots) * SLOT_BYTES > self.size {
            return Err(damaged());
        }
        let start = (hash >> 8) % slots;
        let mut collisions = 0;
        let at_once = if self.memory.is_some() {
            SLOTS_IN_MEMORY
        } else {
            SLOTS_AT_ONCE
        };
        let mut read = [[0; 8]; SLOTS_AT_ONCE as usize];
        // Around the end of the table, as far as the first free slot.
        for (mut slot, end) in [(start, slots), (0, start)] {
            while slot < end {
                let count = at_once.min(end - slot);
                let read = &mut read[..count as usize];
                let at = u64::from(table) + u64::from(slot) * SLOT_BYTES;
                self.read_exact_at(read.as_flattened_mut(), at)?;
                for (slot_hash, position) in read.iter().map(pair) {
                    if position == 0 {
                        return Ok(None);
                    }
                    if slot_hash != hash {
                        continue;
                    }
                    if let Some(data) = self.record(u64::from(position), key)? {
                        return Ok(Some(data));
                    }
                    collisions += 1;
                    if collisions > COLLISIONS_MAX {
                        return Err(damaged());
                    }
                }
                slot += count;
            }
        }
        Ok(None)
    }

    /// Where the table `number` of 256 is, and how many slots it has.
    pub(super) fn table(&self, number: u32) -> (u32, u32) {
        self.header
            .as_chunks()
            .0
            .get(number as usize)
            .map_or((0, 0), pair)
    }

    /// The data of the record at `position`, if its key is `key`.
    fn record(&self, position: u64, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut read = vec![0; 8 + key.len() + DATA_AT_ONCE];
        let length = self.read_at(&mut read, position)?;
        read.truncate(length);
        let (lengths, rest) = read.split_first_chunk().ok_or_else(damaged)?;
        let (key_length, data_length) = pair(lengths);
        if key_length as usize != key.len() {
            return Ok(None);
        }
        // Before memory is asked for: a damaged length is no reason to ask for 4 GiB.
        let length = u64::from(key_length) + u64::from(data_length);
        if length > RECORD_BYTES_MAX || position + 8 + length > self.size {
            return Err(damaged());
        }
        // The key comes first: many slots may lead to one record, and not each of them may cost all of its data.
        let (found, known) = rest.split_at_checked(key.len()).ok_or_else(damaged)?;
        if found != key {
            return Ok(None);
        }
        let mut data = Vec::new();
        data.try_reserve_exact(data_length as usize)?;
        data.resize(data_length as usize, 0);
        let known = &known[..known.len().min(data.len())];
        let (start, more) = data.split_at_mut(known.len());
        start.copy_from_slice(known);
        let known_end = position + 8 + u64::from(key_length) + known.len() as u64;
        self.read_exact_at(more, known_end)?;
        Ok(Some(data))
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        match &self.memory {
            Some(bytes) => {
                let at = usize::try_from(position).map_err(|_| damaged())?;
                let part = bytes.get(at..).and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(part.ok_or_else(damaged)?);
                Ok(())
            }
            None => self.file.read_exact_at(buffer, position),
        }
    }

    /// Reads what there is from `position` on, at most a `buffer` full, and gives its length.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let there_is = self.size.saturating_sub(position);
        let length = usize::try_from(there_is).unwrap_or(usize::MAX);
        let length = length.min(buffer.len());
        self.read_exact_at(&mut buffer[..length], position)?;
        Ok(length)
    }
}

/// The file is no database, or not a whole one.
pub(super) fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

pub(super) fn pair(bytes: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *bytes;
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// A key and its hash, which who reads the key byte by byte has on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hashed<'key> {
    pub(super) bytes: &'key [u8],
    pub(super) hash: u32,
}

impl<'key> Hashed<'key> {
    pub(super) fn new(bytes: &'key [u8]) -> Self {
        let hash = hash(bytes);
        Self { bytes, hash }
    }
}

/// The hash of the cdb format.
fn hash(key: &[u8]) -> u32 {
    hash_on(HASH_START, key)
}

pub(super) const HASH_START: u32 = 5381;

/// The hash of what had the hash so far, followed by `bytes`.
pub(super) fn hash_on(so_far: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(so_far, |hash, &byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    })
}
