//! Two file names, no options.

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("no_argument_is_a_usage_error", |s| {
        s.run(s.program([""; 0]));
    });
    book.add("one_argument_is_a_usage_error", |s| {
        s.run(s.program(["rules.cdb"]));
        s.show_directory();
    });
    book.add("further_arguments_are_ignored", |s| {
        s.run(
            s.program(["rules.cdb", "rules.tmp", "more", "-v"])
                .input("1.2.3.4:deny\n"),
        );
        s.show_directory();
    });
    book.add("words_with_a_dash_are_file_names", |s| {
        s.run(s.program(["-v", "-x"]).input("1.2.3.4:deny\n"));
        s.show_directory();
    });
    book.add("two_dashes_are_a_file_name", |s| {
        s.run(s.program(["--", "rules.tmp"]).input("1.2.3.4:deny\n"));
        s.show_directory();
    });
    book.add("usage_names_the_program_not_argv0", |s| {
        s.run(s.program([""; 0]).called("/some/where/other"));
    });
}
