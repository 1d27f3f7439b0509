//! Sections of PEM, as openssl(1) writes them; what was in them is wiped when it is dropped. RFC 7468; RFC 1421 section 4.4
//! for the headers of locked keys.
//!
//! Left out: headers of more than one line, which nobody writes.

use zeroize::Zeroizing;

/// What stands between `-----BEGIN KIND-----` and `-----END KIND-----`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// `CERTIFICATE`, for example.
    pub(super) kind: String,
    /// The value of `DEK-Info`, where there is one.
    pub(super) lock: Option<String>,
    pub(super) content: Zeroizing<Vec<u8>>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const LOCK: &[u8] = b"DEK-Info:";

/// All sections of `text`; other lines are passed over. None when one of them has no end, or is no base64.
pub(super) fn sections(text: &[u8]) -> Option<Vec<Section>> {
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut sections = Vec::new();
    while let Some(line) = lines.next() {
        let Some(kind) = kind(line, BEGIN) else {
            continue;
        };
        let mut lock = None;
        // Of its size at once: what is outgrown would be left behind.
        let mut digits = Digits::new(text.len());
        loop {
            let line = lines.next()?;
            if let Some(value) = line.strip_prefix(LOCK) {
                lock = Some(String::from_utf8_lossy(value.trim_ascii()).into_owned());
            } else if line.starts_with(DASHES) {
                if self::kind(line, END)? != kind {
                    return None;
                }
                break;
            } else if digits.count > 0 || !line.contains(&b':') {
                line.iter().try_for_each(|&byte| digits.take(byte))?;
            }
        }
        sections.push(Section {
            kind: kind.to_owned(),
            lock,
            content: digits.end()?,
        });
    }
    Some(sections)
}

/// The kind that a line between dashes names. RFC 7468 section 3
fn kind<'a>(line: &'a [u8], begin: &[u8]) -> Option<&'a str> {
    let kind = str::from_utf8(line.strip_prefix(begin)?.strip_suffix(DASHES)?).ok()?;
    kind.bytes()
        .all(|byte| (b' '..=b'~').contains(&byte))
        .then_some(kind)
}

/// Digits of base64, and what they say. RFC 4648 section 4
struct Digits {
    content: Zeroizing<Vec<u8>>,
    /// Those of which there are no four yet.
    bits: u32,
    count: usize,
    padding: usize,
}

impl Digits {
    /// Room for so many digits.
    fn new(most: usize) -> Self {
        Self {
            content: Zeroizing::new(Vec::with_capacity(most / 4 * 3)),
            bits: 0,
            count: 0,
            padding: 0,
        }
    }

    fn take(&mut self, digit: u8) -> Option<()> {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                self.padding += 1;
                0
            }
            _ => return None,
        };
        if self.padding > 0 && digit != b'=' {
            return None;
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.count += 1;
        if self.count.is_multiple_of(4) {
            let [_, bytes @ ..] = self.bits.to_be_bytes();
            self.content.extend_from_slice(&bytes);
            self.bits = 0;
        }
        Some(())
    }

    /// None when they are not whole, or end in bits that mean nothing.
    fn end(mut self) -> Option<Zeroizing<Vec<u8>>> {
        if !self.count.is_multiple_of(4) || self.padding > 2 {
            return None;
        }
        let length = self.content.len() - self.padding;
        let rest_is_zero = self.content[length..].iter().all(|&byte| byte == 0);
        self.content.truncate(length);
        rest_is_zero.then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use pem::{EncodeConfig, LineEnding, Pem};
    use proptest::prelude::*;

    use super::sections;

    proptest! {
        #[test]
        fn what_the_crate_pem_writes_is_read(
            contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4),
            ends_with_cr in any::<bool>(),
        ) {
            let end = if ends_with_cr { LineEnding::CRLF } else { LineEnding::LF };
            let written: Vec<Pem> = contents.iter().map(|one| Pem::new("A KIND", &one[..])).collect();
            let text = pem::encode_many_config(&written, EncodeConfig::new().set_line_ending(end));
            let found = sections(text.as_bytes()).unwrap();
            let found: Vec<&[u8]> = found.iter().map(|section| &section.content[..]).collect();
            prop_assert_eq!(found, contents);
        }
    }

    #[test]
    fn text_around_is_passed_over_and_headers_are_found() {
        let text = b"subject=x\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-CBC,00\n\nQUI=\n\
                     -----END RSA PRIVATE KEY-----\nmore";
        let found = sections(text).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, "RSA PRIVATE KEY");
        assert_eq!(found[0].lock.as_deref(), Some("DES-CBC,00"));
        assert_eq!(&found[0].content[..], b"AB");
    }

    #[test]
    fn section_that_is_cut_or_garbled_makes_all_useless() {
        for inside in [
            "QUI",
            "QUI==",
            "QQ=Q",
            "Q===",
            "QR==",
            "QUI=\nQUI=",
            "Q:==",
            "-----END OTHER-----",
        ] {
            let text = format!("-----BEGIN KIND-----\nQUJD\n{inside}\n-----END KIND-----\n");
            assert_eq!(sections(text.as_bytes()), None, "{inside}");
        }
        assert_eq!(sections(b"-----BEGIN KIND-----\nQUJD\n"), None);
        assert_eq!(sections(b"no section"), Some(Vec::new()));
    }
}
