//! How it ends: end of input, end of output, either side gone.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use super::{by_direction, record};
use crate::scenarios::files;
use crate::support::book::Book;
use crate::support::launch::{Input, Output};

/// The recorder's end closes the program's stdin a moment before its stdout; a short line could still slip in between.
const MORE_THAN_A_PIPE_HOLDS: &str = "echo one; read x; exec head -c 300000 /dev/zero";

pub(crate) fn fill(book: &mut Book) {
    book.add("status_of_the_program_is_the_status", |s| {
        for script in ["cat >/dev/null; exit 7", "cat >/dev/null; kill -KILL $$"] {
            record(s, s.program(["sh", "-c", script]).input("hello\n"));
        }
    });
    book.add("output_goes_on_after_the_end_of_input", |s| {
        record(
            s,
            s.program(["sh", "-c", "cat >/dev/null; echo one; echo two"])
                .input("hello\n"),
        );
    });
    book.add(
        "program_that_ends_first_ends_the_record_without_an_end_of_input",
        |s| {
            record(s, s.program(["echo", "done"]).stdin(Input::Pipe));
        },
    );
    book.add("program_that_closes_its_output_ends_the_record", |s| {
        let gate = s.fifo("go");
        let process = s.start(
            s.program(["sh", "-c", "echo one; exec >&-; read x <go"])
                .stdin(Input::Pipe),
        );
        let stderr = process.stderr.clone().expect("stderr is a pipe");
        stderr.wait_for("[EOF]", 1);
        let _open = gate.open();
        let outcome = process.outcome();
        s.record(&by_direction(outcome));
    });
    book.add(
        "program_that_closes_its_input_keeps_its_output_when_more_comes",
        |s| {
            // The original's recorder ends as soon as it cannot pass on what came, which may be before or after it has seen
            // a part of the output. Certain is only that more than a pipe holds never gets through.
            let gate = s.fifo("go");
            let mut process = s.start(s.program(["sh", "-c", files::DEAF]).stdin(Input::Pipe));
            let (stdout, stderr) = (process.stdout.clone(), process.stderr.clone());
            stdout.expect("stdout is a pipe").wait_for("ready", 1);
            let mut stdin = process.stdin.take().expect("stdin is a pipe");
            stdin.write_all(b"late\n").expect("the recorder reads");
            stderr.expect("stderr is a pipe").wait_for(" < late ", 1);
            let _open = gate.open();
            files::note_end_of_deaf(s, process, "ready\n");
        },
    )
    .differs("recordio-closed-input");
    book.add("conversation_is_passed_piece_by_piece", |s| {
        let mut process = s.start(s.program(["cat"]).stdin(Input::Pipe));
        let stderr = process.stderr.clone().expect("stderr is a pipe");
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        for piece in ["one\n", "two", " and more\n"] {
            stdin
                .write_all(piece.as_bytes())
                .expect("the recorder reads");
            stderr.wait_for(&format!(" > {}", piece.trim_end_matches('\n')), 1);
        }
        drop(stdin);
        let outcome = process.outcome();
        s.record(&by_direction(outcome));
    });
    book.add("stdout_without_a_reader_ends_the_record", |s| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let script = MORE_THAN_A_PIPE_HOLDS;
        record(
            s,
            s.program(["sh", "-c", script])
                .stdin(Input::Pipe)
                .stdout(Output::File(writer)),
        );
    });
    book.add("full_stdout_ends_the_record", |s| {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("the system has /dev/full");
        let script = MORE_THAN_A_PIPE_HOLDS;
        record(
            s,
            s.program(["sh", "-c", script])
                .stdin(Input::Pipe)
                .stdout(Output::File(full)),
        );
    });
    book.add("read_error_on_stdin_is_an_end_of_input", |s| {
        let directory = File::open(s.path(".")).expect("a directory can be opened");
        record(s, s.program(["cat"]).stdin(Input::File(directory)));
    });
    book.add("write_only_stdin_is_an_end_of_input", |s| {
        let null = OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .expect("the system has /dev/null");
        record(s, s.program(["cat"]).stdin(Input::File(null)));
    });
    book.add("closed_stdin_is_an_end_of_input", |s| {
        record(s, s.program(["cat"]).closed(0))
    });
    book.add("closed_stdout_ends_the_record", |s| {
        record(
            s,
            s.program(["sh", "-c", "echo one; read x"])
                .closed(1)
                .stdin(Input::Pipe),
        );
    });
}
