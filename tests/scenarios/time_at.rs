//! time@: what its command line takes. What it shows depends on the time: `tests/clients/time_at.rs` tests it.

use crate::support::book::Book;

const USAGE: &[(&str, &[&str])] = &[
    ("unknown_option_is_a_usage_error", &["-x", "0"]),
    ("option_m_needs_a_value", &["-m"]),
    ("option_t_needs_a_value", &["-t"]),
    ("difference_must_be_a_number", &["-m", "x", "0"]),
    ("timeout_must_be_a_number", &["-t", "1s", "0"]),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, args) in USAGE {
        book.add(*name, move |s| s.run(s.program(*args)))
            .ours_alone("time-program");
    }
    book.add("full_stdout_is_a_failure", |s| {
        s.run(s.program([""; 0]).stdout(super::files::full()));
    })
    .ours_alone("time-program");
}
