//! The suite beside the original: both do the same work, in turn, in the same run, and the ratios are printed.
//!
//! `bench/run` builds what is needed and calls this. What a process costs is read from the system's own accounting of the
//! whole process tree, because a busy machine does not change it much; only where a row says so is it a rate or a wait.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    unsafe_code,
    reason = "a program that measures others starts them, prints, and asks the system what they cost"
)]

mod filters;
mod limits;
mod load;
mod pool;
mod process;
mod programs;
mod report;
mod scale;
mod tls;
mod works;

use std::path::PathBuf;

use limits::LIMITS;
use report::{LIMITS_HEAD, Report, median_of, print_scale};
use scale::SCALES;
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
        hold: folder("BENCH_HOLD"),
        echo: folder("BENCH_ECHO"),
        scratch: folder("BENCH_SCRATCH"),
    };
    place.prepare();
    let is_wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let mut report = Report::default();
    for work in WORKS.iter().chain(filters::WORKS) {
        if !is_wanted(work.name) {
            continue;
        }
        // A round that does not count warms the caches up.
        let measured: Vec<_> = (0..=rounds)
            .map(|_| {
                (
                    (work.measure)(&place, &place.ours),
                    (work.measure)(&place, &place.original),
                )
            })
            .skip(1)
            .collect();
        eprintln!("{}: {measured:.4?}", work.name);
        report.add(work, &measured);
    }
    report.print();
    println!("{LIMITS_HEAD}");
    for limit in LIMITS.iter().filter(|limit| is_wanted(limit.name)) {
        let measured = (0..=rounds).map(|_| (limit.measure)(&place)).skip(1);
        report.print_limit(limit, median_of(measured.collect()));
    }
    let is_wanted_scale = |scale: &&scale::Scale| scale.rows.iter().any(|row| is_wanted(row.0));
    for scale in SCALES.iter().filter(is_wanted_scale) {
        let at = |folder, size| -> Vec<f64> {
            let runs: Vec<_> = (0..3)
                .map(|_| (scale.measure)(&place, folder, size))
                .collect();
            let rows = 0..scale.rows.len();
            rows.map(|row| median_of(runs.iter().map(|run| run[row]).collect()))
                .collect()
        };
        let both = |size: &u32| {
            let both = (at(&place.ours, *size), at(&place.original, *size));
            eprintln!("{} {size}: {both:.6?}", scale.rows[0].0);
            both
        };
        print_scale(scale, &scale.sizes.iter().map(both).collect::<Vec<_>>());
    }
    programs::print(&place, rounds, is_wanted);
    pool::print(&place, rounds, is_wanted);
    tls::print(&place, rounds, is_wanted);
    if let Some(file) = std::env::var_os("BENCH_PLOT").filter(|_| only.is_none()) {
        std::fs::write(file, report.plot()).expect("the plot can be written");
    }
}
