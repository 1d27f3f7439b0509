//! tcprulescheck: what the rules say about an address.

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("missing_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
}
