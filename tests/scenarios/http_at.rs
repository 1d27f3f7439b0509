//! http@: the body of a page.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;

use super::wrapper::Client;
use crate::support::book::Book;
use crate::support::scene::Scene;

const CLIENT: Client = Client {
    port: 80,
    more: &["page"],
    takes_port: true,
    request_lines: 3,
    is_pipeline: true,
    head: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n",
};

const PAGES: &[(&str, &[u8])] = &[
    ("page_is_sent", b"a/b.html"),
    ("page_may_be_empty", b""),
    ("page_may_begin_with_a_slash", b"/x"),
    ("page_may_have_a_query", b"a?b=c&d=%20e#f"),
    ("page_may_have_blanks", b"two words "),
    ("page_may_be_any_bytes", b"\xff\xc3\xa9\x01"),
    ("page_may_look_like_an_option", b"-n"),
    (
        "page_may_look_like_a_shell_script",
        b"$(id) `id` ; id | \"'*",
    ),
];

/// Here a shell's echo comes between.
const CHANGED_BY_ECHO: &[(&str, &[u8])] = &[
    ("page_may_have_backslashes", b"a\\tb\\0101\\\\c"),
    ("page_may_end_what_echo_writes", b"a\\cb"),
    ("page_may_have_a_line_feed", b"a\nb"),
];

const ANSWERS: &[(&str, &[u8])] = &[
    ("answer_may_be_nothing", b""),
    (
        "answer_may_be_only_a_head",
        b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n",
    ),
    ("answer_may_end_in_its_head", b"HTTP/1.0 200 OK\r\nA: b"),
    ("answer_may_have_no_head", b"\r\nbody\r\n"),
    (
        "head_may_end_in_bare_line_feeds",
        b"HTTP/1.0 200 OK\nA: b\n\nbody\n",
    ),
    (
        "failures_of_http_are_no_failures",
        b"HTTP/1.0 404 Not Found\r\n\r\nnot here\r\n",
    ),
    (
        "head_line_of_blanks_does_not_end_it",
        b"HTTP/1.0 200 OK\r\n \r\nA: b\r\n\r\nbody\r\n",
    ),
    (
        "head_line_of_two_crs_does_not_end_it",
        b"HTTP/1.0 200 OK\r\n\r\r\nA: b\r\n\r\nbody\r\n",
    ),
    (
        "body_line_of_blanks_is_shown",
        b"H\r\n\r\none\r\n \r\ntwo\r\n",
    ),
];

const EMPTY_LINES: &[(&str, &[u8])] = &[
    (
        "empty_lines_of_the_body_are_shown",
        b"H\r\n\r\none\r\n\r\ntwo\r\n\n\nthree",
    ),
    (
        "body_may_begin_with_empty_lines",
        b"H\r\n\r\n\r\n\r\none\r\n",
    ),
    ("body_may_end_with_empty_lines", b"H\r\n\r\none\r\n\r\n\r\n"),
];

pub(crate) fn fill(book: &mut Book) {
    CLIENT.fill(book);
    for (name, page) in PAGES {
        book.add(*name, move |s| {
            asks(s, page, b"HTTP/1.0 200 OK\r\n\r\nhello\r\n");
        });
    }
    for (name, page) in CHANGED_BY_ECHO {
        book.add(*name, move |s| {
            asks(s, page, b"HTTP/1.0 200 OK\r\n\r\nhello\r\n");
        })
        .differs("literal-arguments");
    }
    for (name, answer) in ANSWERS {
        book.add(*name, move |s| asks(s, b"page", answer));
    }
    for (name, answer) in EMPTY_LINES {
        book.add(*name, move |s| asks(s, b"page", answer))
            .differs("http-empty-lines");
    }
    book.add("end_of_the_head_may_come_in_pieces", |s| {
        let (mut server, process) = CLIENT.start(s, |launch| launch);
        for piece in ["HTTP/1.0 200 OK\r", "\n\r", "\nbo", "dy\r", "\nmore\r"] {
            server.send(piece);
        }
        server.close();
        s.finish(process);
    });
}

fn asks(s: &mut Scene, page: &[u8], answer: &[u8]) {
    let mut listener = s.listen(Ipv4Addr::LOCALHOST);
    let port = listener.port.to_string();
    let args = [
        OsStr::new("127.0.0.1"),
        OsStr::from_bytes(page),
        port.as_ref(),
    ];
    let process = s.start(s.program(args));
    let mut server = listener.accept();
    // The program ends when the server does; then all that it has sent is there.
    server.send(answer);
    server.half_close();
    server.receive_all();
    s.finish(process);
}
