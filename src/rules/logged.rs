//! A server's log, read back: who came, and what was decided of them.
//!
//! A line is that of the original, `tcpserver: ok PID LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`
//! or `deny`, whatever stands before it (the time of multilog, of tai64nlocal, of syslog); or an event of `--log=json`. All
//! other lines are passed over, and so are denials for another reason than the rules.

use std::borrow::Cow;

use super::keys::Peer;
use super::spelling;

/// A connection that was decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logged<'line> {
    pub(super) denied: bool,
    ip: Cow<'line, [u8]>,
    host: Option<Cow<'line, [u8]>>,
    info: Option<Cow<'line, [u8]>>,
    /// A name or an ident reply is not told as it was.
    pub(super) is_cut: bool,
}

impl Logged<'_> {
    pub(super) fn peer(&self) -> Peer<'_> {
        Peer {
            ip: &self.ip,
            host: self.host.as_deref(),
            info: self.info.as_deref(),
        }
    }
}

/// The connection that a line is about, if it is about a decision of the rules.
pub(super) fn read(line: &[u8]) -> Option<Logged<'_>> {
    let line = line.trim_ascii_end();
    let brace = line.iter().position(|&byte| byte == b'{');
    match brace {
        Some(brace) if line.ends_with(b"}") => event(&line[brace..]),
        _ => classic(line),
    }
}

/// `NAME: ok PID LOCAL REMOTE`
fn classic(line: &[u8]) -> Option<Logged<'_>> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').take(WORDS_MAX).collect();
    let at = words
        .windows(2)
        .position(|pair| pair[0].ends_with(b":") && matches!(pair[1], b"ok" | b"deny"))?;
    let [verdict, number, _, remote, reason @ ..] = &words[at + 1..] else {
        return None;
    };
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    // `--log=reason` says why.
    if !is_number || !matches!(reason, [] | [b"rule"]) {
        return None;
    }
    let mut fields = remote.splitn(2, |&byte| byte == b':');
    let (host, rest) = (fields.next()?, fields.next()?);
    let mut fields = rest.rsplitn(3, |&byte| byte == b':');
    let (_, info, ip) = (fields.next()?, fields.next()?, fields.next()?);
    spelling::address(ip)?;
    // Foreign bytes are question marks, and what is long ends in dots.
    let is_cut = |text: &[u8]| text.contains(&b'?') || text.ends_with(b"...");
    let known = |text| Some(Cow::Borrowed(text)).filter(|text: &Cow<'_, [u8]>| !text.is_empty());
    Some(Logged {
        denied: *verdict == b"deny",
        ip: Cow::Borrowed(ip),
        host: known(host),
        info: known(info),
        is_cut: is_cut(host) || is_cut(info),
    })
}

/// How many words a line has at most, with those before it.
const WORDS_MAX: usize = 16;

/// An event `ok` or `deny`.
fn event(text: &[u8]) -> Option<Logged<'_>> {
    let mut members = Members::of(text)?;
    let (mut event, mut remote, mut host, mut info, mut reason) = (None, None, None, None, None);
    while let Some((name, value)) = members.next()? {
        match name {
            b"event" => event = value,
            b"remote" => remote = value,
            b"host" => host = value,
            b"info" => info = value,
            b"reason" => reason = value,
            _ => {}
        }
    }
    let denied = match event?.as_ref() {
        b"ok" => false,
        b"deny" if reason.is_none_or(|reason| *reason == *b"rule") => true,
        _ => return None,
    };
    let remote: std::net::SocketAddr = str::from_utf8(&remote?).ok()?.parse().ok()?;
    let ip = remote.ip().to_string().into_bytes();
    let is_cut = |text: &Option<Cow<'_, [u8]>>| {
        let foreign = char::REPLACEMENT_CHARACTER.to_string();
        text.as_ref().is_some_and(|text| {
            text.windows(foreign.len())
                .any(|part| part == foreign.as_bytes())
        })
    };
    let is_cut = is_cut(&host) || is_cut(&info);
    Some(Logged {
        denied,
        ip: ip.into(),
        host,
        info,
        is_cut,
    })
}

/// The members of an object of JSON that holds no other: RFC 8259.
struct Members<'a> {
    rest: &'a [u8],
}

type Member<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

impl<'a> Members<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"{")?;
        Some(Self { rest })
    }

    /// The next name and its value, if that is a string; the inner `None` at the end, the outer one if it is no JSON.
    #[allow(clippy::option_option, reason = "the end is no fault")]
    fn next(&mut self) -> Option<Option<Member<'a>>> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest == b"}" {
            return Some(None);
        }
        let Cow::Borrowed(name) = self.string()? else {
            return None;
        };
        self.rest = self
            .rest
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start();
        let value = if self.rest.starts_with(b"\"") {
            Some(self.string()?)
        } else {
            let end = self.rest.iter().position(|byte| b",}".contains(byte))?;
            self.rest = &self.rest[end..];
            None
        };
        self.rest = self.rest.trim_ascii_start();
        match self.rest.split_first()? {
            (b',', rest) => self.rest = rest,
            (b'}', []) => {}
            _ => return None,
        }
        Some(Some((name, value)))
    }

    fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        let text = self.rest.strip_prefix(b"\"")?;
        let end = text.iter().position(|byte| b"\"\\".contains(byte))?;
        if text[end] == b'"' {
            self.rest = &text[end + 1..];
            return Some(Cow::Borrowed(&text[..end]));
        }
        let mut string = Vec::new();
        let mut bytes = text.iter();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => match bytes.next()? {
                    b'n' => string.push(b'\n'),
                    b't' => string.push(b'\t'),
                    b'r' => string.push(b'\r'),
                    b'b' => string.push(8),
                    b'f' => string.push(12),
                    b'u' => {
                        let (digits, rest) = bytes.as_slice().split_at_checked(4)?;
                        bytes = rest.iter();
                        let code = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                        // Halves of a pair are what we never write.
                        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                        string.extend(c.to_string().bytes());
                    }
                    byte => string.push(*byte),
                },
                byte => string.push(*byte),
            }
        }
        self.rest = bytes.as_slice();
        Some(string.into())
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn told(line: &str) -> Option<String> {
        let logged = read(line.as_bytes())?;
        let text = |text: Option<&[u8]>| match text {
            Some(text) => String::from_utf8_lossy(text).into_owned(),
            None => "-".to_owned(),
        };
        let peer = logged.peer();
        let verdict = if logged.denied { "deny" } else { "allow" };
        let cut = if logged.is_cut { " cut" } else { "" };
        Some(format!(
            "{verdict} {} {} {}{cut}",
            text(Some(peer.ip)),
            text(peer.host),
            text(peer.info)
        ))
    }

    #[test]
    fn decisions_of_all_kinds_of_logs_are_read() {
        for (line, expected) in [
            (
                "tcpserver: ok 12 me:10.0.0.1:25 a.b:10.1.2.3:joe:40000\n",
                "allow 10.1.2.3 a.b joe",
            ),
            (
                "tcpserver: deny 12 0:10.0.0.1:25 :10.1.2.3::40000",
                "deny 10.1.2.3 - -",
            ),
            (
                "tcpserver: deny 12 0:10.0.0.1:25 :10.1.2.3::40000 rule",
                "deny 10.1.2.3 - -",
            ),
            (
                "@400000006742f1a10c8f6d34 tcpserver: ok 1 :::1:25 h:2001:db8::7:joe:9",
                "allow 2001:db8::7 h joe",
            ),
            (
                "2026-11-26 10:11:12.123456789 tcppool: ok 1 ::::1:25 :::1::9",
                "allow ::1 - -",
            ),
            (
                "Nov 26 10:11:12 host smtpd[7]: tcpserver: ok 1 :0.0.0.0:25 :10.1.2.3::9",
                "allow 10.1.2.3 - -",
            ),
            (
                "tcpserver: ok 1 :0.0.0.0:25 a?b:10.1.2.3::9",
                "allow 10.1.2.3 a?b - cut",
            ),
            (
                "tcpserver: ok 1 :0.0.0.0:25 :fe80::1%eth0::9",
                "allow fe80::1%eth0 - -",
            ),
            (
                r#"{"time":"x","event":"ok","number":7,"pid":null,"remote":"10.1.2.3:9","host":"a","info":null}"#,
                "allow 10.1.2.3 a -",
            ),
            (
                r#"@4000 {"event":"deny","remote":"[2001:db8::1]:9","host":"","info":"a\"\u00e9\\","reason":"rule"}"#,
                "deny 2001:db8::1  a\"\u{e9}\\",
            ),
            (
                "{\"event\":\"ok\",\"remote\":\"10.1.2.3:9\",\"host\":\"\u{fffd}\"}",
                "allow 10.1.2.3 \u{fffd} - cut",
            ),
        ] {
            assert_eq!(told(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in [
            "",
            "tcpserver: status: 1/40",
            "tcpserver: pid 12 from 10.1.2.3",
            "tcpserver: end 12 status 0",
            "tcpserver: deny 12 0:10.0.0.1:25 :10.1.2.3::40000 source-limit",
            "tcpserver: ok x 0:10.0.0.1:25 :10.1.2.3::40000",
            "tcpserver: ok 12 0:10.0.0.1:25 :10.1.2::40000",
            "tcpserver: ok 12 0:10.0.0.1:25 10.1.2.3",
            "tcpserver ok 12 0:10.0.0.1:25 :10.1.2.3::40000",
            r#"{"event":"end","remote":"10.1.2.3:9"}"#,
            r#"{"event":"deny","remote":"10.1.2.3:9","reason":"rate"}"#,
            r#"{"event":"ok","remote":"nowhere"}"#,
            r#"{"event":"ok","remote":"10.1.2.3:9","x":"#,
            r#"{"event":"ok","remote":"10.1.2.3:9"#,
            r#"{"event":"ok","remote":"10.1.2.3:9\u12"}"#,
            r#"{"event":["ok"],"remote":"10.1.2.3:9"}"#,
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
