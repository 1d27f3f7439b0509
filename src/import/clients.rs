//! The clients that `only_from` and `no_access` of xinetd name.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::statement::{Pattern, Who, is_plain};
use crate::cli;

/// An entry of `only_from` or `no_access`; a factorized one is several.
pub(super) fn clients(text: &[u8]) -> Vec<Pattern> {
    if let Some(brace) = text.iter().position(|&byte| byte == b'{') {
        return factorized(&text[..brace], &text[brace + 1..]);
    }
    let word = std::str::from_utf8(text).unwrap_or_default();
    if let Some((address, length)) = word.split_once('/') {
        let length = length.parse().ok();
        let network = address.parse().ok().zip(length);
        let network =
            network.and_then(|(address, length): (IpAddr, u8)| IpNet::new(address, length).ok());
        return vec![exact_or_all(network.map(|network| network.trunc()))];
    }
    if let Ok(address) = word.parse::<Ipv4Addr>() {
        return vec![Pattern::exactly(Who::Network(
            zeros_are_wild(address).into(),
        ))];
    }
    // To xinetd `::` is that address alone; people mean all of IPv6.
    if let Ok(address) = word.parse::<IpAddr>() {
        let is_any = address.is_unspecified();
        let network = IpNet::new(address, if is_any { 0 } else { 128 }).ok();
        let pattern = exact_or_all(network);
        return vec![if is_any { pattern.inexact() } else { pattern }];
    }
    let is_number = text
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    vec![match text {
        _ if is_number => Pattern::at_most(Who::Everybody),
        [b'.', rest @ ..] if is_plain(rest) => {
            Pattern::exactly(Who::Domain(text.to_ascii_lowercase()))
        }
        _ if is_plain(text) && !text.starts_with(b".") => {
            Pattern::exactly(Who::Host(text.to_ascii_lowercase()))
        }
        _ => Pattern::at_most(Who::Everybody),
    }]
}

fn exact_or_all(network: Option<IpNet>) -> Pattern {
    network.map_or(Pattern::at_most(Who::Everybody), |network| {
        Pattern::network(network)
    })
}

/// The network of all addresses that differ in the zeros at the end.
fn zeros_are_wild(address: Ipv4Addr) -> Ipv4Net {
    let zeros = address
        .octets()
        .iter()
        .rev()
        .take_while(|&&octet| octet == 0)
        .count();
    let length = u8::try_from(32 - 8 * zeros).unwrap_or(0);
    Ipv4Net::new_assert(address, length)
}

/// `128.138.{1,2}`: numbers for the last place that is written.
fn factorized(before: &[u8], list: &[u8]) -> Vec<Pattern> {
    let octet = |text: &[u8]| cli::number(text).and_then(|number| u8::try_from(number).ok());
    let networks = || {
        let list = list.strip_suffix(b"}")?;
        let before = match before.strip_suffix(b".") {
            None if !before.is_empty() => return None,
            None => Vec::new(),
            Some(before) => before
                .split(|&byte| byte == b'.')
                .map(octet)
                .collect::<Option<Vec<_>>>()?,
        };
        let last = list
            .split(|&byte| byte == b',')
            .map(octet)
            .collect::<Option<Vec<_>>>()?;
        let length = before.len() + 1;
        let network = |last: u8| {
            let mut octets = [0; 4];
            octets
                .get_mut(..length)?
                .copy_from_slice(&[&before[..], &[last]].concat());
            let length = u8::try_from(8 * length).ok()?;
            Some(IpNet::from(Ipv4Net::new(octets.into(), length).ok()?))
        };
        last.into_iter().map(network).collect::<Option<Vec<_>>>()
    };
    let networks: Option<Vec<IpNet>> = networks();
    match networks {
        Some(networks) => networks
            .into_iter()
            .map(|network| exact_or_all(Some(network)))
            .collect(),
        None => vec![Pattern::at_most(Who::Everybody)],
    }
}
