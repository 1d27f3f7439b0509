//! Files and byte strings in words: hash, hex dump, listing of a directory.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// `600000 bytes, fnv1a 0123456789abcdef`.
pub(crate) fn summary(bytes: &[u8]) -> String {
    format!("{} bytes, fnv1a {:016x}", bytes.len(), fnv1a(bytes))
}

/// The 64-bit FNV-1a hash: enough to see a change, and ten lines less than a crate.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Sixteen bytes a line; a run of equal lines is one line and a star.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut last: Option<&[u8]> = None;
    let mut starred = false;
    for (index, line) in bytes.chunks(16).enumerate() {
        if last == Some(line) {
            if !starred {
                text.push_str("*\n");
            }
            starred = true;
            continue;
        }
        last = Some(line);
        starred = false;
        let hex: Vec<String> = line
            .chunks(2)
            .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect())
            .collect();
        let ascii: String = line
            .iter()
            .map(|b| {
                if (b' '..=b'~').contains(b) {
                    char::from(*b)
                } else {
                    '.'
                }
            })
            .collect();
        writeln!(text, "{:04x}  {:39}  {ascii}", index * 16, hex.join(" "))
            .expect("a String takes all text");
    }
    text
}

/// `rules.cdb: file 0644, 2048 bytes` for every entry, by name.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut lines: Vec<String> = fs::read_dir(dir)
        .expect("the scenario's directory is readable")
        .map(|entry| {
            let entry = entry.expect("the directory does not change while it is listed");
            let name = entry.file_name();
            describe(&entry.path(), &name.to_string_lossy())
        })
        .collect();
    lines.sort();
    lines
}

fn describe(path: &Path, name: &str) -> String {
    let meta = path.symlink_metadata().expect("the entry was just listed");
    let mode = meta.permissions().mode() & 0o7777;
    if meta.is_symlink() {
        let target = fs::read_link(path).expect("a symlink has a target");
        format!("{name}: link to {}", target.display())
    } else if meta.is_dir() {
        format!("{name}: directory {mode:04o}")
    } else {
        format!("{name}: file {mode:04o}, {} bytes", meta.len())
    }
}
