//! Descriptor 1, for programs that print many lines.

use super::{During, Error};
use crate::sys::fd;

/// Lines for descriptor 1, which are written many at once.
#[derive(Debug, Default)]
pub struct Output(Vec<u8>);

/// How many bytes are kept before they are written.
const KEPT: usize = 64 * 1024;

impl Output {
    /// Adds a line, which has its line feed.
    ///
    /// # Errors
    /// It cannot be written (111).
    pub fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.0.extend_from_slice(line);
        if self.0.len() < KEPT {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn flush(&mut self) -> Result<(), Error> {
        fd::write_all(fd::STDOUT, &self.0).during("write output")?;
        self.0.clear();
        Ok(())
    }
}
