//! finger@: one line to a server, and its answer.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;

use super::wrapper::Client;
use crate::support::book::Book;
use crate::support::scene::Scene;

const CLIENT: Client = Client {
    port: 79,
    more: &["user"],
    takes_port: false,
    request_lines: 1,
    is_pipeline: true,
    head: "",
};

const USERS: &[(&str, &[u8])] = &[
    ("user_is_sent", b"bob"),
    ("user_may_be_empty", b""),
    ("user_may_have_blanks", b"  /W  bob  jones "),
    ("user_may_be_elsewhere", b"bob@elsewhere.test"),
    ("user_may_be_any_bytes", b"b\xffb\xc3\xa9\x01\x7f"),
    ("user_may_look_like_an_option", b"-x"),
    (
        "user_may_look_like_a_shell_script",
        b"$(id) `id` ; id | \"'*",
    ),
];

/// Here a shell's echo comes between.
const CHANGED_BY_ECHO: &[(&str, &[u8])] = &[
    ("user_may_be_the_option_of_echo", b"-n"),
    ("user_may_have_backslashes", b"a\\nb\\tc\\0101\\\\d"),
    ("user_may_end_what_echo_writes", b"bob\\cjones"),
    ("user_may_have_a_line_feed", b"bob\njones"),
];

pub(crate) fn fill(book: &mut Book) {
    CLIENT.fill(book);
    for (name, user) in USERS {
        book.add(*name, move |s| asks(s, user)).needs_network();
    }
    for (name, user) in CHANGED_BY_ECHO {
        book.add(*name, move |s| asks(s, user))
            .differs("literal-arguments")
            .needs_network();
    }
    book.add("user_may_be_long", |s| {
        let mut listener = s.listen_at(Ipv4Addr::LOCALHOST, CLIENT.port);
        let process = s.start(s.program(["127.0.0.1", &"x".repeat(100_000)]));
        let mut server = listener.accept();
        server.receive_line();
        server.send("no such user\r\n");
        server.close();
        s.finish(process);
    })
    .needs_network();
}

fn asks(s: &mut Scene, user: &[u8]) {
    let mut listener = s.listen_at(Ipv4Addr::LOCALHOST, CLIENT.port);
    let process = s.start(s.program([OsStr::new("127.0.0.1"), OsStr::from_bytes(user)]));
    let mut server = listener.accept();
    // The program ends when the server does; then all that it has sent is there.
    server.send("no such user\r\n");
    server.half_close();
    server.receive_all();
    s.finish(process);
}
