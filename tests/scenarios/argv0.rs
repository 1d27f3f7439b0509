//! argv0: run a program under another name.

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("program_runs_under_the_second_word_as_its_name", |s| {
        s.run(s.program([
            "sh",
            "some name",
            "-c",
            "echo \"$0\"; cat /proc/$$/cmdline | tr '\\0' '|'",
        ]));
    });
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
}
