//! What is run, and what it is run with.

use std::fs::File;

use nix::sys::signal::Signal;

use super::record;
use crate::scenarios::{exec, passed_on};
use crate::support::book::Book;
use crate::support::launch::Input;
use crate::support::probe;

pub(crate) fn fill(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
    book.add("words_with_a_dash_are_programs", |s| {
        record(s, s.program(["-x", "cat"]).stdin(Input::Pipe));
        record(s, s.program(["--", "cat"]).stdin(Input::Pipe));
        record(s, s.program(["--help", "cat"]).stdin(Input::Pipe));
    });
    book.add("arguments_are_passed_on_exactly", |s| {
        let outcome = s.start(s.program(passed_on::WORDS)).outcome();
        s.note(&format!(
            "program was called {}",
            String::from_utf8_lossy(&outcome.stdout)
        ));
    });
    book.add("environment_passes_unchanged_and_in_order", |s| {
        let launch = passed_on::odd_environment(s.program(["cat", "/proc/self/environ"]));
        let outcome = s.start(launch).outcome();
        s.note_lines(
            "program sees",
            &String::from_utf8_lossy(&outcome.stdout)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        );
    });
    book.add("program_has_pipes_and_all_other_descriptors", |s| {
        let file = File::open("/dev/zero").expect("the system has /dev/zero");
        let outcome = s
            .start(
                s.program(probe::DESCRIPTORS)
                    .inherit(5, file)
                    .stdin(Input::Pipe),
            )
            .outcome();
        passed_on::note_descriptors(s, &outcome);
    });
    book.add("signal_dispositions_and_mask_pass_unchanged", |s| {
        let launch = passed_on::odd_signals(s.program(probe::SIGNALS), &passed_on::IGNORED);
        let outcome = s.start(launch).outcome();
        passed_on::note_signals(s, &outcome);
    });
    book.add("sigpipe_is_not_ignored_for_the_program", |s| {
        let outcome = s.start(s.program(probe::SIGNALS)).outcome();
        passed_on::note_signals(s, &outcome);
    });
    book.add("interrupt_ends_the_program_it_was_sent_to", |s| {
        let process = s.start(
            s.program(["sh", "-c", "echo ready; read x"])
                .stdin(Input::Pipe),
        );
        process
            .stdout
            .as_ref()
            .expect("stdout is a pipe")
            .wait_for("ready", 1);
        process.signal(Signal::SIGTERM);
        let outcome = process.outcome();
        s.record(&super::by_direction(outcome));
    });
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            record(
                s,
                exec::with_path(s.program([case.word]), case).stdin(Input::Pipe),
            );
        });
    }
}
