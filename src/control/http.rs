//! A UCSPI program that shows a server's state to browsers and to Prometheus: one request, one answer. HTTP/1.0, RFC 1945.
//!
//! What it leaves out: further requests on the same connection, and everything but GET and HEAD.

use std::io;

use super::ask::{Answer, ask};
use crate::sys::fd::{self, STDIN, STDOUT};

/// How long a request can be, with its headers.
const REQUEST_BYTES: usize = 16 * 1024;

/// What is at a path.
struct Place {
    request: &'static str,
    kind: &'static str,
}

/// Reads a request from descriptor 0 and answers it on descriptor 1, with what the server at `path` says. A peer that sends
/// no request gets no answer.
///
/// # Errors
/// The peer is gone.
pub fn serve(path: &[u8]) -> io::Result<()> {
    let Some(request) = request()? else {
        return Ok(());
    };
    let answer = answer(&request, |line| ask(path, line.as_bytes()));
    fd::write_all(STDOUT, &answer)
}

/// The bytes of a request, up to the empty line after its headers; nothing if that does not come, or too late.
fn request() -> io::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    let mut room = [0; 4096];
    while request.len() < REQUEST_BYTES {
        let length = fd::read(STDIN, &mut room)?;
        if length == 0 {
            break;
        }
        request.extend_from_slice(&room[..length]);
        if is_whole(&request) {
            return Ok(Some(request));
        }
    }
    Ok(None)
}

fn is_whole(request: &[u8]) -> bool {
    let has = |end: &[u8]| request.windows(end.len()).any(|bytes| bytes == end);
    has(b"\r\n\r\n") || has(b"\n\n")
}

/// The whole answer to `request`.
fn answer(request: &[u8], ask: impl FnOnce(&str) -> io::Result<Answer>) -> Vec<u8> {
    let line = request.split(|&byte| byte == b'\r' || byte == b'\n').next();
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let is_head = method == b"HEAD";
    if !is_head && method != b"GET" {
        return told(
            "405 Method Not Allowed",
            "text/plain",
            b"GET or HEAD\n",
            false,
        );
    }
    let path = target
        .split(|&byte| byte == b'?')
        .next()
        .unwrap_or_default();
    let place = match path {
        b"/" => Place {
            request: "text page",
            kind: "text/html; charset=utf-8",
        },
        b"/metrics" => Place {
            request: "text metrics",
            kind: "text/plain; version=0.0.4; charset=utf-8",
        },
        b"/status.json" => Place {
            request: "json overview",
            kind: "application/json",
        },
        _ => {
            let text = b"/, /metrics or /status.json\n";
            return told("404 Not Found", "text/plain", text, is_head);
        }
    };
    match ask(place.request) {
        Ok(Answer::Yes(body)) => told("200 OK", place.kind, &body, is_head),
        Ok(Answer::No(_)) | Err(_) => {
            let text = b"the server does not answer\n";
            told("503 Service Unavailable", "text/plain", text, is_head)
        }
    }
}

fn told(status: &str, kind: &str, body: &[u8], is_head: bool) -> Vec<u8> {
    let head = format!(
        "HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         X-Content-Type-Options: nosniff\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let body = if is_head { b"" } else { body };
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Answer, answer, is_whole};

    fn answered(request: &str) -> String {
        let ask = |line: &str| Ok(Answer::Yes(format!("[{line}]").into_bytes()));
        String::from_utf8(answer(request.as_bytes(), ask)).unwrap()
    }

    #[test]
    fn each_path_has_its_answer() {
        for (request, start, end) in [
            (
                "GET / HTTP/1.1\r\n\r\n",
                "HTTP/1.0 200 OK\r\nContent-Type: text/html;",
                "\r\n\r\n[text page]",
            ),
            (
                "GET /metrics?x=1 HTTP/1.1\r\n\r\n",
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4",
                "[text metrics]",
            ),
            (
                "GET /status.json HTTP/1.0\n\n",
                "HTTP/1.0 200 OK\r\nContent-Type: application/json",
                "[json overview]",
            ),
            (
                "HEAD / HTTP/1.0\n\n",
                "HTTP/1.0 200 OK\r\n",
                "close\r\n\r\n",
            ),
            (
                "GET /../etc/passwd HTTP/1.0\n\n",
                "HTTP/1.0 404 ",
                "status.json\n",
            ),
            ("POST / HTTP/1.0\n\n", "HTTP/1.0 405 ", "HEAD\n"),
            ("\n\n", "HTTP/1.0 405 ", "HEAD\n"),
        ] {
            let found = answered(request);
            assert!(
                found.starts_with(start) && found.ends_with(end),
                "{request:?}: {found}"
            );
        }
    }

    #[test]
    fn server_that_is_gone_is_unavailable() {
        let gone = |_: &str| Err(io::ErrorKind::NotFound.into());
        let found = answer(b"GET / HTTP/1.0\n\n", gone);
        assert!(found.starts_with(b"HTTP/1.0 503 "));
    }

    #[test]
    fn request_ends_at_an_empty_line() {
        assert!(is_whole(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
        assert!(is_whole(b"GET / HTTP/1.0\n\nmore"));
        assert!(!is_whole(b"GET / HTTP/1.0\r\n"));
    }
}
