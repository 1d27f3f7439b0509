//! What `--check` says, beside the naive way to know it.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use ucspi_tcp::rules::{Health, Sets, check};

use super::asked::{borders, lines, nameless, ruled, text};
use super::laws::rule;
use super::written::About;
use super::{Folder, model};

proptest! {
    #[test]
    fn rules_that_no_address_reaches_are_found(rules in ruled(rule())) {
        let abouts: Vec<About> = rules.iter().map(|(about, _)| about.clone()).collect();
        let reached: BTreeSet<usize> = borders(&rules, &[])
            .into_iter()
            .filter_map(|ip| model::verdict(&abouts, &nameless(ip)))
            .collect();
        let (_, said) = checked(&text(&rules));
        for index in 0..rules.len() {
            let place = format!("rules:{}:1: warning: ", index + 1);
            let of_line = said.iter().filter_map(|line| line.strip_prefix(&place[..]));
            let is_unreachable = of_line.filter(|text| {
                text.starts_with("no address gets here") || text.starts_with("no peer") || text.ends_with("comes first")
            });
            prop_assert_eq!(is_unreachable.count() > 0, !reached.contains(&index), "{}", place);
        }
        let has_last = abouts.iter().any(|about| matches!(about, About::Everybody));
        let is_said = said.iter().any(|line| line.contains("everybody else"));
        prop_assert!(!(has_last && is_said));
    }
}

/// What is said of rules, and how they are.
fn checked(text: &str) -> (Health, Vec<String>) {
    let mut output = Vec::new();
    let health = check(text.as_bytes(), b"rules", &Sets::default(), false, |line| {
        output.extend_from_slice(line);
        Ok(())
    });
    (health.expect("it can be read"), lines(&output))
}

#[test]
fn each_oddity_has_its_words() {
    for (text, expected) in [
        (":deny\n", vec![]),
        ("# x\n\n10.:allow\n=.x:allow\n:deny\n", vec![]),
        (
            "",
            vec!["1:1: warning: everybody else is allowed: end with :deny, or say so with :allow"],
        ),
        (
            "10.1:deny\n:deny\n",
            vec!["1:1: warning: nobody has this address: a prefix ends in a dot, 10.1."],
        ),
        (
            "10.1.2.3 :deny\n:deny\n",
            vec!["1:1: warning: nobody has this address: blanks in it count"],
        ),
        (
            "host.example:deny\n:deny\n",
            vec![
                "1:1: warning: nobody has this address: it is no address, no prefix, and no name, which begins with =",
            ],
        ),
        (
            "=A.example:deny\n=a.example :deny\n=*.example:deny\njoe@=a.:deny\n=B@10.1.2.3:deny\n=:deny\n:deny\n",
            vec![
                "1:1: warning: nobody has this address: names are looked up in lower case",
                "2:1: warning: nobody has this address: blanks in it count",
                "3:1: warning: nobody has this address: all names below a domain are =.domain",
                "4:1: warning: nobody has this address: names have no dot at their end",
            ],
        ),
        (
            "joe@10.:deny\n:deny\n",
            vec!["1:1: warning: nobody has this address: a user is at one address or one host"],
        ),
        (
            "%x:deny\n:deny\n",
            vec!["1:1: warning: nobody has this address: there is no such set"],
        ),
        (
            "10.0.0.9-3:deny\n:deny\n",
            vec![
                "1:1: warning: nobody has this address: there is none from the first number to the second",
            ],
        ),
        (
            "allow all\n:deny\n",
            vec!["1:1: warning: without a colon it is no rule"],
        ),
        (
            "10.1.2.3/8:deny\n:deny\n",
            vec!["1:1: warning: it is taken for 10.0.0.0/8"],
        ),
        (
            "::ffff:10.1.2.3:allow\n:deny\n",
            vec!["1:1: warning: it is the IPv4 address 10.1.2.3"],
        ),
        (
            "::ffff:10.0.0.0/104:allow\n:deny\n",
            vec!["1:1: warning: it is the IPv4 address 10.0.0.0/8"],
        ),
        (
            "::/3:allow\n:deny\n",
            vec!["1:1: warning: it holds all IPv4 addresses, too"],
        ),
        (
            ":allow,A=1b1,B C=\"\",MAXRATE=\"1\"\n",
            vec![
                "1:21: warning: MAXRATE limits nothing without --rule-limits",
                "1:10: warning: the value is quoted by \"1\"",
                "1:14: warning: \"B C\" is no name of a variable",
            ],
        ),
        (
            "10.:allow\n10.:deny\n:deny\n:deny\n=a:deny\n=a:deny\n",
            vec![
                "2:1: warning: line 1 has the same address, and comes first",
                "4:1: warning: line 3 has the same address, and comes first",
                "6:1: warning: line 5 has the same address, and comes first",
            ],
        ),
        (
            "10.0.0.0/8:deny\n10.:allow\n:deny\n",
            vec!["1:1: warning: no address gets here: line 2 is tried first"],
        ),
        (
            "10.0.0.0/31:deny\n10.0.0.0:allow\n10.0.0.1:allow\n:deny\n",
            vec!["1:1: warning: no address gets here: line 2 and others are tried first"],
        ),
        (
            "0/0:deny\n::/0:deny\n=.x:allow\n:deny\n",
            vec![
                "2:1: warning: it holds all IPv4 addresses, too",
                "3:1: warning: no peer gets here: prefixes that are tried first hold all addresses",
                "4:1: warning: no peer gets here: prefixes that are tried first hold all addresses",
            ],
        ),
        (
            "joe@10.1.2.3:allow\n10.:deny\n=a.b:allow\njoe@=c.d:allow\n=c.d:deny\njoe@11.1.1.1:allow\n:deny\n",
            vec![
                "1:1: warning: it is tried before line 2, and undoes that denial",
                "3:1: warning: it is tried before line 2, and undoes that denial",
                "4:1: warning: it is tried before line 5, and undoes that denial",
            ],
        ),
    ] {
        let (health, said) = checked(text);
        let expected: Vec<String> = expected
            .iter()
            .map(|line| format!("rules:{line}"))
            .collect();
        assert_eq!(said, expected, "{text}");
        assert_eq!(health == Health::Clean, expected.is_empty(), "{text}");
    }
    let (health, said) = checked("10.:alow\n10.1:deny\n:deny\n");
    assert_eq!(health, Health::Wrong);
    assert_eq!(
        said[0],
        "rules:1:5: error: expected \"allow\" or \"deny\" after the colon"
    );
    assert_eq!(said.len(), 2);
}

#[test]
fn wrong_lines_of_sets_say_where() {
    let folder = Folder::new();
    let path = folder.path("set");
    let define = || {
        let mut sets = Sets::default();
        sets.define(format!("s={}", path.display()).as_bytes())
            .expect("a name and a file");
        sets
    };
    for (text, place) in [
        (
            "10.0.0.0/8\n  10.0/33\n",
            "2:8: error: expected a prefix length from 0 to 32",
        ),
        (
            "10.1\n",
            "1:1: error: expected an address, or address/length",
        ),
        (
            "2001:db8::x\n",
            "1:1: error: expected an IPv6 address, because of the colon in it",
        ),
        (
            "10.0.0.0/8 x\n",
            "1:10: error: expected a prefix length from 0 to 32",
        ),
    ] {
        fs::write(&path, text).expect("our folder");
        let mut output = Vec::new();
        let health = check(
            &b"%s:deny\n:deny\n"[..],
            b"rules",
            &define(),
            false,
            |line| {
                output.extend_from_slice(line);
                Ok(())
            },
        );
        assert_eq!(health.expect("it can be read"), Health::Wrong);
        assert_eq!(lines(&output)[0], format!("{}:{place}", path.display()));
    }
    let mut sets = define();
    for wrong in ["", "s", "=x", "a=", "a-b=x", "s=again"] {
        assert_eq!(sets.define(wrong.as_bytes()), None, "{wrong}");
    }
}
