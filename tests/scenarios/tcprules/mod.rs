//! tcprules: rules to cdb. The database is compared byte for byte.

mod accepted;
mod bulk;
mod files;
mod ranges;
mod rejected;
mod usage;

use crate::support::book::Book;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    usage::fill(book);
    accepted::fill(book);
    ranges::fill(book);
    rejected::fill(book);
    files::fill(book);
    bulk::fill(book);
}

/// Compiles `rules` and shows the database.
fn compile(s: &mut Scene, rules: &[u8]) {
    s.run(s.program(["rules.cdb", "rules.tmp"]).input(rules));
    s.show_file("rules.cdb");
}
