//! The way over from other super-servers: what they were told, as folders for tcpserver under a supervisor.
//!
//! Read in this order: [`convert`] (files to services), `inetd`, `xinetd` (with `blocks` and `clients`), `units` and
//! `folders` (one for each kind of source), `hosts` (the TCP wrappers), `access` (statements to rules), `admission` (a plain list to rules), `emit` (services to folders). All is pure: files
//! come in as [`Tree`]s and go out as [`Written`]. This room knows no socket and no name server.
//!
//! What has no equal is named in a [`Note`], never dropped in silence; where it decides who is served, the rules deny.
#![forbid(unsafe_code)]

mod access;
mod admission;
mod blocks;
mod clients;
mod emit;
mod folders;
mod hosts;
mod inetd;
mod report;
mod service;
mod statement;
mod units;
mod xinetd;

use std::collections::{BTreeMap, BTreeSet};

pub use admission::{Entry, admission};
pub use emit::{Style, Written, commands, files};
pub use report::{Fault, Note, Place};
pub use service::Service;

use statement::Verdict;

/// A file or a folder, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A file.
    File {
        /// Its permissions, as in stat(2).
        mode: u32,
        /// All that is in it.
        text: Vec<u8>,
    },
    /// A folder: what is in it, by name.
    Folder(BTreeMap<Vec<u8>, Self>),
}

/// Reads what a file names, such as one that it includes; the error is said to people.
pub type Reader<'a> = dyn FnMut(&[u8]) -> Result<Tree, &'static str> + 'a;

/// The folders in a folder of access rules for s6.
pub const SUBFOLDERS: [&str; 3] = ["ip4", "ip6", "reversedns"];

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// inetd.conf.
    Inetd,
    /// xinetd.conf, or a file that it includes.
    Xinetd,
    /// hosts.allow.
    Allow,
    /// hosts.deny.
    Deny,
    /// A `.socket` unit of systemd.
    Socket,
    /// A folder of instructions for ipsvd.
    Ipsvd,
    /// A folder of access rules for s6.
    S6,
}

/// One source: a path, and what is there.
#[derive(Clone, Debug)]
pub struct Source {
    /// How it is called in notes, and what a path beside it begins with.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// What is there.
    pub tree: Tree,
}

/// The sources at `path`, told by names and contents: a folder that is none itself may hold several.
pub fn sources(path: &[u8], tree: Tree) -> Vec<Source> {
    let path = path.to_vec();
    let entries = match tree {
        Tree::File { .. } => {
            let kind = kind_of_file(&path, &tree);
            return kind
                .map(|kind| Source { path, kind, tree })
                .into_iter()
                .collect();
        }
        Tree::Folder(entries) => entries,
    };
    let is_kind = |name: &&str| matches!(entries.get(name.as_bytes()), Some(Tree::Folder(_)));
    if SUBFOLDERS.iter().any(is_kind) {
        let (kind, tree) = (Kind::S6, Tree::Folder(entries));
        return vec![Source { path, kind, tree }];
    }
    let kinds = entries
        .iter()
        .filter_map(|(name, tree)| Some((name, kind_of_entry(name, tree)?)));
    let kinds: Vec<(&Vec<u8>, Kind)> = kinds.collect();
    // What xinetd.conf includes comes with it.
    let is_whole = kinds.iter().any(|(name, _)| name.ends_with(b".conf"));
    let is_taken = |(name, kind): &(&Vec<u8>, Kind)| {
        *kind != Kind::Xinetd || is_whole == name.ends_with(b".conf")
    };
    let found: Vec<Source> = kinds
        .into_iter()
        .filter(is_taken)
        .map(|(name, kind)| Source {
            path: [&path, &b"/"[..], name].concat(),
            kind,
            tree: entries[name].clone(),
        })
        .collect();
    if found.is_empty() {
        let (kind, tree) = (Kind::Ipsvd, Tree::Folder(entries));
        return vec![Source { path, kind, tree }];
    }
    found
}

/// What a file that was named is; nothing for a service unit, which its socket brings.
fn kind_of_file(path: &[u8], tree: &Tree) -> Option<Kind> {
    let name = service::last_part(path);
    let Tree::File { text, .. } = tree else {
        return None;
    };
    Some(match name {
        _ if name.starts_with(b"hosts.allow") || name.ends_with(b".allow") => Kind::Allow,
        _ if name.starts_with(b"hosts.deny") || name.ends_with(b".deny") => Kind::Deny,
        _ if name.ends_with(b".socket") => Kind::Socket,
        _ if name.ends_with(b".service") => return None,
        _ if blocks::is_one(text) => Kind::Xinetd,
        _ => Kind::Inetd,
    })
}

/// What a file within a folder is, if it is meant.
fn kind_of_entry(name: &[u8], tree: &Tree) -> Option<Kind> {
    let Tree::File { text, .. } = tree else {
        return None;
    };
    match kind_of_file(name, tree)? {
        Kind::Xinetd if name == b"xinetd.conf" || blocks::is_taken(name) => Some(Kind::Xinetd),
        Kind::Inetd if name == b"inetd.conf" || blocks::is_taken(name) && inetd::is_one(text) => {
            Some(Kind::Inetd)
        }
        Kind::Xinetd | Kind::Inetd => None,
        kind => Some(kind),
    }
}

/// What became of the sources.
#[derive(Debug, Default)]
pub struct Import {
    /// The services, in the order of the sources.
    pub services: Vec<Service>,
    /// What is no service here, and why.
    pub left_out: Vec<Note>,
}

impl Import {
    /// All that has no equal, in the order of the places.
    pub fn missing(&self) -> Vec<&Note> {
        let of_services = self.services.iter().flat_map(|service| &service.notes);
        let missing = self
            .left_out
            .iter()
            .chain(of_services.filter(|note| note.is_missing));
        let missing: BTreeSet<&Note> = missing.collect();
        missing.into_iter().collect()
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    services: Vec<Service>,
    left_out: Vec<Note>,
}

impl Found {
    fn add(&mut self, service: Service) -> Result<(), Fault> {
        if self.services.len() == SERVICES_MAX {
            let expected = format!("no more than {SERVICES_MAX} services");
            return Err(Fault::at(&service.place, expected));
        }
        self.services.push(service);
        Ok(())
    }
}

/// Nobody runs more on one machine.
const SERVICES_MAX: usize = 10_000;

/// How many lines of hosts.allow and hosts.deny are read for services.
const LINES_MAX: usize = 10_000_000;

/// Makes services of the sources.
///
/// # Errors
/// A line that cannot be read.
pub fn convert(sources: &[Source], reader: &mut Reader<'_>) -> Result<Import, Fault> {
    let mut found = Found::default();
    let mut tables = hosts::Tables::default();
    for Source { path, kind, tree } in sources {
        match (kind, tree) {
            (Kind::Inetd, Tree::File { text, .. }) => inetd::read(path, text, &mut found)?,
            (Kind::Xinetd, Tree::File { text, .. }) => {
                xinetd::read(path, text, reader, &mut found)?
            }
            (Kind::Allow, Tree::File { text, .. }) => tables.read(path, text, true),
            (Kind::Deny, Tree::File { text, .. }) => tables.read(path, text, false),
            (Kind::Socket, Tree::File { text, .. }) => units::read(path, text, reader, &mut found)?,
            (Kind::Ipsvd, Tree::Folder(files)) => found.add(folders::ipsvd(path, files))?,
            (Kind::S6, Tree::Folder(kinds)) => found.add(folders::s6(path, kinds))?,
            _ => {
                let expected = if matches!(tree, Tree::File { .. }) {
                    "a folder"
                } else {
                    "a file"
                };
                return Err(Fault::at(&Place::new(path, 0), expected));
            }
        }
    }
    if found.services.is_empty() {
        services_of_tables(&tables, &mut found)?;
    }
    if let Some(service) = found.services.first()
        && found.services.len().saturating_mul(tables.len()) > LINES_MAX
    {
        let expected = "fewer services, or fewer lines in hosts.allow and hosts.deny";
        return Err(Fault::at(&service.place, expected));
    }
    found.left_out.append(&mut tables.notes);
    let services = std::mem::take(&mut found.services);
    for mut service in services {
        match finish(&mut service, &tables) {
            Ok(()) => found.services.push(service),
            Err(note) => found.left_out.push(note),
        }
    }
    name_apart(&mut found.services);
    let Found { services, left_out } = found;
    Ok(Import { services, left_out })
}

/// Where hosts.allow and hosts.deny come alone, each daemon that they name becomes rules.
fn services_of_tables(tables: &hosts::Tables, found: &mut Found) -> Result<(), Fault> {
    for (daemon, place) in tables.daemons() {
        let mut made = Service::new(daemon, place, None);
        made.daemon = Some(daemon.to_vec());
        found.add(made)?;
    }
    Ok(())
}

/// Makes the rules, and what hangs on them.
fn finish(service: &mut Service, tables: &hosts::Tables) -> Result<(), Note> {
    let mut statements = std::mem::take(&mut service.statements);
    if let Some(daemon) = &service.daemon {
        if tables.len() == 0 {
            let text = "hosts.allow and hosts.deny: they were not given, so the rules do not hold what they say";
            service
                .notes
                .push(Note::different(service.place.clone(), text));
        }
        let port = service
            .server
            .as_ref()
            .map_or(&b""[..], |server| &server.port);
        let (of_tables, notes) = tables.of(daemon, port);
        statements.extend(of_tables);
        service.notes.extend(notes);
    }
    let settings = &service.settings;
    for statement in &mut statements {
        if let Verdict::Allow(own) = &mut statement.verdict {
            own.extend(settings.iter().cloned());
        }
    }
    let default = Verdict::Allow(settings.clone());
    let rules = access::compile(&statements, &default);
    let rules = rules.map_err(|access::TooLarge| {
        let text = format!(
            "{}: too many statements about who is served, too much entangled",
            service.name
        );
        Note::missing(service.place.clone(), text)
    })?;
    service.notes.extend(rules.notes);
    service.rules = rules.text;
    if let Some(server) = &mut service.server {
        if server.host.starts_with(b"-") {
            let text = format!("{}: no address", report::shown(&server.host));
            return Err(Note::missing(service.place.clone(), text));
        }
        server.names |= rules.use_names;
        server.ident |= rules.use_users;
    }
    service.notes.sort();
    service.notes.dedup();
    Ok(())
}

/// Gives a number to each name that was there before.
fn name_apart(services: &mut [Service]) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for service in services {
        let name = service.name.clone();
        let mut number = 1;
        while !taken.insert(service.name.clone()) {
            number += 1;
            service.name = format!("{name}-{number}");
        }
    }
}
