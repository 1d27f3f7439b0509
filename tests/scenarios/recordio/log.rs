//! The lines: pid, direction, data, mark.

use std::fs::File;

use super::record;
use crate::support::book::Book;
use crate::support::inspect;
use crate::support::launch::Input;
use crate::support::scene::Scene;

const THROUGH_CAT: &[(&str, &[u8])] = &[
    ("line_without_its_end_is_marked_with_a_plus", b"hello\nwor"),
    (
        "packet_that_ends_in_a_line_feed_has_no_empty_rest",
        b"hello\nworld\n",
    ),
    ("empty_lines_are_recorded", b"\n\n\n"),
    ("empty_stream_is_only_its_end", b""),
    (
        "all_bytes_but_line_feed_are_recorded_raw",
        b"cr\r\nnul\0 bell\x07 tab\t esc\x1b high\x80\xff % : \\\n",
    ),
    ("blanks_are_kept", b"  two  \n \n "),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, bytes) in THROUGH_CAT {
        book.add(*name, move |s| record(s, s.program(["cat"]).input(bytes)));
    }
    for length in [255, 256, 257, 512, 600] {
        book.add(
            format!("packet_of_{length}_bytes_is_cut_at_256"),
            move |s| {
                through_cat_from_a_file(s, &vec![b'x'; length]);
            },
        );
    }
    book.add("line_feed_may_be_the_last_byte_of_a_full_packet", |s| {
        through_cat_from_a_file(s, format!("{}\nnext\n", "x".repeat(255)).as_bytes());
    });
    book.add("line_feed_may_be_the_first_byte_of_the_next_packet", |s| {
        through_cat_from_a_file(s, format!("{}\nnext\n", "x".repeat(256)).as_bytes());
    });
    book.add("long_stream_is_recorded_and_passed_whole", |s| {
        let mut bytes: Vec<u8> = (0..200_000_u32)
            .map(|number| u8::try_from(number * 7 % 251).unwrap_or(0))
            .collect();
        bytes.push(b'\n');
        s.write("stream", &bytes);
        let file = File::open(s.path("stream")).expect("it was just written");
        let outcome = s
            .start(s.program(["cat"]).stdin(Input::File(file)))
            .outcome();
        s.note(&format!("in:  {}", inspect::summary(&bytes)));
        s.note(&format!("out: {}", inspect::summary(&outcome.stdout)));
        for mark in [" < ", " > "] {
            let data = recorded(&outcome.stderr, mark.as_bytes());
            s.note(&format!("recorded{mark}: {}", inspect::summary(&data)));
        }
    });
    book.add("pid_in_the_log_is_the_programs", |s| {
        record(
            s,
            s.program(["sh", "-c", "cat; echo pid=$$"]).input("hello\n"),
        );
    });
    book.add("full_log_is_not_noticed", |s| {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("the system has /dev/full");
        record(
            s,
            s.program(["cat"])
                .input("hello\n")
                .stderr(crate::support::launch::Output::File(full)),
        );
    });
    book.add("closed_log_is_not_noticed", |s| {
        record(s, s.program(["cat"]).input("hello\n").closed(2))
    });
}

/// A file is always read in full packets; what comes through a pipe may be cut anywhere.
fn through_cat_from_a_file(s: &mut Scene, bytes: &[u8]) {
    s.write("input", bytes);
    let file = File::open(s.path("input")).expect("it was just written");
    record(s, s.program(["cat"]).stdin(Input::File(file)));
}

/// The data of one direction put together again.
fn recorded(log: &[u8], mark: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(rest) = line[digits..].strip_prefix(mark) else {
            continue;
        };
        if rest == b"[EOF]\n" {
            continue;
        }
        match rest.strip_suffix(b" \n") {
            Some(piece) => {
                data.extend_from_slice(piece);
                data.push(b'\n');
            }
            None => data.extend_from_slice(rest.strip_suffix(b"+\n").unwrap_or(rest)),
        }
    }
    data
}
