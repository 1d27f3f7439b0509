//! What a program was started with, as seen by plain tools: they print it raw, this reads it.
//!
//! No shell stands between the program under test and the tool, because a shell changes dispositions and descriptors.

use std::collections::HashMap;

use nix::sys::signal::Signal;

/// The tool that shows signal dispositions and the signal mask.
pub(crate) const SIGNALS: [&str; 2] = ["cat", "/proc/self/status"];
/// The tool that shows user and group ids.
pub(crate) const IDS: [&str; 2] = SIGNALS;
/// The tool that shows open descriptors.
pub(crate) const DESCRIPTORS: [&str; 3] = ["ls", "-l", "/proc/self/fd"];

/// `/proc/self/status` as `blocked: CHLD` and `ignored: none`.
pub(crate) fn signals(status: &str) -> Vec<String> {
    [("SigBlk:", "blocked"), ("SigIgn:", "ignored")]
        .iter()
        .map(|(field, word)| {
            let hex = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .unwrap_or_default()
                .trim();
            let mask =
                u64::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("no {field} in {status:?}"));
            // Above 31 are real-time signals, of which the C library keeps some from everybody's reach.
            let names: Vec<String> = (1..=31_i32)
                .filter(|number| mask >> (number - 1) & 1 == 1)
                .map(name)
                .collect();
            format!(
                "{word}: {}",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(" ")
                }
            )
        })
        .collect()
}

/// `/proc/self/status` as `user ids: 1000 1000 1000 1000` and so on.
pub(crate) fn ids(status: &str) -> Vec<String> {
    [
        ("Uid:", "user ids"),
        ("Gid:", "group ids"),
        ("Groups:", "groups"),
    ]
    .iter()
    .map(|(field, word)| {
        let values = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap_or_default();
        let values: Vec<&str> = values.split_whitespace().collect();
        format!(
            "{word}: {}",
            if values.is_empty() {
                "none".to_owned()
            } else {
                values.join(" ")
            }
        )
    })
    .collect()
}

fn name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string())
}

/// `ls -l /proc/self/fd` as `0 read-write socket A`; the descriptor with which `ls` reads the directory is left out.
pub(crate) fn descriptors(listing: &str) -> Vec<String> {
    let mut letters = HashMap::new();
    let mut lines = Vec::new();
    for line in listing.lines() {
        let Some((left, target)) = line.split_once(" -> ") else {
            continue;
        };
        if target.starts_with("/proc/") {
            continue;
        }
        let fd = left.rsplit(' ').next().unwrap_or_default();
        let access = match left.get(1..3) {
            Some("rw") => "read-write",
            Some("-w") => "write",
            _ => "read",
        };
        let target = match target.split_once(":[") {
            Some((kind, inode)) => {
                let next = char::from(b'A' + u8::try_from(letters.len()).expect("few descriptors"));
                format!("{kind} {}", letters.entry(inode.to_owned()).or_insert(next))
            }
            None => target.to_owned(),
        };
        lines.push(format!("{fd} {access} {target}"));
    }
    lines
}
