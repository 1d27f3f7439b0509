//! Rules that are asked about as a whole: `--diff`, `--replay` and sets, beside the naive way to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use ucspi_tcp::rules::{Rules, Sets, diff, replay};

use super::Folder;
use super::dice::Dice;
use super::laws::{ip, rule, v4};
use super::model::{self, Peer};
use super::written::{About, HOSTS, SUFFIXES, USERS};

/// What rules do: a few things, so that some are the same.
const DEEDS: [&str; 4] = ["deny", "allow", "allow,A=\"1\"", "allow,A=\"2\""];

pub(super) type Ruled = (About, usize);

pub(super) fn ruled(rule: impl Strategy<Value = About>) -> impl Strategy<Value = Vec<Ruled>> {
    prop::collection::vec((rule, 0..DEEDS.len()), 0..10)
}

/// Rules of all kinds.
fn any_rule() -> impl Strategy<Value = About> {
    any::<u64>().prop_map(|seed| {
        let mut dice = Dice::new(seed);
        if dice.below(3) == 0 {
            About::any_new(&mut dice)
        } else {
            About::any_old(&mut dice)
        }
    })
}

/// Few rules of names and of addresses that meet, which only deny and allow.
fn entangled() -> impl Strategy<Value = Vec<Ruled>> {
    let name = prop_oneof![
        Just(About::Named),
        prop::sample::select(&HOSTS[..]).prop_map(About::Host),
        prop::sample::select(&SUFFIXES[..]).prop_map(About::Suffix),
        prop::sample::select(&HOSTS[..]).prop_map(|host| About::UserAtHost(USERS[0], host)),
        v4().prop_map(|ip| About::UserAtV4(USERS[0], ip)),
    ];
    let rule = prop_oneof![rule(), name];
    prop::collection::vec((rule, 0..2_usize), 0..6)
}

pub(super) fn text(rules: &[Ruled]) -> String {
    rules.iter().fold(String::new(), |mut text, (about, deed)| {
        let _ = writeln!(text, "{}:{}", about.text(&mut Dice::new(7)), DEEDS[*deed]);
        text
    })
}

/// The addresses where something may begin or end: those of each rule, and their neighbours.
pub(super) fn borders(rules: &[Ruled], more: &[IpAddr]) -> BTreeSet<IpAddr> {
    let mut all: BTreeSet<IpAddr> = more.iter().map(IpAddr::to_canonical).collect();
    let mut row = |start: u128, bits: u32| {
        let last = start | u128::MAX.checked_shr(bits).unwrap_or(0);
        for address in [start, start.wrapping_sub(1), last, last.wrapping_add(1)] {
            all.insert(IpAddr::from(Ipv6Addr::from(address)).to_canonical());
        }
    };
    let v4 = |ip: Ipv4Addr| ip.to_ipv6_mapped().to_bits();
    row(0, 0);
    row(v4(Ipv4Addr::UNSPECIFIED), 96);
    let octets = |before: &[u8]| {
        let mut octets = [0; 4];
        octets[..before.len()].copy_from_slice(before);
        v4(octets.into())
    };
    for (about, _) in rules {
        match about {
            About::V4(ip) | About::UserAtV4(_, ip) => row(v4(*ip), 128),
            About::V6(ip) | About::UserAtV6(_, ip) => row(ip.to_bits(), 128),
            About::Dotted(before) => row(octets(before), 96 + 8 * bits(before.len())),
            About::Range(before, low, high) => {
                for number in [low, high] {
                    let all = [before, &[*number][..]].concat();
                    row(octets(&all), 96 + 8 * bits(all.len()));
                }
            }
            About::V4Net(ip, length) => row(v4(*ip), 96 + u32::from(*length)),
            About::V6Net(ip, length) => row(ip.to_bits(), u32::from(*length)),
            _ => {}
        }
    }
    all
}

fn bits(count: usize) -> u32 {
    u32::try_from(count).expect("at most 4")
}

pub(super) fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8(output.to_vec()).expect("plain text");
    text.lines().map(str::to_owned).collect()
}

/// What `--diff` says, as address or key, and what becomes of what.
fn differences(folder: &Folder, old: &str, new: &str) -> Vec<(String, String)> {
    let old = folder.compile(old);
    let mut output = Vec::new();
    let differs = diff(&old, new.as_bytes(), b"new", &Sets::default(), |line| {
        output.extend_from_slice(line);
        Ok(())
    });
    let lines = lines(&output);
    assert_eq!(differs.expect("they can be read"), !lines.is_empty());
    let split = lines
        .iter()
        .map(|line| line.split_once(' ').expect("two parts"));
    split
        .map(|(what, change)| (what.to_owned(), change.to_owned()))
        .collect()
}

/// What rules do with a peer, as it is written.
fn done(rules: &[Ruled], peer: &Peer) -> &'static str {
    let abouts: Vec<About> = rules.iter().map(|(about, _)| about.clone()).collect();
    model::verdict(&abouts, peer).map_or("allow", |index| DEEDS[rules[index].1])
}

pub(super) fn nameless(ip: IpAddr) -> Peer {
    let (host, info) = (None, None);
    Peer { ip, host, info }
}

/// Those of `listed` that hold an address.
fn holding<'a>(listed: &'a [(IpNet, &str)], ip: IpAddr) -> Vec<&'a str> {
    let holding = listed.iter().filter(|(network, _)| network.contains(&ip));
    holding.map(|(_, change)| *change).collect()
}

proptest! {
    #[test]
    fn differences_of_addresses_are_exact_and_as_few_as_can_be(
        old in ruled(rule()), new in ruled(rule()), more in prop::collection::vec(ip(), 0..8),
    ) {
        let found = differences(&Folder::new(), &text(&old), &text(&new));
        let listed: Vec<(IpNet, &str)> = found
            .iter()
            .map(|(network, change)| (network.parse().expect("a prefix"), &change[..]))
            .collect();
        let mut addresses = borders(&old, &more);
        addresses.extend(borders(&new, &[]));
        for ip in addresses {
            let (old, new) = (done(&old, &nameless(ip)), done(&new, &nameless(ip)));
            let expected = if old == new { vec![] } else { vec![format!("{old} -> {new}")] };
            prop_assert_eq!(holding(&listed, ip), expected, "{}", ip);
        }
        for (network, change) in &listed {
            if let Some(around) = network.supernet() {
                let halves = listed.iter().filter(|(other, same)| same == change && other.supernet() == Some(around));
                prop_assert_eq!(halves.count(), 1, "{} could be one", around);
            }
        }
    }

    #[test]
    fn differences_of_names_hold_all_whose_verdict_changes(
        old in entangled(), new in entangled(), more in prop::collection::vec(ip(), 0..4),
    ) {
        let found = differences(&Folder::new(), &text(&old), &text(&new));
        let listed: Vec<(IpNet, &str)> = found
            .iter()
            .filter_map(|(network, change)| Some((network.parse().ok()?, &change[..])))
            .collect();
        let keys: BTreeSet<&str> = found.iter().map(|(key, _)| &key[..]).collect();
        let mut addresses = borders(&old, &more);
        addresses.extend(borders(&new, &[]));
        for ip in addresses {
            for host in [None].into_iter().chain(HOSTS.map(Some)) {
                for info in [None].into_iter().chain(USERS.map(Some)) {
                    let peer = Peer { ip, host: host.map(str::to_owned), info: info.map(str::to_owned) };
                    let (before, after) = (done(&old, &peer), done(&new, &peer));
                    if before == after {
                        continue;
                    }
                    let mut own = Vec::new();
                    if let Some(host) = host {
                        own.extend(host.match_indices('.').map(|(at, _)| format!("={}", &host[at..])));
                        own.extend([format!("={host}"), "=".to_owned()]);
                    }
                    if let Some(info) = info {
                        own.push(format!("{info}@{ip}"));
                        own.extend(host.map(|host| format!("{info}@={host}")));
                    }
                    let is_told = own.iter().any(|key| keys.contains(&key[..])) || !holding(&listed, ip).is_empty();
                    prop_assert!(is_told, "{:?}: {} -> {}", peer, before, after);
                }
            }
        }
        // Nothing is told that is not so: of the nameless, what their addresses say.
        for (network, change) in &listed {
            let ip = network.addr();
            let (old, new) = (done(&old, &nameless(ip)), done(&new, &nameless(ip)));
            let is_about_names = change.contains(" names") || change.contains(" domains");
            prop_assert!(*change == format!("{old} -> {new}") || old == new && is_about_names, "{}", network);
        }
    }

    #[test]
    fn same_rules_in_another_order_make_no_difference(rules in ruled(any_rule()), seed: u64) {
        let mut seen = BTreeSet::new();
        let mut rules: Vec<Ruled> =
            rules.into_iter().filter(|(about, _)| about.keys().into_iter().all(|key| seen.insert(key))).collect();
        let old = text(&rules);
        let mut dice = Dice::new(seed);
        for at in (1..rules.len()).rev() {
            rules.swap(at, dice.below(at + 1));
        }
        prop_assert_eq!(differences(&Folder::new(), &old, &text(&rules)), vec![]);
    }

    #[test]
    fn replay_counts_those_who_are_decided_otherwise(
        rules in ruled(any_rule()),
        log in prop::collection::vec((ip(), any::<bool>(), 0..5_usize, 0..4_usize, any::<bool>()), 0..40),
    ) {
        let mut text_of_log = String::new();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (ip, denied, host, info, is_json) in log {
            let (ip, host, info) = (ip.to_canonical(), HOSTS.get(host), USERS.get(info));
            let verdict = if denied { "deny" } else { "ok" };
            let (host_text, info_text) = (host.unwrap_or(&""), info.unwrap_or(&""));
            if is_json {
                let null = |text: Option<&&str>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
                let remote = std::net::SocketAddr::new(ip, 9);
                let _ = writeln!(
                    text_of_log,
                    "{{\"event\":\"{verdict}\",\"remote\":\"{remote}\",\"host\":{},\"info\":{}}}",
                    null(host), null(info),
                );
            } else {
                let _ = writeln!(text_of_log, "@4000 tcpserver: {verdict} 1 :::25 {host_text}:{ip}:{info_text}:9");
            }
            let peer = Peer { ip, host: host.map(|&name| name.to_owned()), info: info.map(|&name| name.to_owned()) };
            let denies = done(&rules, &peer) == "deny";
            if denies != denied {
                let length = if ip.is_ipv4() { 24 } else { 64 };
                let network = IpNet::new(ip, length).expect("a length").trunc();
                let change = if denies { "allow -> deny" } else { "deny -> allow" };
                *expected.entry(format!("{network} {change}")).or_default() += 1;
            }
        }
        let folder = Folder::new();
        let mut rules = Rules::new(folder.compile(&text(&rules)), false).in_memory();
        let mut found = BTreeMap::new();
        let mut last = u64::MAX;
        let replayed = replay(&mut rules, text_of_log.as_bytes(), |line| {
            let line = String::from_utf8_lossy(line).trim_end().to_owned();
            let (network, rest) = line.split_once(' ').expect("a network");
            let (count, change) = rest.split_once(' ').expect("a count");
            let count: u64 = count.parse().expect("a number");
            assert!(count <= last, "the most frequent first");
            last = count;
            found.insert(format!("{network} {change}"), count);
            Ok(())
        });
        prop_assert_eq!(replayed.expect("all can be read").differences, expected.values().sum::<u64>());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_a_log(log in prop::collection::vec(any::<u8>(), 0..200), ip in ip()) {
        let line = format!("\ntcpserver: deny 1 :::25 :{ip}::9\n{{\"event\":\"deny\",\"remote\":\"1.2.3.4:5\"");
        let log = [&log[..], line.as_bytes(), &log].concat();
        let mut rules = Rules::new("/nonexistent".into(), true);
        let replayed = replay(&mut rules, &log[..], |_| Ok(())).expect("all can be read");
        prop_assert!(replayed.differences >= 1 && replayed.differences <= replayed.connections);
    }

    #[test]
    fn set_is_what_its_lines_are(prefixes in prop::collection::vec((ip(), 0..=128_u8), 0..12), more in ruled(any_rule())) {
        let folder = Folder::new();
        let prefixes = prefixes.into_iter().map(|(ip, length)| {
            let length = if ip.is_ipv4() { length % 33 } else { length };
            IpNet::new(ip, length).expect("a length").trunc()
        });
        let prefixes: Vec<IpNet> = prefixes.collect();
        let set = prefixes.iter().fold("# bad\n\n".to_owned(), |text, prefix| format!("{text} {prefix} ; why\r\n"));
        let path = folder.path("set");
        fs::write(&path, set).expect("our folder");
        let mut sets = Sets::default();
        sets.define(format!("bad={}", path.display()).as_bytes()).expect("a name and a file");
        let rules = format!("{}%bad:deny,B=\"3\"\n", text(&more));
        let old_style = |prefix: &IpNet| match prefix {
            IpNet::V4(v4) if v4.prefix_len() % 8 == 0 && v4.prefix_len() > 0 => {
                let count = usize::from(v4.prefix_len() / 8);
                let text = v4.addr().octets()[..count].iter().map(|octet| format!("{octet}.")).collect::<String>();
                if count == 4 { text.trim_end_matches('.').to_owned() } else { text }
            }
            IpNet::V6(v6) if v6.prefix_len() == 128 => v6.addr().to_string(),
            other => other.to_string(),
        };
        let written: String = prefixes.iter().map(|prefix| format!("{}:deny,B=\"3\"\n", old_style(prefix))).collect();
        let plain = folder.compiled(&format!("{}{written}", text(&more)));
        let path = folder.compile_with(&rules, &sets);
        prop_assert!(fs::read(path).expect("it was just written") == plain, "{}", rules);
    }
}

#[test]
fn keys_of_the_ipv6_patch_are_compared_as_addresses_or_as_text() {
    let folder = Folder::new();
    let path = folder.path("old.cdb");
    let keys: [(&[u8], &[u8]); 4] = [
        (b"2001:db8:", b"D\0"),
        (b"::ffff:10.", b"D\0"),
        (b"2001:0:", b"D\0"),
        (b"joe@2001:db9::1", b"D\0"),
    ];
    fs::write(&path, crate::support::cdb::file(&keys)).expect("our folder");
    let mut output = Vec::new();
    let new = "2001:db8::/32:deny\n10.0.0.0/8:deny\njoe@2001:db9:0::1:deny\n";
    let differs = diff(&path, new.as_bytes(), b"new", &Sets::default(), |line| {
        output.extend_from_slice(line);
        Ok(())
    });
    assert!(differs.expect("they can be read"));
    assert_eq!(lines(&output), ["2001:0: deny -> none"]);
}

#[test]
fn turn_of_names_is_told_where_it_counts_and_nowhere_else() {
    for (names, change) in [
        ("", None),
        (
            "=a.b:allow\n",
            Some("deny, before names -> deny, before domains"),
        ),
        ("joe@=a.b:allow\n", None),
    ] {
        let (old, new) = ("10.1.2.3:deny\n", "10.1.2.3/32:deny\n");
        let found = differences(
            &Folder::new(),
            &format!("{old}{names}"),
            &format!("{new}{names}"),
        );
        let expected = change.map(|change| ("10.1.2.3/32".to_owned(), change.to_owned()));
        assert_eq!(found, Vec::from_iter(expected), "{names}");
    }
    for (names, change) in [
        ("=a.b:allow\n", None),
        (
            "=.b:allow\n",
            Some("deny, before domains -> deny, after names"),
        ),
    ] {
        let (old, new) = ("10.:deny\n:deny\n", ":deny\n");
        let found = differences(
            &Folder::new(),
            &format!("{old}{names}"),
            &format!("{new}{names}"),
        );
        let expected = change.map(|change| ("10.0.0.0/8".to_owned(), change.to_owned()));
        assert_eq!(found, Vec::from_iter(expected), "{names}");
    }
}
