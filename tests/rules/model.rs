//! The look-up a second time: every rule is asked whether it fits, the best one counts. No keys, no order of trying.

use std::net::IpAddr;

use super::written::About;

/// A peer, as numbers.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    pub(crate) host: Option<String>,
    pub(crate) info: Option<String>,
}

/// How well a rule fits: the smallest is the best.
///
/// Exact ones first, then prefixes by their length, then names by theirs, then nothing at all. Of prefixes that say the
/// same, `10.` goes before `10.0.0.0/8` and that before `::ffff:10.0.0.0/104`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    UserAtAddress(Form),
    UserAtHost,
    Address(Form),
    Host,
    Prefix { free_bits: usize, form: Form },
    Suffix { before: usize },
    AnyHost,
    Everybody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Dotted,
    V4,
    V6,
}

/// The index of the rule that `peer` obeys; of two that fit equally well, the first.
pub(crate) fn verdict(rules: &[About], peer: &Peer) -> Option<usize> {
    let fits = rules
        .iter()
        .enumerate()
        .filter_map(|(index, rule)| Some((fit(rule, peer)?, index)));
    fits.min().map(|(_, index)| index)
}

fn fit(rule: &About, peer: &Peer) -> Option<Fit> {
    let ip = peer.ip.to_canonical();
    let is = |address: IpAddr| address.to_canonical() == ip;
    let is_host = |name: &str| peer.host.as_deref() == Some(name);
    let is_user = |name: &str| peer.info.as_deref() == Some(name);
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(_) => Vec::new(),
    };
    let dotted = |numbers: &[u8]| {
        octets.starts_with(numbers).then_some(Fit::Prefix {
            free_bits: 32 - 8 * numbers.len(),
            form: Form::Dotted,
        })
    };
    match rule {
        About::Everybody => Some(Fit::Everybody),
        About::V4(v4) => is((*v4).into()).then_some(Fit::Address(Form::Dotted)),
        About::V6(v6) => is((*v6).into()).then_some(Fit::Address(Form::V6)),
        About::Dotted(numbers) => dotted(numbers),
        About::Range(before, low, high) => {
            let number = octets.get(before.len())?;
            if !octets.starts_with(before) || !(low..=high).contains(&number) {
                return None;
            }
            match before.len() {
                3 => Some(Fit::Address(Form::Dotted)),
                _ => dotted(&[before, &[*number][..]].concat()),
            }
        }
        About::Host(name) => is_host(name).then_some(Fit::Host),
        About::Suffix(suffix) => {
            let before = peer.host.as_ref()?.strip_suffix(suffix)?.len();
            // A name that is the suffix, dot and all, is named exactly.
            Some(if before == 0 {
                Fit::Host
            } else {
                Fit::Suffix { before }
            })
        }
        About::Named => peer.host.is_some().then_some(Fit::AnyHost),
        About::UserAtV4(user, v4) => {
            (is_user(user) && is((*v4).into())).then_some(Fit::UserAtAddress(Form::Dotted))
        }
        About::UserAtV6(user, v6) => {
            (is_user(user) && is((*v6).into())).then_some(Fit::UserAtAddress(Form::V6))
        }
        About::UserAtHost(user, name) => {
            (is_user(user) && is_host(name)).then_some(Fit::UserAtHost)
        }
        About::V4Net(start, length) => {
            let IpAddr::V4(ip) = ip else { return None };
            let same = (ip.to_bits() ^ start.to_bits()).leading_zeros();
            (same >= u32::from(*length)).then_some(Fit::Prefix {
                free_bits: usize::from(32 - length),
                form: Form::V4,
            })
        }
        About::V6Net(start, length) => {
            let bits = match ip {
                // The IPv4 Internet is ::ffff:0:0/96, and wider prefixes hold it.
                IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            let same = (bits ^ start.to_bits()).leading_zeros();
            (same >= u32::from(*length)).then_some(Fit::Prefix {
                free_bits: usize::from(128 - length),
                form: Form::V6,
            })
        }
    }
}
