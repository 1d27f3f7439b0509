//! Block lists and allow lists in the DNS: each is asked when the command line comes to it, and the first decision
//! stands. RFC 5782.

use std::io;
use std::time::Duration;

use crate::cli::{During, Error};
use crate::dns::{Families, Resolver, literal};
use crate::sys::runtime::Runtime;

/// What is decided about the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Run the server.
    Accept,
    /// Say this, with 553 (do not try again) or 451.
    Reject {
        /// Do not try again.
        permanently: bool,
        /// Why, in a list's words.
        text: Vec<u8>,
    },
}

/// The lists, and what they have said so far.
pub struct Lists {
    /// The beginning of the names to look up: the client's address, reversed, and a dot; empty for an unknown one.
    prefix: Vec<u8>,
    verdict: Option<Verdict>,
    /// Some list could not be asked: whatever is decided then must not be permanent.
    in_doubt: bool,
    /// `-b`: who is listed need not try again.
    pub permanently: bool,
    /// `-c`: a list that cannot be asked counts against the client.
    pub fails_closed: bool,
    runtime: Runtime,
    resolver: Resolver,
}

/// How long a list may take to answer: the original's waits for one server.
const LIMIT: Duration = Duration::from_secs(60);

impl Lists {
    /// Lists for the client whose address is the text `client`, and the verdict that `$RBLSMTPD` already holds: none if it is not set; empty for
    /// accept; a text for reject, permanently after a `-`.
    ///
    /// # Errors
    /// 111: no runtime to look names up with.
    pub fn new(client: &[u8], told: Option<Vec<u8>>) -> Result<Self, Error> {
        let verdict = told.map(|text| match text.split_first() {
            None => Verdict::Accept,
            Some((b'-', text)) => Verdict::Reject {
                permanently: true,
                text: text.to_vec(),
            },
            Some(_) => Verdict::Reject {
                permanently: false,
                text,
            },
        });
        Ok(Self {
            prefix: reversed(client),
            verdict,
            in_doubt: false,
            permanently: false,
            fails_closed: false,
            runtime: Runtime::new().during("start")?,
            resolver: Resolver::new(LIMIT),
        })
    }

    /// True as long as nothing is decided.
    pub fn is_open(&self) -> bool {
        self.verdict.is_none()
    }

    /// Asks the block list `base`: a client with a text there is rejected.
    pub fn block(&mut self, base: &[u8]) {
        if !self.is_open() {
            return;
        }
        let name = [&self.prefix, base].concat();
        match self.wait(self.resolver.text(&name)) {
            Ok(texts) => {
                let text = texts.concat();
                if !text.is_empty() {
                    let permanently = self.permanently;
                    self.verdict = Some(Verdict::Reject { permanently, text });
                }
            }
            Err(_) => {
                self.in_doubt = true;
                if self.fails_closed {
                    let text = b"temporary RBL lookup error".to_vec();
                    self.verdict = Some(Verdict::Reject {
                        permanently: false,
                        text,
                    });
                }
            }
        }
    }

    /// Asks the allow list `base`: a client with an address there is accepted.
    pub fn allow(&mut self, base: &[u8]) {
        if !self.is_open() {
            return;
        }
        let name = [&self.prefix, base].concat();
        match self.wait(self.resolver.addresses(&name, Families::V4)) {
            Ok(addresses) if addresses.is_empty() => {}
            Ok(_) => self.verdict = Some(Verdict::Accept),
            Err(_) => {
                self.in_doubt = true;
                if !self.fails_closed {
                    self.verdict = Some(Verdict::Accept);
                }
            }
        }
    }

    fn wait<T>(&self, answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        self.runtime.wait(answer)
    }

    /// What is decided in the end; nothing means to accept.
    pub fn verdict(&self) -> Verdict {
        match self.verdict.clone() {
            None => Verdict::Accept,
            Some(Verdict::Reject { permanently, text }) => {
                let permanently = permanently && !self.in_doubt;
                Verdict::Reject { permanently, text }
            }
            Some(verdict) => verdict,
        }
    }
}

/// The numbers of an address from the last to the first, each with a dot: `4.3.2.1.`, or 32 hexadecimal digits. What is
/// no address is reversed at its dots.
fn reversed(client: &[u8]) -> Vec<u8> {
    match literal::address(client).map(|address| address.to_canonical()) {
        Some(address) => literal::backwards(address).into(),
        None => backwards(client),
    }
}

fn backwards(text: &[u8]) -> Vec<u8> {
    let parts = text
        .split(|&byte| byte == b'.')
        .filter(|part| !part.is_empty());
    parts.rev().flat_map(|part| [part, b"."].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Lists, Verdict, reversed};

    fn reject(permanently: bool, text: &str) -> Verdict {
        Verdict::Reject {
            permanently,
            text: text.into(),
        }
    }

    #[test]
    fn address_is_reversed_by_numbers_or_nibbles() {
        let reversed = |text: &str| String::from_utf8(reversed(text.as_bytes())).unwrap();
        assert_eq!(reversed("1.2.3.4"), "4.3.2.1.");
        assert_eq!(reversed("::ffff:9.8.7.6"), "6.7.8.9.");
        let nibbles = format!("1.{}8.b.d.0.1.0.0.2.", "0.".repeat(23));
        assert_eq!(reversed("2001:db8::1"), nibbles);
        assert_eq!(reversed("1.2.3"), "3.2.1.");
        assert_eq!(reversed(""), "");
    }

    #[test]
    fn variable_decides_before_any_list() {
        for (told, verdict) in [
            (None, Verdict::Accept),
            (Some(""), Verdict::Accept),
            (Some("go away"), reject(false, "go away")),
            (Some("-never"), reject(true, "never")),
            (Some("-"), reject(true, "")),
        ] {
            let lists = Lists::new(b"", told.map(Into::into)).unwrap();
            assert_eq!(lists.verdict(), verdict, "{told:?}");
            assert_eq!(lists.is_open(), told.is_none(), "{told:?}");
        }
    }

    #[test]
    fn doubt_makes_a_verdict_temporary() {
        let mut lists = Lists::new(b"", Some(b"-no".to_vec())).unwrap();
        lists.in_doubt = true;
        assert_eq!(lists.verdict(), reject(false, "no"));
    }
}
