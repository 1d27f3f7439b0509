//! The text that says what a program did: one prefixed line per line of output, the same in every run.

use std::process::ExitStatus;

use super::inspect;
use super::names::Names;
use super::process;

/// Output longer than this is given by length and hash.
const SHOWN_MAX_BYTES: usize = 8192;

#[derive(Default)]
pub(crate) struct Transcript {
    text: String,
    pub(crate) names: Names,
}

impl Transcript {
    /// A line of our own making; names are replaced in it too.
    pub(crate) fn line(&mut self, line: &str) {
        let line = self.names.apply(line);
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// Every line of `bytes` behind `label`; nothing for no bytes.
    pub(crate) fn bytes(&mut self, label: &str, bytes: &[u8]) {
        if bytes.len() > SHOWN_MAX_BYTES {
            self.line(&format!("{label}: {}", inspect::summary(bytes)));
            return;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, mark) = line
                .strip_suffix(b"\n")
                .map_or((line, " [no line feed]"), |line| (line, ""));
            let line = self.names.apply(&escape(line));
            self.text
                .push_str(format!("{label}: {line}{mark}").trim_end());
            self.text.push('\n');
        }
    }

    pub(crate) fn status(&mut self, status: ExitStatus) {
        self.line(&process::describe(status));
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Printable ASCII as it is; everything else, and a blank that would end a line, as an escape.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if text.ends_with(' ') {
        text.truncate(text.len() - 1);
        text.push_str("\\x20");
    }
    text
}

/// An argument or variable as a shell reader would like to see it.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=./:@,+%[]".contains(byte);
    if bytes.len() > 200 {
        format!("<{}>", inspect::summary(bytes))
    } else if !bytes.is_empty() && bytes.iter().all(plain) {
        escape(bytes)
    } else {
        format!("'{}'", escape(bytes))
    }
}
