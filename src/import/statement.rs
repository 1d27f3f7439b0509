//! What those who came before say of clients: patterns, lists with exceptions, verdicts.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::report::Place;

/// Whom a pattern means, as far as rules can say it. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Nobody,
    Everybody,
    /// Who has a name.
    Named,
    /// Who has none.
    Nameless,
    /// No host bits are set.
    Network(IpNet),
    Host(Vec<u8>),
    /// `.example`: all names that end so, and are longer.
    Domain(Vec<u8>),
}

/// A pattern: whom it surely means, and whom it may mean. They differ where rules cannot say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    /// Only this user, by ident; then the client is one address or one host.
    pub(super) user: Option<Vec<u8>>,
    surely: Who,
    perhaps: Who,
}

impl Pattern {
    pub(super) fn exactly(who: Who) -> Self {
        Self {
            user: None,
            surely: who.clone(),
            perhaps: who,
        }
    }

    /// The clients in a network. Mapped IPv4 addresses are IPv4 clients to tcpserver, which they were not to others.
    pub(super) fn network(network: IpNet) -> Self {
        let v4 = match network {
            IpNet::V6(mapped) if mapped.prefix_len() >= 96 => mapped.addr().to_ipv4_mapped(),
            _ => None,
        };
        let v4 = v4.and_then(|address| Ipv4Net::new(address, network.prefix_len() - 96).ok());
        match v4 {
            Some(v4) => Self::at_most(Who::Network(v4.into())),
            None => Self::exactly(Who::Network(network)),
        }
    }

    /// A pattern that rules cannot say, and that means nobody but `who`.
    pub(super) fn at_most(who: Who) -> Self {
        Self {
            user: None,
            surely: Who::Nobody,
            perhaps: who,
        }
    }

    /// `user` at what this pattern means: exact for one address and for one host.
    pub(super) fn for_user(self, user: Vec<u8>) -> Self {
        let has_key = match &self.surely {
            _ if !self.is_exact() => false,
            Who::Network(network) => network.prefix_len() == network.max_prefix_len(),
            Who::Host(_) => true,
            _ => false,
        };
        if has_key && is_plain(&user) {
            Self {
                user: Some(user),
                ..self
            }
        } else {
            self.inexact()
        }
    }

    /// The same, as one that rules cannot say.
    pub(super) fn inexact(self) -> Self {
        Self::at_most(self.perhaps)
    }

    /// True if rules can say it.
    pub(super) fn is_exact(&self) -> bool {
        self.surely == self.perhaps
    }

    /// Whom it means when it must not mean too few (`generous`), or too many.
    pub(super) fn bound(&self, generous: bool) -> &Who {
        if generous {
            &self.perhaps
        } else {
            &self.surely
        }
    }
}

/// Letters, digits and what else names are made of: none of it means anything in rules.
pub(super) fn is_plain(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// What is done with a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Deny,
    /// With these settings, name and value.
    Allow(Vec<(Vec<u8>, Vec<u8>)>),
}

impl Verdict {
    pub(super) const ALLOW: Self = Self::Allow(Vec::new());

    /// What follows the colon of a rule.
    pub(super) fn text(&self) -> Vec<u8> {
        let Self::Allow(settings) = self else {
            return b"deny".to_vec();
        };
        let mut text = b"allow".to_vec();
        for (name, value) in settings {
            // A value of all these bytes cannot be made: see `setting`.
            let quote = QUOTES.iter().find(|quote| !value.contains(quote));
            let quote = std::slice::from_ref(quote.unwrap_or(&QUOTES[0]));
            for part in [b",", &name[..], b"=", quote, value, quote] {
                text.extend_from_slice(part);
            }
        }
        text
    }
}

const QUOTES: &[u8] = b"\"'/|^!";

/// A setting of a verdict; nothing if rules cannot hold it.
pub(super) fn setting(name: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let fits = is_plain(name)
        && !value.iter().any(|byte| b"\0\n".contains(byte))
        && QUOTES.iter().any(|quote| !value.contains(quote));
    fits.then(|| (name.to_vec(), value.to_vec()))
}

/// One statement: who is meant, and what is done with them.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// The first list, except the second, except the third, and so on.
    pub(super) lists: Vec<Vec<Pattern>>,
    pub(super) verdict: Verdict,
    pub(super) place: Place,
}

impl Statement {
    pub(super) fn new(list: Vec<Pattern>, verdict: Verdict, place: Place) -> Self {
        Self {
            lists: vec![list],
            verdict,
            place,
        }
    }

    /// The denial of all IPv4 clients, whom `::` serves, too.
    pub(super) fn no_ipv4(place: &Place) -> Self {
        let any = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
        let pattern = Pattern::exactly(Who::Network(any.into()));
        Self::new(vec![pattern], Verdict::Deny, place.clone())
    }

    /// Whether it means whom `means` is true for, given a user and whom else. A denial means those whom it may mean, an
    /// admission those whom it surely means.
    pub(super) fn is_met(&self, means: impl Fn(Option<&[u8]>, &Who) -> bool) -> bool {
        // From the last list to the first: each takes away from the one before it.
        let mut is_met = false;
        for (number, list) in self.lists.iter().enumerate().rev() {
            let generous = self.is_generous() ^ (number % 2 == 1);
            let one = |pattern: &Pattern| means(pattern.user.as_deref(), pattern.bound(generous));
            is_met = !is_met && list.iter().any(one);
        }
        is_met
    }

    /// Whether its first list means rather too many than too few.
    pub(super) fn is_generous(&self) -> bool {
        self.verdict == Verdict::Deny
    }
}
