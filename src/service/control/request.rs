//! What one can ask a server: one line of words. Pure.

use std::time::Duration;

use ipnet::IpNet;

use crate::cli::{number, seconds};
use crate::service::prefix::prefix;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is it well?
    Status,
    /// Which connections are open?
    List,
    /// Who has most of them?
    Top,
    /// How many were there?
    Counters,
    /// All of that, for a program.
    Overview,
    /// The counters, for Prometheus.
    Metrics,
    /// All of that, for a browser.
    Page,
    /// Let so many connections be open.
    Limit(u32),
    /// Take no more connections, and end when those that are open have.
    Drain,
    /// Refuse these, for so long.
    Ban(IpNet, Duration),
    /// Do not.
    Unban(IpNet),
}

/// What an answer looks like, where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Request {
    /// Reads `WORD ...`, the words of a request with blanks between them.
    ///
    /// # Errors
    /// What would have been a request, or a part of one.
    pub fn parse(line: &[u8]) -> Result<Self, &'static str> {
        const USAGE: &str = "one of status, list, top, counters, overview, metrics, page, \
            limit NUMBER, drain, ban PREFIX SECONDS, unban PREFIX";
        const PREFIX: &str = "an address or a network, like 192.0.2.0/24";
        let words = line
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty());
        let words: Vec<&[u8]> = words.take(4).collect();
        let network = |text| prefix(text).ok_or(PREFIX);
        Ok(match words[..] {
            [b"status"] => Self::Status,
            [b"list"] => Self::List,
            [b"top"] => Self::Top,
            [b"counters"] => Self::Counters,
            [b"overview"] => Self::Overview,
            [b"metrics"] => Self::Metrics,
            [b"page"] => Self::Page,
            [b"drain"] => Self::Drain,
            [b"limit", limit] => match number(limit) {
                Some(limit @ 1..) => Self::Limit(limit),
                _ => return Err("a number from 1 to 4294967295"),
            },
            [b"ban", who, time] => {
                let time = seconds(time).ok_or("a number of seconds")?;
                Self::Ban(network(who)?, time)
            }
            [b"unban", who] => Self::Unban(network(who)?),
            _ => return Err(USAGE),
        })
    }
}

impl Form {
    /// Takes the form off a line: `json REQUEST` or `text REQUEST`.
    pub fn split(line: &[u8]) -> Option<(Self, &[u8])> {
        let text = line.strip_prefix(b"text ").map(|rest| (Self::Text, rest));
        text.or_else(|| line.strip_prefix(b"json ").map(|rest| (Self::Json, rest)))
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Form, Request};

    #[test]
    fn requests_are_words() {
        let network = |text: &str| text.parse().unwrap();
        for (line, request) in [
            ("status", Request::Status),
            (" list ", Request::List),
            ("limit 7", Request::Limit(7)),
            (
                "ban  192.0.2.9/24 1.5",
                Request::Ban(network("192.0.2.0/24"), Duration::from_millis(1500)),
            ),
            (
                "unban 2001:db8::1",
                Request::Unban(network("2001:db8::1/128")),
            ),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(request), "{line}");
        }
        for wrong in [
            "",
            "stat",
            "status now",
            "limit",
            "limit 0",
            "limit x",
            "limit 1 2",
            "ban",
            "ban 1.2.3.4",
            "ban 1.2.3.4 x",
            "ban x 1",
            "ban 1.2.3.4 1 2",
            "unban",
            "unban 1.2.3.4/33",
            "Status",
            "status\0",
        ] {
            assert!(Request::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn form_stands_first() {
        assert_eq!(Form::split(b"json list"), Some((Form::Json, &b"list"[..])));
        assert_eq!(Form::split(b"text "), Some((Form::Text, &b""[..])));
        assert_eq!(Form::split(b"list"), None);
    }
}
