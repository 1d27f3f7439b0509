//! tcprulescheck: what the rules say about an address. The same look-up as tcpserver's, without a network.

mod damaged;
mod lookup;
mod output;

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    output::fill(book);
    lookup::fill(book);
    damaged::fill(book);
}
