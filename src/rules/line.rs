//! One line of rules: an address, a colon, `allow` or `deny`, and settings.
//!
//! ```text
//! rule    := address ":" action setting*
//! action  := "allow" | "deny"
//! setting := "," name "=" Q value Q       Q is any byte; the next same byte ends the value
//! ```
//!
//! The first colon that `allow` or `deny` follows ends the address. Blanks at the end of a line do not count; blanks
//! elsewhere do. A line without a colon, an empty one and one that starts with `#` hold no rule. An address with a slash
//! must be a prefix, and one with a colon must have an IPv6 address. Any other text is stored as it is, as the original
//! does, also when it can never match. What is stored, but not as it may be meant, has a [`Remark`].

use std::borrow::Cow;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use memchr::{memchr, memrchr};

use super::prefix::{self, Mistake};
use super::store::{HASH_START, Hashed, hash_on};

/// One rule, in the form in which it is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule<'line> {
    address: Address<'line>,
    /// The instructions: `"D\0"` for deny, then `"+name=value\0"` for each setting.
    pub data: Cow<'static, [u8]>,
    /// What the person who wrote it should know.
    pub remarks: Vec<Remark>,
}

#[derive(Debug, PartialEq, Eq)]
enum Address<'line> {
    /// The text is the key.
    Literal(Hashed<'line>),
    /// The key of an IPv6 address or of a prefix.
    Key(Vec<u8>),
    /// `1.2.3.37-53`: one key for each number, in decimal, with the text before and after it.
    Range {
        before: &'line [u8],
        numbers: RangeInclusive<u64>,
        after: &'line [u8],
    },
}

/// Where in a line what was missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The byte at which it was expected, from 1.
    pub column: usize,
    /// What was expected, to follow the word "expected".
    pub expected: String,
}

impl Fault {
    /// The fault at byte `at`, from 0.
    pub(super) fn at(at: usize, expected: impl Into<String>) -> Self {
        Self {
            column: at + 1,
            expected: expected.into(),
        }
    }

    /// The same fault, `bytes` further to the right.
    pub(super) fn after(self, bytes: usize) -> Self {
        Self {
            column: self.column + bytes,
            ..self
        }
    }
}

impl From<Mistake> for Fault {
    fn from(mistake: Mistake) -> Self {
        Self::at(mistake.at, mistake.expected)
    }
}

/// Something in a line that is taken, but not as it stands or not for what it may be meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Remark {
    /// A prefix has bits set behind its length, at the beginning of the line, and is taken for this one without them.
    HostBits(IpNet),
    /// The setting at this byte of the line, from 1, has a name that limits something in other servers and nothing in
    /// ours.
    NoLimit(usize, &'static str),
}

/// Variables that other servers obey: those of the limits patch, ucspi-tcp6 and indimail.
const LIMITS: [&str; 7] = [
    "MAXCONNIP",
    "MAXCONIP",
    "MAXPERIP",
    "MAXCONNC",
    "MAXRATE",
    "MAXLOAD",
    "DIEMSG",
];

/// The largest number that a range can reach.
const OCTET_MAX: u64 = 255;

/// Reads one line, with or without its line feed; `None` when it holds no rule.
///
/// # Errors
/// The first thing that is not as the language wants it.
pub fn parse(line: &[u8]) -> Result<Option<Rule<'_>>, Fault> {
    read(line, &mut Vec::new(), |rule| {
        std::mem::replace(rule, Rule::EMPTY)
    })
}

/// The same, for many lines: gives what `take` makes of the rule. Its data are in `room` if it needs any, which is used again
/// for the next line; and it stays where it was put together, because to move it takes as long as to read it.
///
/// # Errors
/// As [`parse`].
pub(super) fn read<'line, T>(
    line: &'line [u8],
    room: &mut Vec<u8>,
    take: impl FnOnce(&mut Rule<'line>) -> T,
) -> Result<Option<T>, Fault> {
    let line = trim(line);
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let Some((colon, marks, hash)) = separator(line) else {
        return Ok(None);
    };
    let rest = &line[colon + 1..];
    let (action, mut settings) = if let Some(settings) = rest.strip_prefix(b"deny") {
        (&b"D\0"[..], settings)
    } else if let Some(settings) = rest.strip_prefix(b"allow") {
        (&b""[..], settings)
    } else {
        let expected = "\"allow\" or \"deny\" after the colon";
        return Err(Fault::at(colon + 1, expected));
    };
    let mut rule = Rule::EMPTY;
    rule.data = Cow::Borrowed(action);
    if !settings.is_empty() {
        let mut room = std::mem::take(room);
        room.clear();
        // An instruction is no longer than what it is written as.
        room.reserve(action.len() + settings.len());
        room.extend_from_slice(action);
        rule.data = Cow::Owned(room);
    }
    while !settings.is_empty() {
        let start = line.len() - settings.len();
        let taken = setting(settings, rule.data.to_mut());
        let (name, rest) = taken.map_err(|fault| fault.after(start))?;
        let limit = LIMITS.iter().find(|limit| limit.as_bytes() == name);
        let remark = limit.map(|limit| Remark::NoLimit(start + 2, limit));
        rule.remarks.extend(remark);
        settings = rest;
    }
    let bytes = &line[..colon];
    let text = Hashed { bytes, hash };
    rule.address = match marks {
        0 => Address::Literal(text),
        _ => address(text, marks, &mut rule.remarks)?,
    };
    let taken = take(&mut rule);
    if let Cow::Owned(data) = rule.data {
        *room = data;
    }
    Ok(Some(taken))
}

/// `line` without the line feeds, blanks and tabs at its end.
pub(super) fn trim(mut line: &[u8]) -> &[u8] {
    while let [before @ .., b'\n' | b' ' | b'\t'] = line {
        line = before;
    }
    line
}

/// The address of the rule in `line`.
pub(super) fn address_of(line: &[u8]) -> &[u8] {
    let line = trim(line);
    &line[..separator(line).map_or(0, |(colon, ..)| colon)]
}

/// Of each setting of the rule in `line`: the column of its name, the name, and the byte that quotes its value.
pub(super) fn settings(line: &[u8]) -> impl Iterator<Item = (usize, &[u8], u8)> {
    let line = trim(line);
    let rest = separator(line).map_or(&[][..], |(colon, ..)| &line[colon + 1..]);
    let mut rest = rest
        .strip_prefix(b"allow")
        .or_else(|| rest.strip_prefix(b"deny"))
        .unwrap_or_default();
    std::iter::from_fn(move || {
        let start = line.len() - rest.len();
        if rest.is_empty() {
            return None;
        }
        let (name, after) = setting(rest, &mut Vec::new()).ok()?;
        let quote = rest[name.len() + 2];
        rest = after;
        Some((start + 2, name, quote))
    })
}

/// The colon that ends the address: the first one before `allow` or `deny`. Where there is none, the one at which that
/// is missing: the last before the settings, because an IPv6 address has colons of its own. And the marks and the hash of the
/// bytes before it: the hash waits for one byte after the other, and here there is something to do meanwhile.
fn separator(line: &[u8]) -> Option<(usize, u8, u32)> {
    let (mut marks, mut hash) = (0, HASH_START);
    for (at, &byte) in line.iter().enumerate() {
        if byte == b':' {
            let rest = &line[at + 1..];
            if rest.starts_with(b"allow") || rest.starts_with(b"deny") {
                return Some((at, marks, hash));
            }
        }
        marks |= MARKS[usize::from(byte)];
        hash = hash_on(hash, &[byte]);
    }
    let settings = memchr(b',', line).unwrap_or(line.len());
    let colon = memrchr(b':', &line[..settings]).or_else(|| memchr(b':', line))?;
    // There is no rule, whatever the address.
    Some((colon, 0, 0))
}

/// Takes one `,name=QvalueQ` off `text`, appends its instruction to `data`, and gives the name and the rest.
fn setting<'line>(
    text: &'line [u8],
    data: &mut Vec<u8>,
) -> Result<(&'line [u8], &'line [u8]), Fault> {
    if text[0] != b',' {
        return Err(Fault::at(0, "a comma or the end of the line"));
    }
    let missing = |expected: &str| Fault::at(text.len(), expected);
    let equals = memchr(b'=', text).ok_or_else(|| missing("\"=\" after the variable's name"))?;
    let quote = text.get(equals + 1);
    let quote = *quote.ok_or_else(|| missing("a quote character after \"=\""))?;
    let value = &text[equals + 2..];
    let length = memchr(quote, value).ok_or_else(|| missing("the closing quote character"))?;
    let end = equals + 2 + length;
    // A NUL ends an instruction in the file: what follows it would be read as another one.
    if let Some(nul) = memchr(0, &text[..end]) {
        return Err(Fault::at(nul, "no NUL byte in a name or a value"));
    }
    for part in [b"+", &text[1..=equals], &value[..length], b"\0"] {
        data.extend_from_slice(part);
    }
    Ok((&text[1..equals], &text[end + 1..]))
}

/// The address `literal`, which has these marks.
fn address<'line>(
    literal: Hashed<'line>,
    marks: u8,
    remarks: &mut Vec<Remark>,
) -> Result<Address<'line>, Fault> {
    let text = literal.bytes;
    let has = |mark| marks & mark != 0;
    if has(NAME) {
        if has(COLON) {
            return user_at_ipv6(text).map(Address::Key);
        }
    } else if has(SLASH) {
        let written = prefix::network(text)?;
        let network = written.trunc();
        if network != written {
            remarks.push(Remark::HostBits(network));
        }
        return Ok(Address::Key(prefix::network_key(network)));
    } else if has(COLON) {
        return Ok(Address::Key(prefix::expanded(prefix::ipv6(text)?).into()));
    } else if let Some(dash) = memchr(b'-', text).filter(|_| has(DASH)) {
        return range(text, dash);
    }
    Ok(Address::Literal(literal))
}

/// The bytes that say what kind of address a text is.
const NAME: u8 = 1;
const SLASH: u8 = 2;
const COLON: u8 = 4;
const DASH: u8 = 8;
static MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    marks[b'=' as usize] = NAME;
    marks[b'@' as usize] = NAME;
    marks[b'/' as usize] = SLASH;
    marks[b':' as usize] = COLON;
    marks[b'-' as usize] = DASH;
    marks
};

/// The key of `user@` and an IPv6 address.
fn user_at_ipv6(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(at) = memrchr(b'@', text) else {
        return Err(Fault::at(0, "a host name without a colon"));
    };
    let (user, address) = (&text[..=at], &text[at + 1..]);
    let address = prefix::ipv6(address).map_err(|mistake| Fault::from(mistake).after(at + 1))?;
    Ok([user, prefix::expanded(address).as_bytes()].concat())
}

/// The range whose dash stands at `dash`.
fn range(text: &[u8], dash: usize) -> Result<Address<'_>, Fault> {
    let dot_before = memrchr(b'.', &text[..dash]);
    let low = dot_before.map_or(0, |dot| dot + 1);
    let high = dash + 1;
    let end = memchr(b'.', &text[high..]).map_or(text.len(), |length| high + length);
    let (before, after) = (&text[..low], &text[end..]);
    let low = number(&text[low..dash]).map_err(|fault| fault.after(low))?;
    let high = number(&text[high..end]).map_err(|fault| fault.after(high))?;
    let numbers = low..=high.min(OCTET_MAX);
    Ok(Address::Range {
        before,
        numbers,
        after,
    })
}

/// The number in `digits`. Quirk: none are 0, and the arithmetic is that of the original's machine word.
fn number(digits: &[u8]) -> Result<u64, Fault> {
    if let Some(at) = digits.iter().position(|byte| !byte.is_ascii_digit()) {
        return Err(Fault::at(at, "a digit in the range"));
    }
    let append = |number: u64, digit: &u8| {
        let digit = u64::from(digit - b'0');
        number.wrapping_mul(10).wrapping_add(digit)
    };
    Ok(digits.iter().fold(0, append))
}

impl Rule<'_> {
    const EMPTY: Self = Self {
        address: Address::Literal(Hashed {
            bytes: b"",
            hash: HASH_START,
        }),
        data: Cow::Borrowed(b""),
        remarks: Vec::new(),
    };

    /// The address, where it is stored as it is written.
    pub(super) fn literal(&self) -> Option<&[u8]> {
        match &self.address {
            Address::Literal(text) => Some(text.bytes),
            _ => None,
        }
    }

    /// Calls `each` with every key that the rule is stored under, in order; a reversed range has none.
    ///
    /// # Errors
    /// The first error of `each`.
    pub fn keys<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.hashed_keys(|key| each(key.bytes))
    }

    /// The same, with their hashes.
    ///
    /// # Errors
    /// The first error of `each`.
    pub(super) fn hashed_keys<E>(
        &self,
        mut each: impl FnMut(Hashed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.address {
            Address::Literal(key) => each(*key),
            Address::Key(key) => each(Hashed::new(key)),
            Address::Range {
                before,
                numbers,
                after,
            } => numbers.clone().try_for_each(|number| {
                let key = [before, number.to_string().as_bytes(), after].concat();
                each(Hashed::new(&key))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Hashed, Remark, parse};

    fn keys(line: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let rule = parse(line.as_bytes()).unwrap().unwrap();
        rule.hashed_keys(|key| {
            assert_eq!(key, Hashed::new(key.bytes));
            keys.push(String::from_utf8(key.bytes.to_vec()).unwrap());
            Ok::<(), ()>(())
        })
        .unwrap();
        keys
    }

    #[test]
    fn range_stands_for_one_key_a_number() {
        for (address, wanted) in [
            ("1.2.3.37-40", "1.2.3.37 1.2.3.38 1.2.3.39 1.2.3.40"),
            ("10.2-3.", "10.2. 10.3."),
            ("1.2-3.4", "1.2.4 1.3.4"),
            ("1-2.3-4.", "1.3-4. 2.3-4."),
            ("1.2.3.254-300", "1.2.3.254 1.2.3.255"),
            ("1.2.3.007-8", "1.2.3.7 1.2.3.8"),
            ("1.2.3.-2", "1.2.3.0 1.2.3.1 1.2.3.2"),
            ("1.2.3.4-", ""),
            ("1.2.3.9-5", ""),
            ("-3", "0 1 2 3"),
            ("1.2.3.4-5.6.7", "1.2.3.4.6.7 1.2.3.5.6.7"),
            ("joe-x@1.2.3.4", "joe-x@1.2.3.4"),
            ("=host-a.x", "=host-a.x"),
            ("10.0.0.0/8", "_0000e0g0"),
            ("joe@10.0.0.0/8", "joe@10.0.0.0/8"),
            ("2001:DB8::5", "2001:0DB8:0000:0000:0000:0000:0000:0005"),
            ("joe@fe80::1", "joe@FE80:0000:0000:0000:0000:0000:0000:0001"),
        ] {
            assert_eq!(
                keys(&format!("{address}:allow")).join(" "),
                wanted,
                "{address}"
            );
        }
    }

    #[test]
    fn instructions_are_stored_in_the_order_of_the_line() {
        for (line, data) in [
            ("x:allow", &b""[..]),
            ("x:deny", b"D\0"),
            ("x:allow,V=\"\"", b"+V=\0"),
            ("x:deny,X=\"y\"", b"D\0+X=y\0"),
            ("x:allow,X=\"a\",Y=/b c/ \t", b"+X=a\0+Y=b c\0"),
            ("x:allow,X=xvaluex", b"+X=value\0"),
            ("x:allow,=\"v\"", b"+=v\0"),
            ("x:allow,a,b=\"v\"", b"+a,b=v\0"),
        ] {
            assert_eq!(
                parse(line.as_bytes()).unwrap().unwrap().data,
                data,
                "{line}"
            );
        }
    }

    #[test]
    fn fault_names_the_column_and_what_was_expected() {
        for (line, column, expected) in [
            ("::1:alow", 5, "\"allow\" or \"deny\" after the colon"),
            (
                "2001:db8::zz:allow",
                1,
                "an IPv6 address, because of the colon in it",
            ),
            ("joe@fe80::1%x:allow", 12, "an address without a zone"),
            ("=a:b:allow", 1, "a host name without a colon"),
            ("10.0.0.1/33:deny", 10, "a prefix length from 0 to 32"),
            (
                "010.0.0.1/8:deny",
                1,
                "a number from 0 to 255 without leading zeros",
            ),
            ("1.2.3.4:foo", 9, "\"allow\" or \"deny\" after the colon"),
            ("x:denyx", 7, "a comma or the end of the line"),
            ("x:allow\r", 8, "a comma or the end of the line"),
            ("x:allow,X", 10, "\"=\" after the variable's name"),
            ("x:allow,X=", 11, "a quote character after \"=\""),
            ("x:allow,X=\"a", 13, "the closing quote character"),
            ("x:allow,X=\"a\"z", 14, "a comma or the end of the line"),
            ("x:allow,X=\"a\0b\"", 13, "no NUL byte in a name or a value"),
            ("1.2.3.a-b:allow", 7, "a digit in the range"),
            ("1.2.3.4-5-6:allow", 10, "a digit in the range"),
        ] {
            assert_eq!(
                parse(line.as_bytes()),
                Err(Fault::at(column - 1, expected)),
                "{line:?}"
            );
        }
    }

    #[test]
    fn what_is_not_taken_as_it_stands_has_a_remark() {
        let host_bits = |network: &str| Remark::HostBits(network.parse().unwrap());
        for (line, remarks) in [
            ("10.0.0.0/8:deny", vec![]),
            ("10.1.2.3/8:deny", vec![host_bits("10.0.0.0/8")]),
            ("0.0.0.1/0:deny", vec![host_bits("0.0.0.0/0")]),
            ("2001:db8::1/32:deny", vec![host_bits("2001:db8::/32")]),
            ("1.2.3.4:allow,MAXCONNIPS=\"1\",maxload=\"1\"", vec![]),
            (
                "1.2/8:allow,A=\"b\",MAXCONNIP=\"1\",DIEMSG=xyx",
                vec![
                    Remark::NoLimit(19, "MAXCONNIP"),
                    Remark::NoLimit(33, "DIEMSG"),
                    host_bits("1.0.0.0/8"),
                ],
            ),
        ] {
            let rule = parse(line.as_bytes()).unwrap().unwrap();
            assert_eq!(rule.remarks, remarks, "{line}");
        }
    }

    #[test]
    fn lines_without_a_rule_hold_none() {
        for line in ["", "# x", "   ", "allow", "nocolon\t"] {
            assert_eq!(parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }
}
