//! tcpclient: a program with a connection on 6 and 7.

use std::net::Ipv4Addr;

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("program_sees_exactly_the_documented_environment", |s| {
        let mut listener = s.listen(Ipv4Addr::LOCALHOST);
        let port = listener.port.to_string();
        let client = s.start(s.program(["-HRl0", "127.0.0.1", &port, "env"]));
        listener.accept();
        s.finish(client);
    });
}
