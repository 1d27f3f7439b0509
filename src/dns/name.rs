//! Names between text and the wire.
//!
//! In text, labels are lower case and joined by dots, without one at the end (the root is `.`); every byte of a label
//! that is not a letter, a digit, `-` or `_` is a backslash and three octal digits. So no name from the network can hold
//! a byte that means something to a shell, a log or a rule. Source: observed runs of the original; RFC 1035 sections 3.1
//! and 4.1.4.

use std::io;

use crate::sys::errno;

/// The most bytes that a name has on the wire, and that one of its labels has. RFC 1035 section 2.3.4.
const NAME_BYTES: usize = 255;
const LABEL_BYTES: usize = 63;
/// How many pointers are followed in one name: as many as it can have labels. Whoever has more of them means harm: a
/// packet has room for thousands.
const POINTERS_MAX: usize = 127;
/// The two bits that tell a pointer from the length of a label.
const POINTER: u8 = 0xc0;

/// A name as it is on the wire, in lower case: labels, each behind its length, and a 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(Box<[u8]>);

impl Name {
    /// The name that begins at `at` in `packet`; `None` if that is none.
    pub(super) fn read(packet: &[u8], mut at: usize) -> Option<Self> {
        let mut wire = Wire::default();
        let mut pointers = 0;
        loop {
            match *packet.get(at)? {
                0 => return Some(wire.end()),
                high if high & POINTER == POINTER => {
                    pointers += 1;
                    if pointers > POINTERS_MAX {
                        return None;
                    }
                    at = u16::from_be_bytes([high & !POINTER, *packet.get(at + 1)?]).into();
                }
                length => {
                    let end = at + 1 + usize::from(length);
                    wire.label(packet.get(at + 1..end)?)?;
                    at = end;
                }
            }
        }
    }

    /// Where what follows the name that begins at `at` in `packet` begins; where its pointers lead is not looked at.
    pub(super) fn end(packet: &[u8], mut at: usize) -> Option<usize> {
        loop {
            match *packet.get(at)? {
                0 => return Some(at + 1),
                high if high & POINTER == POINTER => return Some(at + 2),
                length => at += 1 + usize::from(length),
            }
        }
    }

    /// Its bytes on the wire.
    pub(super) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Its labels, the first one first.
    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(length.into())?;
            rest = after;
            (length > 0).then_some(label)
        })
    }
}

/// A name being made.
#[derive(Default)]
struct Wire(Vec<u8>);

impl Wire {
    /// Adds a label; `None` if it is too long, or the name would be.
    fn label(&mut self, label: &[u8]) -> Option<()> {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|_| label.len() <= LABEL_BYTES)?;
        // The 0 at the end, too.
        if self.0.len() + 1 + label.len() + 1 > NAME_BYTES {
            return None;
        }
        self.0.push(length);
        self.0.extend(label.iter().map(u8::to_ascii_lowercase));
        Some(())
    }

    fn end(mut self) -> Name {
        self.0.push(0);
        Name(self.0.into())
    }
}

/// The name that `text` spells. Escapes are undone (a backslash before one to three octal digits, or before any other
/// byte), empty labels are passed over.
///
/// # Errors
/// EPROTO: a label of more than 63 bytes, or more than 255 in all. RFC 1035 section 2.3.4.
pub(super) fn parse(text: &[u8]) -> io::Result<Name> {
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => label.extend(escaped(&mut bytes)),
            byte => label.push(byte),
        }
    }
    labels.push(label);
    let mut wire = Wire::default();
    let mut labels = labels.iter().filter(|label| !label.is_empty());
    match labels.try_for_each(|label| wire.label(label)) {
        Some(()) => Ok(wire.end()),
        None => Err(io::Error::from_raw_os_error(errno::EPROTO)),
    }
}

/// The byte that stands after a backslash.
fn escaped(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>) -> Option<u8> {
    let first = bytes.next()?;
    let digit = |byte: u8| (b'0'..=b'7').contains(&byte).then(|| byte - b'0');
    let Some(mut value) = digit(first) else {
        return Some(first);
    };
    for _ in 0..2 {
        let Some(next) = bytes.next_if(|&byte| digit(byte).is_some()) else {
            break;
        };
        value = value.wrapping_mul(8).wrapping_add(next - b'0');
    }
    Some(value)
}

/// The text of `name`.
pub(super) fn text(name: &Name) -> Vec<u8> {
    let mut text = Vec::with_capacity(64);
    for label in name.labels() {
        if !text.is_empty() {
            text.push(b'.');
        }
        for &byte in label {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(byte),
                byte => text.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            }
        }
    }
    if text.is_empty() {
        text.push(b'.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Name, parse, text};

    #[test]
    fn name_is_lower_case_and_escaped() {
        for (written, read) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("..a...b.", "a.b"),
            ("a_b-c", "a_b-c"),
            ("we ird*.ex%mple", "we\\040ird\\052.ex\\045mple"),
            ("a\\.b", "a\\056b"),
            ("a\\0561", "a\\0561"),
            ("\\1\\12\\1234", "\\001\\012s4"),
            ("", "."),
            (".", "."),
        ] {
            assert_eq!(
                String::from_utf8(text(&parse(written.as_bytes()).unwrap())).unwrap(),
                read,
                "{written}"
            );
        }
    }

    #[test]
    fn too_long_is_a_protocol_error() {
        assert!(parse(&[b'a'; 63]).is_ok());
        for long in [vec![b'a'; 64], b"a.".repeat(130)] {
            assert_eq!(
                parse(&long).unwrap_err().raw_os_error(),
                Some(crate::sys::errno::EPROTO)
            );
        }
    }

    #[test]
    fn name_is_read_from_anywhere_in_a_packet() {
        let packet = b"\x04Test\0\x01a\xc0\0\xc0\x06\x40x\xc0\x63";
        let read = |at| Name::read(packet, at).map(|name| String::from_utf8(text(&name)).unwrap());
        for (at, name) in [
            (0, Some("test")),
            (5, Some(".")),
            (6, Some("a.test")),
            (8, Some("test")),
            (10, Some("a.test")),
            (12, None),
            (14, None),
            (16, None),
        ] {
            assert_eq!(read(at).as_deref(), name, "at {at}");
        }
    }

    #[test]
    fn name_on_the_wire_is_at_most_255_bytes() {
        let of = |labels: usize| [&b"\x01a".repeat(labels)[..], b"\0"].concat();
        assert!(Name::read(&of(127), 0).is_some());
        assert!(Name::read(&of(128), 0).is_none());
    }

    #[test]
    fn pointers_that_lead_to_pointers_are_followed_so_far() {
        // The first byte is a name, and each pointer points at what stands before it.
        let mut packet = vec![0, 0];
        for at in 0..1000_u16 {
            packet.extend((0xc000 | (2 * at)).to_be_bytes());
        }
        assert!(Name::read(&packet, 2 * 127).is_some());
        assert!(Name::read(&packet, 2 * 128).is_none());
        assert!(Name::read(&[0xc0, 0], 0).is_none(), "a pointer at itself");
    }
}
