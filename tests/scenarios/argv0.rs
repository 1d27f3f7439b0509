//! argv0: run a program under another name.

use std::fs::File;

use nix::sys::signal::Signal;

use super::{exec, passed_on};
use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
    book.add("one_argument_is_a_usage_error", |s| {
        s.run(s.program(["cat"]));
    });
    book.add("program_runs_under_the_second_word_as_its_name", |s| {
        s.run(s.program([
            "sh",
            "some name",
            "-c",
            "echo \"$0\"; tr '\\0' '|' </proc/$$/cmdline",
        ]));
    });
    book.add("new_name_may_be_empty", |s| {
        s.run(s.program(["cat", "", "/proc/self/cmdline"]));
    });
    book.add("new_name_may_be_any_bytes", |s| {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"-\xff\n/%");
        s.run(s.program([
            std::ffi::OsStr::new("cat"),
            name,
            "/proc/self/cmdline".as_ref(),
        ]));
    });
    book.add("arguments_are_passed_on_exactly", |s| {
        s.run(s.program([&["sh", "name"], &passed_on::WORDS[1..]].concat()));
    });
    book.add("words_with_a_dash_are_no_options", |s| {
        s.run(s.program(["-x", "name"]));
        s.run(s.program(["--", "cat", "/dev/null"]));
    });
    book.add("environment_passes_unchanged_and_in_order", |s| {
        s.run(passed_on::odd_environment(s.program([
            "cat",
            "name",
            "/proc/self/environ",
        ])));
    });
    book.add("descriptors_pass_unchanged", |s| {
        let file = File::open("/dev/zero").expect("the system has /dev/zero");
        let outcome = s
            .start(
                s.program(["ls", "name", "-l", "/proc/self/fd"])
                    .inherit(5, file),
            )
            .outcome();
        passed_on::note_descriptors(s, &outcome);
    });
    book.add("closed_standard_descriptors_stay_closed", |s| {
        let outcome = s
            .start(s.program(["ls", "name", "-l", "/proc/self/fd"]).closed(0))
            .outcome();
        passed_on::note_descriptors(s, &outcome);
    });
    book.add("signal_dispositions_and_mask_pass_unchanged", |s| {
        let ignored = [
            Signal::SIGPIPE,
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGCHLD,
            Signal::SIGHUP,
        ];
        let launch = s.program(["cat", "name", "/proc/self/status"]);
        let launch = passed_on::odd_signals(launch, &ignored);
        let outcome = s.start(launch).outcome();
        passed_on::note_signals(s, &outcome);
    });
    book.add("sigpipe_is_not_ignored_for_the_program", |s| {
        let outcome = s
            .start(s.program(["cat", "name", "/proc/self/status"]))
            .outcome();
        passed_on::note_signals(s, &outcome);
    });
    book.add("status_of_the_program_is_the_status", |s| {
        s.run(s.program(["sh", "name", "-c", "exit 7"]));
        s.run(s.program(["sh", "name", "-c", "kill -KILL $$"]));
    });
    book.add("failure_with_closed_stderr_is_only_a_status", |s| {
        s.run(s.program(["no-such-program", "name"]).closed(2));
        s.run(s.program([""; 0]).closed(2));
    });
    book.add("first_of_two_paths_counts", |s| {
        exec::prepare(s);
        let launch = s.program(["tool", "name"]).empty_env();
        s.run(launch.env("PATH", "good").env("PATH", "better"));
    });
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            s.run(exec::with_path(s.program([case.word, "name"]), case));
        });
    }
}
