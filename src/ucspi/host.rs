//! The host operand: an address or a name, with the original's words for what can go wrong.

use std::net::IpAddr;

use crate::cli::{Error, reason};
use crate::dns::Resolver;

/// The addresses of `operand`, which is called `shown` in messages; at least one.
///
/// # Errors
/// 111: it has none, or that could not be found out now.
pub(super) async fn addresses(
    operand: &[u8],
    shown: &[u8],
    resolver: &Resolver,
) -> Result<Vec<IpAddr>, Error> {
    let found = resolver.host(operand).await.map_err(|error| {
        let text = [
            b"temporarily unable to figure out IP address for ",
            shown,
            b": ",
        ]
        .concat();
        Error::fatal([&text, reason(&error).as_bytes()].concat())
    })?;
    if found.is_empty() {
        return Err(Error::fatal([b"no IP address for ", shown].concat()));
    }
    Ok(found)
}
