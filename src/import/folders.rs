//! Folders of rules: those of ipsvd, a file for each address or name, and those of s6, a folder for each.
//!
//! Source: ipsvd-instruct(5), and s6-accessrules-cdb-from-fs with the accessrules library of s6-networking. They hold
//! who is served and not what, so they become rules without a server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Tree;
use super::report::{Place, shown};
use super::service::{Service, last_part};
use super::statement::{Pattern, Statement, Verdict, Who, is_plain, setting};
use crate::cli;

/// The instructions of ipsvd in the folder `path`.
pub(super) fn ipsvd(path: &[u8], files: &BTreeMap<Vec<u8>, Tree>) -> Service {
    let mut made = Service::new(last_part(path), &Place::new(path, 0), None);
    let mut ranked = Vec::new();
    for (name, tree) in files {
        let place = Place::new(&[path, b"/", name].concat(), 0);
        let Tree::File { mode, text } = tree else {
            made.missing(&place, "a folder: no instructions");
            continue;
        };
        let Some((rank, patterns)) = ipsvd_client(name) else {
            made.missing(&place, "neither an address nor a name: it means nobody");
            continue;
        };
        let verdict = instructions(*mode, text, &place, &mut made);
        ranked.push((rank, Statement::new(patterns, verdict, place)));
    }
    // Addresses from the longest, names from the longest, then 0.
    ranked.sort_by_key(|(rank, _)| *rank);
    made.statements = ranked.into_iter().map(|(_, statement)| statement).collect();
    made
}

/// How late a file is looked for, and whom it means.
fn ipsvd_client(name: &[u8]) -> Option<(usize, Vec<Pattern>)> {
    if name == b"0" {
        return Some((usize::MAX, vec![Pattern::exactly(Who::Everybody)]));
    }
    if name
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.')
    {
        let count = name.split(|&byte| byte == b'.').count();
        let rest = ".0".repeat(4_usize.checked_sub(count)?);
        let address = [name, rest.as_bytes()].concat();
        let address: IpAddr = std::str::from_utf8(&address).ok()?.parse().ok()?;
        let network = IpNet::new(address, u8::try_from(8 * count).ok()?).ok()?;
        return Some((4 - count, vec![Pattern::network(network)]));
    }
    Some((
        NAME_RANK - name.len().min(NAME_RANK - 4),
        own_and_below(name)?,
    ))
}

/// Above the rank of any address; names are shorter.
const NAME_RANK: usize = 1000;

/// A host of this name, and all below it.
fn own_and_below(name: &[u8]) -> Option<Vec<Pattern>> {
    if !is_plain(name) || name.starts_with(b".") {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let below = [b".", &name[..]].concat();
    Some(vec![
        Pattern::exactly(Who::Host(name)),
        Pattern::exactly(Who::Domain(below)),
    ])
}

/// What one file says.
fn instructions(mode: u32, text: &[u8], place: &Place, made: &mut Service) -> Verdict {
    if mode & 0o500 == 0 {
        return Verdict::Deny;
    }
    if mode & 0o100 != 0 {
        made.missing(place, "it is run instead of the program: no equal; denied");
        return Verdict::Deny;
    }
    let mut settings = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let place = Place::new(&place.file, number + 1);
        match line {
            [] | [b'#', ..] => {}
            [b'+', rest @ ..] => match rest.iter().position(|&byte| byte == b'=') {
                Some(equals) => match setting(&rest[..equals], &rest[equals + 1..]) {
                    Some(made) => settings.push(made),
                    None => made.missing(&place, format!("{}: rules cannot hold it", shown(line))),
                },
                None => made.missing(
                    &place,
                    format!("{}: rules take no variable away", shown(line)),
                ),
            },
            [b'C', rest @ ..] => settings.extend(concurrency(rest, &place, made)),
            [b'=', ..] => {
                made.missing(&place, format!("{}: no equal; denied", shown(line)));
                return Verdict::Deny;
            }
            _ => made.missing(
                &place,
                format!("{}: no instruction, to ipsvd neither", shown(line)),
            ),
        }
    }
    Verdict::Allow(settings)
}

/// `Cnum[:msg]`: the settings for `--rule-limits`.
fn concurrency(text: &[u8], place: &Place, made: &mut Service) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut parts = text.splitn(2, |&byte| byte == b':');
    let limit = parts.next().and_then(cli::number);
    let Some(limit) = limit else {
        made.missing(
            place,
            format!("C{}: no number, to ipsvd neither", shown(text)),
        );
        return Vec::new();
    };
    // None is no limit there, and refuses always here.
    if limit == 0 {
        return Vec::new();
    }
    made.different(
        place,
        format!("C{}: tcpserver needs --rule-limits for it", shown(text)),
    );
    let mut settings: Vec<_> = setting(b"MAXCONNIP", limit.to_string().as_bytes())
        .into_iter()
        .collect();
    if let Some(message) = parts.next().filter(|message| !message.is_empty()) {
        // DIEMSG brings the end of the line itself.
        let end = [&b"\\r\\n"[..], b"\\n"]
            .into_iter()
            .find_map(|end| message.strip_suffix(end));
        let message = end.unwrap_or(message);
        match setting(b"DIEMSG", message).filter(|_| !message.contains(&b'\\')) {
            Some(setting) => settings.push(setting),
            None => made.missing(
                place,
                format!("C{}: the message is more than one line", shown(text)),
            ),
        }
    }
    settings
}

/// The access rules of s6 in the folder `path`.
pub(super) fn s6(path: &[u8], kinds: &BTreeMap<Vec<u8>, Tree>) -> Service {
    let mut made = Service::new(last_part(path), &Place::new(path, 0), None);
    let mut ranked = Vec::new();
    for (kind, tree) in kinds {
        let folder = [path, b"/", kind].concat();
        let Tree::Folder(rules) = tree else {
            made.missing(&Place::new(&folder, 0), "a file: no rules");
            continue;
        };
        for (name, rule) in rules {
            let place = Place::new(&[&folder, &b"/"[..], name].concat(), 0);
            let client = match &kind[..] {
                b"ip4" | b"ip6" => s6_network(name),
                b"reversedns" if name == b"@" => {
                    Some((NAME_RANK, vec![Pattern::exactly(Who::Named)]))
                }
                b"reversedns" => own_and_below(name)
                    .map(|patterns| (NAME_RANK - name.len().min(NAME_RANK - 129), patterns)),
                _ => None,
            };
            let Some((rank, patterns)) = client else {
                made.missing(&place, "no rule for addresses and names that s6 finds");
                continue;
            };
            if let Tree::Folder(actions) = rule
                && let Some(verdict) = actions_of(actions, &place, &mut made)
            {
                ranked.push((rank, Statement::new(patterns, verdict, place)));
            } else {
                made.missing(&place, "neither allow nor deny: to s6 it is not there");
            }
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    made.statements = ranked.into_iter().map(|(_, statement)| statement).collect();
    // Whom no rule means is denied.
    let everybody = vec![Pattern::exactly(Who::Everybody)];
    made.statements
        .push(Statement::new(everybody, Verdict::Deny, made.place.clone()));
    made
}

/// `192.168.0.0_27`, in the one spelling that s6 looks for.
fn s6_network(name: &[u8]) -> Option<(usize, Vec<Pattern>)> {
    let text = std::str::from_utf8(name).ok()?;
    let (address, length) = text.split_once('_')?;
    let address: IpAddr = address.parse().ok()?;
    let network = IpNet::new(address, length.parse().ok()?).ok()?;
    let is_found =
        network.trunc() == network && text == format!("{address}_{}", network.prefix_len());
    let rank = usize::from(128 - network.prefix_len());
    is_found.then(|| (rank, vec![Pattern::network(network)]))
}

/// What a rule does; nothing if it is none.
fn actions_of(
    actions: &BTreeMap<Vec<u8>, Tree>,
    place: &Place,
    made: &mut Service,
) -> Option<Verdict> {
    if !actions.contains_key(&b"allow"[..]) {
        return actions.contains_key(&b"deny"[..]).then_some(Verdict::Deny);
    }
    let mut settings = Vec::new();
    for (name, tree) in actions {
        let inside = Place::new(&[&place.file, &b"/"[..], name].concat(), 0);
        match (&name[..], tree) {
            (b"allow" | b"deny", _) => {}
            (b"env", Tree::Folder(variables)) => settings = environment(variables, &inside, made),
            (b"exec", _) => {
                made.missing(
                    &inside,
                    "it is run instead of the program: no equal; denied",
                );
                return Some(Verdict::Deny);
            }
            _ => made.missing(&inside, "nothing that s6 looks for"),
        }
    }
    Some(Verdict::Allow(settings))
}

/// The variables in a folder for s6-envdir: the first line, without the blanks at its end.
fn environment(
    variables: &BTreeMap<Vec<u8>, Tree>,
    place: &Place,
    made: &mut Service,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut settings = Vec::new();
    for (name, tree) in variables {
        let place = Place::new(&[&place.file, &b"/"[..], name].concat(), 0);
        let Tree::File { text, .. } = tree else {
            continue;
        };
        if text.is_empty() {
            made.missing(&place, "an empty file: rules take no variable away");
            continue;
        }
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        match setting(name, line.trim_ascii_end()) {
            Some(setting) => settings.push(setting),
            None => made.missing(&place, "rules cannot hold it"),
        }
    }
    settings
}
