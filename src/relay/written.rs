//! Remotes as they are written: `host:port/key=value...`.
//!
//! | written | what it is |
//! |---|---|
//! | `tls:` before what follows | speak TLS with it |
//! | `10.0.0.1:22`, `[::1]:22`, `db:postgresql` | an address, or all addresses of a name; a port or a service |
//! | `unix:/run/app` | a UNIX socket |
//! | `/weight=3` | its share, from 1 to 65535; 1 if nothing is said |
//! | `/max=10` | it gets no more sessions at once |
//! | `/backup` | only when the others cannot be had |
//! | `/local=10.0.0.9` | connect from this address |
//! | `/proxy=2` | begin with a PROXY header of version 1 or 2 |
//! | `/name=mx.example` | with TLS: it must prove this name, and is asked for it; the host if nothing is said |
//! | `/check=connect`, `/check=send:TEXT`, `/check=expect:TEXT` | what a check does; the last two may both stand |
//!
//! In a TEXT, and in a path, a backslash takes away the meaning of a slash; in a TEXT `\r`, `\n`, `\t`, `\0` and `\\` are
//! what they are in C.

use std::net::IpAddr;

use crate::cli::number;
use crate::dns::literal;
use crate::tls::between::Name;
use crate::ucspi::port;
use crate::ucspi::proxy::Version;

/// A remote as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) weight: u32,
    pub(super) max: Option<u32>,
    pub(super) is_backup: bool,
    pub(super) local: Option<IpAddr>,
    /// Begin with a PROXY header of this version.
    pub(super) proxy: Option<Version>,
    /// Speak TLS with it.
    pub(super) is_tls: bool,
    /// With TLS: its name, where it is not the host.
    pub(super) name: Option<Vec<u8>>,
    pub(super) check: Check,
    /// By SCTP instead of TCP.
    pub(super) is_sctp: bool,
    /// `file:line`, where a configuration file has it.
    pub(super) source: Option<Vec<u8>>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An address or a name, and a port.
    Host(Vec<u8>, u16),
    /// A UNIX socket.
    Path(Vec<u8>),
}

/// What a check does, once it is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// Send this.
    pub(super) send: Option<Vec<u8>>,
    /// Wait until this has come.
    pub(super) expect: Option<Vec<u8>>,
}

/// The names of the keys, as they stand after a slash.
const KEYS: [&[u8]; 7] = [
    b"weight=", b"max=", b"backup", b"local=", b"proxy=", b"name=", b"check=",
];

impl Written {
    /// A remote at `place` of which nothing else is said.
    pub(super) fn at(place: Place) -> Self {
        Self {
            place,
            weight: 1,
            max: None,
            is_backup: false,
            local: None,
            proxy: None,
            is_tls: false,
            name: None,
            check: Check::default(),
            is_sctp: false,
            source: None,
        }
    }

    /// Reads one remote.
    ///
    /// # Errors
    /// What was expected in place of what.
    pub(super) fn read(text: &[u8]) -> Result<Self, Mistake> {
        let bare = text.strip_prefix(b"tls:");
        let mut parts = split(bare.unwrap_or(text)).into_iter();
        let mut first = parts.next().unwrap_or_default();
        let mut keys: Vec<Vec<u8>> = parts.collect();
        let place = if let Some(path) = first.strip_prefix(b"unix:") {
            let is_key = |part: &Vec<u8>| KEYS.iter().any(|key| part.starts_with(key));
            let path_parts = keys.iter().position(is_key).unwrap_or(keys.len());
            let mut path = path.to_vec();
            for part in keys.drain(..path_parts) {
                path.push(b'/');
                path.extend_from_slice(&part);
            }
            if path.is_empty() || path.contains(&0) {
                return Err(Mistake::new("a path after unix:", &path));
            }
            Place::Path(path)
        } else {
            host_and_port(&mut first)?
        };
        let mut written = Self::at(place);
        written.is_tls = bare.is_some();
        for key in keys {
            written.set(&key)?;
        }
        Ok(written)
    }

    fn set(&mut self, text: &[u8]) -> Result<(), Mistake> {
        if text == b"backup" {
            self.is_backup = true;
            return Ok(());
        }
        let unknown = || {
            let known = "weight=, max=, backup, local=, proxy=, name= or check=";
            Mistake::new(known, text)
        };
        let equal = text.iter().position(|&byte| byte == b'=');
        let (key, value) = text.split_at(equal.ok_or_else(unknown)?);
        let value = &value[1..];
        match key {
            b"weight" => {
                let weight = number(value).filter(|weight| (1..=65535).contains(weight));
                let needed = "a weight from 1 to 65535";
                self.weight = weight.ok_or_else(|| Mistake::new(needed, value))?;
            }
            b"max" => {
                let max = number(value).filter(|&max| max > 0);
                let needed = "a number of sessions";
                self.max = Some(max.ok_or_else(|| Mistake::new(needed, value))?);
            }
            b"local" => {
                let local = literal::address(value);
                self.local = Some(local.ok_or_else(|| Mistake::new("an IP address", value))?);
            }
            b"proxy" => {
                let version = Version::parse(value);
                self.proxy = Some(version.ok_or_else(|| Mistake::new(Version::FORM, value))?);
            }
            b"name" => {
                let name = Name::read(value).map(|_| value.to_vec());
                self.name = Some(name.ok_or_else(|| Mistake::new("a name of DNS", value))?);
            }
            b"check" => {
                if let Some(text) = value.strip_prefix(b"send:") {
                    self.check.send = Some(unescaped(text));
                } else if let Some(text) = value.strip_prefix(b"expect:") {
                    self.check.expect = Some(unescaped(text));
                } else if value != b"connect" {
                    let needed = "connect, send:TEXT or expect:TEXT";
                    return Err(Mistake::new(needed, value));
                }
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// What was expected, and what was there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    expected: &'static str,
    got: Vec<u8>,
}

impl Mistake {
    fn new(expected: &'static str, got: &[u8]) -> Self {
        let got = got.to_vec();
        Self { expected, got }
    }

    /// `Expected ..., but got '...'`
    pub(super) fn text(&self) -> Vec<u8> {
        let Self { expected, got } = self;
        [b"Expected ", expected.as_bytes(), b", but got '", got, b"'"].concat()
    }
}

/// `text` at its slashes; a slash after a backslash is none, and stays without it.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let last = parts.len() - 1;
        match (byte, bytes.peek()) {
            (b'/', _) => parts.push(Vec::new()),
            (b'\\', Some(b'/')) => parts[last].extend(bytes.next()),
            _ => parts[last].push(byte),
        }
    }
    parts
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            (_, true) => match bytes.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => other,
                None => b'\\',
            },
        });
    }
    plain
}

/// `host:port`, with an IPv6 address in brackets.
fn host_and_port(text: &mut Vec<u8>) -> Result<Place, Mistake> {
    let needed = "host:port, [address]:port or unix:path";
    let colon = text.iter().rposition(|&byte| byte == b':');
    let colon = colon.ok_or_else(|| Mistake::new(needed, text))?;
    let port = text.split_off(colon);
    let host = match &text[..] {
        [b'[', address @ .., b']'] => address,
        host if host.contains(&b':') => return Err(Mistake::new(needed, text)),
        host => host,
    };
    if host.is_empty() {
        return Err(Mistake::new(needed, &[&text[..], &port].concat()));
    }
    let found = port::port(&port[1..]).ok().filter(|&port| port != 0);
    let needed = "a port from 1 to 65535 or a service";
    let found = found.ok_or_else(|| Mistake::new(needed, &port[1..]))?;
    Ok(Place::Host(host.to_vec(), found))
}

#[cfg(test)]
mod tests {
    use super::{Check, Place, Version, Written, unescaped};

    fn read(text: &str) -> Result<Written, String> {
        Written::read(text.as_bytes())
            .map_err(|mistake| String::from_utf8_lossy(&mistake.text()).into_owned())
    }

    fn host(host: &str, port: u16) -> Written {
        Written::at(Place::Host(host.into(), port))
    }

    #[test]
    fn remotes_are_hosts_addresses_and_paths() {
        assert_eq!(read("10.0.0.1:443"), Ok(host("10.0.0.1", 443)));
        assert_eq!(read("[2001:db8::1]:443"), Ok(host("2001:db8::1", 443)));
        assert_eq!(read("db.example:22"), Ok(host("db.example", 22)));
        let path = Written::at(Place::Path(b"/run/a/b".to_vec()));
        assert_eq!(read("unix:/run/a/b"), Ok(path));
        let path = Written::at(Place::Path(b"rel".to_vec()));
        assert_eq!(read("unix:rel"), Ok(path));
    }

    #[test]
    fn keys_follow_after_slashes() {
        let all = Written {
            weight: 3,
            max: Some(7),
            is_backup: true,
            local: Some("10.0.0.9".parse().unwrap()),
            proxy: Some(Version::V2),
            check: Check {
                send: Some(b"GET / HTTP/1.0\r\n\r\n".to_vec()),
                expect: Some(b"200".to_vec()),
            },
            ..host("h", 1)
        };
        let text = r"h:1/weight=3/max=7/backup/local=10.0.0.9/proxy=2/check=connect/check=send:GET \/ HTTP\/1.0\r\n\r\n/check=expect:200";
        assert_eq!(read(text), Ok(all));
        let path = Written {
            weight: 2,
            ..Written::at(Place::Path(b"/run/weight".to_vec()))
        };
        assert_eq!(read("unix:/run/weight/weight=2"), Ok(path));
    }

    #[test]
    fn mistakes_name_what_was_expected() {
        for (text, said) in [
            (
                "",
                "Expected host:port, [address]:port or unix:path, but got ''",
            ),
            (
                "10.0.0.1",
                "Expected host:port, [address]:port or unix:path, but got '10.0.0.1'",
            ),
            (
                ":22",
                "Expected host:port, [address]:port or unix:path, but got ':22'",
            ),
            (
                "::1:22",
                "Expected host:port, [address]:port or unix:path, but got '::1'",
            ),
            (
                "h:0",
                "Expected a port from 1 to 65535 or a service, but got '0'",
            ),
            (
                "h:65536",
                "Expected a port from 1 to 65535 or a service, but got '65536'",
            ),
            (
                "h:no-such-service",
                "Expected a port from 1 to 65535 or a service, but got 'no-such-service'",
            ),
            (
                "h:1/weight=0",
                "Expected a weight from 1 to 65535, but got '0'",
            ),
            (
                "h:1/weight=70000",
                "Expected a weight from 1 to 65535, but got '70000'",
            ),
            ("h:1/max=0", "Expected a number of sessions, but got '0'"),
            ("h:1/local=x", "Expected an IP address, but got 'x'"),
            ("h:1/proxy=3", "Expected 1 or 2, but got '3'"),
            (
                "h:1/check=tls",
                "Expected connect, send:TEXT or expect:TEXT, but got 'tls'",
            ),
            (
                "h:1/colour=red",
                "Expected weight=, max=, backup, local=, proxy=, name= or check=, but got 'colour=red'",
            ),
            (
                "h:1/",
                "Expected weight=, max=, backup, local=, proxy=, name= or check=, but got ''",
            ),
            ("unix:", "Expected a path after unix:, but got ''"),
        ] {
            assert_eq!(read(text), Err(said.to_owned()), "{text}");
        }
    }

    #[test]
    fn escapes_are_those_of_c() {
        assert_eq!(unescaped(br"a\r\n\t\0\\\q\"), b"a\r\n\t\0\\q\\");
    }
}
