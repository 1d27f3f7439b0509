//! Block lists and allow lists in the DNS: each is asked when the command line comes to it, and the first decision
//! stands. RFC 5782.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::cli::{During, Error, Voice};
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
    voice: Voice,
    /// The client's address, as it was given.
    client: Vec<u8>,
    /// The beginning of the names to look up: the client's address, reversed, and a dot; empty for an unknown one.
    prefix: Vec<u8>,
    verdict: Option<Verdict>,
    /// Some list could not be asked: whatever is decided then must not be permanent.
    in_doubt: bool,
    /// `-b`: who is listed need not try again.
    pub permanently: bool,
    /// `-c`: a list that cannot be asked counts against the client. One that answers with an error does not: it would
    /// count against all.
    pub fails_closed: bool,
    runtime: Runtime,
    resolver: Resolver,
}

/// A block list, as `-r` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockList {
    base: Vec<u8>,
    /// What is said to a client with an address in 127.0.0.0/8 there. `None`: the text that the list has for it.
    text: Option<Vec<u8>>,
}

impl BlockList {
    /// `base`, or `base:text`, in which `%IP%` stands for the client's address. `None`: the text is empty.
    pub fn parse(list: &[u8]) -> Option<Self> {
        let Some(colon) = list.iter().position(|&byte| byte == b':') else {
            let base = list.to_vec();
            return Some(Self { base, text: None });
        };
        let text = list[colon + 1..].to_vec();
        (!text.is_empty()).then(|| Self {
            base: list[..colon].to_vec(),
            text: Some(text),
        })
    }
}

/// `text` with `client` in each place of `%IP%`.
fn about(client: &[u8], mut text: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(text.len() + client.len());
    while let Some(&byte) = text.first() {
        match text.strip_prefix(b"%IP%") {
            Some(rest) => {
                whole.extend_from_slice(client);
                text = rest;
            }
            None => {
                whole.push(byte);
                text = &text[1..];
            }
        }
    }
    whole
}

/// True in 127.255.255.0/24, by which the large lists say that they do not answer: too many questions, or asked by way of
/// an open resolver. Source: their pages on return codes; no RFC has it.
fn is_error(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets(), [127, 255, 255, _]))
}

/// How long a list may take to answer: the original's waits for one server.
const LIMIT: Duration = Duration::from_secs(60);

impl Lists {
    /// Lists for the client whose address is the text `client`, and the verdict that `$RBLSMTPD` already holds: none if it is not set; empty for
    /// accept; a text for reject, permanently after a `-`.
    ///
    /// # Errors
    /// 111: no runtime to look names up with.
    pub fn new(client: &[u8], told: Option<Vec<u8>>, voice: Voice) -> Result<Self, Error> {
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
            voice,
            client: client.to_vec(),
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

    /// Asks a block list: a client that is listed there is rejected.
    pub fn block(&mut self, list: &BlockList) {
        if !self.is_open() {
            return;
        }
        match self.reason(list) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                let permanently = self.permanently;
                self.verdict = Some(Verdict::Reject { permanently, text });
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
        match self.addresses(base) {
            Ok(None) => {}
            Ok(Some(addresses)) if addresses.is_empty() => {}
            Ok(Some(_)) => self.verdict = Some(Verdict::Accept),
            Err(_) => {
                self.in_doubt = true;
                if !self.fails_closed {
                    self.verdict = Some(Verdict::Accept);
                }
            }
        }
    }

    /// Why `list` lists the client; empty when it does not.
    fn reason(&mut self, list: &BlockList) -> io::Result<Vec<u8>> {
        let text = match &list.text {
            Some(text) => about(&self.client, text),
            None => self
                .wait(self.resolver.text(&self.name(&list.base)))?
                .concat(),
        };
        if text.is_empty() {
            return Ok(text);
        }
        let addresses = self.addresses(&list.base);
        let is_listed = if list.text.is_some() {
            addresses?.is_some_and(|all| all.iter().any(IpAddr::is_loopback))
        } else {
            // An error has a text, too. Otherwise the text is enough: there are lists without addresses.
            !matches!(addresses, Ok(None))
        };
        Ok(if is_listed { text } else { Vec::new() })
    }

    /// The addresses that the list `base` has for the client; `None`, and a warning, when it has an error instead, such as
    /// that it was asked too often: that says nothing of the client.
    fn addresses(&mut self, base: &[u8]) -> io::Result<Option<Vec<IpAddr>>> {
        let name = self.name(base);
        let addresses = self.wait(self.resolver.addresses(&name, Families::V4))?;
        let Some(error) = addresses.iter().copied().find(is_error) else {
            return Ok(Some(addresses));
        };
        self.in_doubt = true;
        let error = error.to_string();
        self.voice.warn(&[
            b"warning: ",
            base,
            b" has no answer but the error ",
            error.as_bytes(),
        ]);
        Ok(None)
    }

    /// The name under which the list `base` has the client.
    fn name(&self, base: &[u8]) -> Vec<u8> {
        [&self.prefix, base].concat()
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
    use super::{BlockList, Lists, Verdict, about, is_error, reversed};
    use crate::cli::Voice;

    fn reject(permanently: bool, text: &str) -> Verdict {
        Verdict::Reject {
            permanently,
            text: text.into(),
        }
    }

    fn lists(told: Option<Vec<u8>>) -> Lists {
        Lists::new(b"", told, Voice::new("rblsmtpd")).unwrap()
    }

    #[test]
    fn list_may_have_a_text_of_ours_about_the_client() {
        let list = |text: &str| {
            let list = BlockList::parse(text.as_bytes())?;
            let text = list.text.map(|text| about(b"1.2.3.4", &text));
            let string = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            Some((string(list.base), text.map(string)))
        };
        let with = |text: &str| Some(("rbl.test".to_owned(), Some(text.to_owned())));
        assert_eq!(list("rbl.test"), Some(("rbl.test".to_owned(), None)));
        assert_eq!(list("rbl.test:no: 100%"), with("no: 100%"));
        assert_eq!(list("rbl.test:%IP%%IP%, %IP"), with("1.2.3.41.2.3.4, %IP"));
        assert_eq!(list("rbl.test:"), None);
    }

    #[test]
    fn error_is_an_address_of_one_network() {
        for (address, expected) in [
            ("127.255.255.0", true),
            ("127.255.255.254", true),
            ("127.255.254.255", false),
            ("127.0.0.2", false),
            ("::ffff:7fff:ff01", false),
        ] {
            assert_eq!(is_error(&address.parse().unwrap()), expected, "{address}");
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
            let lists = lists(told.map(Into::into));
            assert_eq!(lists.verdict(), verdict, "{told:?}");
            assert_eq!(lists.is_open(), told.is_none(), "{told:?}");
        }
    }

    #[test]
    fn doubt_makes_a_verdict_temporary() {
        let mut lists = lists(Some(b"-no".to_vec()));
        lists.in_doubt = true;
        assert_eq!(lists.verdict(), reject(false, "no"));
    }
}
