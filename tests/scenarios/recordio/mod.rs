//! recordio: write down what goes through a program.
//!
//! The recorder is a process beside the program: its lines may come after the program has ended, so the log is read to
//! its end. Which direction is written down first is a race where both move at once; the lines of the two directions
//! are therefore compared one direction after the other.

mod ends;
mod log;
mod program;

use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::process::Outcome;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    log::fill(book);
    ends::fill(book);
    program::fill(book);
}

/// Runs `launch` and writes it down, what was read on stdin first.
fn record(s: &mut Scene, launch: Launch) {
    let outcome = s.start(launch).outcome();
    s.record(&by_direction(outcome));
}

fn by_direction(outcome: Outcome) -> Outcome {
    let lines = || outcome.stderr.split_inclusive(|byte| *byte == b'\n');
    let log = [is_input, is_output, is_other]
        .iter()
        .flat_map(|is| lines().filter(|line| is(line)))
        .flatten();
    Outcome {
        stderr: log.copied().collect(),
        ..outcome
    }
}

fn is_input(line: &[u8]) -> bool {
    mark(line) == Some(b" < ")
}

fn is_output(line: &[u8]) -> bool {
    mark(line) == Some(b" > ")
}

fn is_other(line: &[u8]) -> bool {
    !is_input(line) && !is_output(line)
}

/// The three bytes after the pid.
fn mark(line: &[u8]) -> Option<&[u8]> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    line.get(digits..digits + 3).filter(|_| digits > 0)
}
