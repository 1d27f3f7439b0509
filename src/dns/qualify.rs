//! From a short name, as a person types it, to the names to look up.
//!
//! A rule is `<type><match>:<replacement>`; rules apply one after the other, each to what the one before left:
//!
//! | type | applies when the text | gives |
//! |---|---|---|
//! | `=` | is the match | the replacement |
//! | `*` | ends with the match | what stands before it, and the replacement |
//! | `?` | as `*`, and has no dot or bracket before the match | as `*` |
//! | `-` | ends with the match | the replacement alone |
//!
//! What then reads `p+s1+s2` stands for the names `ps1` and `ps2`, in this order. Case does not matter. Source: observed
//! runs of the original.

/// Rules in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    kind: u8,
    suffix: Vec<u8>,
    replacement: Vec<u8>,
}

impl Rules {
    /// The rules in a file, one a line; lines of other shapes are passed over.
    pub(super) fn from_file(text: &[u8]) -> Self {
        Self(
            text.split(|&byte| byte == b'\n')
                .filter_map(Rule::parse)
                .collect(),
        )
    }

    /// The rules of a search list: a name without a dot is tried under each domain; a dot at the end is dropped.
    pub(super) fn search<'a>(domains: impl Iterator<Item = &'a [u8]>) -> Self {
        let replacement: Vec<u8> = domains
            .flat_map(|domain| [b"+.", domain].concat())
            .collect();
        let mut rules = Vec::new();
        if !replacement.is_empty() {
            rules.push(Rule {
                kind: b'?',
                suffix: Vec::new(),
                replacement,
            });
        }
        rules.push(Rule {
            kind: b'*',
            suffix: b".".to_vec(),
            replacement: Vec::new(),
        });
        Self(rules)
    }

    /// The rules of a host called `name`: a name without a dot is one of its domain.
    pub(super) fn of_host(name: &[u8]) -> Self {
        let domain = name
            .iter()
            .position(|&byte| byte == b'.')
            .map(|dot| &name[dot..]);
        let mut rules = Self::search(std::iter::empty());
        if let Some(domain) = domain {
            rules.0.insert(
                0,
                Rule {
                    kind: b'?',
                    suffix: Vec::new(),
                    replacement: domain.to_vec(),
                },
            );
        }
        rules
    }

    /// The names that `text` stands for, in the order in which to try them.
    pub(super) fn qualify(&self, text: &[u8]) -> Vec<Vec<u8>> {
        let text = self
            .0
            .iter()
            .fold(text.to_vec(), |text, rule| rule.apply(text));
        let mut parts = text.split(|&byte| byte == b'+');
        let prefix = parts.next().unwrap_or_default();
        let names: Vec<_> = parts.map(|suffix| [prefix, suffix].concat()).collect();
        if names.is_empty() { vec![text] } else { names }
    }
}

impl Rule {
    fn parse(line: &[u8]) -> Option<Self> {
        let end = line.iter().rposition(|byte| !b" \t\r".contains(byte))?;
        let (&kind, rest) = line[..=end].split_first()?;
        let colon = rest
            .iter()
            .position(|&byte| byte == b':')
            .filter(|_| b"?=*-".contains(&kind))?;
        Some(Self {
            kind,
            suffix: rest[..colon].to_vec(),
            replacement: rest[colon + 1..].to_vec(),
        })
    }

    fn apply(&self, text: Vec<u8>) -> Vec<u8> {
        let Some(length) = text.len().checked_sub(self.suffix.len()) else {
            return text;
        };
        let (before, end) = text.split_at(length);
        let applies = end.eq_ignore_ascii_case(&self.suffix)
            && match self.kind {
                b'=' => before.is_empty(),
                b'?' => !before.iter().any(|byte| b".[]".contains(byte)),
                _ => true,
            };
        match self.kind {
            _ if !applies => text,
            b'=' | b'-' => self.replacement.clone(),
            _ => [before, &self.replacement].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rules;

    fn names(rules: &Rules, text: &str) -> String {
        let names = rules.qualify(text.as_bytes());
        names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn search_list_is_for_names_without_a_dot() {
        let rules = Rules::search([&b"foo.test"[..], b"search.test"].into_iter());
        assert_eq!(names(&rules, "host"), "host.foo.test host.search.test");
        assert_eq!(names(&rules, "host."), "host");
        assert_eq!(names(&rules, "host.search"), "host.search");
        assert_eq!(names(&rules, "[127]"), "[127]");
    }

    #[test]
    fn host_name_gives_its_domain() {
        assert_eq!(
            names(&Rules::of_host(b"me.here.test"), "you"),
            "you.here.test"
        );
        assert_eq!(names(&Rules::of_host(b"me"), "you."), "you");
    }

    #[test]
    fn rules_of_a_file_apply_one_after_the_other() {
        let rules = Rules::from_file(b"# comment\n=Host:host.search.test \t\r\n*.search:.search.test\n-.gone:here\nx:y\n?a\n*.:");
        assert_eq!(names(&rules, "hOST"), "host.search.test");
        assert_eq!(names(&rules, "other.search"), "other.search.test");
        assert_eq!(names(&rules, "a.b.gone"), "here");
        assert_eq!(names(&rules, "plain."), "plain");
    }

    #[test]
    fn plus_in_an_operand_tries_each_suffix() {
        assert_eq!(names(&Rules::default(), "a+.b+.c"), "a.b a.c");
        assert_eq!(names(&Rules::default(), "a+"), "a");
    }
}
