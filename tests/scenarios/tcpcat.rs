//! tcpcat: everything that a server sends.

use super::wrapper::Client;
use crate::support::book::Book;

const CLIENT: Client = Client {
    port: 17,
    more: &[],
    takes_port: true,
    request_lines: 0,
    is_pipeline: false,
    head: "",
};

pub(crate) fn fill(book: &mut Book) {
    CLIENT.fill(book);
    book.add("port_may_be_a_name", |s| {
        let mut listener = s.listen_at(std::net::Ipv4Addr::LOCALHOST, 13);
        let process = s.start(s.program(["127.0.0.1", "daytime"]));
        let mut server = listener.accept();
        server.send("now\r\n");
        server.close();
        s.finish(process);
    })
    .needs_network();
    book.add("port_that_nobody_knows_is_an_error", |s| {
        s.run(s.program(["127.0.0.1", "no-such-port"]));
    });
    book.add("empty_port_is_an_error", |s| {
        s.run(s.program(["127.0.0.1", ""]));
    })
    .differs("strict-ports");
}
