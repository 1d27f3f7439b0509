//! One question over the control socket of a server.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What a server says.
#[derive(Debug)]
pub enum Answer {
    /// What was asked for.
    Yes(Vec<u8>),
    /// What would have been a request.
    No(Vec<u8>),
}

/// How long to wait for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the server at `path`: `line` is a form and a request, without a line feed.
///
/// # Errors
/// There is no server at `path`, or it does not answer (`TimedOut`), or not as a server does (`InvalidData`).
pub fn ask(path: &[u8], line: &[u8]) -> io::Result<Answer> {
    let mut server = UnixStream::connect(OsStr::from_bytes(path))?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.set_write_timeout(Some(PATIENCE))?;
    server.write_all(&[line, b"\n"].concat())?;
    let mut answer = Vec::new();
    let read = server.read_to_end(&mut answer);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })?;
    let (word, text) = answer.split_at(answer.len().min(3));
    match word {
        b"ok\n" => Ok(Answer::Yes(text.to_vec())),
        b"no\n" => Ok(Answer::No(text.to_vec())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
