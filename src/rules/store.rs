//! The file that holds compiled rules: a constant database (cdb).
//!
//! Source: cdb(5) of the original, and its files. All numbers are little-endian 32-bit. 256 header entries (table
//! position, slot count), then records (key length, data length, key, data), then 256 hash tables of slots (hash, record
//! position; position 0 is a free slot).
//!
//! Writing is the `cdb` crate's. Reading is ours (docs/decisions.md): it reads the file in place, checks every bound,
//! and a file that shrinks or changes while it is read gives an error, not a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::keys::Lengths;

const HEADER_BYTES: u64 = 2048;
const SLOT_BYTES: u64 = 8;
/// The size of a read when all records are passed over.
const SCAN_BYTES: usize = 64 * 1024;

/// A database that is being written.
pub struct Writer {
    /// Never dropped: it would write what it holds, and a failed run leaves no more than the original does.
    make: ManuallyDrop<cdb::CDBMake>,
    /// The same file, to check and sync it at the end.
    file: File,
    /// The file's size when all records and tables are written, in bytes.
    size: u64,
}

impl Writer {
    /// Starts a database in the file `path`, which is created (mode 0644 less the umask) or emptied.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            // As the original: a fifo without a reader fails at once.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
    }

    /// Starts a database in the empty `file`.
    ///
    /// # Errors
    /// The file cannot be written or has no positions.
    pub fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            make: ManuallyDrop::new(cdb::CDBMake::new(file.try_clone()?)?),
            file,
            size: HEADER_BYTES,
        })
    }

    /// Adds a record. Equal keys are all stored; the first is the one that is found.
    ///
    /// # Errors
    /// The file cannot be written, or would pass 4 GiB (ENOMEM, as the original says).
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        // Lengths, key, data, and two slots in a table.
        let length = 8 + key.len() as u64 + data.len() as u64 + 2 * SLOT_BYTES;
        self.size += length;
        if self.size > u64::from(u32::MAX) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.make.add(key, data)
    }

    /// Writes the tables and the header, and waits until the file is on disk.
    ///
    /// # Errors
    /// The file cannot be written whole.
    pub fn finish(self) -> io::Result<()> {
        ManuallyDrop::into_inner(self.make).finish()?;
        self.file.sync_all()?;
        // The crate does not look at how much of a large record a write took.
        if self.file.metadata()?.len() != self.size {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}

/// A database that is open for look-ups.
#[derive(Debug)]
pub struct Reader {
    file: File,
    header: Box<[u8; 2048]>,
    size: u64,
}

impl Reader {
    /// Opens the database `path`.
    ///
    /// # Errors
    /// The file cannot be opened or read; it is a directory (EISDIR) or too short to be a database (`InvalidData`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let mut header = Box::new([0; 2048]);
        file.read_exact_at(&mut header[..], 0).map_err(broken)?;
        Ok(Self {
            file,
            header,
            size: metadata.size(),
        })
    }

    /// Which lengths the CIDR prefixes have that are stored. Passes over the whole file once, so it also finds out whether
    /// that is whole: every record must be where the hash tables lead, and they must lead to nothing else.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged (`InvalidData`).
    pub fn lengths(&self) -> io::Result<Lengths> {
        let mut lengths = Lengths::NONE;
        let records = self.records(&mut lengths)?;
        if self.tables(&records.counts)? == records.ways {
            Ok(lengths)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Passes over all records, which stand between the header and the first table.
    fn records(&self, lengths: &mut Lengths) -> io::Result<Records> {
        let tables = self.header.as_chunks().0.iter().map(|entry| pair(entry).0);
        let end = u64::from(tables.min().unwrap_or(0));
        let mut file = BufReader::with_capacity(SCAN_BYTES, &self.file);
        file.seek(SeekFrom::Start(HEADER_BYTES))?;
        let mut records = Records {
            counts: [0; 256],
            ways: 0,
        };
        let mut at = HEADER_BYTES;
        while at < end {
            let mut head = [0; 8];
            file.read_exact(&mut head).map_err(broken)?;
            let (key_length, data_length) = pair(&head);
            let mut key = (&mut file).take(key_length.into());
            let mut hash = HASH_START;
            let mut kind = None;
            while let bytes @ [first, ..] = key.fill_buf()? {
                kind = kind.or(Some(*first));
                hash = hash_on(hash, bytes);
                let length = bytes.len();
                key.consume(length);
            }
            if let Some(kind) = kind {
                lengths.note(kind, key_length as usize);
            }
            records.counts[(hash & 0xff) as usize] += 1;
            records.ways = records.ways.wrapping_add(way(hash, at));
            file.seek_relative(i64::from(data_length))?;
            at += 8 + u64::from(key_length) + u64::from(data_length);
        }
        if at == end && end <= self.size {
            Ok(records)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Passes over all tables, with so many records each, and adds up the ways to records; each must be one that a look-up
    /// can go.
    fn tables(&self, counts: &[u32; 256]) -> io::Result<u64> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let mut ways = 0_u64;
        for (number, &count) in (0_u32..).zip(counts) {
            let entry = number as usize * 8;
            let (position, slots) = pair(self.header[entry..].first_chunk().unwrap_or(&[0; 8]));
            if u64::from(slots) != 2 * u64::from(count) {
                return Err(damaged());
            }
            let mut table = vec![0; slots as usize * 8];
            self.file
                .read_exact_at(&mut table, position.into())
                .map_err(broken)?;
            let table: Vec<_> = table.as_chunks().0.iter().map(pair).collect();
            // The run of taken slots that ends before the first one goes around the end.
            let mut run = table
                .iter()
                .rev()
                .take_while(|(_, record)| *record != 0)
                .count();
            for (slot, &(hash, record)) in table.iter().enumerate() {
                if record == 0 {
                    run = 0;
                    continue;
                }
                run += 1;
                let start = ((hash >> 8) % slots) as usize;
                let steps = (slot + table.len() - start) % table.len();
                if hash & 0xff != number || steps >= run {
                    return Err(damaged());
                }
                ways = ways.wrapping_add(way(hash, record.into()));
            }
        }
        Ok(ways)
    }

    /// The data of the first record with `key`.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged where the search went (`InvalidData`).
    pub fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        let entry = (hash & 0xff) as usize * 8;
        let (table, slots) = pair(self.header[entry..].first_chunk().unwrap_or(&[0; 8]));
        if slots == 0 {
            return Ok(None);
        }
        if u64::from(table) + u64::from(slots) * SLOT_BYTES > self.size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let start = (hash >> 8) % slots;
        for slot in (start..slots).chain(0..start) {
            let (slot_hash, position) =
                self.pair_at(u64::from(table) + u64::from(slot) * SLOT_BYTES)?;
            if position == 0 {
                return Ok(None);
            }
            if slot_hash == hash
                && let Some(data) = self.record(u64::from(position), key)?
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The data of the record at `position`, if its key is `key`.
    fn record(&self, position: u64, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let (key_length, data_length) = self.pair_at(position)?;
        if key_length as usize != key.len() {
            return Ok(None);
        }
        let (key_length, data_length) = (u64::from(key_length), u64::from(data_length));
        let start = position + 8;
        // Before memory is asked for: a damaged length is no reason to ask for 4 GiB.
        if start + key_length + data_length > self.size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The key comes first: many slots may lead to one record, and not each of them may cost all of its data.
        let mut found = vec![0; key.len()];
        self.file.read_exact_at(&mut found, start).map_err(broken)?;
        if found != key {
            return Ok(None);
        }
        let data_bytes = usize::try_from(data_length).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut data = vec![0; data_bytes];
        let data_start = start + key_length;
        self.file
            .read_exact_at(&mut data, data_start)
            .map_err(broken)?;
        Ok(Some(data))
    }

    fn pair_at(&self, position: u64) -> io::Result<(u32, u32)> {
        let mut bytes = [0; 8];
        self.file
            .read_exact_at(&mut bytes, position)
            .map_err(broken)?;
        Ok(pair(&bytes))
    }
}

/// An end of file where the database should go on is damage.
fn broken(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        io::ErrorKind::InvalidData.into()
    } else {
        error
    }
}

fn pair(bytes: &[u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *bytes;
    (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// What all records of a file add up to.
struct Records {
    /// How many belong to each table.
    counts: [u32; 256],
    /// The sum of the ways that must lead to them.
    ways: u64,
}

/// A number for the fact that `hash` leads to the record at `position`: a sum of such is the same in any order.
fn way(hash: u32, position: u64) -> u64 {
    let mixed = (u64::from(hash) << 32 | position).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The hash of the cdb format.
fn hash(key: &[u8]) -> u32 {
    hash_on(HASH_START, key)
}

const HASH_START: u32 = 5381;

/// The hash of what had the hash so far, followed by `bytes`.
fn hash_on(so_far: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(so_far, |hash, &byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    })
}
