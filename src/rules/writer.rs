//! Writing the file of compiled rules; the format is told in [`store`](super::store).
//!
//! The bytes are the original's: tables behind the records, each twice as long as it has entries, which go in in the order
//! in which they were added, each into the first free slot from its own place on. Nothing is allocated for a record; what
//! is kept of it is its slot.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::store::{HEADER_BYTES, SLOT_BYTES, hash};

/// A slot as it is in the file; an entry of the header is as long.
type Slot = [u8; 8];

/// A database that is being written.
pub(super) struct Writer {
    file: File,
    /// Room for what is to be written next, at the end of the file, of which so much is used.
    out: Box<[u8]>,
    used: usize,
    /// Where the next record goes, in bytes.
    position: u32,
    /// The size of the file when all tables are written too, in bytes.
    size: u64,
    /// For each table its entries (hash, position), in the order in which they came.
    entries: Box<[Vec<(u32, u32)>]>,
}

/// How much is gathered for one write, in bytes.
const WRITE_BYTES: usize = 64 * 1024;
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
            out: vec![0; WRITE_BYTES].into(),
            used: 0,
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
    pub(super) fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        // Lengths, key, data, and two slots in a table.
        self.size += 8 + key.len() as u64 + data.len() as u64 + 2 * SLOT_BYTES;
        let (Ok(key_bytes), Ok(data_bytes), Ok(_)) = (
            u32::try_from(key.len()),
            u32::try_from(data.len()),
            u32::try_from(self.size),
        ) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let hash = hash(key);
        self.entries[hash as usize % TABLES].push((hash, self.position));
        let mut lengths = [0; 8];
        lengths[..4].copy_from_slice(&key_bytes.to_le_bytes());
        lengths[4..].copy_from_slice(&data_bytes.to_le_bytes());
        self.put(&lengths)?;
        self.put(key)?;
        self.put(data)
    }

    /// Writes the tables and the header, and waits until the file is on disk.
    ///
    /// # Errors
    /// The file cannot be written whole.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut header = Vec::with_capacity(TABLES * size_of::<Slot>());
        let mut table: Vec<Slot> = Vec::new();
        for entries in std::mem::take(&mut self.entries) {
            fill(&mut table, &entries);
            header.extend(self.position.to_le_bytes());
            header.extend(u32::try_from(table.len()).unwrap_or(u32::MAX).to_le_bytes());
            self.put(table.as_flattened())?;
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
        if bytes.len() > self.out.len() - self.used {
            self.flush()?;
            if bytes.len() > self.out.len() {
                return self.file.write_all(bytes);
            }
        }
        let end = self.used + bytes.len();
        self.out[self.used..end].copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let used = std::mem::take(&mut self.used);
        self.file.write_all(&self.out[..used])
    }
}

/// Makes `table` the hash table of `entries`.
fn fill(table: &mut Vec<Slot>, entries: &[(u32, u32)]) {
    let slots = 2 * entries.len();
    table.clear();
    table.resize(slots, Slot::default());
    for &(hash, position) in entries {
        let mut at = (hash >> 8) as usize % slots;
        // There is one: half of them stay free.
        while table[at][4..] != [0; 4] {
            at += 1;
            if at == slots {
                at = 0;
            }
        }
        table[at][..4].copy_from_slice(&hash.to_le_bytes());
        table[at][4..].copy_from_slice(&position.to_le_bytes());
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
                writer.add(key, data).unwrap();
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
