//! Names of hosts in a plan: all their addresses, and what is said when there are none. What a configuration file says is
//! told with its place, `file:line: `.

use std::net::IpAddr;

use crate::cli::{Error, reason};
use crate::dns::{Families, Resolver};

/// Exit code of a wrong configuration file. EX_CONFIG, sysexits.h
pub(super) const WRONG_FILE: u8 = 78;

/// `error`, with the place `source` of what it is about.
pub(super) fn placed(source: Option<&[u8]>, error: Error) -> Error {
    match source {
        Some(place) => {
            let text = [place, b": ", error.text()].concat();
            Error::with_code(text, error.exit_code())
        }
        None => error,
    }
}

/// The addresses of the name `host`, of which there is one at least; `source` is where a configuration file has it.
///
/// # Errors
/// 111: it has none, or that could not be found out now. 78: a configuration file has it, and it has none.
pub(super) async fn addresses(
    host: &[u8],
    source: Option<&[u8]>,
    resolver: &Resolver,
) -> Result<Vec<IpAddr>, Error> {
    let found = resolver.host(host, Families::Both).await.map_err(|error| {
        let text = [
            b"temporarily unable to figure out IP address for ",
            host,
            b": ",
            reason(&error).as_bytes(),
        ];
        placed(source, Error::fatal(text.concat()))
    })?;
    if found.is_empty() {
        let none = [b"no IP address for ", host].concat();
        return Err(match source {
            Some(_) => placed(source, Error::with_code(none, WRONG_FILE)),
            None => Error::fatal(none),
        });
    }
    Ok(found)
}
