//! A stream of rule lines to a file of records, and that file into place. Memory is bounded by the longest line and
//! eight bytes a record.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::line::{Fault, Remark, Rule};
use super::set::{Set, Sets};
use super::store::{Hashed, RECORD_BYTES_MAX};
use super::text::{rules, unparsable};
use super::writer::Writer;
use crate::cli::{During, Error};
use crate::sys::file::{Version, open_or_create, try_lock};

/// For how long another tcprules may be at the temporary file.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether it still is.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Compiles the rules in `input`, which may name `sets`, into the file `tmp` and renames that to `cdb`. Whatever happens, `cdb` is the old file
/// or the new one, whole; after a failure `tmp` stays, for people to look at. `warn` is told of lines that are not taken
/// as they stand.
///
/// # Errors
/// A line of them, or of a set, that cannot be parsed (100); anything that the system says no to (111). The messages are the original's.
pub fn compile(
    input: impl Read,
    sets: &Sets,
    cdb: &[u8],
    tmp: &[u8],
    warn: impl FnMut(&str),
) -> Result<(), Error> {
    let (cdb_path, tmp_path) = (path(cdb), path(tmp));
    let write = [b"write to ", tmp].concat();
    let file = ours_alone(tmp_path, tmp)?;
    let mut writer = Writer::new(file).during(&write)?;
    records(input, sets, warn, |key, data| {
        writer.add(key, data).during(&write)
    })?;
    writer.finish().during(&write)?;
    std::fs::rename(tmp_path, cdb_path).during([b"move ", tmp, b" to ", cdb].concat())?;
    sync_folder(cdb_path);
    Ok(())
}

/// The file `path`, called `name` in messages: empty, and locked against every other tcprules, which waits for us as we
/// wait for it. Two of them in one file would make a file that is neither's, and one could write to what the other has
/// put into place.
fn ours_alone(path: &Path, name: &[u8]) -> Result<File, Error> {
    let create = [b"create ", name].concat();
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        let file = open_or_create(path).during(&create)?;
        let metadata = file.metadata().during(&create)?;
        if !metadata.is_file() {
            return Ok(file);
        }
        // Another one that has ended has renamed the file: then it is not the temporary one any more.
        if try_lock(&file) && leads_to(path, &file).during(&create)? {
            file.set_len(0).during([b"write to ", name].concat())?;
            return Ok(file);
        }
        if Instant::now() >= deadline {
            let busy = Err(io::ErrorKind::TimedOut.into());
            return busy.during([b"lock ", name].concat());
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Whether `path` is the name of `file`.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Version::of(&metadata) == Version::of(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives each record (key, data) of the rules in `input` to `store`.
fn records(
    input: impl Read,
    sets: &Sets,
    warn: impl FnMut(&str),
    mut store: impl FnMut(Hashed<'_>, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut warnings = Warnings {
        warn,
        told: Vec::new(),
    };
    rules(input, b"read input", |number, line, rule| {
        warnings.of(number, line, rule);
        let remark = |set: &Set, number: u64, network| {
            let file = String::from_utf8_lossy(&set.file);
            (warnings.warn)(&format!("{file}, line {number} is taken for {network}"));
        };
        sets.keys(rule, remark, |key| {
            if key.bytes.len() as u64 + rule.data.len() as u64 > RECORD_BYTES_MAX {
                let expected = format!("no more than {RECORD_BYTES_MAX} bytes in a record");
                return Err(unparsable(line, number, &Fault::at(0, expected)));
            }
            store(key, &rule.data)
        })
    })?;
    for set in sets.idle() {
        let name = String::from_utf8_lossy(&set.name);
        (warnings.warn)(&format!("no rule names the set {name}"));
    }
    Ok(())
}

/// What is said of lines that are not taken as they stand.
struct Warnings<F> {
    warn: F,
    /// The variables that were told of: rules that set one do so in thousands.
    told: Vec<&'static str>,
}

impl<F: FnMut(&str)> Warnings<F> {
    /// Tells of `rule`, which is in the line `number`.
    fn of(&mut self, number: u64, line: &[u8], rule: &Rule<'_>) {
        for remark in &rule.remarks {
            let text = match remark {
                Remark::HostBits(network) => {
                    // A prefix is text without any odd byte.
                    let written = line.split(|&byte| byte == b'/').next().unwrap_or_default();
                    let written = String::from_utf8_lossy(written);
                    let length = network.prefix_len();
                    format!("column 1: {written}/{length} is taken for {network}")
                }
                Remark::NoLimit(_, name) if self.told.contains(name) => continue,
                Remark::NoLimit(column, name) => {
                    self.told.push(name);
                    format!("column {column}: {name} limits nothing without --rule-limits")
                }
            };
            (self.warn)(&format!("line {number}, {text}"));
        }
    }
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
