//! Say one thing to a server and show what it answers: what who@, date@, finger@, http@ and tcpcat do.
//!
//! Source: the original's manual pages, and observed runs of its scripts. Arguments are sent as they are: no shell comes
//! between.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::cli::{During, Error, FAILED, Voice};
use crate::filter::carriage_return::Delete;
use crate::sys::fd::{self, PollFd, PollFlags};
use crate::sys::socket;
use crate::tls;
use crate::ucspi::client;

/// The size of a read.
const READ_BYTES: usize = 64 * 1024;

/// What to do with an answer that comes in pieces.
pub trait Answer {
    /// Writes what is to be seen of a piece to descriptor 1.
    ///
    /// # Errors
    /// It cannot be written.
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes what is left at the end.
    ///
    /// # Errors
    /// It cannot be written.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects as `tcpclient -RHl0` does, with its messages, sends `request`, and gives the answer to `answer`.
///
/// # Errors
/// 111: no connection, or one that broke; descriptor 1 cannot be written (without a message).
pub fn converse(
    host: Vec<u8>,
    port: &[u8],
    request: &[u8],
    answer: &mut impl Answer,
    voice: &mut Voice,
) -> Result<(), Error> {
    *voice = Voice::new("tcpclient");
    let connection = client::dial(host, port, *voice)?;
    let exchanged = exchange(connection.as_fd(), request, answer);
    let ended = answer.end().map_err(|_| Error::silent(FAILED));
    exchanged.and(ended)
}

/// The same over TLS, as `tlsclient -RHl0` does, with its messages; the server is verified.
///
/// # Errors
/// As [`converse`], and 111 when the server is not who it should be, or cuts its answer short.
pub fn converse_privately(
    host: Vec<u8>,
    port: &[u8],
    request: &[u8],
    answer: &mut impl Answer,
    voice: &mut Voice,
) -> Result<(), Error> {
    *voice = Voice::new("tlsclient");
    let connection = client::dial(host.clone(), port, *voice)?;
    let asked = tls::client::ask(
        connection,
        &host,
        request,
        |piece| answer.piece(piece),
        *voice,
    );
    let ended = answer.end().map_err(|_| Error::silent(FAILED));
    asked.and(ended)
}

/// Sends and receives at the same time, until the server closes. A server that does not want to hear all of the request
/// may answer all the same.
fn exchange(
    connection: BorrowedFd<'_>,
    mut request: &[u8],
    answer: &mut impl Answer,
) -> Result<(), Error> {
    let mut room = vec![0; READ_BYTES];
    loop {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !request.is_empty());
        let mut fds = [PollFd::new(connection, wanted)];
        fd::poll(&mut fds).during("wait for the network")?;
        let ready = fds[0].revents().unwrap_or(PollFlags::POLLIN);
        if ready.contains(PollFlags::POLLOUT) {
            match socket::send_now(connection, request) {
                Ok(sent) => request = &request[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => request = &[],
            }
        }
        if ready.intersects(!PollFlags::POLLOUT) {
            match fd::read(connection, &mut room).during("read from the network")? {
                0 => return Ok(()),
                length => {
                    let shown = answer.piece(&room[..length]);
                    shown.map_err(|_| Error::silent(FAILED))?;
                }
            }
        }
    }
}

/// All bytes as they are.
#[derive(Debug)]
pub struct Raw;

impl Answer for Raw {
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        fd::write_all(fd::STDOUT, bytes)
    }
}

/// Text for people: without the CRs before LFs, and with every other unusual byte as `cat -v` shows it.
#[derive(Debug, Default)]
pub struct Show {
    delete: Delete,
}

impl Answer for Show {
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut text = Vec::with_capacity(bytes.len());
        self.delete.change(bytes, &mut text);
        visible(&text)
    }

    fn end(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.delete.finish(&mut text);
        visible(&text)
    }
}

fn visible(text: &[u8]) -> io::Result<()> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        let mut low = byte;
        if byte >= 0x80 {
            out.extend_from_slice(b"M-");
            low = byte - 0x80;
        }
        match low {
            b'\n' | b'\t' if byte == low => out.push(byte),
            0x7f => out.extend_from_slice(b"^?"),
            0..0x20 => out.extend_from_slice(&[b'^', low + 0x40]),
            _ => out.push(low),
        }
    }
    fd::write_all(fd::STDOUT, &out)
}

/// What asks the server called `host`, at `port`, for a page. RFC 1945 section 5
pub fn page_request(host: &[u8], page: &[u8], port: &[u8]) -> Vec<u8> {
    let is_bare_ipv6 = host.contains(&b':') && host.first() != Some(&b'[');
    let (open, close): (&[u8], &[u8]) = if is_bare_ipv6 {
        (b"[", b"]")
    } else {
        (b"", b"")
    };
    let parts = [
        b"GET /",
        page,
        b" HTTP/1.0\r\nHost: ",
        open,
        host,
        close,
        b":",
        port,
        b"\r\n\r\n",
    ];
    parts.concat()
}

/// The body of an HTTP answer: what follows the first empty line, without the CRs before LFs, and ended by an LF.
#[derive(Debug, Default)]
pub struct Body {
    delete: Delete,
    part: Part,
}

/// Where in an answer the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    HeaderLineStart,
    HeaderLine,
    BodyLineStart,
    BodyLine,
}

impl Body {
    fn pass(&mut self, mut text: &[u8]) -> io::Result<()> {
        while let (Part::HeaderLineStart | Part::HeaderLine, [byte, rest @ ..]) = (self.part, text)
        {
            self.part = match (self.part, byte) {
                (Part::HeaderLineStart, b'\n') => Part::BodyLineStart,
                (_, b'\n') => Part::HeaderLineStart,
                _ => Part::HeaderLine,
            };
            text = rest;
        }
        match text.last() {
            None => {}
            Some(b'\n') => self.part = Part::BodyLineStart,
            Some(_) => self.part = Part::BodyLine,
        }
        fd::write_all(fd::STDOUT, text)
    }
}

impl Answer for Body {
    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut text = Vec::with_capacity(bytes.len());
        self.delete.change(bytes, &mut text);
        self.pass(&text)
    }

    fn end(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.delete.finish(&mut text);
        self.pass(&text)?;
        let end: &[u8] = if self.part == Part::BodyLine {
            b"\n"
        } else {
            b""
        };
        fd::write_all(fd::STDOUT, end)
    }
}
