//! The suite beside the original: both do the same work, in turn, in the same run, and the ratios are printed.
//!
//! `bench/run` builds what is needed and calls this. What a process costs is read from the system's own accounting of the
//! whole process tree, because a busy machine does not change it much; only where a row says so is it a rate or a wait.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    unsafe_code,
    reason = "a program that measures others starts them, prints, and asks the system what they cost"
)]

mod filters;
mod load;
mod process;
mod report;
mod works;

use std::path::PathBuf;

use report::Report;
use works::{Place, WORKS};

fn main() {
    let folder = |name: &str| {
        PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")))
    };
    let rounds: usize = std::env::var("BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(7);
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let place = Place {
        ours: folder("BENCH_OURS"),
        original: folder("BENCH_ORIGINAL"),
        answer: folder("BENCH_ANSWER"),
        scratch: folder("BENCH_SCRATCH"),
    };
    place.prepare();
    let mut report = Report::default();
    for work in WORKS.iter().chain(filters::WORKS) {
        if only
            .as_deref()
            .is_some_and(|only| !work.name.contains(only))
        {
            continue;
        }
        // A round that does not count warms the caches up.
        let mut ratios = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            let ours = (work.measure)(&place, &place.ours);
            let original = (work.measure)(&place, &place.original);
            if round > 0 {
                ratios.push(ours / original);
            }
        }
        report.add(work, ratios);
    }
    report.print();
    if let Some(file) = std::env::var_os("BENCH_PLOT") {
        std::fs::write(file, report.plot()).expect("the plot can be written");
    }
}
