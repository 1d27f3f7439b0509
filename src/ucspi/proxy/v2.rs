//! Version 2: binary. The text, 2.2.

use std::net::{IpAddr, SocketAddr};

use super::tlv;
use super::{Addresses, Header, Wrong};

/// How a header begins.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header has: the signature, version and command, family and protocol, the length of the rest.
pub(super) const FIXED: usize = 16;
/// How long the rest may be.
pub(super) const REST_MAX: usize = 4096;

/// The balancer speaks for itself.
pub(super) const LOCAL: u8 = 0x20;
/// It speaks for somebody else.
pub(super) const PROXY: u8 = 0x21;
/// No family.
pub(super) const UNSPEC: u8 = 0x00;
/// TCP over IPv4.
pub(super) const TCP4: u8 = 0x11;
/// TCP over IPv6.
pub(super) const TCP6: u8 = 0x21;
const UDP4: u8 = 0x12;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

/// Reads the header at the beginning of `bytes`, as [`super::read()`].
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, Wrong> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let &[.., command, family, high, low] = fixed;
    if command >> 4 != 2 {
        return Err(Wrong("its version is not 2"));
    }
    if command != LOCAL && command != PROXY {
        return Err(Wrong("its command is not LOCAL or PROXY"));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_MAX {
        return Err(Wrong("it is longer than 4112 bytes"));
    }
    let Some(whole) = bytes.get(..FIXED + length) else {
        return Ok(None);
    };
    let header = if command == LOCAL {
        // "discard the protocol block including the family which is ignored"
        Header::default()
    } else {
        proxied(whole, family)?
    };
    Ok(Some((header, whole.len())))
}

fn proxied(whole: &[u8], family: u8) -> Result<Header, Wrong> {
    let size = match family {
        UNSPEC => 0,
        TCP4 | UDP4 => 2 * (4 + 2),
        TCP6 | UDP6 => 2 * (16 + 2),
        UNIX_STREAM | UNIX_DATAGRAM => 2 * 108,
        _ => return Err(Wrong("its family or its protocol is unknown")),
    };
    let rest = &whole[FIXED..];
    let block = rest
        .get(..size)
        .ok_or(Wrong("it is too short for its addresses"))?;
    let addresses = match family {
        TCP4 => ends::<4>(block),
        TCP6 => ends::<16>(block),
        _ => None,
    };
    let facts = tlv::facts(whole, FIXED + size)?;
    Ok(Header { addresses, facts })
}

/// The two addresses, then the two ports, in network order.
fn ends<const N: usize>(block: &[u8]) -> Option<Addresses>
where
    IpAddr: From<[u8; N]>,
{
    let (remote, block) = block.split_first_chunk::<N>()?;
    let (local, block) = block.split_first_chunk::<N>()?;
    let &[remote_high, remote_low, local_high, local_low] = block.first_chunk()?;
    let port = |high, low| u16::from_be_bytes([high, low]);
    Some(Addresses {
        remote: SocketAddr::new((*remote).into(), port(remote_high, remote_low)),
        local: SocketAddr::new((*local).into(), port(local_high, local_low)),
    })
}
