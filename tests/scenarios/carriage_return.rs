//! addcr and delcr: a carriage return more, or one less, before each line feed.

use std::fs::File;
use std::io::Write as _;

use nix::sys::signal::Signal;

use super::files;
use crate::support::book::Book;
use crate::support::inspect;
use crate::support::launch::Input;

const TEXTS: &[(&str, &[u8])] = &[
    ("nothing_stays_nothing", b""),
    ("lines_end_in_both_ways", b"a\nb\r\nc\r\r\nd\n"),
    ("last_line_may_be_unfinished", b"a\r\nb\r\r\nc\rd"),
    ("last_byte_may_be_a_cr", b"a\nb\r"),
    ("only_a_cr", b"\r"),
    ("only_a_line_feed", b"\n"),
    ("only_both", b"\r\n"),
    ("many_of_each", b"\r\r\r\n\n\n\r\r\n\n\r\n\r"),
    ("cr_before_other_bytes_is_kept", b"a\rb\r\0\r\xff\r\tc\n"),
    ("nul_is_a_byte_like_others", b"\0a\0\r\n\0\n\0"),
    ("end_of_file_character_is_a_byte", b"a\x1a\n\x04b\n"),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, bytes) in TEXTS {
        book.add(*name, move |s| s.run(s.program([""; 0]).input(bytes)));
    }
    book.add("all_byte_values_pass", |s| {
        let bytes: Vec<u8> = (0..=255).chain([b'\n', b'\r']).collect();
        s.run(s.program([""; 0]).input(bytes));
    });
    for size in [4096, 8191, 8192, 8193, 16_384, 65_535, 65_536, 65_537] {
        book.add(format!("cr_and_lf_around_byte_{size}"), move |s| {
            for end in ["\r", "\n", "\r\n", "\r\r\n", "\n\r"] {
                for before in [size - 2, size - 1, size] {
                    let bytes = [&vec![b'x'; before][..], end.as_bytes(), b"y\r\n"].concat();
                    s.write("input", &bytes);
                    let file = File::open(s.path("input")).expect("it was just written");
                    let launch = s.program([""; 0]).stdin(Input::File(file));
                    let outcome = s.start(launch).outcome();
                    let summary = inspect::summary(&outcome.stdout);
                    s.note(&format!("{before} bytes and {end:?}: {summary}"));
                }
            }
        });
    }
    book.add("stream_of_10_mb_passes", |s| {
        let bytes = files::noise(files::LONG_BYTES);
        s.run(s.program([""; 0]).input(bytes));
    });
    book.add("every_piece_is_written_before_more_is_read", |s| {
        let mut process = s.start(s.program([""; 0]).stdin(Input::Pipe));
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        for piece in ["one\n", "two\r\n", "three\r", "\n", "four"] {
            stdin
                .write_all(piece.as_bytes())
                .expect("the program reads");
            if piece.ends_with('\n') {
                let lines = piece.trim_end();
                stdout.wait_for(if lines.is_empty() { "three" } else { lines }, 1);
                s.note(&format!("{piece:?} has passed"));
            }
        }
        drop(stdin);
        s.finish(process);
    });
    book.add("arguments_are_ignored", |s| {
        for args in [&["-n"][..], &["--", "x"], &["--helps"], &["", "-r", "file"]] {
            s.run(s.program(args).input("a\r\nb\n"));
        }
    });
    book.add("environment_is_ignored", |s| {
        s.run(s.program([""; 0]).empty_env().input("a\r\nb\n"));
    });
    book.add("closed_stdin_is_an_error", |s| {
        s.run(s.program([""; 0]).closed(0));
    });
    book.add("stdin_that_cannot_be_read_is_an_error", |s| {
        s.run(s.program([""; 0]).stdin(files::directory()));
        s.run(s.program([""; 0]).stdin(files::write_only()));
    });
    book.add("closed_stdout_is_an_error", |s| {
        s.run(s.program([""; 0]).closed(1).input("a\r\nb\n"));
    });
    book.add("closed_stdout_is_no_error_when_nothing_is_written", |s| {
        s.run(s.program([""; 0]).closed(1));
    });
    book.add("full_stdout_is_an_error", |s| {
        s.run(s.program([""; 0]).stdout(files::full()).input("a\r\nb\n"));
    });
    book.add("full_stdout_is_an_error_in_a_long_stream", |s| {
        let bytes = files::noise(1 << 20);
        s.run(s.program([""; 0]).stdout(files::full()).input(bytes));
    });
    book.add("stdout_without_a_reader_kills", |s| {
        s.run(s.program([""; 0]).stdout(files::unread()).input("a\r\nb\n"));
    });
    book.add("stdout_without_a_reader_is_an_error_when_told_so", |s| {
        let launch = s.program([""; 0]).stdout(files::unread());
        s.run(launch.ignoring(Signal::SIGPIPE).input("a\r\nb\n"));
    });
    book.add("closed_stderr_does_not_matter", |s| {
        s.run(s.program([""; 0]).closed(2).input("a\r\nb\n"));
    });
}
