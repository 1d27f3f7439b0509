//! What a client hears that is not wanted: a server that lets it talk and takes nothing.

use std::time::{Duration, Instant};

use crate::sys::fd::{self, PollFd, PollFlags};
use crate::sys::outlet::Outlet;

const GREETING: &[u8] = b"220 rblsmtpd.local\r\n";
const FINE: &[u8] = b"250 rblsmtpd.local\r\n";
const BYE: &[u8] = b"221 rblsmtpd.local\r\n";
/// How long a client may take that only gets the answer: there is room for it as a rule.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The longest verb that is looked for, and a byte that shows that a word is longer.
const VERB_BYTES: usize = 5;

/// Talks with the client on descriptors 0 and 1, until it says QUIT, goes, or cannot be written to, at most for `limit` in
/// all, also when it reads nothing; `answer`, without its line end, is said to whatever would send mail. With no time at
/// all, only `answer` is said.
pub fn refuse(answer: &[u8], limit: Duration) {
    let answer = [answer, b"\r\n"].concat();
    // Whatever ends the talk ends it well.
    let _ = converse(&answer, limit);
}

fn converse(answer: &[u8], limit: Duration) -> std::io::Result<()> {
    let deadline = Instant::now() + limit.max(AT_ONCE);
    let client = Outlet::new(fd::STDOUT)?;
    let say = |reply| client.write_all_until(reply, deadline);
    if limit.is_zero() {
        return say(answer);
    }
    say(GREETING)?;
    let mut verb = Vec::with_capacity(VERB_BYTES);
    let mut is_verb_over = false;
    let mut room = [0; 512];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(fd::STDIN, PollFlags::POLLIN)];
        if left.is_zero() || !fd::poll_within(&mut fds, left)? {
            return Ok(());
        }
        let length = fd::read(fd::STDIN, &mut room)?;
        if length == 0 {
            return Ok(());
        }
        for &byte in &room[..length] {
            match byte {
                b'\n' => {
                    // A CR that ends the line is no part of it.
                    if let [before @ .., b'\r'] = &verb[..]
                        && !is_verb_over
                    {
                        verb.truncate(before.len());
                    }
                    let reply = reply(&verb, answer);
                    say(reply)?;
                    if reply == BYE {
                        return Ok(());
                    }
                    verb.clear();
                    is_verb_over = false;
                }
                b' ' => is_verb_over = true,
                byte if !is_verb_over && verb.len() < VERB_BYTES + 1 => verb.push(byte),
                _ => {}
            }
        }
    }
}

/// The reply to a command with this verb, in any case.
fn reply<'a>(verb: &[u8], answer: &'a [u8]) -> &'a [u8] {
    match &verb.to_ascii_lowercase()[..] {
        b"helo" | b"ehlo" | b"mail" | b"rset" | b"noop" => FINE,
        b"quit" => BYE,
        _ => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::{BYE, FINE, reply};

    #[test]
    fn only_what_sends_mail_is_refused() {
        for verb in ["HELO", "ehlo", "Mail", "rset", "NOOP"] {
            assert_eq!(reply(verb.as_bytes(), b"no"), FINE, "{verb}");
        }
        assert_eq!(reply(b"QUIT", b"no"), BYE);
        for verb in ["RCPT", "DATA", "VRFY", "", "HELOX", "QUI"] {
            assert_eq!(reply(verb.as_bytes(), b"no"), b"no", "{verb}");
        }
    }
}
