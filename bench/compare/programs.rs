//! Each compiled program that both have: the size of its file, and what a start costs in which there is nothing to do.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::cost;
use crate::report::median_of;
use crate::works::{Place, Unit, repeat, size};

const NAMES: &[&str] = &[
    "addcr",
    "argv0",
    "delcr",
    "fixcrio",
    "mconnect-io",
    "rblsmtpd",
    "recordio",
    "tcpclient",
    "tcprules",
    "tcprulescheck",
    "tcpserver",
];

/// Prints a table in Markdown.
pub(crate) fn print(place: &Place, rounds: usize, is_wanted: impl Fn(&str) -> bool) {
    const HEAD: &str = "programs: CPU of a start with no arguments and no input";
    if !is_wanted(HEAD) {
        return;
    }
    println!("\n| {HEAD} | Ours | Original | Ratio, median | Size, ours | Original |");
    println!("|---|---|---|---|---|---|");
    for name in NAMES {
        let in_turn = |_| (start(&place.ours, name), start(&place.original, name));
        // A round that does not count warms the caches up.
        let measured: Vec<(f64, f64)> = (0..=rounds).map(in_turn).skip(1).collect();
        let (ours, its) = measured.iter().copied().unzip();
        println!(
            "| {name} | {} | {} | {:.2} | {} | {} |",
            Unit::Microseconds.show(median_of(ours)),
            Unit::Microseconds.show(median_of(its)),
            median_of(measured.iter().map(|(ours, its)| ours / its).collect()),
            Unit::Kilobytes.show(size(&place.ours, name)),
            Unit::Kilobytes.show(size(&place.original, name)),
        );
    }
}

/// Most end with their usage, those without arguments at the end of their input.
fn start(folder: &Path, name: &str) -> f64 {
    repeat(20, || {
        let mut program = Command::new(folder.join(name));
        program.stdin(Stdio::null()).stdout(Stdio::null());
        cost(program.stderr(Stdio::null()))
    })
}
