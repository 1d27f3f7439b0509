//! Whom to ask, and how names are qualified: `$DNSCACHEIP`, `$DNSREWRITEFILE`, `$LOCALDOMAIN`, `/etc/dnsrewrite`,
//! `/etc/resolv.conf`, the host's name. Source: the original's manual pages and observed runs, resolv.conf(5).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::qualify::Rules;
use crate::sys::file::Version;
use crate::sys::process;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNSREWRITE: &str = "/etc/dnsrewrite";
/// RFC 1035 section 4.2.
const PORT: u16 = 53;
/// The original's bound.
const SERVERS_MAX: usize = 16;
/// The longest text of an IPv6 address, one that ends in an IPv4 address.
const IPV6_TEXT_BYTES: usize = 45;

/// The name servers to ask, in order. Never empty.
#[derive(Debug)]
pub(super) struct Servers {
    /// The version of `/etc/resolv.conf` they were read from; `None` when they do not depend on it.
    source: Option<Option<Version>>,
    list: Vec<SocketAddr>,
}

impl Servers {
    /// Reads `$DNSCACHEIP`, else `/etc/resolv.conf`; without any, this machine.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub(super) fn load() -> io::Result<Self> {
        let given = process::variable("DNSCACHEIP")
            .map(|text| listed(&text))
            .unwrap_or_default();
        if !given.is_empty() {
            return Ok(Self {
                source: None,
                list: at_port(given),
            });
        }
        let source = Some(version(Path::new(RESOLV_CONF)));
        let servers = read(Path::new(RESOLV_CONF))?
            .map(|text| name_servers(&text))
            .unwrap_or_default();
        let servers = if servers.is_empty() {
            vec![Ipv4Addr::LOCALHOST.into()]
        } else {
            servers
        };
        Ok(Self {
            source,
            list: at_port(servers),
        })
    }

    /// True when the file they came from is not what it was.
    pub(super) fn are_stale(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|known| *known != version(Path::new(RESOLV_CONF)))
    }

    pub(super) fn list(&self) -> &[SocketAddr] {
        &self.list
    }
}

/// True when `$DNSCACHEIP` says whom to ask, and nobody else is.
pub(super) fn is_given_a_cache() -> bool {
    process::variable("DNSCACHEIP").is_some_and(|text| !listed(&text).is_empty())
}

/// The rules for an operand. One that is an address can be changed by a file of rules only, so nothing else is read for
/// it.
///
/// # Errors
/// A file exists and cannot be read.
pub(super) fn rules(is_address: bool) -> io::Result<Rules> {
    let file = process::variable("DNSREWRITEFILE")
        .map(|path| PathBuf::from(std::ffi::OsString::from_vec(path)));
    if let Some(text) = read(&file.unwrap_or_else(|| DNSREWRITE.into()))? {
        return Ok(Rules::from_file(&text));
    }
    if is_address {
        return Ok(Rules::search(std::iter::empty()));
    }
    if let Some(domains) = process::variable("LOCALDOMAIN") {
        return Ok(Rules::search(words(&domains)));
    }
    if let Some(text) = read(Path::new(RESOLV_CONF))?
        && let Some(domains) = search_list(&text)
    {
        return Ok(Rules::search(words(domains)));
    }
    Ok(Rules::of_host(&process::host_name().unwrap_or_default()))
}

/// The text of a file, or `None` when it does not exist.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}

fn version(path: &Path) -> Option<Version> {
    std::fs::metadata(path)
        .ok()
        .map(|metadata| Version::of(&metadata))
}

fn at_port(servers: Vec<IpAddr>) -> Vec<SocketAddr> {
    servers
        .into_iter()
        .take(SERVERS_MAX)
        .map(|ip| SocketAddr::new(ip, PORT))
        .collect()
}

/// The addresses in the text of `$DNSCACHEIP`: separated by dots or blanks, up to the first thing that is neither.
pub(super) fn listed(text: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        while let [b'.' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let Some((address, after)) = first_address(rest) else {
            return found;
        };
        if !address.is_unspecified() {
            found.push(address);
        }
        rest = after;
    }
}

/// The addresses in the `nameserver` lines of a resolv.conf. What follows an address does not count, unless it says that
/// only an interface makes it one.
pub(super) fn name_servers(text: &[u8]) -> Vec<IpAddr> {
    let lines = text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| argument(line, b"nameserver"));
    let addresses = lines
        .filter_map(|argument| first_address(words(argument).next()?))
        .filter(|(_, after)| !after.starts_with(b"%"))
        .map(|(address, _)| address);
    addresses
        .filter(|address| !address.is_unspecified())
        .collect()
}

/// The address that `text` begins with, and what follows it.
fn first_address(text: &[u8]) -> Option<(IpAddr, &[u8])> {
    if let Some((address, after)) = first_ipv4(text) {
        return Some((address.into(), after));
    }
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit() && !b":.".contains(byte))
        .unwrap_or(text.len());
    // No longer one is an address. A dot may belong to it or separate it from the next.
    (1..=end.min(IPV6_TEXT_BYTES)).rev().find_map(|length| {
        let (begin, after) = text.split_at(length);
        let is_cut = after
            .first()
            .is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':');
        let address: Ipv6Addr = std::str::from_utf8(begin).ok()?.parse().ok()?;
        (!is_cut).then_some((address.into(), after))
    })
}

/// As [`first_address`]: four decimal numbers, which may have leading zeros.
fn first_ipv4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let mut octets = [0; 4];
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
        *octet = u8::try_from(crate::cli::number(digits)?).ok()?;
        rest = after;
    }
    Some((octets.into(), rest))
}

/// The rest of the first `search` or `domain` line of a resolv.conf.
pub(super) fn search_list(text: &[u8]) -> Option<&[u8]> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.find_map(|line| argument(line, b"search").or_else(|| argument(line, b"domain")))
}

/// What follows `keyword` and a blank in `line`.
fn argument<'a>(line: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(keyword)
        .filter(|rest| matches!(rest.first(), Some(b' ' | b'\t')))
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{listed, name_servers, search_list};

    fn text(addresses: &[std::net::IpAddr]) -> String {
        addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn cache_list_is_separated_by_dots_or_blanks() {
        for (given, servers) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.10.0.0.1", "127.0.0.1 10.0.0.1"),
            ("..127.0.0.1. 10.0.0.1 ", "127.0.0.1 10.0.0.1"),
            ("127.0.0.1.::1", "127.0.0.1 ::1"),
            ("::1 fe80::1", "::1 fe80::1"),
            ("0.0.0.0 10.0.0.1", "10.0.0.1"),
            ("127.000.0.053.010.0.0.1", "127.0.0.53 10.0.0.1"),
            ("10.0.0.1,10.0.0.2", "10.0.0.1"),
            ("127.0.0.256", ""),
            ("10.0.0.1234 10.0.0.1", ""),
            ("10.0.0", ""),
            ("fe80::12345", ""),
            (
                "1:2:3:4:5:6:1.2.3.4.10.0.0.1",
                "1:2:3:4:5:6:102:304 10.0.0.1",
            ),
            ("10.0.0.1 junk 10.0.0.2", "10.0.0.1"),
            ("junk", ""),
            ("", ""),
        ] {
            assert_eq!(text(&listed(given.as_bytes())), servers, "{given}");
        }
    }

    #[test]
    fn name_server_lines_start_at_the_first_column() {
        let conf = b"# x\nnameserver 10.0.0.1\n nameserver 10.0.0.2\nnameserver\t \t::1 # x\nnameservers 1.1.1.1\nnameserver 0.0.0.0\nnameserver x\n";
        assert_eq!(text(&name_servers(conf)), "10.0.0.1 ::1");
    }

    #[test]
    fn what_follows_a_name_server_does_not_count() {
        let conf = b"nameserver 010.0.0.1\nnameserver 10.0.0.2;x\nnameserver fe80::1%lo\nnameserver ::1#53\r\n";
        assert_eq!(text(&name_servers(conf)), "10.0.0.1 10.0.0.2 ::1");
    }

    #[test]
    fn first_search_or_domain_line_counts() {
        assert_eq!(
            search_list(b"nameserver 1.2.3.4\ndomain a\nsearch b c\n"),
            Some(&b" a"[..])
        );
        assert_eq!(search_list(b"searching x\noptions ndots:3\n"), None);
    }
}
