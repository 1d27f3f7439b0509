//! tcprules: rules to cdb.

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("empty_input_makes_an_empty_database", |s| {
        s.run(s.program(["rules.cdb", "rules.tmp"]));
        s.show_directory();
        s.show_file("rules.cdb");
    });
}
