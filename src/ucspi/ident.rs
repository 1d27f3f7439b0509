//! Asking the peer's ident server whose connection this is. RFC 1413; which bytes of a reply count, observed runs of the
//! original.
//!
//! The reply is a stranger's: bounded in time and size, and its bytes are cleaned only where they are logged.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::connect::connect;

/// RFC 1413 section 3.
const PORT: u16 = 113;
/// How much of the answer is kept, in bytes.
const INFO_BYTES: usize = 257;
/// A reply that is longer than this is none, in bytes. RFC 1413 allows 1000.
const REPLY_BYTES: usize = 4096;

/// What the ident server at `remote` says about the connection from there to `local`; `None` when it says nothing within
/// `limit`. An error reply is an answer, and empty.
pub(super) async fn ask(local: SocketAddr, remote: SocketAddr, limit: Duration) -> Option<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let (mut server, mut from) = (remote, local);
    server.set_port(PORT);
    from.set_port(0);
    let mut stream = connect(server, from, limit).await.ok()?.ok()?;
    let exchange = async {
        let question = format!("{} , {}\r\n", remote.port(), local.port());
        stream.write_all(question.as_bytes()).await.ok()?;
        let mut reply = Reply::default();
        let mut room = [0; 256];
        loop {
            let length = stream.read(&mut room).await.ok()?;
            if length == 0 {
                return None;
            }
            if let Some(outcome) = reply.feed(&room[..length]) {
                return outcome;
            }
        }
    };
    timeout_at(deadline, exchange).await.ok()?
}

/// A reply, as far as it has come.
#[derive(Debug, Default)]
struct Reply {
    length: usize,
    colons: u32,
    info: Vec<u8>,
}

impl Reply {
    /// Takes more bytes. Gives the outcome when it is clear: the text after the third colon up to the line feed, without
    /// blanks, tabs and CRs, and up to a NUL, or nothing when the reply is too long.
    fn feed(&mut self, bytes: &[u8]) -> Option<Option<Vec<u8>>> {
        for &byte in bytes {
            self.length += 1;
            match byte {
                b'\n' => return Some(Some(self.outcome())),
                _ if self.length == REPLY_BYTES => return Some(None),
                b' ' | b'\t' | b'\r' => {}
                b':' if self.colons < 3 => self.colons += 1,
                _ if self.colons < 3 => {}
                byte => {
                    self.info.push(byte);
                    if self.info.len() == INFO_BYTES {
                        return Some(Some(self.outcome()));
                    }
                }
            }
        }
        None
    }

    /// The info as rules, log and program see it: no variable can hold a NUL, and none of them may see more than another.
    fn outcome(&mut self) -> Vec<u8> {
        let mut info = std::mem::take(&mut self.info);
        if let Some(end) = info.iter().position(|&byte| byte == 0) {
            info.truncate(end);
        }
        info
    }
}

/// What `reply`, which comes in pieces of `piece` bytes, says; `None` when it says nothing.
pub fn parse(reply: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut state = Reply::default();
    reply
        .chunks(piece.max(1))
        .find_map(|bytes| state.feed(bytes))?
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn parsed(reply: &[u8]) -> Option<Vec<u8>> {
        let whole = parse(reply, reply.len());
        assert_eq!(parse(reply, 1), whole, "in pieces");
        whole
    }

    #[test]
    fn info_is_what_follows_the_third_colon() {
        assert_eq!(
            parsed(b"1 , 2 : USERID : UNIX : joe\r\n"),
            Some(b"joe".to_vec())
        );
        assert_eq!(
            parsed(b"a : b: c :  we ird:x%y \t z\n"),
            Some(b"weird:x%yz".to_vec())
        );
    }

    #[test]
    fn error_reply_is_an_empty_answer() {
        assert_eq!(parsed(b"1,2 : ERROR : NO-USER\r\n"), Some(Vec::new()));
    }

    #[test]
    fn reply_without_line_feed_is_none() {
        assert_eq!(parsed(b"1,2 : USERID : UNIX : joe"), None);
    }

    #[test]
    fn at_most_257_bytes_are_kept() {
        let reply = [b"::: ", &[b'x'; 400][..], b"\n"].concat();
        assert_eq!(parsed(&reply), Some(vec![b'x'; 257]));
    }

    #[test]
    fn info_ends_at_a_nul() {
        assert_eq!(parsed(b":::joe\0root\n"), Some(b"joe".to_vec()));
        let reply = [b":::joe\0", &[b'x'; 400][..], b"\n"].concat();
        assert_eq!(parsed(&reply), Some(b"joe".to_vec()));
    }

    #[test]
    fn endless_reply_is_none() {
        assert_eq!(parsed(&[b' '; 5000]), None);
    }
}
