//! Statements of which the first match decides, as rules of which the closest key does.
//!
//! tcpserver tries `user@address`, `user@=host`, the address, `=host`, prefixes from the longest, `=.domain` from the
//! longest, `=`, and the empty key. So what hangs on an address is a tree of prefixes, of which only those become rules
//! that decide otherwise than what is around them; what hangs on a name is one more column of each of them. Where an
//! order of statements cannot be kept (an address that is let in except for some domain), and where a pattern cannot
//! be said in rules at all, the rules deny, and a note says so: they let nobody in whom the statements turn away.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::report::{Note, Place, shown};
use super::statement::{Statement, Verdict, Who};

/// Rules that were made.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Lines for tcprules; none when everybody is served.
    pub(super) text: Vec<u8>,
    /// Some key is a name: it must be looked up.
    pub(super) use_names: bool,
    /// Some key has a user: the ident server must be asked.
    pub(super) use_users: bool,
    /// Where the rules say something else than the statements.
    pub(super) notes: Vec<Note>,
}

/// It would take too long.
#[derive(Debug)]
pub(super) struct TooLarge;

/// How many patterns are compared with clients at most.
const WORK_MAX: usize = 10_000_000;

/// Rules that say the same as `statements`, and `default` of whom none of them means.
///
/// # Errors
/// There are too many statements, too much entangled.
pub(super) fn compile(statements: &[Statement], default: &Verdict) -> Result<Rules, TooLarge> {
    let subject = Subject::of(statements);
    let judge = Judge::new(statements, default, &subject);
    let mut walk = Walk::new(&subject, &judge)?;
    for &network in &subject.networks {
        walk.visit(network)?;
    }
    Ok(walk.rules())
}

/// What can be known of a name: one kind of name for each way in which patterns can tell names apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name<'s> {
    None,
    /// A name that no pattern means.
    Some,
    /// A name under this domain, and under no longer one.
    Under(&'s [u8]),
    Host(&'s [u8]),
}

impl Name<'_> {
    /// The rule's address that means it.
    fn key(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Some => b"=".to_vec(),
            Self::Under(name) | Self::Host(name) => [b"=", *name].concat(),
        }
    }

    /// The domains that hold all such names, longest first: a domain holds itself.
    fn domains(&self) -> impl Iterator<Item = &[u8]> {
        let (name, first) = match self {
            Self::None | Self::Some => (&[][..], 0),
            Self::Under(domain) => (*domain, 0),
            // Not the whole name.
            Self::Host(host) => (*host, 1),
        };
        let starts = (first..name.len()).filter(|&start| name[start] == b'.');
        starts.map(|start| &name[start..])
    }
}

/// A client: somewhere in a network but in none of the smaller ones that patterns name.
#[derive(Clone, Copy, Debug)]
struct Client<'a> {
    network: IpNet,
    name: &'a Name<'a>,
    user: Option<&'a [u8]>,
}

impl Client<'_> {
    fn is(&self, who: &Who) -> bool {
        match who {
            Who::Nobody => false,
            Who::Everybody => true,
            Who::Named => *self.name != Name::None,
            Who::Nameless => *self.name == Name::None,
            Who::Network(network) => network.contains(&self.network),
            Who::Host(host) => matches!(self.name, Name::Host(own) if own == host),
            Who::Domain(domain) => self.name.domains().any(|own| own == domain),
        }
    }
}

/// All that the patterns name.
struct Subject<'s> {
    /// In the order in which a prefix comes before those inside of it.
    networks: BTreeSet<IpNet>,
    /// `None`, then `Some` and each domain, shorter ones first, then each host.
    names: Vec<Name<'s>>,
    /// The place of the first host.
    first_host: usize,
    /// For each of the names, the place of what it falls under when it has no rule of its own.
    under: Vec<usize>,
    user_hosts: BTreeSet<(&'s [u8], usize)>,
    user_addresses: BTreeSet<(IpNet, &'s [u8])>,
}

const V4: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
const V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0));

/// Whether a prefix holds IPv4 addresses in their mapped form; tcpserver tries those after IPv4's /0.
fn holds_v4(network: IpNet) -> bool {
    let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    network.contains(&IpAddr::V6(mapped))
}

impl<'s> Subject<'s> {
    fn of(statements: &'s [Statement]) -> Self {
        let mut networks = BTreeSet::from([V4, V6]);
        let (mut domains, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        let (mut user_hosts, mut user_addresses) = (BTreeSet::new(), BTreeSet::new());
        let mut use_names = false;
        for pattern in statements.iter().flat_map(|it| &it.lists).flatten() {
            let user = pattern.user.as_deref();
            for who in [pattern.bound(true), pattern.bound(false)] {
                match who {
                    Who::Nobody | Who::Everybody => {}
                    Who::Named | Who::Nameless => use_names = true,
                    Who::Network(network) => {
                        networks.insert(*network);
                        user_addresses.extend(user.map(|user| (*network, user)));
                    }
                    Who::Host(host) => {
                        hosts.insert(&host[..]);
                        user_hosts.extend(user.map(|user| (user, &host[..])));
                    }
                    Who::Domain(domain) => {
                        domains.insert((domain.len(), &domain[..]));
                    }
                }
            }
        }
        let mut names = vec![Name::None];
        if use_names || !domains.is_empty() || !hosts.is_empty() {
            names.push(Name::Some);
        }
        names.extend(domains.into_iter().map(|(_, domain)| Name::Under(domain)));
        let first_host = names.len();
        names.extend(hosts.into_iter().map(Name::Host));
        let places = names.iter().enumerate();
        let places: HashMap<&Name<'_>, usize> = places.map(|(place, name)| (name, place)).collect();
        let under = names.iter().map(|name| {
            let mut domains = name.domains().filter(|domain| *name != Name::Under(domain));
            let domain = domains.find_map(|domain| places.get(&Name::Under(domain)).copied());
            domain.unwrap_or(usize::from(!matches!(name, Name::None | Name::Some)))
        });
        let user_hosts = user_hosts.iter();
        let user_hosts =
            user_hosts.filter_map(|&(user, host)| Some((user, *places.get(&Name::Host(host))?)));
        Self {
            networks,
            under: under.collect(),
            user_hosts: user_hosts.collect(),
            first_host,
            user_addresses,
            names: names.clone(),
        }
    }
}

/// A statement, or the default, by its number.
type Decision = usize;

/// Says what is decided of one client.
struct Judge<'s> {
    statements: &'s [Statement],
    default: &'s Verdict,
    /// Which statements may mean a client, by what their first lists name.
    index: HashMap<&'s Who, Vec<usize>>,
    /// What means a client with each of the names, whatever its address.
    of_names: Vec<Vec<Who>>,
    work: Cell<usize>,
}

impl<'s> Judge<'s> {
    fn new(statements: &'s [Statement], default: &'s Verdict, subject: &Subject<'s>) -> Self {
        let mut index: HashMap<_, Vec<usize>> = HashMap::new();
        for (number, statement) in statements.iter().enumerate() {
            for pattern in &statement.lists[0] {
                let numbers = index.entry(pattern.bound(statement.is_generous()));
                let numbers = numbers.or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        let meant = |name: &Name<'_>| {
            let known = if *name == Name::None {
                Who::Nameless
            } else {
                Who::Named
            };
            let domains = name.domains().map(|domain| Who::Domain(domain.to_vec()));
            let host = match name {
                Name::Host(host) => Some(Who::Host(host.to_vec())),
                _ => None,
            };
            let all = [Who::Everybody, known]
                .into_iter()
                .chain(domains)
                .chain(host);
            all.filter(|who| index.contains_key(who)).collect()
        };
        let of_names = subject.names.iter().map(meant).collect();
        Self {
            statements,
            default,
            index,
            of_names,
            work: Cell::new(0),
        }
    }

    /// The first statement that means the client, whose name has the place `name`; `around` is the client's network and
    /// all those around it.
    fn decide(
        &self,
        client: &Client<'_>,
        name: usize,
        around: &[Around],
    ) -> Result<Decision, TooLarge> {
        let of_networks = around.iter().map(|around| &around.who);
        let lists = self.of_names[name].iter().chain(of_networks);
        self.spend(self.of_names[name].len() + around.len())?;
        let mut lists: Vec<&[usize]> = lists
            .filter_map(|who| self.index.get(who))
            .map(Vec::as_slice)
            .collect();
        while let Some(&number) = lists.iter().filter_map(|list| list.first()).min() {
            let statement = &self.statements[number];
            self.spend(statement.lists.iter().map(Vec::len).sum())?;
            let means = |user: Option<&[u8]>, who: &Who| {
                (user.is_none() || user == client.user) && client.is(who)
            };
            if statement.is_met(means) {
                return Ok(number);
            }
            for list in &mut lists {
                if list.first() == Some(&number) {
                    *list = &list[1..];
                }
            }
        }
        Ok(self.statements.len())
    }

    fn spend(&self, work: usize) -> Result<(), TooLarge> {
        self.work.set(self.work.get() + work);
        if self.work.get() > WORK_MAX {
            Err(TooLarge)
        } else {
            Ok(())
        }
    }

    fn verdict(&self, decision: Decision) -> &Verdict {
        let statement = self.statements.get(decision);
        statement.map_or(self.default, |statement| &statement.verdict)
    }

    fn place(&self, decision: Decision) -> Option<&Place> {
        self.statements
            .get(decision)
            .map(|statement| &statement.place)
    }

    fn agree(&self, one: Decision, other: Decision) -> bool {
        self.verdict(one) == self.verdict(other)
    }

    /// What all agree on; where they do not, a denial if there is one.
    fn unite(&self, decisions: &[Decision]) -> (Decision, bool) {
        let agree = decisions
            .iter()
            .all(|&other| self.agree(decisions[0], other));
        let denial = decisions
            .iter()
            .find(|&&one| *self.verdict(one) == Verdict::Deny);
        (*denial.unwrap_or(&decisions[0]), agree)
    }
}

/// A network that is looked at, or one around it.
struct Around {
    network: IpNet,
    who: Who,
    /// What its rule, or that of one around it, decides; nothing where names are asked.
    covered: Option<Decision>,
}

/// What is decided of one host, over all addresses.
#[derive(Debug, Default)]
struct Track {
    /// What was decided first, or the first denial.
    decision: Option<Decision>,
    /// Somewhere something else is decided.
    disagrees: bool,
    /// Somewhere something else would be decided without a rule of its own.
    is_needed: bool,
}

impl Track {
    fn note(&mut self, judge: &Judge<'_>, decision: Decision, without: Decision) {
        let so_far = self.decision.unwrap_or(decision);
        let (united, agree) = judge.unite(&[so_far, decision]);
        self.decision = Some(united);
        self.disagrees |= !agree;
        self.is_needed |= !judge.agree(decision, without);
    }
}

/// The way through all networks, each before those inside of it.
struct Walk<'s> {
    subject: &'s Subject<'s>,
    judge: &'s Judge<'s>,
    around: Vec<Around>,
    /// What is decided where no prefix is named, for each of the names.
    open: Vec<Decision>,
    hosts: Vec<Track>,
    user_hosts: BTreeMap<(&'s [u8], usize), Track>,
    rules: Vec<Rule>,
    notes: Vec<Note>,
}

/// A rule; they are sorted by kind, then by address.
struct Rule {
    kind: Kind,
    key: Vec<u8>,
    decision: Decision,
    /// What was said of other names, where `decision` is for some of them.
    otherwise: Option<Decision>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    User,
    Address,
    Host,
    Network,
    Domain,
    Default,
}

impl<'s> Walk<'s> {
    fn new(subject: &'s Subject<'s>, judge: &'s Judge<'s>) -> Result<Self, TooLarge> {
        let user_hosts = subject
            .user_hosts
            .iter()
            .map(|&key| (key, Track::default()));
        let mut walk = Self {
            subject,
            judge,
            around: Vec::new(),
            open: Vec::new(),
            hosts: subject.names[subject.first_host..]
                .iter()
                .map(|_| Track::default())
                .collect(),
            user_hosts: user_hosts.collect(),
            rules: Vec::new(),
            notes: Vec::new(),
        };
        // IPv6's: a rule `::/0` would hold IPv4 addresses, too.
        walk.enter(V6);
        walk.open = walk.decide_all(V6, None)?;
        walk.around.clear();
        Ok(walk)
    }

    /// Leaves what `network` is not in.
    fn enter(&mut self, network: IpNet) {
        while self
            .around
            .pop_if(|around| !around.network.contains(&network))
            .is_some()
        {}
        let covered = self.around.last().and_then(|around| around.covered);
        let who = Who::Network(network);
        self.around.push(Around {
            network,
            who,
            covered,
        });
    }

    fn decide(
        &self,
        network: IpNet,
        name: usize,
        user: Option<&[u8]>,
    ) -> Result<Decision, TooLarge> {
        let client = Client {
            network,
            name: &self.subject.names[name],
            user,
        };
        self.judge.decide(&client, name, &self.around)
    }

    /// What is decided in `network`, for each of the names.
    fn decide_all(&self, network: IpNet, user: Option<&[u8]>) -> Result<Vec<Decision>, TooLarge> {
        (0..self.subject.names.len())
            .map(|name| self.decide(network, name, user))
            .collect()
    }

    fn visit(&mut self, network: IpNet) -> Result<(), TooLarge> {
        self.enter(network);
        let all = self.decide_all(network, None)?;
        self.visit_users(network, &all)?;
        let judge = self.judge;
        let (names, hosts) = all.split_at(self.subject.first_host);
        let covered = self.around.last().and_then(|around| around.covered);
        let (decision, agree) = judge.unite(names);
        let is_needed = match covered {
            Some(covered) => !(agree && judge.agree(covered, decision)),
            None => !names
                .iter()
                .zip(&self.open)
                .all(|(&one, &other)| judge.agree(one, other)),
        };
        // IPv6 prefixes that hold IPv4 addresses must not decide about them.
        let mut others = self.subject.networks.iter().filter(|&&other| other != V6);
        let is_needed = is_needed || network == V4 && others.any(|&other| holds_v4(other));
        let is_address = network.prefix_len() == network.max_prefix_len();
        let hosts_agree = hosts.iter().all(|&host| judge.agree(host, decision));
        // The rule of an address comes before that of a host, so it must hold for all of them.
        if is_address && agree && hosts_agree && (is_needed || !hosts.is_empty()) {
            self.rule(Kind::Address, network.addr().to_string(), decision);
            return Ok(());
        }
        if is_needed {
            self.rule(Kind::Network, prefix(network), decision);
            if !agree {
                let text = network.to_string();
                self.conflict(decision, &text, "addresses are tried before domains");
                let other = names.iter().find(|&&name| !judge.agree(name, decision));
                if let Some(rule) = self.rules.last_mut() {
                    rule.otherwise = other.copied();
                }
            }
            if let Some(around) = self.around.last_mut() {
                around.covered = Some(decision);
            }
        }
        let covered = self.around.last().and_then(|around| around.covered);
        let domains = &self.subject.under[self.subject.first_host..];
        for ((track, &decision), &domain) in self.hosts.iter_mut().zip(hosts).zip(domains) {
            track.note(judge, decision, covered.unwrap_or(self.open[domain]));
        }
        Ok(())
    }

    /// The rules of users at this address, and what is decided of users at hosts.
    fn visit_users(&mut self, network: IpNet, without: &[Decision]) -> Result<(), TooLarge> {
        let users = self.subject.user_addresses.range((network, &[][..])..);
        let users = users.take_while(|(address, _)| *address == network);
        let mut here = Vec::new();
        for &(_, user) in users {
            let with = self.decide_all(network, Some(user))?;
            let mut pairs = with.iter().zip(without);
            if pairs.all(|(&one, &other)| self.judge.agree(one, other)) {
                continue;
            }
            here.push(user);
            let (decision, agree) = self.judge.unite(&with);
            let key = [user, b"@", network.addr().to_string().as_bytes()].concat();
            if !agree {
                self.conflict(decision, &shown(&key), "it is tried before names");
            }
            self.rule(Kind::User, key, decision);
        }
        let tracks: Vec<_> = self.user_hosts.keys().copied().collect();
        for (user, name) in tracks {
            if here.contains(&user) {
                continue;
            }
            let decision = self.decide(network, name, Some(user))?;
            if let Some(track) = self.user_hosts.get_mut(&(user, name)) {
                track.note(self.judge, decision, without[name]);
            }
        }
        Ok(())
    }

    fn rule(&mut self, kind: Kind, key: impl Into<Vec<u8>>, decision: Decision) {
        let key = key.into();
        self.rules.push(Rule {
            kind,
            key,
            decision,
            otherwise: None,
        });
    }

    /// Notes that what was decided of `key` is not what the statements say of all whom it means.
    fn conflict(&mut self, decision: Decision, key: &str, why: &str) {
        let place = self.judge.place(decision).cloned().unwrap_or_default();
        let outcome = match self.judge.verdict(decision) {
            Verdict::Deny => "denied",
            Verdict::Allow(_) => "allowed",
        };
        let text = format!("{key}: {outcome} whatever else is known of the client, because {why}");
        self.notes.push(Note::missing(place, text));
    }

    fn rules(mut self) -> Rules {
        let judge = self.judge;
        for ((user, name), track) in std::mem::take(&mut self.user_hosts) {
            let key = [user, b"@", &self.subject.names[name].key()].concat();
            self.host(Kind::User, key, &track);
        }
        let (domains, hosts) = self.subject.names.split_at(self.subject.first_host);
        for (name, track) in hosts.iter().zip(std::mem::take(&mut self.hosts)) {
            self.host(Kind::Host, name.key(), &track);
        }
        for (place, name) in domains.iter().enumerate().skip(1).rev() {
            if !judge.agree(self.open[place], self.open[self.subject.under[place]]) {
                self.rule(Kind::Domain, name.key(), self.open[place]);
            }
        }
        self.rule(Kind::Default, *b"", self.open[0]);
        self.rules.sort_by_key(|rule| rule.kind);
        let mut made = Rules {
            use_names: self.rules.iter().any(|rule| {
                matches!(rule.kind, Kind::Host | Kind::Domain) || rule.key.contains(&b'=')
            }),
            use_users: self.rules.iter().any(|rule| rule.kind == Kind::User),
            notes: self.notes,
            text: Vec::new(),
        };
        if let [rule] = &self.rules[..]
            && *judge.verdict(rule.decision) == Verdict::ALLOW
        {
            return made;
        }
        let mut place = None;
        for rule in &self.rules {
            let from = judge.place(rule.decision);
            if from != place
                && let Some(from) = from
            {
                made.text
                    .extend_from_slice(format!("# {from}\n").as_bytes());
            }
            place = from;
            let verdict = judge.verdict(rule.decision).text();
            for part in [&rule.key, &b":"[..], &verdict, b"\n"] {
                made.text.extend_from_slice(part);
            }
            if let Some(other) = rule.otherwise {
                let other = judge.verdict(other).text();
                for part in [
                    b"# or, whatever the name: ",
                    &rule.key[..],
                    b":",
                    &other,
                    b"\n",
                ] {
                    made.text.extend_from_slice(part);
                }
            }
        }
        made
    }

    /// The rule of a host, if it needs one.
    fn host(&mut self, kind: Kind, key: Vec<u8>, track: &Track) {
        let Some(decision) = track.decision.filter(|_| track.is_needed) else {
            return;
        };
        if track.disagrees {
            self.conflict(decision, &shown(&key), "hosts are tried before prefixes");
        }
        self.rule(kind, key, decision);
    }
}

/// A prefix as 0.88 reads it, too, where that can be.
fn prefix(network: IpNet) -> String {
    if let IpNet::V4(v4) = network
        && matches!(v4.prefix_len(), 8 | 16 | 24)
    {
        let octets = v4.addr().octets();
        let octets = &octets[..usize::from(v4.prefix_len() / 8)];
        return octets.iter().map(|octet| format!("{octet}.")).collect();
    }
    network.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;
    use std::ops::ControlFlow;

    use ipnet::IpNet;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::report::Place;
    use super::super::statement::{Pattern, Statement, Verdict, Who, setting};
    use super::{Rules, compile};
    use crate::rules::{Key, Lengths, Peer, parse, search};

    const ADDRESSES: [&str; 7] = [
        "10.1.2.3",
        "10.1.2.4",
        "10.1.9.9",
        "192.0.2.7",
        "203.0.113.1",
        "2001:db8::7",
        "fd00::1",
    ];
    const NAMES: [Option<&str>; 6] = [
        None,
        Some("h.a.example"),
        Some("x.a.example"),
        Some("b.example"),
        Some("far.test"),
        Some("example"),
    ];
    const USERS: [Option<&str>; 3] = [None, Some("joe"), Some("ann")];

    fn who() -> impl Strategy<Value = Who> {
        let networks = [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/23",
            "10.1.2.3/32",
            "192.0.2.7/32",
            "192.0.0.0/9",
            "2001:db8::/32",
            "2001:db8::7/128",
            "::/64",
        ];
        let network = |text: &str| Who::Network(text.parse().expect("a network"));
        let mut all = networks.map(network).to_vec();
        let host = |name: &str| Who::Host(name.into());
        all.extend(["h.a.example", "b.example", "example"].map(host));
        let domain = |name: &str| Who::Domain(name.into());
        all.extend([".example", ".a.example", ".test"].map(domain));
        all.extend([
            Who::Nobody,
            Who::Everybody,
            Who::Everybody,
            Who::Named,
            Who::Nameless,
        ]);
        select(all)
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        (who(), 0..12_u8, select(&USERS[1..])).prop_map(|(who, kind, user)| match (kind, user) {
            (0, _) => Pattern::at_most(who),
            (1 | 2, Some(user)) => Pattern::exactly(who).for_user(user.into()),
            _ => Pattern::exactly(who),
        })
    }

    fn statement() -> impl Strategy<Value = Statement> {
        let verdicts = [
            Verdict::Deny,
            Verdict::Deny,
            Verdict::ALLOW,
            Verdict::ALLOW,
            Verdict::Allow(setting(b"A", b"'\"").into_iter().collect()),
        ];
        (vec(vec(pattern(), 1..4), 1..4), select(verdicts.to_vec())).prop_map(|(lists, verdict)| {
            Statement {
                lists,
                verdict,
                place: Place::new(b"file", 1),
            }
        })
    }

    /// What the first statement says that means the client.
    fn naive(
        statements: &[Statement],
        ip: IpAddr,
        name: Option<&str>,
        user: Option<&str>,
    ) -> Verdict {
        let means = |only: Option<&[u8]>, who: &Who| {
            let is = match who {
                Who::Nobody => false,
                Who::Everybody => true,
                Who::Named => name.is_some(),
                Who::Nameless => name.is_none(),
                Who::Network(network) => network.contains(&ip),
                Who::Host(host) => name.is_some_and(|name| name.as_bytes() == host),
                Who::Domain(domain) => name.is_some_and(|name| {
                    name.len() > domain.len() && name.as_bytes().ends_with(domain)
                }),
            };
            is && only.is_none_or(|only| user.map(str::as_bytes) == Some(only))
        };
        let first = statements.iter().find(|statement| statement.is_met(means));
        first.map_or(Verdict::ALLOW, |statement| statement.verdict.clone())
    }

    fn records(rules: &Rules) -> HashMap<Vec<u8>, Vec<u8>> {
        let mut records = HashMap::new();
        for line in rules.text.split(|&byte| byte == b'\n') {
            if let Some(rule) = parse(line).expect("a rule") {
                let insert = |key: &[u8]| {
                    assert_eq!(
                        records.insert(key.to_vec(), rule.data.to_vec()),
                        None,
                        "no key twice"
                    );
                    Ok::<(), ()>(())
                };
                rule.keys(insert).expect("it never fails");
            }
        }
        records
    }

    fn find(records: &HashMap<Vec<u8>, Vec<u8>>, peer: Peer<'_>) -> Option<Vec<u8>> {
        let found = |key: Key<'_>| match records.get(&key.bytes[..]) {
            Some(data) => ControlFlow::Break(data.clone()),
            None => ControlFlow::Continue(()),
        };
        search(peer, &Lengths::ALL, found).break_value()
    }

    proptest! {
        #[test]
        fn rules_decide_as_the_first_statement_or_deny_with_a_note(statements in vec(statement(), 0..6)) {
            let rules = compile(&statements, &Verdict::ALLOW).expect("it is small");
            let records = records(&rules);
            for (ip, name, user) in clients() {
                let (host, info) = (name.map(str::as_bytes), user.map(str::as_bytes));
                let (host, info) = (host.filter(|_| rules.use_names), info.filter(|_| rules.use_users));
                let text = ip.to_string();
                let peer = Peer { ip: text.as_bytes(), host, info };
                let found = find(&records, peer).unwrap_or_default();
                let expected = naive(&statements, ip, name, user);
                let data: &[u8] = match &expected {
                    Verdict::Deny => b"D\0",
                    Verdict::Allow(settings) if settings.is_empty() => b"",
                    Verdict::Allow(_) => b"+A='\"\0",
                };
                let is_noted = !rules.notes.is_empty() && (found == b"D\0" || expected != Verdict::Deny);
                prop_assert!(found == data || is_noted, "{ip} {name:?} {user:?}: {expected:?}\n{}", String::from_utf8_lossy(&rules.text));
            }
        }

        #[test]
        fn rules_of_addresses_are_exact(networks in vec((select(&ADDRESSES[..]), 0..=32_u8, any::<bool>()), 0..20)) {
            let statements: Vec<Statement> = networks.iter().map(|(address, length, is_denial)| {
                let network = IpNet::new(address.parse().expect("an address"), *length).expect("a length").trunc();
                let verdict = if *is_denial { Verdict::Deny } else { Verdict::ALLOW };
                Statement::new(vec![Pattern::exactly(Who::Network(network))], verdict, Place::default())
            }).collect();
            let rules = compile(&statements, &Verdict::ALLOW).expect("it is small");
            prop_assert!(rules.notes.is_empty() && !rules.use_names && !rules.use_users);
            let records = records(&rules);
            for (ip, _, _) in clients() {
                let text = ip.to_string();
                let peer = Peer { ip: text.as_bytes(), host: None, info: None };
                let is_denied = find(&records, peer).is_some_and(|data| data == b"D\0");
                prop_assert_eq!(is_denied, naive(&statements, ip, None, None) == Verdict::Deny);
            }
        }
    }

    fn clients() -> impl Iterator<Item = (IpAddr, Option<&'static str>, Option<&'static str>)> {
        let addresses = ADDRESSES
            .iter()
            .map(|text| text.parse().expect("an address"));
        addresses.flat_map(|ip| {
            NAMES
                .iter()
                .flat_map(move |&name| USERS.iter().map(move |&user| (ip, name, user)))
        })
    }

    #[test]
    fn ten_thousand_addresses_take_no_time_to_speak_of() {
        let statements: Vec<Statement> = (0..10_000_u32)
            .map(|number| {
                let address = std::net::Ipv4Addr::from_bits(number * 7919);
                let pattern = Pattern::exactly(Who::Network(IpNet::from(IpAddr::V4(address))));
                Statement::new(vec![pattern], Verdict::Deny, Place::default())
            })
            .collect();
        let rules = compile(&statements, &Verdict::ALLOW).expect("it is not too large");
        assert_eq!(
            rules.text.iter().filter(|&&byte| byte == b'\n').count(),
            10_002
        );
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        // Nobody is meant, and it takes the whole list to see that.
        let nobody = |number: u32| {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
            let mut list = vec![Pattern::exactly(Who::Nobody); 100];
            list.push(Pattern::exactly(Who::Everybody));
            list.push(Pattern::exactly(Who::Network(IpNet::from(address))));
            Statement {
                lists: vec![list, vec![Pattern::exactly(Who::Everybody)]],
                verdict: Verdict::Deny,
                place: Place::default(),
            }
        };
        let statements: Vec<Statement> = (0..400).map(nobody).collect();
        assert!(compile(&statements, &Verdict::ALLOW).is_err());
    }
}
