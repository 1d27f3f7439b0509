//! Version 1: one line. The text, 2.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Addresses, Facts, Header, V1_MAX, Wrong};

/// How a line begins.
pub(super) const START: &[u8] = b"PROXY ";

/// Reads the line at the beginning of `bytes`, as [`super::read()`].
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, Wrong> {
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        return if line.len() == V1_MAX {
            Err(Wrong("the line has no end within 107 bytes"))
        } else {
            Ok(None)
        };
    };
    let line = line[START.len()..end].strip_suffix(b"\r");
    let line = line.ok_or(Wrong("the line does not end in CR LF"))?;
    let header = Header {
        addresses: addresses(line)?,
        facts: Facts::default(),
    };
    Ok(Some((header, end + 1)))
}

/// `TCP4 REMOTE LOCAL REMOTEPORT LOCALPORT`, the same with `TCP6`, or `UNKNOWN` and whatever follows.
fn addresses(line: &[u8]) -> Result<Option<Addresses>, Wrong> {
    let mut fields = line.split(|&byte| byte == b' ');
    let address = match fields.next() {
        Some(b"UNKNOWN") => return Ok(None),
        Some(b"TCP4") => |text: &str| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some(b"TCP6") => |text: &str| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Wrong("its protocol is not TCP4, TCP6 or UNKNOWN")),
    };
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let mut ip = || {
        let ip = field().and_then(address);
        ip.ok_or(Wrong("an address is none of its protocol"))
    };
    let (remote, local) = (ip()?, ip()?);
    let mut port = || field().and_then(port).ok_or(Wrong("a port is no number"));
    let (remote_port, local_port) = (port()?, port()?);
    if fields.next().is_some() {
        return Err(Wrong("there is more behind the ports"));
    }
    Ok(Some(Addresses {
        remote: SocketAddr::new(remote, remote_port),
        local: SocketAddr::new(local, local_port),
    }))
}

/// A number from 0 to 65535 without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && is_canonical)
}
