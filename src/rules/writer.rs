//! Writing the file of compiled rules; the format is told in [`store`](super::store). The container is the `cdb` crate's.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;

use super::store::{HEADER_BYTES, SLOT_BYTES};

/// A database that is being written.
pub(super) struct Writer {
    /// Never dropped: it would write what it holds, and a failed run leaves no more than the original does.
    make: ManuallyDrop<cdb::CDBMake>,
    /// The same file, to check and sync it at the end.
    file: File,
    /// The file's size when all records and tables are written, in bytes.
    size: u64,
}

impl Writer {
    /// Starts a database in the empty `file`.
    ///
    /// # Errors
    /// The file cannot be written or has no positions.
    pub(super) fn new(file: File) -> io::Result<Self> {
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
    pub(super) fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
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
    pub(super) fn finish(self) -> io::Result<()> {
        ManuallyDrop::into_inner(self.make).finish()?;
        self.file.sync_all()?;
        // The crate does not look at how much of a large record a write took.
        if self.file.metadata()?.len() != self.size {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}
