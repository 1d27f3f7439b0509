//! What the rules would have done with those who were here: a log, summed up by network.

use std::collections::HashMap;
use std::io::Read;

use ipnet::IpNet;

use super::logged;
use super::spelling;
use super::text::lines;
use super::verdict::Rules;
use crate::cli::{During, Error};

/// What came of a replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replayed {
    /// How many connections of the log were asked about.
    pub connections: u64,
    /// How many of them would be decided otherwise.
    pub differences: u64,
    /// How many more could not be asked about, because a name in the log is not the whole one.
    pub cut: u64,
}

/// Asks `rules` about every connection in `log` that was decided by rules, and tells `say` of those that would be decided
/// otherwise: `NETWORK COUNT old -> new` a line, the most frequent first. Networks are /24 of IPv4, /64 of IPv6.
///
/// # Errors
/// The log or the rules cannot be read (111), or there are too many networks; the first error of `say`.
pub fn replay(
    rules: &mut Rules,
    log: impl Read,
    mut say: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Replayed, Error> {
    let mut replayed = Replayed::default();
    let mut sums: HashMap<(IpNet, bool), u64> = HashMap::new();
    let reading = [b"read ", rules.path().as_os_str().as_encoded_bytes()].concat();
    lines(log, b"read input", |_, line| {
        let Some(logged) = logged::read(line) else {
            return Ok(());
        };
        if logged.is_cut {
            replayed.cut += 1;
            return Ok(());
        }
        replayed.connections += 1;
        let peer = logged.peer();
        let verdict = rules.verdict(peer).during(&reading)?;
        if verdict.deny == logged.denied {
            return Ok(());
        }
        replayed.differences += 1;
        if let Some(network) = around(peer.ip) {
            *sums.entry((network, verdict.deny)).or_default() += 1;
            if sums.len() > NETWORKS_MAX {
                return Err(Error::fatal("unable to sum up: too many networks"));
            }
        }
        Ok(())
    })?;
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by_key(|&(key, count)| (u64::MAX - count, key));
    for ((network, denies), count) in sums {
        let change = if denies {
            "allow -> deny"
        } else {
            "deny -> allow"
        };
        say(format!("{network} {count} {change}\n").as_bytes())?;
    }
    Ok(replayed)
}

/// How many networks are kept apart.
const NETWORKS_MAX: usize = 1 << 20;
/// The lengths of the networks.
const V4_LENGTH: u8 = 24;
const V6_LENGTH: u8 = 64;

/// The network around an address.
fn around(ip: &[u8]) -> Option<IpNet> {
    let address = spelling::address(ip)?;
    let length = if address.is_ipv4() {
        V4_LENGTH
    } else {
        V6_LENGTH
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}
