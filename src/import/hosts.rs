//! hosts.allow and hosts.deny of the TCP wrappers.
//!
//! ```text
//! line    := daemons ":" clients [ ":" option ]*
//! daemons := list of name[@host]; clients := list of [user@]client
//! list    := item ([, \t] item)* [ "EXCEPT" list ]
//! ```
//!
//! Source: hosts_access(5) and hosts_options(5) of Debian's tcpd, and its tcpdmatch, with which `tests/import/hosts.rs`
//! compares. What it does and its manual does not say: `0.0.0.0/0` means nobody, as does an IPv4 network with host bits;
//! those of an IPv6 one are cut off; a last line without a line feed does not count; an option that cannot be read
//! denies. What is left out: netgroups, lists in files, wildcards within a word, and what options do besides deciding.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::report::{Note, Place, shown};
use super::statement::{Pattern, Statement, Verdict, Who, is_plain, setting};
use crate::cli;

/// Both files, or one of them, read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// hosts.allow, then hosts.deny: the first line that matches decides.
    lines: Vec<Line>,
    /// What is wrong with lines that do not count.
    pub(super) notes: Vec<Note>,
}

/// One line.
#[derive(Debug)]
struct Line {
    place: Place,
    daemons: Vec<Vec<Vec<u8>>>,
    clients: Vec<Vec<Pattern>>,
    verdict: Verdict,
    notes: Vec<Note>,
}

impl Tables {
    /// Adds the lines of hosts.allow (`allows`) or of hosts.deny.
    pub(super) fn read(&mut self, file: &[u8], text: &[u8], allows: bool) {
        let mut read = Vec::new();
        for (number, line) in logical_lines(text) {
            let place = Place::new(file, number);
            match line {
                Ok(line) if line.first() == Some(&b'#') || line.trim_ascii().is_empty() => {}
                Ok(line) => match split(&line, b':') {
                    Some((daemons, rest)) => read.push(parse(place, daemons, rest, allows)),
                    None => self.skipped(place, "no colon"),
                },
                Err(why) => self.skipped(place, why),
            }
        }
        // Those of hosts.allow come first, in whatever order the files are named.
        let at = if allows { 0 } else { self.lines.len() };
        self.lines.splice(at..at, read);
    }

    fn skipped(&mut self, place: Place, why: &str) {
        let text = format!("{why}: tcpd does not follow this line, nor do the rules");
        self.notes.push(Note::missing(place, text));
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What the files say of `daemon` that listens on `port`, and what of it rules cannot say.
    pub(super) fn of(&self, daemon: &[u8], port: &[u8]) -> (Vec<Statement>, Vec<Note>) {
        let (mut statements, mut notes) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let (surely, perhaps) = match_daemons(&line.daemons, daemon, port);
            if surely != perhaps {
                let text = "daemon@host and ports: which address was called is not asked";
                notes.push(Note::missing(line.place.clone(), text));
            }
            if surely || perhaps && line.verdict == Verdict::Deny {
                notes.extend(line.notes.iter().cloned());
                statements.push(Statement {
                    lists: line.clients.clone(),
                    verdict: line.verdict.clone(),
                    place: line.place.clone(),
                });
            }
        }
        (statements, notes)
    }

    /// The daemons that are called by name, each with the place of the first time.
    pub(super) fn daemons(&self) -> Vec<(&[u8], &Place)> {
        let mut known = BTreeSet::new();
        let mut found = Vec::new();
        for line in &self.lines {
            for daemon in line.daemons.iter().flatten() {
                let (daemon, _) = split_at(daemon);
                let is_name = daemon == b"ALL" || is_plain(daemon);
                if is_name && known.insert(daemon.to_ascii_lowercase()) {
                    found.push((daemon, &line.place));
                }
            }
        }
        found
    }
}

/// The longest line that tcpd reads.
const LINE_MAX: usize = 2047;

/// The lines with their numbers, those that end in a backslash joined with the next one.
fn logical_lines(text: &[u8]) -> Vec<(usize, Result<Vec<u8>, &'static str>)> {
    let mut lines: Vec<(usize, Result<Vec<u8>, _>)> = Vec::new();
    let mut joined: Option<(usize, Vec<u8>)> = None;
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let (first, mut whole) = joined.take().unwrap_or((number + 1, Vec::new()));
        let Some(line) = line.strip_suffix(b"\n") else {
            lines.push((first, Err("no line feed at its end")));
            continue;
        };
        if let Some(line) = line.strip_suffix(b"\\") {
            whole.extend_from_slice(line);
            joined = Some((first, whole));
            continue;
        }
        whole.extend_from_slice(line);
        let line = if whole.len() >= LINE_MAX {
            Err("too long")
        } else {
            Ok(whole)
        };
        lines.push((first, line));
    }
    if let Some((first, _)) = joined {
        lines.push((first, Err("no line feed at its end")));
    }
    lines
}

/// What stands before and after the first `separator` that is not within brackets.
fn split(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let mut depth = 0_usize;
    let at = text.iter().position(|&byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => return byte == separator && depth == 0,
        }
        false
    })?;
    Some((&text[..at], &text[at + 1..]))
}

fn parse(place: Place, daemons: &[u8], rest: &[u8], allows: bool) -> Line {
    let (clients, options) =
        split(rest, b':').map_or((rest, None), |(clients, options)| (clients, Some(options)));
    let mut line = Line {
        daemons: lists(daemons)
            .into_iter()
            .map(|list| list.into_iter().map(<[u8]>::to_vec).collect())
            .collect(),
        clients: Vec::new(),
        verdict: if allows {
            Verdict::ALLOW
        } else {
            Verdict::Deny
        },
        notes: Vec::new(),
        place,
    };
    // The verdict comes first: what cannot be said is taken widely by a denial.
    if let Some(options) = options {
        line.follow(options);
    }
    for list in lists(clients) {
        let patterns = list.into_iter().map(|item| line.client(item));
        let patterns = patterns.collect();
        line.clients.push(patterns);
    }
    line
}

/// The list, what is excepted from it, what is excepted from that, and so on.
fn lists(text: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut lists = vec![Vec::new()];
    let items = text.split(|byte| b", \t\r\n".contains(byte));
    for item in items.filter(|item| !item.is_empty()) {
        if item.eq_ignore_ascii_case(b"EXCEPT") {
            lists.push(Vec::new());
        } else if let Some(list) = lists.last_mut() {
            list.push(item);
        }
    }
    lists
}

/// Whether the lists surely name the daemon, and whether they may.
fn match_daemons(lists: &[Vec<Vec<u8>>], daemon: &[u8], port: &[u8]) -> (bool, bool) {
    let (mut surely, mut perhaps) = (false, false);
    for list in lists.iter().rev() {
        let matches = |item: &Vec<u8>| match_daemon(item, daemon, port);
        let (all, some) = list
            .iter()
            .map(matches)
            .fold((false, false), |so_far, (one, other)| {
                (so_far.0 | one, so_far.1 | other)
            });
        (surely, perhaps) = (all && !perhaps, some && !surely);
    }
    (surely, perhaps)
}

fn match_daemon(item: &[u8], daemon: &[u8], port: &[u8]) -> (bool, bool) {
    let (name, host) = split_at(item);
    let is_named = match_word(name, daemon);
    let is_port = cli::number(name).is_some();
    // The number of a port that is known by its name is not known here.
    let is_met = is_named || is_port && name == port;
    let may_be_met = is_met || is_port && cli::number(port).is_none();
    (is_met && host.is_none(), may_be_met)
}

/// `user@host`, where the user is at least one byte.
fn split_at(item: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = item.iter().skip(1).position(|&byte| byte == b'@');
    at.map_or((item, None), |at| (&item[..=at], Some(&item[at + 2..])))
}

/// A name, and a pattern for it.
fn match_word(pattern: &[u8], word: &[u8]) -> bool {
    let is = |other: &[u8]| pattern.eq_ignore_ascii_case(other);
    if pattern.iter().any(|byte| b"*?".contains(byte)) {
        return match_wildcards(&pattern.to_ascii_lowercase(), &word.to_ascii_lowercase());
    }
    match pattern {
        [b'.', ..] => {
            word.len() > pattern.len()
                && word[word.len() - pattern.len()..].eq_ignore_ascii_case(pattern)
        }
        _ if is(b"ALL") || is(b"KNOWN") => true,
        [.., b'.'] => word.len() >= pattern.len() && is(&word[..pattern.len()]),
        _ => is(word),
    }
}

/// `*` is any bytes, `?` one. Linear but for the way back to the last star.
fn match_wildcards(pattern: &[u8], word: &[u8]) -> bool {
    let (mut at, mut star, mut place) = (0, None, 0);
    while place < word.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == word[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star_at, from)) = star else {
                    return false;
                };
                star = Some((star_at, from + 1));
                at = star_at + 1;
                place = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

impl Line {
    fn missing(&mut self, text: String) {
        self.notes.push(Note::missing(self.place.clone(), text));
    }

    /// `client` or `user@client`.
    fn client(&mut self, item: &[u8]) -> Pattern {
        let (user, host) = split_at(item);
        let Some(host) = host else {
            let pattern = host_pattern(item);
            self.tell(item, &pattern);
            return pattern;
        };
        let pattern = host_pattern(host);
        let pattern = if user.eq_ignore_ascii_case(b"ALL") {
            pattern
        } else if is_plain(user)
            && !user.starts_with(b".")
            && !user.ends_with(b".")
            && !is_keyword(user)
        {
            pattern.for_user(user.to_vec())
        } else {
            pattern.inexact()
        };
        self.tell(item, &pattern);
        pattern
    }

    /// Notes what rules cannot say.
    fn tell(&mut self, item: &[u8], pattern: &Pattern) {
        let item = shown(item);
        if item.eq_ignore_ascii_case("PARANOID") {
            self.missing(format!("{item}: no equal; who has a name that does not lead back is a client without a name"));
        } else if !pattern.is_exact() {
            let effect = match self.verdict {
                Verdict::Deny => "all whom it may mean are denied",
                Verdict::Allow(_) => "nobody is allowed because of it",
            };
            self.missing(format!("{item}: rules cannot say it; {effect}"));
        } else if *pattern == Pattern::exactly(Who::Nobody) {
            self.missing(format!("{item}: it means nobody, neither to tcpd nor here"));
        }
    }

    /// Does what the options say of the verdict, and notes what else they do.
    fn follow(&mut self, options: &[u8]) {
        let options = fields(options);
        let last = options.len() - 1;
        let mut settings = Vec::new();
        for (place, option) in options.iter().enumerate() {
            let option = option.trim_ascii();
            let (keyword, value) = keyword(option);
            let is_last = place == last;
            match Action::of(&keyword, value, is_last) {
                Some(Action::Allow) => self.verdict = Verdict::ALLOW,
                Some(Action::Deny) => self.verdict = Verdict::Deny,
                Some(Action::Set) => match set(value) {
                    Some(made) => settings.push(made),
                    None => self.missing(format!(
                        "{}: left out, for what stands for % is not known",
                        shown(option)
                    )),
                },
                Some(Action::Other(why)) => self.missing(format!("{}: {why}", shown(option))),
                Some(Action::Decide(why)) => {
                    self.verdict = Verdict::Deny;
                    self.missing(format!("{}: {why}", shown(option)));
                    return;
                }
                None => {
                    self.verdict = Verdict::Deny;
                    self.missing(format!("{}: no option; tcpd denies", shown(option)));
                    return;
                }
            }
        }
        if let Verdict::Allow(own) = &mut self.verdict {
            own.extend(settings);
        }
    }
}

/// What an option does.
enum Action {
    Allow,
    Deny,
    Set,
    /// Nothing to the verdict.
    Other(&'static str),
    /// It decides by itself.
    Decide(&'static str),
}

impl Action {
    /// Nothing for what tcpd does not know, or not so.
    fn of(keyword: &[u8], value: &[u8], is_last: bool) -> Option<Self> {
        let has_value = !value.is_empty();
        match keyword {
            b"allow" if !has_value && is_last => Some(Self::Allow),
            b"deny" if !has_value && is_last => Some(Self::Deny),
            b"setenv" if has_value => Some(Self::Set),
            b"twist" if has_value && is_last => Some(Self::Decide("no equal; denied")),
            b"aclexec" if has_value => {
                Some(Self::Decide("no equal; denied, for its command might"))
            }
            b"spawn" if has_value => Some(Self::Other(
                "no equal; nothing is started for a connection but the program",
            )),
            b"banners" if has_value => Some(Self::Other("no equal by rule; -B is for everybody")),
            b"severity" if has_value => {
                Some(Self::Other("no equal; the log goes where log/run says"))
            }
            b"keepalive" if !has_value => Some(Self::Other("no equal")),
            b"linger" | b"umask" | b"user" | b"group" if has_value => {
                Some(Self::Other("no equal by rule"))
            }
            b"nice" | b"rfc931" => Some(Self::Other("no equal by rule")),
            _ => None,
        }
    }
}

/// The options, `\:` made a colon.
fn fields(text: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match byte {
            b'\\' if bytes.next_if_eq(&b':').is_some() => field.push(b':'),
            b':' => fields.push(Vec::new()),
            _ => field.push(byte),
        }
    }
    fields
}

/// `keyword value`, `keyword=value` or `keyword = value`, without blanks around it; the keyword in lower case.
fn keyword(option: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = option.iter().position(|byte| b" \t=".contains(byte));
    let (keyword, rest) = option.split_at(end.unwrap_or(option.len()));
    let rest = rest.trim_ascii_start();
    let value = rest.strip_prefix(b"=").unwrap_or(rest).trim_ascii();
    (keyword.to_ascii_lowercase(), value)
}

/// `name value`.
fn set(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = text.iter().position(u8::is_ascii_whitespace);
    let (name, value) = text.split_at(end.unwrap_or(text.len()));
    if value.contains(&b'%') {
        return None;
    }
    setting(name, value.trim_ascii())
}

fn is_keyword(word: &[u8]) -> bool {
    let is = |keyword: &&[u8]| word.eq_ignore_ascii_case(keyword);
    [&b"ALL"[..], b"KNOWN", b"UNKNOWN", b"LOCAL", b"PARANOID"]
        .iter()
        .any(is)
}

/// A client without its user.
fn host_pattern(item: &[u8]) -> Pattern {
    let is = |keyword: &[u8]| item.eq_ignore_ascii_case(keyword);
    if let Some(inside) = item.strip_prefix(b"[") {
        return Pattern::exactly(ipv6(inside).map_or(Who::Nobody, Who::Network));
    }
    if item.starts_with(b"@") {
        return Pattern::at_most(Who::Named);
    }
    if item.starts_with(b"/") {
        return Pattern::at_most(Who::Everybody);
    }
    if let Some(slash) = item.iter().position(|&byte| byte == b'/') {
        return masked(&item[..slash], &item[slash + 1..]);
    }
    if item.iter().any(|byte| b"*?".contains(byte)) {
        return wildcards(item);
    }
    let is_number = item
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    match item {
        _ if is(b"ALL") => Pattern::exactly(Who::Everybody),
        _ if is(b"KNOWN") => Pattern::exactly(Who::Named),
        _ if is(b"UNKNOWN") => Pattern::exactly(Who::Nameless),
        _ if is(b"LOCAL") => Pattern::at_most(Who::Named),
        // Names that do not lead back are not known here: see `Line::tell`.
        _ if is(b"PARANOID") => Pattern::exactly(Who::Nobody),
        // The end of the text of an address.
        [b'.', ..] if is_number => Pattern::at_most(Who::Everybody),
        [b'.', rest @ ..] if is_plain(rest) => {
            Pattern::exactly(Who::Domain(item.to_ascii_lowercase()))
        }
        [.., b'.'] if is_number => Pattern::exactly(dotted(item).map_or(Who::Nobody, Who::Network)),
        // The beginning of a name.
        [.., b'.'] => Pattern::at_most(Who::Named),
        _ if is_number => {
            Pattern::exactly(ipv4(item).map_or(Who::Nobody, |address| address_of(address.into())))
        }
        _ if is_plain(item) => Pattern::exactly(Who::Host(item.to_ascii_lowercase())),
        _ => Pattern::exactly(Who::Nobody),
    }
}

/// An IPv4 address in the one spelling that tcpd compares with.
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn address_of(address: IpAddr) -> Who {
    Who::Network(IpNet::from(address))
}

/// `10.1.`: one to three numbers.
fn dotted(text: &[u8]) -> Option<IpNet> {
    let octets = text.iter().filter(|&&byte| byte == b'.').count();
    let zeros = 4_usize.checked_sub(octets).filter(|&zeros| zeros > 0)?;
    let whole = [text, "0.".repeat(zeros).as_bytes()].concat();
    let address = ipv4(whole.strip_suffix(b".")?)?;
    let length = u8::try_from(8 * octets).ok()?;
    Some(Ipv4Net::new(address, length).ok()?.into())
}

/// `net/mask` and `net/length`.
fn masked(network: &[u8], mask: &[u8]) -> Pattern {
    let Some(network) = ipv4(network) else {
        return Pattern::exactly(Who::Nobody);
    };
    let mask = match ipv4(mask) {
        // It is the mark of an error to tcpd.
        Some(mask) if mask == Ipv4Addr::BROADCAST => None,
        Some(mask) => Some(mask.to_bits()),
        None => cli::number(mask)
            .filter(|length| (1..=32).contains(length))
            .map(|length| u32::MAX << (32 - length)),
    };
    let Some(mask) = mask.filter(|mask| network.to_bits() & !mask == 0) else {
        return Pattern::exactly(Who::Nobody);
    };
    let length = u8::try_from(mask.leading_ones()).unwrap_or(32);
    let Ok(around) = Ipv4Net::new(network, length) else {
        return Pattern::exactly(Who::Nobody);
    };
    let who = Who::Network(around.trunc().into());
    if mask.count_ones() == mask.leading_ones() {
        Pattern::exactly(who)
    } else {
        Pattern::at_most(who)
    }
}

/// `addr]` and `net]/length`.
fn ipv6(inside: &[u8]) -> Option<IpNet> {
    let end = inside.iter().position(|&byte| byte == b']')?;
    let address: Ipv6Addr = std::str::from_utf8(&inside[..end]).ok()?.parse().ok()?;
    let length = match &inside[end + 1..] {
        [] => 128,
        [b'/', length @ ..] => u8::try_from(cli::number(length)?).ok()?,
        _ => return None,
    };
    let network = Ipv6Net::new(address, length).ok()?.trunc();
    // An IPv4 client is one to tcpd, however it came.
    let is_mapped = network.addr().to_ipv4_mapped().is_some() && length >= 96;
    (!is_mapped).then_some(network.into())
}

/// Only `10.1.*` can be said.
fn wildcards(item: &[u8]) -> Pattern {
    let network = item.strip_suffix(b"*").filter(|rest| rest.ends_with(b"."));
    match network.and_then(dotted) {
        Some(network) => Pattern::network(network),
        None => Pattern::at_most(Who::Everybody),
    }
}
