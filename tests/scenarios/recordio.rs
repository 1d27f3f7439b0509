//! recordio: write down what goes through a program.

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
}
