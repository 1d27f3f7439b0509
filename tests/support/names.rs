//! Stable names for what differs from run to run: process ids, ports, temporary paths.
//!
//! A number is replaced only where its place says what it is, so that a status of 25600 never turns into a pid:
//!
//! * pids: after `pid`, `ok`, `deny`, `end` in tcpserver's lines (connection numbers above 2^22, which our server
//!   prints where it made no process, look the same), before ` < ` and ` > ` in recordio's lines, after `pid` in
//!   rblsmtpd's, after `pid=` in the output of a scenario's own script; `PID1`, `PID2` in the order of appearance;
//! * ports: numbers that the scenario knows, after `:`, `PORT=` and `port `, or alone on a line; `PORT`, `CPORT1`;
//! * paths: the scenario's directories.

use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Names {
    pids: HashMap<String, usize>,
    ports: HashMap<String, String>,
    paths: Vec<(String, &'static str)>,
}

const BEFORE_PID: [&str; 5] = [
    "tcpserver: pid ",
    "tcpserver: ok ",
    "tcpserver: deny ",
    "tcpserver: end ",
    "pid=",
];
const BEFORE_PORT: [&str; 3] = [":", "PORT=", "port "];

impl Names {
    pub(crate) fn port(&mut self, port: u16, name: impl Into<String>) {
        self.ports.insert(port.to_string(), name.into());
    }

    pub(crate) fn is_known(&self, port: u16) -> bool {
        self.ports.contains_key(&port.to_string())
    }

    pub(crate) fn word_is(&mut self, word: &str, name: &str) {
        self.ports.insert(word.to_owned(), name.to_owned());
    }

    pub(crate) fn path(&mut self, path: &str, name: &'static str) {
        self.paths.push((path.to_owned(), name));
    }

    /// The name of a word of a command line that is a known port or was given a name.
    pub(crate) fn word(&self, word: &[u8]) -> Option<String> {
        std::str::from_utf8(word)
            .ok()
            .and_then(|word| self.ports.get(word))
            .cloned()
    }

    /// Replaces all that varies in one line.
    pub(crate) fn apply(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for (path, name) in &self.paths {
            line = line.replace(path, name);
        }
        let mut out = String::with_capacity(line.len());
        let mut rest = line.as_str();
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, number_on) = rest.split_at(start);
            out.push_str(before);
            let end = number_on
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(number_on.len());
            let (number, after) = number_on.split_at(end);
            match self.name(&out, number, after) {
                Some(name) => out.push_str(&name),
                None => out.push_str(number),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn name(&mut self, before: &str, number: &str, after: &str) -> Option<String> {
        let recorded = before.is_empty() && (after.starts_with(" < ") || after.starts_with(" > "));
        let refused = before.starts_with("rblsmtpd: ") && before.ends_with(" pid ");
        if recorded || refused || BEFORE_PID.iter().any(|word| before.ends_with(word)) {
            let next = self.pids.len() + 1;
            let index = *self.pids.entry(number.to_owned()).or_insert(next);
            return Some(format!("PID{index}"));
        }
        let alone = before.is_empty() && after.is_empty();
        if alone || BEFORE_PORT.iter().any(|word| before.ends_with(word)) {
            return self.ports.get(number).cloned();
        }
        None
    }
}
