//! From descriptor 0 to descriptor 1, changed on the way. All that was read is written before more is read, so a filter
//! may stand in a dialogue.

use crate::cli::{Error, FAILED};
use crate::sys::fd;

/// The size of a read.
const READ_BYTES: usize = 128 * 1024;

/// Passes descriptor 0 through `change` to descriptor 1; `finish` gives what comes last.
///
/// # Errors
/// Reading or writing failed: 111, without a word, as the original.
pub fn stream(
    mut change: impl FnMut(&[u8], &mut Vec<u8>),
    finish: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let mut out = Vec::with_capacity(2 * READ_BYTES);
    while fd::read_behind(fd::STDIN, &mut bytes, READ_BYTES).map_err(|_| Error::silent(FAILED))? > 0
    {
        change(&bytes, &mut out);
        write(&mut out)?;
        bytes.clear();
    }
    finish(&mut out);
    write(&mut out)
}

fn write(out: &mut Vec<u8>) -> Result<(), Error> {
    fd::write_all(fd::STDOUT, out).map_err(|_| Error::silent(FAILED))?;
    out.clear();
    Ok(())
}
