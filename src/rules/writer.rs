//! Writing the file of compiled rules; the format is told in [`store`](super::store).
//!
//! The bytes are the original's: tables behind the records, each twice as long as it has entries, which go in in the order
//! in which they were added, each into the first free slot from its own place on. Nothing is allocated for a record; what
//! is kept of it is its slot.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::store::{HEADER_BYTES, Hashed, SLOT_BYTES};

/// A slot as it is in the file; an entry of the header is as long.
type Slot = [u8; 8];

/// A database that is being written.
pub(super) struct Writer {
    file: File,
    /// What is to be written next, at the end of the file.
    out: Vec<u8>,
    /// Where the next record goes, in bytes.
    position: u32,
    /// The size of the file when all tables are written too, in bytes.
    size: u64,
    /// For each table its entries (hash, position), in the order in which they came.
    entries: Box<[Vec<(u32, u32)>]>,
}

/// Two numbers as they are in the file. They are put together in a register: of two halves just written to memory, no
/// processor reads the whole without waiting.
fn slot(first: u32, second: u32) -> Slot {
    (u64::from(second) << 32 | u64::from(first)).to_le_bytes()
}

/// How much is gathered for one write, in bytes.
const WRITE_BYTES: usize = 128 * 1024;
/// How many tables there are: as many as the last byte of a hash has values.
const TABLES: usize = 256;

impl Writer {
    /// Starts a database in the empty `file`.
    ///
    /// # Errors
    /// The file cannot be written or has no positions.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let mut writer = Self {
            file,
            out: Vec::with_capacity(WRITE_BYTES),
            position: 0,
            size: HEADER_BYTES,
            entries: vec![Vec::new(); TABLES].into(),
        };
        // The header comes last. Until then a reader finds an empty one.
        writer.put(&[0; TABLES * size_of::<Slot>()])?;
        Ok(writer)
    }

    /// Adds a record. Equal keys are all stored; the first is the one that is found.
    ///
    /// # Errors
    /// The file cannot be written, or would pass 4 GiB (ENOMEM, as the original says).
    pub(super) fn add(&mut self, key: Hashed<'_>, data: &[u8]) -> io::Result<()> {
        let Hashed { bytes: key, hash } = key;
        // Lengths, key, data, and two slots in a table.
        self.size += 8 + key.len() as u64 + data.len() as u64 + 2 * SLOT_BYTES;
        let (Ok(key_bytes), Ok(data_bytes), Ok(_)) = (
            u32::try_from(key.len()),
            u32::try_from(data.len()),
            u32::try_from(self.size),
        ) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        self.entries[hash as usize % TABLES].push((hash, self.position));
        self.put(&slot(key_bytes, data_bytes))?;
        self.put(key)?;
        self.put(data)
    }

    /// Writes the tables and the header, and waits until the file is on disk.
    ///
    /// # Errors
    /// The file cannot be written whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut header = Vec::with_capacity(TABLES * size_of::<Slot>());
        for entries in std::mem::take(&mut self.entries) {
            let slots = u32::try_from(2 * entries.len()).unwrap_or(u32::MAX);
            header.extend(slot(self.position, slots));
            if self.out.len() >= WRITE_BYTES {
                self.flush()?;
            }
            let start = self.out.len();
            self.out
                .resize(start + 2 * size_of::<Slot>() * entries.len(), 0);
            let table = &mut self.out[start..];
            fill(table.as_chunks_mut().0, &entries);
            self.position = self
                .position
                .wrapping_add(u32::try_from(table.len()).unwrap_or(0));
        }
        self.flush()?;
        self.file.write_all_at(&header, 0)?;
        self.file.sync_all()
    }

    /// Puts `bytes` behind what is there.
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        // No more than 4 GiB in all: `add` has counted.
        self.position = self
            .position
            .wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
        if bytes.len() <= WRITE_BYTES - self.out.len() {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.put_over(bytes)
    }

    /// Puts `bytes` behind what is there, which leaves too little room for them: each write but the last is of whole pages.
    #[cold]
    fn put_over(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = WRITE_BYTES - self.out.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.out.extend_from_slice(now);
            bytes = later;
            if self.out.len() == WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

/// Makes the empty slots of `table`, two for each of `entries`, their hash table.
fn fill(table: &mut [Slot], entries: &[(u32, u32)]) {
    let slots = table.len();
    for &(hash, position) in entries {
        let mut at = (hash >> 8) as usize % slots;
        // There is one: half of them stay free.
        while table[at][4..] != [0; 4] {
            at += 1;
            if at == slots {
                at = 0;
            }
        }
        table[at] = slot(hash, position);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Record = (Vec<u8>, Vec<u8>);

    fn written(write: impl FnOnce(File)) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("ucspi-writer-{}", std::process::id()));
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        let mut file = options.open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        write(file.try_clone().unwrap());
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn by_us(records: &[Record]) -> Vec<u8> {
        written(|file| {
            let mut writer = Writer::new(file).unwrap();
            for (key, data) in records {
                writer.add(Hashed::new(key), data).unwrap();
            }
            writer.finish().unwrap();
        })
    }

    fn by_the_crate(records: &[Record]) -> Vec<u8> {
        written(|file| {
            let mut make = cdb::CDBMake::new(file).unwrap();
            for (key, data) in records {
                make.add(key, data).unwrap();
            }
            make.finish().unwrap();
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn file_is_the_one_that_the_cdb_crate_writes(
            // Few letters make equal keys, and several in one table.
            records in vec(("[ab]{0,6}|[0-9.]{0,80}", vec(any::<u8>(), 0..100)), 0..100),
            large in vec(any::<u8>(), WRITE_BYTES - 2..WRITE_BYTES + 2),
            place in any::<prop::sample::Index>(),
        ) {
            let mut records: Vec<Record> = records
                .into_iter()
                .map(|(key, data)| (key.into_bytes(), data))
                .collect();
            if !records.is_empty() {
                let at = place.index(records.len());
                records[at].1 = large;
            }
            prop_assert!(by_us(&records) == by_the_crate(&records));
        }
    }
}
