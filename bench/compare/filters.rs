//! How much the filters move in a second of CPU time: files from the page cache to where nobody keeps it.
//!
//! Of recordio and fixcrio only the process that moves the bytes counts, not the program that they run.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{cost, cost_of_orphan};
use crate::works::Target::AtLeast;
use crate::works::Unit::MegabytesPerSecond;
use crate::works::{Place, Work, work};

pub(crate) const ADDCR: &str = "bytes addcr moves in a CPU second";

/// How many bytes a filter moves in a second of CPU time.
const fn moves(name: &'static str, measure: fn(&Place, &Path) -> f64) -> Work {
    work(name, MegabytesPerSecond, AtLeast(10.0), measure)
}

pub(crate) const WORKS: &[Work] = &[
    moves(ADDCR, |place, folder| filter(place, folder, "addcr", "\n")),
    moves("bytes delcr moves in a CPU second", |place, folder| {
        filter(place, folder, "delcr", "\r\n")
    }),
    moves(
        "bytes delcr moves in a CPU second, no CR",
        |place, folder| filter(place, folder, "delcr", "\n"),
    ),
    moves(
        "bytes fixcrio moves in a CPU second, LF in",
        |place, folder| wrapped_input(place, folder, "fixcrio", "\n"),
    ),
    moves(
        "bytes fixcrio moves in a CPU second, CR LF in",
        |place, folder| wrapped_input(place, folder, "fixcrio", "\r\n"),
    ),
    moves(
        "bytes fixcrio moves in a CPU second, LF out",
        |place, folder| wrapped_output(place, folder, "fixcrio", "\n"),
    ),
    moves(
        "bytes recordio moves in a CPU second, in",
        |place, folder| wrapped_input(place, folder, "recordio", "\n"),
    ),
    moves(
        "bytes recordio moves in a CPU second, out",
        |place, folder| wrapped_output(place, folder, "recordio", "\n"),
    ),
];

/// What is moved: 80 MB in lines of 79 bytes and their end.
pub(crate) fn text(place: &Place, end: &str) -> String {
    const LINES: usize = 1_000_000;
    let file = place.file(if end == "\n" { "lf.txt" } else { "crlf.txt" });
    if !Path::new(&file).exists() {
        let line = "x".repeat(79) + end;
        std::fs::write(&file, line.repeat(LINES)).expect("the text can be written");
    }
    file
}

fn filter(place: &Place, folder: &Path, name: &str, end: &str) -> f64 {
    let text = text(place, end);
    let mut filter = Command::new(folder.join(name));
    bytes_per_second(&text, cost(filter.stdin(open(&text)).stdout(Stdio::null())))
}

fn wrapped_input(place: &Place, folder: &Path, name: &str, end: &str) -> f64 {
    let text = text(place, end);
    let mut wrapper = Command::new(folder.join(name));
    // The end of its output would end all.
    wrapper.args(["sh", "-c", "exec cat 3>&1 >/dev/null"]);
    wrapper.stdin(open(&text)).stderr(log(place));
    bytes_per_second(&text, cost_of_orphan(&mut wrapper))
}

fn wrapped_output(place: &Place, folder: &Path, name: &str, end: &str) -> f64 {
    let text = text(place, end);
    let mut wrapper = Command::new(folder.join(name));
    wrapper.arg("cat").arg(&text);
    wrapper.stdin(Stdio::null()).stdout(Stdio::null());
    bytes_per_second(&text, cost_of_orphan(wrapper.stderr(log(place))))
}

fn open(file: &str) -> File {
    File::open(file).expect("it was just written")
}

/// Where recordio writes.
fn log(place: &Place) -> File {
    File::create(place.file("log")).expect("the log can be written")
}

/// So many bytes as `file` has, in `cpu` seconds.
pub(crate) fn bytes_per_second(file: &str, cpu: f64) -> f64 {
    let bytes = std::fs::metadata(file).expect("it was just written").len();
    #[allow(clippy::cast_precision_loss, reason = "a file of some megabytes")]
    let bytes = bytes as f64;
    bytes / cpu
}
