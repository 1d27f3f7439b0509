//! The keys under which a peer may be found, in the order in which they are tried. The first that exists decides;
//! lengths are not compared across kinds.
//!
//! Source: tcprules(1) of the original, and observed runs.

/// What the look-up knows of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The address as text.
    pub ip: &'a [u8],
    /// The name, when it is known; set but empty counts as known.
    pub host: Option<&'a [u8]>,
    /// The answer of its ident server, when there is one; set but empty counts as one.
    pub info: Option<&'a [u8]>,
}

/// Calls `found` with one key after the other, until it gives a value; then that is the answer.
///
/// The order, for 1.2.3.4, host `a.b.c`, info `joe`: `joe@1.2.3.4`, `joe@=a.b.c`, `1.2.3.4`, `=a.b.c`, `1.2.3.`,
/// `1.2.`, `1.`, `=.b.c`, `=.c`, `=`, and the empty key.
///
/// # Errors
/// The first error of `found`.
pub fn keys<T, E>(
    peer: Peer<'_>,
    mut found: impl FnMut(&[u8]) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let Peer { ip, host, info } = peer;
    let mut key = Vec::with_capacity(64);
    macro_rules! attempt {
        ($($part:expr),*) => {
            key.clear();
            $(key.extend_from_slice($part);)*
            if let Some(value) = found(&key)? {
                return Ok(Some(value));
            }
        };
    }
    if let Some(info) = info {
        attempt!(info, b"@", ip);
        if let Some(host) = host {
            attempt!(info, b"@=", host);
        }
    }
    attempt!(ip);
    if let Some(host) = host {
        attempt!(b"=", host);
    }
    for end in (1..=ip.len()).rev().filter(|&end| ip[end - 1] == b'.') {
        attempt!(&ip[..end]);
    }
    if let Some(host) = host {
        for start in (0..host.len()).filter(|&start| host[start] == b'.') {
            attempt!(b"=", &host[start..]);
        }
        attempt!(b"=");
    }
    attempt!();
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Peer, keys};

    fn tried(ip: &str, host: Option<&str>, info: Option<&str>) -> String {
        let mut tried = Vec::new();
        let peer = Peer {
            ip: ip.as_bytes(),
            host: host.map(str::as_bytes),
            info: info.map(str::as_bytes),
        };
        let none = keys(peer, |key| {
            tried.push(String::from_utf8(key.to_vec()).unwrap());
            Ok::<Option<()>, ()>(None)
        });
        assert_eq!(none, Ok(None));
        tried.join(" ")
    }

    #[test]
    fn keys_are_tried_in_the_documented_order() {
        assert_eq!(
            tried("86.75.30.9", Some("one.two.three"), Some("xyz")),
            "xyz@86.75.30.9 xyz@=one.two.three 86.75.30.9 =one.two.three 86.75.30. 86.75. 86. =.two.three =.three = "
        );
        assert_eq!(
            tried("1.2.3.4", None, Some("")),
            "@1.2.3.4 1.2.3.4 1.2.3. 1.2. 1. "
        );
        assert_eq!(
            tried("1.2.3.4", Some(".a"), None),
            "1.2.3.4 =.a 1.2.3. 1.2. 1. =.a = "
        );
    }

    #[test]
    fn first_key_that_exists_ends_the_search() {
        let peer = Peer {
            ip: b"1.2.3.4",
            host: None,
            info: None,
        };
        let hit = keys(peer, |key| Ok::<_, ()>((key == b"1.2.").then_some("found")));
        assert_eq!(hit, Ok(Some("found")));
    }
}
