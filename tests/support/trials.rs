//! Runs named trials in parallel and reports them as `cargo test` does.
//!
//! libtest cannot make tests at run time, and scenarios come in families.

use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::own_net;

pub(crate) enum Verdict {
    Passed,
    /// Not run, and why.
    Skipped(String),
    Failed(String),
}

impl Verdict {
    pub(crate) fn of(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }

    /// Of a trial that cannot be made here, and why: skipped, but failed where the environment variable `required` is 1.
    pub(crate) fn cannot(why: String, required: &str) -> Self {
        if super::is_set(required) {
            Self::Failed(why)
        } else {
            Self::Skipped(why)
        }
    }
}

pub(crate) struct Trial {
    pub(crate) name: String,
    /// To be run in a network, and with an `/etc`, of its own: see `own_net`.
    pub(crate) in_own_net: bool,
    pub(crate) run: Box<dyn Fn() -> Verdict + Send + Sync>,
}

impl Trial {
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl Fn() -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            in_own_net: false,
            run: Box::new(run),
        }
    }

    /// The same trial as one of `family`.
    pub(crate) fn of(self, family: &str) -> Self {
        Self {
            name: format!("{family}::{}", self.name),
            ..self
        }
    }

    /// The same trial in a network of its own.
    pub(crate) fn in_own_net(self) -> Self {
        Self {
            in_own_net: true,
            ..self
        }
    }
}

/// A trial for each function, which panics when something is wrong.
pub(crate) fn of_tests(tests: &[(&str, fn())]) -> Vec<Trial> {
    let trial = |&(name, test): &(&str, fn())| {
        Trial::new(name, move || {
            test();
            Verdict::Passed
        })
    };
    tests.iter().map(trial).collect()
}

/// What is understood of libtest's command line; the rest is refused.
#[derive(Default)]
struct Options {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
    threads: Option<usize>,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            let (flag, value) = match arg.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => {
                    (flag.to_owned(), Some(value.to_owned()))
                }
                _ => (arg, None),
            };
            let mut value = || {
                value
                    .clone()
                    .or_else(|| args.next())
                    .ok_or(format!("{flag} needs a value"))
            };
            match flag.as_str() {
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--ignored" => options.ignored = true,
                "--skip" => options.skip.push(value()?),
                "--test-threads" => {
                    options.threads = Some(value()?.parse().map_err(|_| "a number of threads")?)
                }
                "--format" | "--color" => drop(value()?),
                "--nocapture" | "--no-capture" | "--show-output" | "--include-ignored" | "-q"
                | "--quiet" => {}
                word if word.starts_with('-') => return Err(format!("unknown option {word}")),
                _ => options.filters.push(flag),
            }
        }
        Ok(options)
    }

    fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
    }
}

/// Runs the trials that the arguments of this program select; fails when one of them does.
pub(crate) fn main(trials: Vec<Trial>) -> ExitCode {
    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| arg.to_string_lossy().into_owned());
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    let all = trials.len();
    let chosen: Vec<Trial> = trials
        .into_iter()
        .filter(|trial| options.selects(&trial.name))
        .collect();
    if options.list {
        let listed = if options.ignored {
            &[][..]
        } else {
            &chosen[..]
        };
        for trial in listed {
            say(&format!("{}: test", trial.name));
        }
        return ExitCode::SUCCESS;
    }
    let chosen = if options.ignored { Vec::new() } else { chosen };
    let start = Instant::now();
    say(&format!("\nrunning {} tests", chosen.len()));
    let verdicts = run_all(&chosen, options.threads);
    report(&chosen, &verdicts, all - chosen.len(), start)
}

fn run_all(trials: &[Trial], threads: Option<usize>) -> Vec<Verdict> {
    // The message of a panic goes into the report; the default hook would print it between the result lines.
    std::panic::set_hook(Box::new(|_| {}));
    // Trials mostly wait, for processes or for a deadline of the program, so there are more threads than processors.
    let threads = threads.unwrap_or(16).max(1);
    let next = AtomicUsize::new(0);
    let verdicts: Vec<Mutex<Verdict>> =
        trials.iter().map(|_| Mutex::new(Verdict::Passed)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(trial) = trials.get(index) else {
                        return;
                    };
                    let run = || match trial.in_own_net {
                        true => own_net::within(&trial.run),
                        false => (trial.run)(),
                    };
                    let verdict = catch_unwind(AssertUnwindSafe(run))
                        .unwrap_or_else(|panic| Verdict::Failed(message(panic.as_ref())));
                    say(&format!("test {} ... {}", trial.name, word(&verdict)));
                    *verdicts[index].lock().expect("nobody panics here") = verdict;
                }
            });
        }
    });
    verdicts
        .into_iter()
        .map(|verdict| verdict.into_inner().expect("nobody panics here"))
        .collect()
}

fn report(trials: &[Trial], verdicts: &[Verdict], filtered: usize, start: Instant) -> ExitCode {
    let failures: Vec<(&Trial, &String)> = trials
        .iter()
        .zip(verdicts)
        .filter_map(|(trial, verdict)| {
            if let Verdict::Failed(why) = verdict {
                Some((trial, why))
            } else {
                None
            }
        })
        .collect();
    let skipped = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Skipped(_)))
        .count();
    if !failures.is_empty() {
        say("\nfailures:");
        for (trial, why) in &failures {
            say(&format!("\n---- {} ----\n{}", trial.name, why.trim_end()));
        }
        say("\nfailures:");
        for (trial, _) in &failures {
            say(&format!("    {}", trial.name));
        }
    }
    say(&format!(
        "\ntest result: {}. {} passed; {} failed; {skipped} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        verdicts.len() - failures.len() - skipped,
        failures.len(),
        start.elapsed().as_secs_f64(),
    ));
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "ok".to_owned(),
        Verdict::Skipped(why) => format!("ignored, skipped: {why}"),
        Verdict::Failed(_) => "FAILED".to_owned(),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}

/// One line, one write; a reader that went away is no reason to stop.
fn say(line: &str) {
    let mut line = line.to_owned();
    line.push('\n');
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
