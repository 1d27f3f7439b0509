//! Names between text and labels.
//!
//! In text, labels are lower case and joined by dots, without one at the end (the root is `.`); every byte of a label
//! that is not a letter, a digit, `-` or `_` is a backslash and three octal digits. So no name from the network can hold
//! a byte that means something to a shell, a log or a rule. Source: observed runs of the original.

use std::io;

use hickory_proto::rr::Name;

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
    let labels = labels
        .iter()
        .filter(|label| !label.is_empty())
        .map(Vec::as_slice);
    Name::from_labels(labels).map_err(|_| io::Error::from_raw_os_error(libc::EPROTO))
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
    for label in name.iter() {
        if !text.is_empty() {
            text.push(b'.');
        }
        for byte in label.to_ascii_lowercase() {
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
    use super::{parse, text};

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
            assert_eq!(parse(&long).unwrap_err().raw_os_error(), Some(libc::EPROTO));
        }
    }
}
