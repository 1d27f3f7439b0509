//! Taking a header from a connection, to its last byte and no further: the program gets the socket, not what we have read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::time::timeout;

use super::{Header, V2_MAX, Wrong, read};
use crate::cli::reason;
use crate::sys::{socket, watch};

/// Waits for the header of `connection`, and takes it.
///
/// # Errors
/// What was wrong, as a sentence.
pub(crate) async fn take(connection: &OwnedFd, limit: Duration) -> Result<Header, Vec<u8>> {
    let mut room = vec![0; V2_MAX];
    if let Some(header) = look(connection, &mut room, false)? {
        return Ok(header);
    }
    let header = timeout(limit, wait(connection, &mut room)).await;
    header.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f64();
        Err(format!("no whole PROXY header within {seconds} seconds").into_bytes())
    })
}

async fn wait(connection: &OwnedFd, room: &mut [u8]) -> Result<Header, Vec<u8>> {
    let readable = watch::readable(connection.as_fd()).map_err(unable)?;
    loop {
        let mut ready = readable.readable().await.map_err(unable)?;
        // Before the look: then it sees all that there will ever be.
        let is_over = ready.ready().is_read_closed();
        if let Some(header) = look(connection, room, is_over)? {
            return Ok(header);
        }
        ready.clear_ready();
    }
}

/// Takes the header if all of it is there.
fn look(connection: &OwnedFd, room: &mut [u8], is_over: bool) -> Result<Option<Header>, Vec<u8>> {
    let length = match socket::peek_now(connection, room) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(unable(error)),
    };
    match read(&room[..length]) {
        Ok(Some((header, length))) => {
            let taken = socket::receive_now(connection, &mut room[..length]).map_err(unable)?;
            debug_assert_eq!(taken, length, "what was seen is there");
            Ok(Some(header))
        }
        Ok(None) if length == 0 => Err(b"no PROXY header: the connection has ended".to_vec()),
        Ok(None) if is_over => Err(bad(Wrong("the connection ends in the middle"))),
        Ok(None) => Ok(None),
        Err(wrong) => Err(bad(wrong)),
    }
}

fn bad(Wrong(why): Wrong) -> Vec<u8> {
    [b"bad PROXY header: ", why.as_bytes()].concat()
}

fn unable(error: io::Error) -> Vec<u8> {
    [b"unable to read PROXY header: ", reason(&error).as_bytes()].concat()
}
