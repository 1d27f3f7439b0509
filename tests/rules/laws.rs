//! Laws that hold for all rules and all addresses; a failure is cut down to a small one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use ucspi_tcp::rules::parse;

use super::dice::Dice;
use super::written::{self, About};
use super::{Folder, at, model, setting};

/// Addresses of few bits, which meet.
pub(super) fn v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        (0_u32..8).prop_map(|low| Ipv4Addr::from(0x0a00_0000 | low)),
        any::<Ipv4Addr>(),
    ]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        (0_u128..8).prop_map(|low| Ipv6Addr::from(0x2001_0db8 << 96 | low)),
        v4().prop_map(|ip| ip.to_ipv6_mapped()),
        any::<Ipv6Addr>(),
    ]
}

pub(super) fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::V4), v6().prop_map(IpAddr::V6)]
}

pub(super) fn rule() -> impl Strategy<Value = About> {
    prop_oneof![
        v4().prop_map(About::V4),
        v6().prop_map(About::V6),
        (v4(), 1_usize..4).prop_map(|(ip, count)| About::Dotted(ip.octets()[..count].to_vec())),
        (v4(), 0_u8..=32)
            .prop_map(|(ip, length)| { About::V4Net(written::v4_start(ip, length), length) }),
        (v6(), 0_u8..=128)
            .prop_map(|(ip, length)| { About::V6Net(written::v6_start(ip, length), length) }),
        Just(About::Everybody),
    ]
}

fn key(line: &str) -> Vec<u8> {
    let rule = parse(line.as_bytes())
        .expect("it is right")
        .expect("it holds a rule");
    let mut keys = Vec::new();
    let each = |key: &[u8]| {
        keys.push(key.to_vec());
        Ok::<(), ()>(())
    };
    rule.keys(each).expect("nothing fails");
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

proptest! {
    #[test]
    fn look_up_is_the_longest_prefix(
        rules in prop::collection::vec(rule(), 0..12),
        addresses in prop::collection::vec(ip(), 1..12),
    ) {
        let folder = Folder::new();
        let text: String = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| format!("{}:deny,N=\"{index}\"\n", rule.text(&mut Dice::new(0))))
            .collect();
        let reader = folder.reader(&text);
        for ip in addresses {
            let peer = model::Peer { ip, host: None, info: None };
            let wanted = model::verdict(&rules, &peer).map(|index| format!("N={index}"));
            prop_assert_eq!(setting(&reader, at(&ip.to_string())), wanted, "{}", ip);
        }
    }

    #[test]
    fn all_spellings_of_an_address_are_one_key(ip in v6(), seed: u64) {
        let line = format!("{}:allow", written::spelled(ip, &mut Dice::new(seed)));
        prop_assert_eq!(key(&line), written::groups(ip).into_bytes(), "{}", line);
    }

    #[test]
    fn prefix_of_each_length_has_the_key_of_its_bits(v4: Ipv4Addr, v6: Ipv6Addr) {
        for length in 0..=32 {
            let start = written::v4_start(v4, length);
            let line = format!("{start}/{length}:allow");
            prop_assert_eq!(key(&line), written::v4_key(start, length), "{}", line);
        }
        for length in 0..=128 {
            let start = written::v6_start(v6, length);
            let line = format!("{start}/{length}:allow");
            prop_assert_eq!(key(&line), written::v6_key(start, length), "{}", line);
        }
    }

    #[test]
    fn prefix_with_other_bits_set_is_the_one_without_them_and_has_a_remark(ip in ip(), length in 0_u8..128) {
        let (start, whole): (IpAddr, u8) = match ip {
            IpAddr::V4(ip) => (written::v4_start(ip, length % 32).into(), 32),
            IpAddr::V6(ip) => (written::v6_start(ip, length).into(), 128),
        };
        let length = length % whole;
        prop_assume!(start != ip);
        let (line, meant) = (format!("{ip}/{length}:allow"), format!("{start}/{length}:allow"));
        prop_assert_eq!(key(&line), key(&meant));
        let rule = |line: &str| parse(line.as_bytes()).map(|rule| rule.map(|rule| rule.remarks.len()));
        prop_assert_eq!(rule(&line), Ok(Some(1)));
        prop_assert_eq!(rule(&meant), Ok(Some(0)));
    }

    #[test]
    fn any_line_is_a_rule_or_no_rule_or_a_fault_within_it(line in prop::collection::vec(any::<u8>(), 0..60)) {
        match parse(&line) {
            Ok(_) => {}
            Err(fault) => prop_assert!((1..=line.len() + 1).contains(&fault.column)),
        }
    }

    #[test]
    fn any_text_of_the_language_is_a_rule_or_no_rule_or_a_fault_within_it(
        line in "[0-9a-f:./%@=_\\[\\]-]{0,30}:(allow|deny|x)?(,[AX]?=?[\"a]?[ab]?[\"a]?)?",
    ) {
        match parse(line.as_bytes()) {
            Ok(_) => {}
            Err(fault) => prop_assert!((1..=line.len() + 1).contains(&fault.column)),
        }
    }
}
