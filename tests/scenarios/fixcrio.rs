//! fixcrio: a program's input and output, with a carriage return before each line feed that has none.

use std::fs::File;
use std::io::Write as _;

use nix::sys::signal::Signal;

use super::{exec, files, passed_on};
use crate::support::book::Book;
use crate::support::inspect;
use crate::support::launch::Input;
use crate::support::probe;

const TEXTS: &[(&str, &[u8])] = &[
    ("nothing_stays_nothing", b""),
    ("lines_end_in_both_ways", b"a\nb\r\nc\r\r\nd\n"),
    ("last_line_may_be_unfinished", b"a\r\nb\r\r\nc\rd"),
    ("last_byte_may_be_a_cr", b"a\nb\r"),
    ("many_of_each", b"\r\r\r\n\n\n\r\r\n\n\r\n\r"),
    ("nul_is_a_byte_like_others", b"\0a\0\r\n\0\n\0"),
];

/// Shows what the program reads, and prints what it is given, each changed only once.
const SHOW_INPUT: &str = "cat >input";

pub(crate) fn fill(book: &mut Book) {
    for (name, bytes) in TEXTS {
        book.add(format!("input_{name}"), move |s| {
            s.run(s.program(["sh", "-c", SHOW_INPUT]).input(bytes));
            s.show_file("input");
        });
        book.add(format!("output_{name}"), move |s| {
            s.write("output", bytes);
            s.run(s.program(["cat", "output"]).stdin(Input::Pipe));
        });
    }
    book.add("all_byte_values_pass", |s| {
        let bytes: Vec<u8> = (0..=255).chain([b'\n', b'\r']).collect();
        s.run(s.program(["cat"]).input(bytes));
    });
    for size in [255, 256, 257, 512, 4096, 65_536] {
        book.add(format!("cr_and_lf_around_byte_{size}"), move |s| {
            for end in ["\r", "\n", "\r\n", "\r\r\n", "\n\r"] {
                for before in [size - 2, size - 1, size] {
                    let bytes = [&vec![b'x'; before][..], end.as_bytes(), b"y\r\n\n"].concat();
                    s.write("input", &bytes);
                    let file = File::open(s.path("input")).expect("it was just written");
                    let launch = s.program(["cat"]).stdin(Input::File(file));
                    let outcome = s.start(launch).outcome();
                    let summary = inspect::summary(&outcome.stdout);
                    s.note(&format!("{before} bytes and {end:?}: {summary}"));
                }
            }
        });
    }
    book.add("streams_of_10_mb_pass_both_ways_at_once", |s| {
        s.write("output", files::noise(files::LONG_BYTES));
        let bytes: Vec<u8> = files::noise(files::LONG_BYTES + 77).split_off(77);
        let script = "cat output & cat >input; wait";
        let outcome = s
            .start(s.program(["sh", "-c", script]).input(bytes))
            .outcome();
        s.record(&outcome);
        let input = std::fs::read(s.path("input")).expect("the program wrote it");
        s.note(&format!("program reads: {}", inspect::summary(&input)));
    });
    book.add("stream_of_10_mb_comes_back", |s| {
        let bytes = files::noise(files::LONG_BYTES);
        s.run(s.program(["cat"]).input(bytes));
    });
    book.add("conversation_is_passed_piece_by_piece", |s| {
        let mut process = s.start(s.program(["cat"]).stdin(Input::Pipe));
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        for piece in ["one\n", "two\r\n", "three\r", "\n"] {
            stdin.write_all(piece.as_bytes()).expect("somebody reads");
            if piece.ends_with('\n') {
                let line = piece.trim_end();
                stdout.wait_for(if line.is_empty() { "three" } else { line }, 1);
                s.note(&format!("{piece:?} has passed"));
            }
        }
        drop(stdin);
        s.finish(process);
    });
    ends(book);
    program(book);
}

fn ends(book: &mut Book) {
    book.add("status_of_the_program_is_the_status", |s| {
        for script in ["cat >/dev/null; exit 7", "cat >/dev/null; kill -KILL $$"] {
            s.run(s.program(["sh", "-c", script]).input("hello\n"));
        }
    });
    book.add("output_goes_on_after_the_end_of_input", |s| {
        let script = "cat >/dev/null; echo one; echo two";
        s.run(s.program(["sh", "-c", script]).input("hello\n"));
    });
    book.add("program_that_ends_first_ends_all", |s| {
        s.run(s.program(["echo", "done"]).stdin(Input::Pipe));
    });
    book.add(
        "program_that_closes_its_input_keeps_its_output_when_more_comes",
        |s| {
            let gate = s.fifo("go");
            let mut process = s.start(s.program(["sh", "-c", files::DEAF]).stdin(Input::Pipe));
            let stdout = process.stdout.clone().expect("stdout is a pipe");
            stdout.wait_for("ready", 1);
            let mut stdin = process.stdin.take().expect("stdin is a pipe");
            // More than a pipe holds: some of it has been read when it is written, or nobody reads any more.
            let _ = stdin.write_all(&[b'x'; 65_537]);
            let _open = gate.open();
            files::note_end_of_deaf(s, process, "ready\r\n");
        },
    )
    .differs("fixcrio-closed-input");
    book.add("closed_stdin_is_an_end_of_input", |s| {
        s.run(s.program(["cat"]).closed(0));
    });
    book.add("stdin_that_cannot_be_read_is_an_end_of_input", |s| {
        s.run(s.program(["cat"]).stdin(files::directory()));
        s.run(s.program(["cat"]).stdin(files::write_only()));
    });
    book.add("closed_stdout_ends_the_program_by_its_writes", |s| {
        let script = "while echo one; do :; done 2>/dev/null";
        s.run(s.program(["sh", "-c", script]).closed(1).stdin(Input::Pipe));
    });
    book.add("full_stdout_ends_the_program_by_its_writes", |s| {
        let script = "while echo one; do :; done 2>/dev/null";
        s.run(
            s.program(["sh", "-c", script])
                .stdout(files::full())
                .stdin(Input::Pipe),
        );
    });
    book.add(
        "stdout_without_a_reader_ends_the_program_by_its_writes",
        |s| {
            let script = "while echo one; do :; done 2>/dev/null";
            s.run(
                s.program(["sh", "-c", script])
                    .stdout(files::unread())
                    .stdin(Input::Pipe),
            );
        },
    );
    book.add("signal_ends_the_program_it_was_sent_to", |s| {
        let script = "echo ready; read x";
        let process = s.start(s.program(["sh", "-c", script]).stdin(Input::Pipe));
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        stdout.wait_for("ready", 1);
        process.signal(Signal::SIGTERM);
        s.finish(process);
    });
}

fn program(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
    book.add("words_with_a_dash_are_programs", |s| {
        s.run(s.program(["-x", "cat"]));
        s.run(s.program(["--", "cat"]));
        s.run(s.program(["--helps"]));
    });
    book.add("arguments_are_passed_on_exactly", |s| {
        s.run(s.program(passed_on::WORDS));
    });
    book.add("environment_passes_unchanged_and_in_order", |s| {
        s.run(passed_on::odd_environment(
            s.program(["cat", "/proc/self/environ"]),
        ));
    });
    book.add("program_has_pipes_and_all_other_descriptors", |s| {
        let file = File::open("/dev/zero").expect("the system has /dev/zero");
        let launch = s.program(probe::DESCRIPTORS).inherit(5, file);
        let outcome = s.start(launch.stdin(Input::Pipe)).outcome();
        passed_on::note_descriptors(s, &outcome);
    });
    book.add("signal_dispositions_and_mask_pass_unchanged", |s| {
        let launch = passed_on::odd_signals(s.program(probe::SIGNALS), &passed_on::IGNORED);
        let outcome = s.start(launch).outcome();
        passed_on::note_signals(s, &outcome);
    });
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            s.run(exec::with_path(s.program([case.word]), case).stdin(Input::Pipe));
        });
    }
}
