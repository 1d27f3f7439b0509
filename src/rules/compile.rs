//! A stream of rule lines to a file of records, and that file into place. Memory is bounded by the longest line and
//! eight bytes a record.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::line::{parse, trim};
use super::store::Writer;
use crate::cli::{During, Error};

/// The size of a read of rules.
const READ_BYTES: usize = 64 * 1024;

/// Compiles the rules in `input` into the file `tmp` and renames that to `cdb`. Whatever happens, `cdb` is the old file
/// or the new one, whole; after a failure `tmp` stays, for people to look at.
///
/// # Errors
/// A line that cannot be parsed (100); anything that the system says no to (111). The messages are the original's.
pub fn compile(input: impl Read, cdb: &[u8], tmp: &[u8]) -> Result<(), Error> {
    let (cdb_path, tmp_path) = (path(cdb), path(tmp));
    let create = [b"create ", tmp].concat();
    let write = [b"write to ", tmp].concat();
    let file = Writer::create(tmp_path).during(create)?;
    let mut writer = Writer::new(file).during(&write)?;
    records(BufReader::with_capacity(READ_BYTES, input), |key, data| {
        writer.add(key, data).during(&write)
    })?;
    writer.finish().during(&write)?;
    std::fs::rename(tmp_path, cdb_path).during([b"move ", tmp, b" to ", cdb].concat())?;
    sync_folder(cdb_path);
    Ok(())
}

/// Gives each record (key, data) of the rules in `input` to `store`.
fn records(
    mut input: impl BufRead,
    mut store: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line).during("read input")? == 0 {
            break;
        }
        let rule = parse(&line).map_err(|fault| {
            // The original prints the line up to a NUL.
            let text = trim(&line)
                .split(|&byte| byte == 0)
                .next()
                .unwrap_or_default();
            let place = format!(
                "line {number}, column {}: expected {}",
                fault.column, fault.expected
            );
            Error::permanent([b"unable to parse this line: ", text].concat(), place)
        })?;
        if let Some(rule) = rule {
            rule.keys(|key| store(key, &rule.data))?;
        }
    }
    Ok(())
}

/// Makes the rename last through a power cut. The new file is in place already, so a file system that cannot do this
/// makes no failure.
fn sync_folder(file: &Path) {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
