//! Generated rules, and addresses in and around them: a look-up finds what the model finds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ucspi_tcp::rules::Peer;

use super::dice::Dice;
use super::written::{self, About, HOSTS, USERS};
use super::{Folder, at, model, setting};

/// Each with its own rules.
const SETS: u64 = 250;
const PEERS_OF_A_SET: usize = 400;

#[test]
fn addresses_obey_the_rule_that_the_model_picks() {
    let folder = Folder::new();
    let (mut asked, mut decided) = (0, 0);
    for seed in 0..SETS {
        let dice = &mut Dice::new(0x1234_5678 + seed);
        let rules = any_rules(dice);
        let text = numbered(&rules, dice);
        let reader = folder.reader(&text);
        for _ in 0..PEERS_OF_A_SET {
            let peer = any_peer(&rules, dice);
            let wanted = model::verdict(&rules, &peer);
            // As a program may spell it.
            let ip = match peer.ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => written::spelled(ip, dice),
            };
            let asking = Peer {
                host: peer.host.as_deref().map(str::as_bytes),
                info: peer.info.as_deref().map(str::as_bytes),
                ..at(&ip)
            };
            let found = setting(&reader, asking);
            let wanted = wanted.map(|index| format!("N={index}"));
            assert_eq!(found, wanted, "{peer:?} as {ip}, with\n{text}");
            asked += 1;
            decided += usize::from(found.is_some());
        }
    }
    assert_eq!(asked, 100_000);
    // Otherwise the addresses are not near enough to the rules for this to say anything.
    assert!((60_000..99_000).contains(&decided), "{decided}");
}

fn any_rules(dice: &mut Dice) -> Vec<About> {
    let count = 1 + dice.below(60);
    (0..count)
        .map(|_| match dice.below(8) {
            0..=2 => match About::any_old(dice) {
                // What would decide everything is rare.
                About::Everybody | About::Named if !dice.one_in(8) => About::V4(dice.ipv4()),
                about => about,
            },
            3 => {
                // Prefixes around a neighbourhood, of every length, 0 among them.
                let length = u8::try_from(dice.below(33)).expect("at most 32");
                About::V4Net(written::v4_start(dice.ipv4(), length), length)
            }
            4 => {
                let length = u8::try_from(dice.below(129)).expect("at most 128");
                About::V6Net(written::v6_start(dice.ipv6(), length), length)
            }
            _ => About::any_new(dice),
        })
        .collect()
}

/// The text of `rules`, each of which sets N to its index.
fn numbered(rules: &[About], dice: &mut Dice) -> String {
    rules
        .iter()
        .enumerate()
        .map(|(index, rule)| format!("{}:allow,N=\"{index}\"\n", rule.text(dice)))
        .collect()
}

/// A peer: anywhere, or in one of the rules, or one bit beside it.
fn any_peer(rules: &[About], dice: &mut Dice) -> model::Peer {
    let near = rules.get(dice.below(rules.len() + 1));
    let ip = match near {
        Some(About::V4(ip) | About::UserAtV4(_, ip)) => beside_v4(*ip, 32, dice).into(),
        Some(About::V6(ip) | About::UserAtV6(_, ip)) => beside_v6(*ip, 128, dice).into(),
        Some(About::V4Net(ip, length)) => beside_v4(*ip, *length, dice).into(),
        Some(About::V6Net(ip, length)) => beside_v6(*ip, *length, dice).into(),
        Some(About::Dotted(numbers) | About::Range(numbers, _, _)) => {
            let mut octets = dice.bytes();
            octets[..numbers.len()].copy_from_slice(numbers);
            let length = u8::try_from(8 * numbers.len()).expect("at most 24");
            beside_v4(octets.into(), length, dice).into()
        }
        _ if dice.one_in(2) => dice.ipv4().into(),
        _ => dice.ipv6().into(),
    };
    let ip = match ip {
        IpAddr::V4(ip) if dice.one_in(4) => ip.to_ipv6_mapped().into(),
        ip => ip,
    };
    let user = match near {
        Some(About::UserAtV4(user, _) | About::UserAtV6(user, _) | About::UserAtHost(user, _)) => {
            (*user).to_owned()
        }
        _ => dice.pick(&USERS).to_owned(),
    };
    let host = match near {
        Some(About::Host(host) | About::UserAtHost(_, host)) => (*host).to_owned(),
        Some(About::Suffix(suffix)) => format!("{}{suffix}", dice.pick(&["x", "", "a.b"])),
        _ => dice.pick(&HOSTS).to_owned(),
    };
    model::Peer {
        ip,
        host: dice.one_in(3).then_some(host),
        info: dice.one_in(3).then_some(user),
    }
}

/// An address with the first `length` bits of `ip`, or with one of them wrong.
fn beside_v4(ip: Ipv4Addr, length: u8, dice: &mut Dice) -> Ipv4Addr {
    let mapped = beside_v6(ip.to_ipv6_mapped(), 96 + length, dice);
    let [.., a, b, c, d] = mapped.octets();
    Ipv4Addr::new(a, b, c, d)
}

fn beside_v6(ip: Ipv6Addr, length: u8, dice: &mut Dice) -> Ipv6Addr {
    let random = u128::from_le_bytes(dice.bytes());
    let free = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
    let mut bits = ip.to_bits() & !free | random & free;
    if length > 0 && dice.one_in(4) {
        bits ^= 1 << (128 - usize::from(length) + dice.below(usize::from(length)));
    }
    bits.into()
}
