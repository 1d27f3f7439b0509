//! What we want to know of a certificate that rustls does not say: how long it is valid, and whose it is. X.690 (DER), RFC
//! 5280 section 4.1.

/// Elements of DER, one after the other: a tag, a length, content.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next element's tag and content; none at the end, and none where it is cut or too large for us.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        let (length, rest) = match *first {
            short @ ..=0x7f => (usize::from(short), rest),
            0x81 => (usize::from(*rest.first()?), &rest[1..]),
            0x82 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            0x83 => {
                let (length, rest) = rest.split_first_chunk::<3>()?;
                let [a, b, c] = *length;
                (
                    usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?,
                    rest,
                )
            }
            _ => return None,
        };
        let content = rest.get(..length)?;
        self.0 = &rest[length..];
        Some((*tag, content))
    }

    /// The content of the next element, which must have this tag.
    fn of(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, content)| content)
    }
}

const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// The parts of a certificate that matter here.
struct Certificate<'a> {
    validity: &'a [u8],
    subject: &'a [u8],
}

fn certificate(der: &[u8]) -> Option<Certificate<'_>> {
    let whole = Elements(der).of(SEQUENCE)?;
    let mut fields = Elements(Elements(whole).of(SEQUENCE)?);
    // The version may be left out; the serial number, which then comes first, is not asked for either way.
    if fields.next()?.0 == VERSION {
        fields.next()?;
    }
    let _algorithm = fields.of(SEQUENCE)?;
    let _issuer = fields.of(SEQUENCE)?;
    Some(Certificate {
        validity: fields.of(SEQUENCE)?,
        subject: fields.of(SEQUENCE)?,
    })
}

/// From when to when a certificate is valid, each as `YYYYMMDDHHMMSS` in UTC, so that they compare as text.
pub fn validity(der: &[u8]) -> Option<[Vec<u8>; 2]> {
    let mut times = Elements(certificate(der)?.validity);
    Some([time(times.next()?)?, time(times.next()?)?])
}

/// RFC 5280 section 4.1.2.5: years of two digits are from 1950 to 2049, and all times end with a Z.
fn time((tag, text): (u8, &[u8])) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"Z")?;
    let time = match tag {
        UTC_TIME => {
            let century: &[u8] = if *digits.first()? < b'5' {
                b"20"
            } else {
                b"19"
            };
            [century, digits].concat()
        }
        GENERALIZED_TIME => digits.to_vec(),
        _ => return None,
    };
    (time.len() == 14 && time.iter().all(u8::is_ascii_digit)).then_some(time)
}

/// The subject of a certificate in one line, as OpenSSL has it: `/C=CH/O=Example/CN=client`, with every byte that is not
/// printable as `\xHH`. X509_NAME_oneline(3)
pub fn subject(der: &[u8]) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    for (object, value) in attributes(der)? {
        line.push(b'/');
        line.extend_from_slice(&attribute(object));
        line.push(b'=');
        for &byte in value {
            match byte {
                b' '..=b'~' => line.push(byte),
                _ => line.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
            }
        }
    }
    Some(line)
}

/// The first common name in the subject of a certificate; none that has a NUL in it.
pub(super) fn common_name(der: &[u8]) -> Option<Vec<u8>> {
    let all = attributes(der)?;
    let (_, name) = all.into_iter().find(|(object, _)| *object == COMMON_NAME)?;
    (!name.contains(&0)).then(|| name.to_vec())
}

/// What the subject of a certificate says, each with its type.
fn attributes(der: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut all = Vec::new();
    let mut names = Elements(certificate(der)?.subject);
    while !names.0.is_empty() {
        let mut set = Elements(names.of(SET)?);
        while !set.0.is_empty() {
            let mut pair = Elements(set.of(SEQUENCE)?);
            all.push((pair.of(OBJECT)?, pair.next()?.1));
        }
    }
    Some(all)
}

/// The short name of an attribute's type, or its number with dots.
fn attribute(object: &[u8]) -> Vec<u8> {
    // 2.5.4.N, the types of X.520.
    const X520: [(u8, &str); 11] = [
        (3, "CN"),
        (4, "SN"),
        (5, "serialNumber"),
        (6, "C"),
        (7, "L"),
        (8, "ST"),
        (9, "street"),
        (10, "O"),
        (11, "OU"),
        (12, "title"),
        (42, "GN"),
    ];
    const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    const USER: &[u8] = &[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
    const DOMAIN: &[u8] = &[9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
    let known = match object {
        [0x55, 4, number] => X520
            .iter()
            .find(|(n, _)| n == number)
            .map(|(_, name)| *name),
        EMAIL => Some("emailAddress"),
        USER => Some("UID"),
        DOMAIN => Some("DC"),
        _ => None,
    };
    known.map_or_else(|| dotted(object), |name| name.as_bytes().to_vec())
}

/// An object identifier with dots. X.690 section 8.19
fn dotted(object: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    let mut number: u64 = 0;
    for &byte in object {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let top = (number / 40).min(2);
            text = format!("{top}.{}", number - 40 * top);
        } else {
            text.push_str(&format!(".{number}"));
        }
        number = 0;
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{COMMON_NAME, common_name, dotted, subject, time, validity};

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    fn made(times: [(u8, &str); 2], names: &[(&[u8], &[u8])]) -> Vec<u8> {
        let validity: Vec<u8> = times
            .iter()
            .flat_map(|(tag, time)| element(*tag, time.as_bytes()))
            .collect();
        let subject: Vec<u8> = names
            .iter()
            .flat_map(|(object, value)| {
                let pair = [element(6, object), element(12, value)].concat();
                element(0x31, &element(0x30, &pair))
            })
            .collect();
        let fields = [
            element(0xa0, &[2, 1, 2]),
            element(2, &[1]),
            element(0x30, &[]),
            element(0x30, &[]),
            element(0x30, &validity),
            element(0x30, &subject),
        ];
        element(0x30, &element(0x30, &fields.concat()))
    }

    const TIMES: [(u8, &str); 2] = [(0x17, "491231235959Z"), (0x18, "20510101000000Z")];

    #[test]
    fn times_compare_as_text_in_both_forms() {
        let found = validity(&made(TIMES, &[]));
        let times = [&b"20491231235959"[..], b"20510101000000"].map(<[u8]>::to_vec);
        assert_eq!(found, Some(times));
        assert_eq!(time((0x17, b"500101000000Z")).unwrap(), b"19500101000000");
        for wrong in ["500101000000", "5001010000Z", "50010100000xZ", "Z", ""] {
            assert_eq!(time((0x17, wrong.as_bytes())), None, "{wrong}");
        }
    }

    #[test]
    fn subject_is_one_line_whatever_is_in_it() {
        let names: [(&[u8], &[u8]); 4] = [
            (&[0x55, 4, 6], b"CH"),
            (&[0x55, 4, 3], b"a b\n\xc3\xa9"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], b"a@b"),
            (&[0x2a, 3, 0x88, 0x37], b"?"),
        ];
        let certificate = made(TIMES, &names);
        let line = subject(&certificate).unwrap();
        let expected = &br"/C=CH/CN=a b\x0A\xC3\xA9/emailAddress=a@b/1.2.3.1079=?"[..];
        assert_eq!(line, expected);
        assert_eq!(dotted(&[0x88, 0x37]), b"2.999");
        assert_eq!(common_name(&certificate).unwrap(), b"a b\n\xc3\xa9");
        assert_eq!(common_name(&made(TIMES, &[(COMMON_NAME, b"a\0b")])), None);
        assert_eq!(common_name(&made(TIMES, &names[..1])), None);
    }

    #[test]
    fn cut_certificate_is_nothing_at_all() {
        let whole = made(TIMES, &[(&[0x55, 4, 3], b"name")]);
        for end in 0..whole.len() {
            assert_eq!(subject(&whole[..end]), None, "{end}");
            assert_eq!(validity(&whole[..end]), None, "{end}");
        }
    }
}
