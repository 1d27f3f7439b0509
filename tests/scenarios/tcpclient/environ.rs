//! The variables, in their order.

use super::{as_it_is, run_connected};
use crate::scenarios::passed_on;
use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    passed_on::variables(book, "-HR", |s, options, program, with| {
        run_connected(s, options, program, with)
    });
    book.add("long_local_name_is_kept_whole", |s| {
        run_connected(s, &["-HR", "-l", &"n".repeat(300)], &["env"], as_it_is)
    });
}
