//! The port operand: a number, or a TCP service name from `/etc/services`.
//!
//! The file is read as it is, for the reason given in [`super::account`]. Source: services(5).

use std::io::{BufRead, BufReader};

use crate::cli::{Error, number};

/// The port called `text`.
///
/// # Errors
/// A number above 65535, or nothing at all: usage, 100. A name that no service has: 111, with the original's message.
pub fn port(text: &[u8]) -> Result<u16, Error> {
    if text.iter().all(u8::is_ascii_digit) {
        let number = number(text).and_then(|number| u16::try_from(number).ok());
        let wrong = || {
            [
                b"port needs a number from 0 to 65535 or a service name, not \"",
                text,
                b"\"",
            ]
            .concat()
        };
        return number.ok_or_else(|| Error::operand(wrong()));
    }
    service(text)
        .ok_or_else(|| Error::fatal([b"unable to figure out port number for ", text].concat()))
}

fn service(name: &[u8]) -> Option<u16> {
    let file = std::fs::File::open("/etc/services").ok()?;
    BufReader::new(file)
        .split(b'\n')
        .map_while(Result::ok)
        .find_map(|line| entry(&line, name))
}

/// The port in one line, `service port/tcp alias ... # comment`, if `name` is the service or an alias.
fn entry(line: &[u8], name: &[u8]) -> Option<u16> {
    let line = line.split(|&byte| byte == b'#').next()?;
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (service, port) = (words.next()?, words.next()?);
    let port = port.strip_suffix(b"/tcp")?;
    if service != name && !words.any(|alias| alias == name) {
        return None;
    }
    u16::try_from(number(port)?).ok()
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn service_is_found_by_name_and_alias() {
        let line = b"http\t\t80/tcp\t\twww # WorldWideWeb";
        assert_eq!(entry(line, b"http"), Some(80));
        assert_eq!(entry(line, b"www"), Some(80));
        for other in [&b"htt"[..], b"WorldWideWeb", b"80/tcp", b"#", b""] {
            assert_eq!(entry(line, other), None, "{other:?}");
        }
    }

    #[test]
    fn other_protocols_and_broken_lines_are_passed_over() {
        for line in [
            &b"ntp 123/udp"[..],
            b"ntp",
            b"",
            b"# ntp 123/tcp",
            b"ntp 99999/tcp",
            b"ntp x/tcp",
        ] {
            assert_eq!(entry(line, b"ntp"), None, "{line:?}");
        }
    }
}
