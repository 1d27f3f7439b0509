//! tcpserver: a program for every connection.

use std::net::Ipv4Addr;

use crate::support::book::Book;

pub(crate) fn fill(book: &mut Book) {
    book.add("verbose_log_of_one_served_connection", |s| {
        let mut server = s.serve(s.program(["-1vHRl0", "127.0.0.1", "0", "cat"]));
        let mut client = server.connect();
        client.send("hello\n");
        client.half_close();
        client.receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add("denied_peer_ends_with_status_100", |s| {
        s.rules("rules.cdb", "127.0.0.2:deny\n:allow\n");
        let mut server =
            s.serve(s.program(["-1vHRl0", "-x", "rules.cdb", "127.0.0.1", "0", "cat"]));
        server
            .connect_from(Ipv4Addr::new(127, 0, 0, 2))
            .receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
}
