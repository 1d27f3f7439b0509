//! One line of rules: an address, a colon, `allow` or `deny`, and settings.
//!
//! ```text
//! rule    := address ":" action setting*
//! action  := "allow" | "deny"
//! setting := "," name "=" Q value Q       Q is any byte; the next same byte ends the value
//! ```
//!
//! The first colon ends the address. Blanks at the end of a line do not count; blanks elsewhere do. A line without a
//! colon, an empty one and one that starts with `#` hold no rule. Addresses are not checked: a key that can never match
//! is stored, as the original does.

use std::ops::RangeInclusive;

/// One rule, in the form in which it is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule<'line> {
    address: Address<'line>,
    /// The instructions: `"D\0"` for deny, then `"+name=value\0"` for each setting.
    pub data: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Address<'line> {
    /// The address is the key.
    Literal(&'line [u8]),
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
    pub expected: &'static str,
}

/// The largest number that a range can reach.
const OCTET_MAX: u64 = 255;

/// Reads one line, without its line feed; `None` when it holds no rule.
///
/// # Errors
/// The first thing that is not as the language wants it.
pub fn parse(line: &[u8]) -> Result<Option<Rule<'_>>, Fault> {
    let line = trim(line);
    if line.is_empty() || line[0] == b'#' {
        return Ok(None);
    }
    let Some(colon) = find(line, b':') else {
        return Ok(None);
    };
    let (address, rest) = (&line[..colon], &line[colon + 1..]);
    let mut data = Vec::new();
    let mut settings = if let Some(settings) = rest.strip_prefix(b"deny") {
        data.extend_from_slice(b"D\0");
        settings
    } else {
        let expected = "\"allow\" or \"deny\" after the colon";
        rest.strip_prefix(b"allow").ok_or(Fault {
            column: colon + 2,
            expected,
        })?
    };
    while !settings.is_empty() {
        let start = line.len() - settings.len();
        let fault = |fault: Fault| Fault {
            column: fault.column + start,
            ..fault
        };
        settings = setting(settings, &mut data).map_err(fault)?;
    }
    Ok(Some(Rule {
        address: self::address(address)?,
        data,
    }))
}

/// `line` without the line feeds, blanks and tabs at its end.
pub(super) fn trim(mut line: &[u8]) -> &[u8] {
    while let [before @ .., b'\n' | b' ' | b'\t'] = line {
        line = before;
    }
    line
}

/// Takes one `,name=QvalueQ` off `text`, appends its instruction to `data`, and gives the rest.
fn setting<'line>(text: &'line [u8], data: &mut Vec<u8>) -> Result<&'line [u8], Fault> {
    let fault = |at: usize, expected| Fault {
        column: at + 1,
        expected,
    };
    if text[0] != b',' {
        return Err(fault(0, "a comma or the end of the line"));
    }
    let equals = find(text, b'=').ok_or(fault(text.len(), "\"=\" after the variable's name"))?;
    let quote = *text
        .get(equals + 1)
        .ok_or(fault(text.len(), "a quote character after \"=\""))?;
    let value = &text[equals + 2..];
    let length = find(value, quote).ok_or(fault(text.len(), "the closing quote character"))?;
    let end = equals + 2 + length;
    // A NUL ends an instruction in the file: what follows it would be read as another one.
    if let Some(nul) = find(&text[..end], 0) {
        return Err(fault(nul, "no NUL byte in a name or a value"));
    }
    for part in [b"+", &text[1..=equals], &value[..length], b"\0"] {
        data.extend_from_slice(part);
    }
    Ok(&text[end + 1..])
}

fn address(text: &[u8]) -> Result<Address<'_>, Fault> {
    let is_literal = text.iter().any(|byte| matches!(byte, b'=' | b'@'));
    let Some(dash) = find(text, b'-').filter(|_| !is_literal) else {
        return Ok(Address::Literal(text));
    };
    let low = text[..dash]
        .iter()
        .rposition(|&byte| byte == b'.')
        .map_or(0, |dot| dot + 1);
    let high = dash + 1;
    let end = find(&text[high..], b'.').map_or(text.len(), |length| high + length);
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        let bad = digits.iter().position(|byte| !byte.is_ascii_digit());
        match bad {
            Some(at) => Err(Fault {
                column: from + at + 1,
                expected: "a digit in the range",
            }),
            // Quirk: no digits are 0, and the arithmetic is that of the original's machine word.
            None => Ok(digits.iter().fold(0_u64, |number, digit| {
                number
                    .wrapping_mul(10)
                    .wrapping_add(u64::from(digit - b'0'))
            })),
        }
    };
    let numbers = number(low, dash)?..=number(high, end)?.min(OCTET_MAX);
    Ok(Address::Range {
        before: &text[..low],
        numbers,
        after: &text[end..],
    })
}

impl Rule<'_> {
    /// Calls `each` with every key that the rule is stored under, in order; a reversed range has none.
    ///
    /// # Errors
    /// The first error of `each`.
    pub fn keys<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match &self.address {
            Address::Literal(key) => each(key),
            Address::Range {
                before,
                numbers,
                after,
            } => numbers.clone().try_for_each(|number| {
                each(&[before, number.to_string().as_bytes(), after].concat())
            }),
        }
    }
}

fn find(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|&found| found == byte)
}

#[cfg(test)]
mod tests {
    use super::{Fault, parse};

    fn keys(line: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let rule = parse(line.as_bytes()).unwrap().unwrap();
        rule.keys(|key| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
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
            ("1.2.3.4:foo", 9, "\"allow\" or \"deny\" after the colon"),
            ("::1:allow", 2, "\"allow\" or \"deny\" after the colon"),
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
                Err(Fault { column, expected }),
                "{line:?}"
            );
        }
    }

    #[test]
    fn lines_without_a_rule_hold_none() {
        for line in ["", "# x", "   ", "allow", "nocolon\t"] {
            assert_eq!(parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }
}
