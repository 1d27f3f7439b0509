//! What the system says of a process. proc(5).

use std::fs;
use std::path::Path;

use super::is_root;

/// The children of a process, zombies too. /proc/pid/task/tid/children.
pub(crate) fn children(pid: u32) -> Vec<i32> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(file).expect("the system lists children");
    text.split_whitespace()
        .map(|pid| pid.parse().expect("a pid"))
        .collect()
}

/// What each descriptor of a process leads to, by number; nothing where only root may know, because a server keeps its own
/// user out of itself.
pub(crate) fn open_files(pid: u32) -> Vec<(String, String)> {
    if !is_root() {
        return Vec::new();
    }
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let target = |path: &Path| text(&fs::read_link(path).unwrap_or_default());
    let mut open: Vec<_> = entries
        .flatten()
        .map(|entry| (text(&entry.path()), target(&entry.path())))
        .collect();
    open.sort();
    open
}

/// What a process has open: the kind of each, sorted; `socket`, `pipe`, or the last part of a path. For root only.
pub(crate) fn descriptors(pid: u32) -> Vec<String> {
    let kind = |(_, target): (String, String)| {
        let kind = target.split(":[").next().unwrap_or_default();
        kind.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let mut open: Vec<String> = open_files(pid).into_iter().map(kind).collect();
    open.sort();
    open
}

/// True for a zombie, and for a process that is gone. /proc/pid/stat.
pub(crate) fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}
