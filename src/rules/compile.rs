//! A stream of rule lines to a file of records, and that file into place. Memory is bounded by the longest line and
//! eight bytes a record.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memchr::memchr_iter;

use super::line::{Fault, parse, trim};
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
    records(input, |key, data| writer.add(key, data).during(&write))?;
    writer.finish().during(&write)?;
    std::fs::rename(tmp_path, cdb_path).during([b"move ", tmp, b" to ", cdb].concat())?;
    sync_folder(cdb_path);
    Ok(())
}

/// Gives each record (key, data) of the rules in `input` to `store`.
fn records(
    mut input: impl Read,
    mut store: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut number = 0_u64;
    let mut each = |line: &[u8]| {
        number += 1;
        let rule = parse(line).map_err(|fault| unparsable(line, number, &fault))?;
        rule.map_or(Ok(()), |rule| rule.keys(|key| store(key, &rule.data)))
    };
    // What was read, of which the lines before `start` are done.
    let mut text = vec![0; READ_BYTES];
    let (mut start, mut end) = (0, 0);
    loop {
        if end == text.len() {
            // The rest of a line goes to the front; a line that fills all gets more room.
            text.copy_within(start.., 0);
            end -= start;
            start = 0;
            if end > text.len() / 2 {
                text.resize(2 * text.len(), 0);
            }
        }
        let length = input.read(&mut text[end..]).during("read input")?;
        if length == 0 {
            break;
        }
        let read = end;
        end += length;
        for line_feed in memchr_iter(b'\n', &text[read..end]) {
            let next = read + line_feed + 1;
            each(&text[start..next])?;
            start = next;
        }
    }
    // The last line may lack its line feed.
    if start < end {
        each(&text[start..end])
    } else {
        Ok(())
    }
}

/// What is said of a line that cannot be parsed: the original's line, which ends at a NUL, and where and why.
fn unparsable(line: &[u8], number: u64, fault: &Fault) -> Error {
    let text = trim(line).split(|&byte| byte == 0).next();
    let text = text.unwrap_or_default();
    let Fault { column, expected } = fault;
    let place = format!("line {number}, column {column}: expected {expected}");
    Error::permanent([b"unable to parse this line: ", text].concat(), place)
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
