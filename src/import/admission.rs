//! A plain list of networks of which the first that matches decides, as rules.

use ipnet::IpNet;

use super::access;
use super::report::Place;
use super::statement::{Pattern, Statement, Verdict, Who};

/// One entry: whom it lets in or not.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// It lets in.
    pub permits: bool,
    /// It is about all who are not in the network.
    pub is_negated: bool,
    /// The network.
    pub network: IpNet,
}

/// Lines for tcprules that say what `list` says, of which the first entry that matches decides, and deny all others.
/// `None` if it would take too long. The lines name `file` as where they are from.
pub fn admission(list: &[Entry], file: &[u8]) -> Option<Vec<u8>> {
    let place = Place::new(file, 0);
    let statements = list.iter().map(|entry| {
        let verdict = if entry.permits {
            Verdict::ALLOW
        } else {
            Verdict::Deny
        };
        let network = vec![Pattern::exactly(Who::Network(entry.network))];
        let lists = if entry.is_negated {
            vec![vec![Pattern::exactly(Who::Everybody)], network]
        } else {
            vec![network]
        };
        Statement {
            lists,
            verdict,
            place: place.clone(),
        }
    });
    let statements: Vec<Statement> = statements.collect();
    let rules = access::compile(&statements, &Verdict::Deny).ok()?;
    Some(rules.text)
}

#[cfg(test)]
mod tests {
    use super::{Entry, admission};

    #[test]
    fn first_entry_decides_and_all_others_are_denied() {
        let entry = |permits, is_negated, network: &str| Entry {
            permits,
            is_negated,
            network: network.parse().unwrap(),
        };
        for (list, expected) in [
            (
                vec![entry(true, false, "10.0.0.0/8")],
                "# f\n10.:allow\n:deny\n",
            ),
            (
                vec![
                    entry(false, false, "10.1.0.0/16"),
                    entry(true, false, "10.0.0.0/8"),
                    entry(true, false, "10.1.2.3/32"),
                ],
                "# f\n10.:allow\n10.1.:deny\n:deny\n",
            ),
            (
                vec![
                    entry(false, true, "10.0.0.0/8"),
                    entry(true, false, "0.0.0.0/0"),
                ],
                "# f\n10.:allow\n:deny\n",
            ),
            (
                vec![entry(true, true, "10.0.0.0/8")],
                "# f\n10.:deny\n:allow\n",
            ),
            (
                vec![entry(true, false, "::/0")],
                "# f\n0.0.0.0/0:deny\n:allow\n",
            ),
        ] {
            let rules = admission(&list, b"f").unwrap();
            let rules = String::from_utf8(rules).unwrap();
            let plain = |text: &str| {
                text.lines()
                    .filter(|line| !line.starts_with('#'))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(plain(&rules), plain(expected), "{list:?}");
        }
    }
}
