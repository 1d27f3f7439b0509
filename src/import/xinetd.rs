//! xinetd.conf, and what it includes.
//!
//! ```text
//! file   := ( "service" name block | "defaults" block | "include" file | "includedir" folder )*
//! block  := "{" ( attribute op value* )* "}"          each on a line of its own
//! op     := "=" | "+=" | "-="
//! ```
//!
//! Source: xinetd.conf(5) and xinetd's source: a client on both lists is refused, whichever entry is closer; a second
//! `=` for an attribute with one value is passed over; what `defaults` says of lists counts for the services after it,
//! and what it says of the rest for all. What is left out: all services that are no connection of their own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::report::{Fault, Note, Place, shown};
use super::service::{Resource, Server, Service, last_part, not_a_number, wrapped};
use super::statement::{Pattern, Statement, Verdict, Who, is_plain, setting};
use super::{Found, Reader, Tree};
use crate::cli;

/// How deep files may include each other, and how many there may be.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 10_000;

/// How many values all services may have, with those that they have from `defaults`.
const VALUES_MAX: usize = 1_000_000;

/// Adds the services of a file and of those that it includes, which `reader` reads.
///
/// # Errors
/// A line that cannot be read.
pub(super) fn read(
    file: &[u8],
    text: &[u8],
    reader: &mut Reader<'_>,
    found: &mut Found,
) -> Result<(), Fault> {
    let mut parser = Parser::default();
    parser.file(file, text, reader, 0)?;
    found.left_out.append(&mut parser.notes);
    for entry in &parser.services {
        entry.convert(&parser.defaults, found)?;
    }
    Ok(())
}

/// An attribute's values, each with its place.
type Values = Vec<(Vec<u8>, Place)>;

/// The attributes of a block.
#[derive(Clone, Debug, Default)]
struct Block(BTreeMap<Vec<u8>, Attribute>);

#[derive(Clone, Debug)]
struct Attribute {
    place: Place,
    values: Values,
}

/// A service as it was read.
#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    place: Place,
    block: Block,
    notes: Vec<Note>,
}

#[derive(Debug, Default)]
struct Parser {
    defaults: Block,
    services: Vec<Entry>,
    notes: Vec<Note>,
    files: usize,
    values: usize,
}

/// The attributes whose values are sets, and which `defaults` gives to the services after it.
const SETS: [&[u8]; 6] = [
    b"log_on_success",
    b"log_on_failure",
    b"only_from",
    b"no_access",
    b"passenv",
    b"env",
];
/// Those that are sets in `defaults` only.
const DEFAULT_SETS: [&[u8]; 3] = [b"log_type", b"disabled", b"enabled"];
/// The other ones that `defaults` gives to the services after it.
const LATER: [&[u8]; 3] = [b"banner", b"banner_success", b"banner_fail"];

impl Parser {
    fn file(
        &mut self,
        file: &[u8],
        text: &[u8],
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), Fault> {
        self.files += 1;
        if self.files > FILES_MAX {
            let expected = format!("no more than {FILES_MAX} files");
            return Err(Fault::at(&Place::new(file, 0), expected));
        }
        let mut lines = lines(file, text);
        while let Some((place, line)) = lines.next() {
            let mut words = words(line);
            match words.next() {
                Some(b"service") => {
                    let name = words.next();
                    let name = name.ok_or_else(|| Fault::at(&place, "a name after \"service\""))?;
                    let mut entry = Entry {
                        name: name.to_vec(),
                        block: self.defaults.for_services(),
                        notes: Vec::new(),
                        place: place.clone(),
                    };
                    entry.notes = entry.block.read(&place, &mut lines, false)?;
                    self.values += 1 + entry.block.len();
                    if self.values > VALUES_MAX {
                        let expected = format!("no more than {VALUES_MAX} values of all services");
                        return Err(Fault::at(&place, expected));
                    }
                    self.services.push(entry);
                }
                Some(b"defaults") => {
                    let notes = self.defaults.read(&place, &mut lines, true)?;
                    self.notes.extend(notes);
                }
                Some(b"include") => self.include(&place, words.next(), reader, depth, false)?,
                Some(b"includedir") => self.include(&place, words.next(), reader, depth, true)?,
                _ => {
                    return Err(Fault::at(
                        &place,
                        "service, defaults, include or includedir",
                    ));
                }
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        place: &Place,
        path: Option<&[u8]>,
        reader: &mut Reader<'_>,
        depth: usize,
        is_folder: bool,
    ) -> Result<(), Fault> {
        let path = path.ok_or_else(|| Fault::at(place, "a path after include or includedir"))?;
        if depth == DEPTH_MAX {
            return Err(Fault::at(
                place,
                format!("files that include each other at most {DEPTH_MAX} deep"),
            ));
        }
        match reader(path) {
            Ok(Tree::File { text, .. }) if !is_folder => self.file(path, &text, reader, depth + 1),
            Ok(Tree::Folder(files)) if is_folder => {
                for (name, tree) in files {
                    let path = [path, b"/", &name].concat();
                    if let Tree::File { text, .. } = tree
                        && is_taken(&name)
                    {
                        self.file(&path, &text, reader, depth + 1)?;
                    }
                }
                Ok(())
            }
            Ok(_) => {
                let text = format!("{}: neither a file to include nor a folder", shown(path));
                self.notes.push(Note::missing(place.clone(), text));
                Ok(())
            }
            Err(why) => {
                let text = format!("{}: {why}; nothing is included", shown(path));
                self.notes.push(Note::missing(place.clone(), text));
                Ok(())
            }
        }
    }
}

/// Whether a file is one for xinetd: it says so at the beginning of its first line.
pub(super) fn is_one(text: &[u8]) -> bool {
    let keywords: [&[u8]; 4] = [b"service", b"defaults", b"include", b"includedir"];
    let first = lines(b"", text).next();
    let first = first.and_then(|(_, line)| words(line).next());
    first.is_some_and(|word| keywords.contains(&word))
}

/// Whether `includedir` takes a file of this name.
pub(super) fn is_taken(name: &[u8]) -> bool {
    !name.contains(&b'.') && !name.ends_with(b"~")
}

/// The lines that say something, with their places.
fn lines<'t>(file: &'t [u8], text: &'t [u8]) -> impl Iterator<Item = (Place, &'t [u8])> {
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.map(|(number, line)| (number + 1, line.trim_ascii()));
    lines
        .filter(|(_, line)| !line.is_empty() && line[0] != b'#')
        .map(|(number, line)| (Place::new(file, number), line))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

impl Block {
    /// What a service begins with.
    fn for_services(&self) -> Self {
        let is_given = |name: &&Vec<u8>| SETS.contains(&&name[..]) || LATER.contains(&&name[..]);
        let given = self.0.iter().filter(|(name, _)| is_given(name));
        // One value that was given may be replaced, as if it were not there.
        Self(
            given
                .map(|(name, values)| (name.clone(), values.clone()))
                .collect(),
        )
    }

    /// Reads up to the closing brace.
    fn read<'t>(
        &mut self,
        start: &Place,
        lines: &mut impl Iterator<Item = (Place, &'t [u8])>,
        are_defaults: bool,
    ) -> Result<Vec<Note>, Fault> {
        let mut notes = Vec::new();
        let mut own: BTreeSet<&[u8]> = BTreeSet::new();
        match lines.next() {
            Some((_, b"{")) => {}
            Some((place, _)) => return Err(Fault::at(&place, "\"{\" on a line of its own")),
            None => return Err(Fault::at(start, "\"{\" on the next line")),
        }
        for (place, line) in lines {
            if line == b"}" {
                return Ok(notes);
            }
            let mut words = words(line);
            let name = words.next().unwrap_or_default();
            // The operator may stand before the first value without a blank, but not behind the name.
            let rest = line[name.len()..].trim_ascii_start();
            let (add, rest) = match rest {
                [b'=', rest @ ..] => (None, rest),
                [b'+', b'=', rest @ ..] => (Some(true), rest),
                [b'-', b'=', rest @ ..] => (Some(false), rest),
                _ => {
                    return Err(Fault::at(
                        &place,
                        "an attribute, a blank, and one of = += -=",
                    ));
                }
            };
            let values: Values = self::words(rest)
                .map(|value| (value.to_vec(), place.clone()))
                .collect();
            let is_set = SETS.contains(&name) || are_defaults && DEFAULT_SETS.contains(&name);
            if !is_set && own.contains(name) {
                notes.push(Note::different(
                    place,
                    format!("{}: a second one; xinetd takes the first", shown(name)),
                ));
                continue;
            }
            if !is_set && add.is_some() {
                let text = format!(
                    "{}: has one value only; xinetd passes over this line",
                    shown(name)
                );
                notes.push(Note::different(place, text));
                continue;
            }
            own.insert(name);
            let attribute = self.0.entry(name.to_vec()).or_insert_with(|| Attribute {
                place: place.clone(),
                values: Vec::new(),
            });
            match add {
                None if is_set && are_defaults => attribute.values.extend(values),
                None => *attribute = Attribute { place, values },
                Some(true) => attribute.values.extend(values),
                Some(false) => {
                    let gone = values.iter().map(|(value, _)| meaning(name, value));
                    let gone: HashSet<_> = gone.collect();
                    let is_kept = |value: &[u8]| !gone.contains(&meaning(name, value));
                    attribute.values.retain(|(value, _)| is_kept(value));
                }
            }
        }
        Err(Fault::at(
            start,
            "\"}\" on a line of its own before the end",
        ))
    }

    /// How many values there are.
    fn len(&self) -> usize {
        let lengths = self.0.values().map(|attribute| attribute.values.len());
        lengths.sum()
    }

    fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name.as_bytes())
    }

    fn has(&self, name: &str, value: &[u8]) -> bool {
        self.get(name)
            .is_some_and(|attribute| attribute.values.iter().any(|(known, _)| known == value))
    }
}

/// What two values of a set have in common when they are the same: of addresses, whom they mean.
fn meaning(name: &[u8], value: &[u8]) -> Result<Vec<Pattern>, Vec<u8>> {
    match name {
        b"only_from" | b"no_access" => Ok(client(value)),
        _ => Err(value.to_vec()),
    }
}

impl Attribute {
    /// The only value.
    fn one(&self) -> Result<&[u8], Fault> {
        match &self.values[..] {
            [(value, _)] => Ok(value),
            _ => Err(Fault::at(&self.place, "one value")),
        }
    }

    fn number(&self, what: &str) -> Result<u32, Fault> {
        let value = self.one()?;
        cli::number(value).ok_or_else(|| Fault::at(&self.place, not_a_number(what, value)))
    }

    /// A number, or nothing for `UNLIMITED`.
    fn limit(&self, what: &str) -> Result<Option<u32>, Fault> {
        if self.one()? == b"UNLIMITED" {
            return Ok(None);
        }
        self.number(what).map(Some)
    }

    fn yes(&self) -> Result<bool, Fault> {
        match self.one()? {
            b"yes" => Ok(true),
            b"no" => Ok(false),
            _ => Err(Fault::at(&self.place, "yes or no")),
        }
    }
}

impl Entry {
    /// Adds the service, or why it is left out.
    fn convert(&self, defaults: &Block, found: &mut Found) -> Result<(), Fault> {
        let attribute = |name: &str| self.block.get(name).or_else(|| defaults.get(name));
        if let Some(why) = self.obstacle()? {
            let text = format!("{}: {why}", shown(&self.name));
            found.left_out.push(Note::missing(self.place.clone(), text));
            return Ok(());
        }
        let id = attribute("id").map_or(Ok(&self.name[..]), Attribute::one)?;
        let mut made = Service::new(id, &self.place, None);
        made.notes.extend(self.notes.iter().cloned());
        let mut server = Server::default();
        let daemon = if !self.block.has("type", b"INTERNAL") {
            self.program(&mut server)?
        } else if server.run_internal(&self.name) {
            id.to_vec()
        } else {
            let text = format!("{}: no internal service of that name", shown(&self.name));
            let note = Note::missing(self.place.clone(), text);
            found.left_out.push(note);
            return Ok(());
        };
        server.port = match attribute("port") {
            Some(port) => port
                .number("port")
                .map(|port| port.to_string().into_bytes())?,
            None => self.name.clone(),
        };
        server.host = self.host(defaults)?;
        let listed = |name: &str| {
            let list = defaults.get(name);
            list.map(|list| list.values.iter().any(|(known, _)| known == id))
        };
        let is_disabled = attribute("disable").map_or(Ok(false), Attribute::yes)?;
        // `enabled` is the last word of what `disable` says, and `disabled` that of both.
        made.is_enabled =
            listed("enabled").unwrap_or(!is_disabled) && listed("disabled") != Some(true);
        let wraps = !self.block.has("flags", b"NOLIBWRAP");
        made.daemon = wraps.then_some(daemon);
        if server.host == b"::" {
            made.statements.push(Statement::no_ipv4(&self.place));
        }
        let access = self.access(&mut made);
        made.statements.extend(access);
        self.attributes(defaults, &mut server, &mut made)?;
        made.server = Some(server);
        found.add(made)?;
        Ok(())
    }

    /// Why tcpserver cannot serve it, if so.
    fn obstacle(&self) -> Result<Option<String>, Fault> {
        let is = |name: &str, value: &[u8]| self.block.has(name, value);
        let no_equal = |what: &str| Ok(Some(format!("{what} has no equal")));
        for kind in ["RPC", "TCPMUX", "TCPMUXPLUS"] {
            if is("type", kind.as_bytes()) {
                return no_equal(kind);
            }
        }
        if is("flags", b"SENSOR") {
            return no_equal("SENSOR");
        }
        let mut needed = vec!["socket_type", "wait"];
        if !is("type", b"INTERNAL") {
            needed.push("user");
            if self.block.get("redirect").is_none() {
                needed.push("server");
            }
            if is("type", b"UNLISTED") {
                needed.extend(["protocol", "port"]);
            }
        }
        let is_missing = |name: &&str| self.block.get(name).is_none();
        if let Some(name) = needed.into_iter().find(is_missing) {
            return Ok(Some(format!(
                "without {name} xinetd does not start it either"
            )));
        }
        for (name, served) in [("socket_type", &b"stream"[..]), ("protocol", b"tcp")] {
            if let Some(attribute) = self.block.get(name)
                && attribute.one()? != served
            {
                return no_equal(&format!("{name} {}", shown(attribute.one()?)));
            }
        }
        if self.block.get("wait").map_or(Ok(false), Attribute::yes)? {
            return no_equal("wait = yes, for which the program accepts,");
        }
        if self.block.get("redirect").is_some() {
            return no_equal("redirect");
        }
        Ok(None)
    }

    /// Says what to run, and gives its name for hosts.allow.
    fn program(&self, server: &mut Server) -> Result<Vec<u8>, Fault> {
        let program = self
            .block
            .get("server")
            .map_or(Ok(&b""[..]), Attribute::one)?;
        let words = self
            .block
            .get("server_args")
            .map_or(&[][..], |arguments| &arguments.values);
        let words: Vec<&[u8]> = words.iter().map(|(word, _)| &word[..]).collect();
        if !self.block.has("flags", b"NAMEINARGS") {
            let words = [&[last_part(program)], &words[..]].concat();
            server.run(program, &words);
            return Ok(last_part(program).to_vec());
        }
        let name = words.first().copied().unwrap_or(program);
        let wrapped = wrapped(program, &words);
        server.run(wrapped.as_deref().unwrap_or(program), &words);
        Ok(last_part(name).to_vec())
    }

    fn host(&self, defaults: &Block) -> Result<Vec<u8>, Fault> {
        let bound = ["bind", "interface"]
            .into_iter()
            .find_map(|name| self.block.get(name));
        let bound = bound
            .or_else(|| defaults.get("bind"))
            .or_else(|| defaults.get("interface"));
        if let Some(bound) = bound {
            return Ok(bound.one()?.to_vec());
        }
        let six_only = self.block.get("v6only").or_else(|| defaults.get("v6only"));
        let six_only = six_only.map_or(Ok(false), Attribute::yes)?;
        let host: &[u8] = match self.block.has("flags", b"IPv6") {
            true if six_only => b"::",
            true => b":0",
            false => b"0",
        };
        Ok(host.to_vec())
    }

    /// Who is served: nobody on `no_access`, and of `only_from` nobody else.
    fn access(&self, made: &mut Service) -> Vec<Statement> {
        let mut list = |name: &str| {
            let attribute = self.block.get(name)?;
            let patterns = attribute.values.iter().flat_map(|(value, place)| {
                let patterns = client(value);
                for pattern in &patterns {
                    if !pattern.is_exact() {
                        let text =
                            format!("{name} {}: no address that rules can say", shown(value));
                        made.missing(place, text);
                    }
                }
                patterns
            });
            Some((patterns.collect(), attribute.place.clone()))
        };
        let mut statements = Vec::new();
        if let Some((patterns, place)) = list("no_access") {
            statements.push(Statement::new(patterns, Verdict::Deny, place));
        }
        if let Some((patterns, place)) = list("only_from") {
            let everybody = vec![Pattern::exactly(Who::Everybody)];
            let lists = vec![everybody, patterns];
            statements.push(Statement {
                lists,
                verdict: Verdict::Deny,
                place,
            });
        }
        statements
    }

    fn attributes(
        &self,
        defaults: &Block,
        server: &mut Server,
        made: &mut Service,
    ) -> Result<(), Fault> {
        // What services were given at their beginning they have, or it came too late.
        let is_later = |name: &[u8]| !SETS.contains(&name) && !LATER.contains(&name);
        let given = defaults.0.iter();
        let given = given.filter(|(name, _)| is_later(name) && !self.block.0.contains_key(*name));
        for (name, attribute) in self.block.0.iter().chain(given) {
            apply(name, attribute, server, made)?;
        }
        if server.limit.is_none() {
            made.different(
                &self.place,
                "instances: no limit there; here 40 at the same time (-c), and more wait",
            );
        }
        Ok(())
    }
}

/// Does what one attribute says, of those that are not yet done.
fn apply(
    name: &[u8],
    attribute: &Attribute,
    server: &mut Server,
    made: &mut Service,
) -> Result<(), Fault> {
    let place = &attribute.place;
    let values = || attribute.values.iter().map(|(value, _)| &value[..]);
    let said = || shown(&[name, b" = ", &values().collect::<Vec<_>>().join(&b' ')].concat());
    match name {
        b"socket_type" | b"protocol" | b"wait" | b"server" | b"server_args" | b"type" | b"id"
        | b"port" | b"bind" | b"interface" | b"v6only" | b"disable" | b"enabled" | b"disabled"
        | b"only_from" | b"no_access" | b"mdns" | b"deny_time" | b"rpc_version" | b"rpc_number" => {
        }
        b"user" => server.set_user(attribute.one()?),
        b"group" => server.group = Some(attribute.one()?.to_vec()),
        b"groups" => {
            if attribute.yes()? {
                made.missing(
                    place,
                    format!("{}: no equal; the program has its group alone", said()),
                );
            }
        }
        b"instances" => {
            server.limit = attribute.limit("instances")?.filter(|&limit| limit > 0);
            if let Some(limit) = server.limit {
                made.different(
                    place,
                    format!("{}: more than {limit} wait, and are not refused", said()),
                );
            }
        }
        b"per_source" => {
            if let Some(limit) = attribute.limit("per_source")? {
                server
                    .options
                    .push(format!("--source-limit={limit}").into_bytes());
            }
        }
        b"cps" => cps(attribute, server, made)?,
        b"max_load" => {
            let load = attribute.one()?;
            let hundredths = hundredths(load);
            let hundredths =
                hundredths.ok_or_else(|| Fault::at(place, not_a_number("max_load", load)))?;
            if hundredths > 0 {
                made.settings
                    .extend(setting(b"MAXLOAD", hundredths.to_string().as_bytes()));
                server.options.push(b"--rule-limits".to_vec());
            }
        }
        b"nice" => server.nice = Some(attribute.one()?.to_vec()),
        b"umask" => server.umask = Some(attribute.one()?.to_vec()),
        b"banner" => server.banner = Some(attribute.one()?.to_vec()),
        b"banner_success" => server.greeting = Some(attribute.one()?.to_vec()),
        b"banner_fail" => server.refusal = Some(attribute.one()?.to_vec()),
        b"env" => {
            for value in values() {
                if !value.contains(&b'=') || value.starts_with(b"=") {
                    return Err(Fault::at(place, "name=value"));
                }
                server.environment.push(value.to_vec());
            }
        }
        b"passenv" => {
            let names = values().filter(|name| is_variable(name));
            server.passed = Some(names.map(<[u8]>::to_vec).collect());
        }
        b"access_times" => made.missing(
            place,
            format!("{}: no equal; it is served at all times", said()),
        ),
        b"log_type" => made.different(place, format!("{}: log/run has the log", said())),
        b"log_on_success" | b"log_on_failure" => {
            server.ident |= values().any(|value| value == b"USERID");
            if values().any(|value| value == b"TRAFFIC") {
                made.missing(place, "TRAFFIC: bytes are not counted");
            }
            if values().any(|value| value == b"DURATION") {
                made.different(place, "DURATION: the times of the log's lines tell it");
            }
        }
        b"flags" => {
            for flag in values() {
                match flag {
                    b"IPv4" | b"IPv6" | b"NOLIBWRAP" | b"NAMEINARGS" | b"REUSE" => {}
                    b"NODELAY" => server.options.push(b"-D".to_vec()),
                    b"NORETRY" => {
                        made.different(place, "NORETRY: a fork that fails is never tried again")
                    }
                    b"IDONLY" => {
                        made.missing(
                            place,
                            "IDONLY: no equal; who has no ident server is served, too",
                        );
                    }
                    _ => made.missing(place, format!("flag {}: no equal", shown(flag))),
                }
            }
        }
        b"libwrap" => {
            made.daemon = made
                .daemon
                .take()
                .map(|_| attribute.one().map(<[u8]>::to_vec))
                .transpose()?
        }
        _ => match resource(name) {
            Some(resource) => {
                if attribute.one()? != b"UNLIMITED" {
                    let bytes = bytes(attribute.one()?);
                    let bytes =
                        bytes.ok_or_else(|| Fault::at(place, "a number, perhaps with K or M"))?;
                    server
                        .limits
                        .push((resource, bytes.to_string().into_bytes()));
                }
            }
            None => made.missing(place, format!("{}: no attribute that is known", said())),
        },
    }
    Ok(())
}

/// Connections a second, and for how long the service is off above that.
fn cps(attribute: &Attribute, server: &mut Server, made: &mut Service) -> Result<(), Fault> {
    let numbers: Option<Vec<u32>> = attribute
        .values
        .iter()
        .map(|(value, _)| cli::number(value))
        .collect();
    let Some([rate, wait]) = numbers.as_deref() else {
        return Err(Fault::at(
            &attribute.place,
            "two numbers: connections a second, and seconds",
        ));
    };
    if *rate > 0 {
        server.options.push(format!("--rate={rate}/1").into_bytes());
        let text = format!(
            "cps = {rate} {wait}: more than {rate} a second wait; xinetd turned the service off for {wait} seconds"
        );
        made.different(&attribute.place, text);
    }
    Ok(())
}

fn resource(name: &[u8]) -> Option<Resource> {
    Some(match name.strip_prefix(b"rlimit_")? {
        b"as" => Resource::AddressSpace,
        b"cpu" => Resource::Cpu,
        b"data" => Resource::Data,
        b"rss" => Resource::Resident,
        b"stack" => Resource::Stack,
        b"files" => Resource::Files,
        _ => return None,
    })
}

/// `8M`, `16K`, `4096`.
fn bytes(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 1 << 10),
        [digits @ .., b'm' | b'M'] => (digits, 1 << 20),
        _ => (text, 1),
    };
    Some(u64::from(cli::number(digits)?) * unit)
}

/// A load in hundredths: `2`, `2.5`.
fn hundredths(text: &[u8]) -> Option<u32> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = match parts.next()? {
        b"" => 0,
        whole => cli::number(whole)?,
    };
    let fraction = parts.next().unwrap_or_default();
    let padded: Vec<u8> = fraction.iter().copied().chain(*b"00").take(2).collect();
    cli::number(fraction).or(fraction.is_empty().then_some(0))?;
    whole.checked_mul(100)?.checked_add(cli::number(&padded)?)
}

/// What a shell can have as a variable.
fn is_variable(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(is_part)
}

/// An entry of `only_from` or `no_access`; a factorized one is several.
fn client(text: &[u8]) -> Vec<Pattern> {
    if let Some(brace) = text.iter().position(|&byte| byte == b'{') {
        return factorized(&text[..brace], &text[brace + 1..]);
    }
    let word = std::str::from_utf8(text).unwrap_or_default();
    if let Some((address, length)) = word.split_once('/') {
        let length = length.parse().ok();
        let network = address.parse().ok().zip(length);
        let network =
            network.and_then(|(address, length): (IpAddr, u8)| IpNet::new(address, length).ok());
        return vec![exact_or_all(network.map(|network| network.trunc()))];
    }
    if let Ok(address) = word.parse::<Ipv4Addr>() {
        return vec![Pattern::exactly(Who::Network(
            zeros_are_wild(address).into(),
        ))];
    }
    // To xinetd `::` is that address alone; people mean all of IPv6.
    if let Ok(address) = word.parse::<IpAddr>() {
        let is_any = address.is_unspecified();
        let network = IpNet::new(address, if is_any { 0 } else { 128 }).ok();
        let pattern = exact_or_all(network);
        return vec![if is_any { pattern.inexact() } else { pattern }];
    }
    let is_number = text
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    vec![match text {
        _ if is_number => Pattern::at_most(Who::Everybody),
        [b'.', rest @ ..] if is_plain(rest) => {
            Pattern::exactly(Who::Domain(text.to_ascii_lowercase()))
        }
        _ if is_plain(text) && !text.starts_with(b".") => {
            Pattern::exactly(Who::Host(text.to_ascii_lowercase()))
        }
        _ => Pattern::at_most(Who::Everybody),
    }]
}

fn exact_or_all(network: Option<IpNet>) -> Pattern {
    network.map_or(Pattern::at_most(Who::Everybody), |network| {
        Pattern::exactly(Who::Network(network))
    })
}

/// The network of all addresses that differ in the zeros at the end.
fn zeros_are_wild(address: Ipv4Addr) -> Ipv4Net {
    let zeros = address
        .octets()
        .iter()
        .rev()
        .take_while(|&&octet| octet == 0)
        .count();
    let length = u8::try_from(32 - 8 * zeros).unwrap_or(0);
    Ipv4Net::new_assert(address, length)
}

/// `128.138.{1,2}`: numbers for the last place that is written.
fn factorized(before: &[u8], list: &[u8]) -> Vec<Pattern> {
    let octet = |text: &[u8]| cli::number(text).and_then(|number| u8::try_from(number).ok());
    let networks = || {
        let list = list.strip_suffix(b"}")?;
        let before = match before.strip_suffix(b".") {
            None if !before.is_empty() => return None,
            None => Vec::new(),
            Some(before) => before
                .split(|&byte| byte == b'.')
                .map(octet)
                .collect::<Option<Vec<_>>>()?,
        };
        let last = list
            .split(|&byte| byte == b',')
            .map(octet)
            .collect::<Option<Vec<_>>>()?;
        let length = before.len() + 1;
        let network = |last: u8| {
            let mut octets = [0; 4];
            octets
                .get_mut(..length)?
                .copy_from_slice(&[&before[..], &[last]].concat());
            let length = u8::try_from(8 * length).ok()?;
            Some(IpNet::from(Ipv4Net::new(octets.into(), length).ok()?))
        };
        last.into_iter().map(network).collect::<Option<Vec<_>>>()
    };
    let networks: Option<Vec<IpNet>> = networks();
    match networks {
        Some(networks) => networks
            .into_iter()
            .map(|network| exact_or_all(Some(network)))
            .collect(),
        None => vec![Pattern::at_most(Who::Everybody)],
    }
}
