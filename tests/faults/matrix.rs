//! Tables of faults: from rows (a call, its failures) and an undisturbed run to single faults, and their results counted.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fault::{Calls, Fault};

/// A job of the kernel's and what may befall it.
pub(crate) struct Row {
    /// The name of a call, where C libraries do not agree in one: see `fault::job`.
    pub(crate) job: &'static str,
    /// What its line in the trace contains.
    pub(crate) with: &'static str,
    /// Each as strace wants it, without `error=` where that is meant.
    pub(crate) failures: &'static [&'static str],
    /// How many occurrences in a row fail.
    pub(crate) spans: &'static [usize],
    /// What the program must say, `{}` being the words for the error; nothing: that is not looked at.
    pub(crate) says: &'static str,
}

/// A row of single failures that are not looked at for a message.
pub(crate) const fn row(
    job: &'static str,
    with: &'static str,
    failures: &'static [&'static str],
) -> Row {
    Row {
        job,
        with,
        failures,
        spans: &[1],
        says: "",
    }
}

impl Row {
    pub(crate) const fn saying(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    pub(crate) const fn spanning(mut self, spans: &'static [usize]) -> Self {
        self.spans = spans;
        self
    }

    /// The single faults, by the occurrences in an undisturbed run.
    fn faults(&self, base: &Calls, occurrences_max: usize) -> Vec<Fault> {
        let mut occurrences = base.occurrences(self.job, self.with);
        let excess = occurrences.len().div_ceil(occurrences_max).max(1);
        occurrences = occurrences.into_iter().step_by(excess).collect();
        assert!(
            !occurrences.is_empty(),
            "{} with {:?} does not occur:\n{}",
            self.job,
            self.with,
            base.text(self.job)
        );
        let mut faults = Vec::new();
        for failure in self.failures {
            for &span in self.spans {
                for &(call, first) in &occurrences {
                    let what = if failure.contains('=') {
                        (*failure).to_owned()
                    } else {
                        format!("error={failure}")
                    };
                    faults.push(Fault {
                        call,
                        what,
                        first,
                        span,
                    });
                }
            }
        }
        faults
    }

    /// What must be in the log under `fault`.
    fn message(&self, fault: &Fault) -> Option<String> {
        let words = fault.errno().map_or("", ucspi_tcp::cli::words);
        (!self.says.is_empty()).then(|| self.says.replace("{}", words))
    }
}

/// What a trial of one fault gives, when no promise is broken (then it panics).
pub(crate) struct Trial {
    pub(crate) calls: Calls,
    /// What happened, in few words, for the table.
    pub(crate) outcome: &'static str,
    pub(crate) log: String,
}

/// The outcome of a fault whose call the program did not make.
pub(crate) const DID_NOT_OCCUR: &str = "did not occur";
/// How many of the faults a plain `cargo test` tries: every so-manieth.
const STRIDE: usize = 17;
/// Of a call that occurs more often, so many occurrences are tried, spread over all.
pub(crate) const MANY: usize = 16;
/// The same where each trial takes longer.
pub(crate) const FEW: usize = 5;
/// Calls are counted, and a race can move a fault to another occurrence: then it is tried again.
const TRIES_MAX: usize = 5;
/// A program that fails may make so many calls more than one that does not.
const CALLS_EXTRA: usize = 600;

/// True when all faults are to be tried.
pub(crate) fn is_full() -> bool {
    std::env::var_os("UCSPI_FAULTS").is_some_and(|which| which == "full")
}

/// Tries each fault of `rows` on `program`, at `occurrences_max` occurrences of each call; `trial` runs it once, with a fault or without.
///
/// # Panics
///
/// When a promise is broken: all broken ones are listed.
pub(crate) fn run(
    program: &str,
    rows: &[Row],
    occurrences_max: usize,
    mut trial: impl FnMut(Option<&Fault>) -> Trial,
) {
    let base = trial(None);
    let mut table = Table::new(program);
    let mut broken = Vec::new();
    let stride = if is_full() { 1 } else { STRIDE };
    let all = rows.iter().flat_map(|row| {
        let faults = row.faults(&base.calls, occurrences_max);
        faults.into_iter().map(move |fault| (row, fault))
    });
    // One kind of fault alone, to look closer.
    let wanted = std::env::var("UCSPI_FAULTS_ONLY").unwrap_or_default();
    let all: Vec<(&Row, Fault)> = all
        .filter(|(_, fault)| fault.option().contains(&wanted))
        .collect();
    for (row, fault) in all.iter().step_by(stride) {
        match catch_unwind(AssertUnwindSafe(|| checked(row, fault, &base, &mut trial))) {
            Ok(Some(outcome)) => table.add(fault, outcome),
            Ok(None) => table.add(fault, DID_NOT_OCCUR),
            Err(panic) => {
                table.add(fault, "BROKEN");
                broken.push(format!("{program}, {}: {}", fault.option(), words(&*panic)));
            }
        }
    }
    table.print();
    assert!(broken.is_empty(), "\n{}", broken.join("\n\n"));
}

fn checked(
    row: &Row,
    fault: &Fault,
    base: &Trial,
    trial: &mut impl FnMut(Option<&Fault>) -> Trial,
) -> Option<&'static str> {
    for _ in 0..TRIES_MAX {
        let seen = trial(Some(fault));
        let bound = 3 * base.calls.count() + CALLS_EXTRA;
        let count = seen.calls.count();
        assert!(count <= bound, "{count} system calls, more than {bound}");
        let injected = seen.calls.injected();
        let is_the_one = |line: &&str| line.contains(row.with);
        if injected.is_empty() || !injected.iter().all(is_the_one) {
            continue;
        }
        let is_whole = injected.len() == fault.span;
        if let Some(message) = row.message(fault).filter(|_| is_whole) {
            assert!(
                seen.log.contains(&message),
                "no {message:?} in the log:\n{}\n{}",
                seen.log,
                seen.calls.text(row.job)
            );
        }
        return Some(seen.outcome);
    }
    None
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    text.unwrap_or_default()
}

/// Results, counted by call and failure.
pub(crate) struct Table {
    program: String,
    rows: BTreeMap<(String, String, String), usize>,
    count: usize,
}

impl Table {
    pub(crate) fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            rows: BTreeMap::new(),
            count: 0,
        }
    }

    pub(crate) fn add(&mut self, fault: &Fault, outcome: &str) {
        self.add_named(fault.call, &fault.what, fault.span, outcome);
    }

    pub(crate) fn add_named(&mut self, call: &str, what: &str, span: usize, outcome: &str) {
        let mut what = what.trim_start_matches("error=").to_owned();
        if span > 1 {
            what += &format!(" x{span}");
        }
        let key = (call.to_owned(), what, outcome.to_owned());
        *self.rows.entry(key).or_default() += 1;
        self.count += 1;
    }

    /// Fails when all faults of a call did not occur: for calls that are not taken from a trace.
    pub(crate) fn assert_calls_are_made(&self) {
        for (call, ..) in self.rows.keys() {
            let mut rows = self.rows.keys();
            let is_made = rows.any(|(other, _, outcome)| other == call && outcome != DID_NOT_OCCUR);
            assert!(is_made, "{} never calls {call}", self.program);
        }
    }

    /// Says how many there were; and, where `$UCSPI_FAULTS_TABLE` names a file, adds the rows to that.
    pub(crate) fn print(&self) {
        let line = format!("faults: {}: {} injected\n", self.program, self.count);
        // Not by a macro, whose output the test runner would keep to itself.
        let _ = std::io::stderr().write_all(line.as_bytes());
        let Some(path) = std::env::var_os("UCSPI_FAULTS_TABLE") else {
            return;
        };
        let mut text = String::new();
        for ((call, what, outcome), count) in &self.rows {
            text += &format!("{}\t{call}\t{what}\t{outcome}\t{count}\n", self.program);
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.expect("the table can be written");
        file.write_all(text.as_bytes())
            .expect("the table can be written");
    }
}
