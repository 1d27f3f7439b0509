//! The files of xinetd, and what they include, as blocks of attributes.
//!
//! ```text
//! file   := ( "service" name block | "defaults" block | "include" file | "includedir" folder )*
//! block  := "{" ( attribute op value* )* "}"          each on a line of its own
//! op     := "=" | "+=" | "-="
//! ```
//!
//! Source: xinetd.conf(5) and xinetd's source: a second `=` for an attribute with one value is passed over; what `defaults`
//! says of lists counts for the services after it, and what it says of the rest for all.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::clients::clients;
use super::report::{Fault, Note, Place, shown};
use super::service::not_a_number;
use super::statement::Pattern;
use super::{Reader, Tree};
use crate::cli;

/// How deep files may include each other, and how many there may be.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 10_000;

/// How many values all services may have, with those that they have from `defaults`.
const VALUES_MAX: usize = 1_000_000;

/// All blocks of a file and of those that it includes, which `reader` reads.
///
/// # Errors
/// A line that cannot be read.
pub(super) fn read(file: &[u8], text: &[u8], reader: &mut Reader<'_>) -> Result<Blocks, Fault> {
    let mut blocks = Blocks::default();
    blocks.file(file, text, reader, 0)?;
    Ok(blocks)
}

/// An attribute's values, each with its place.
type Values = Vec<(Vec<u8>, Place)>;

/// The attributes of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Block(BTreeMap<Vec<u8>, Attribute>);

#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) place: Place,
    pub(super) values: Values,
}

/// A service as it was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) place: Place,
    pub(super) block: Block,
    pub(super) notes: Vec<Note>,
}

#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) defaults: Block,
    pub(super) services: Vec<Entry>,
    pub(super) notes: Vec<Note>,
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

impl Blocks {
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

    /// All attributes, and those of `defaults` that are not among them.
    pub(super) fn with<'b>(
        &'b self,
        defaults: &'b Self,
    ) -> impl Iterator<Item = (&'b [u8], &'b Attribute)> {
        // What services were given at their beginning they have, or it came too late.
        let is_given = |name: &[u8]| !SETS.contains(&name) && !LATER.contains(&name);
        let given = defaults.0.iter();
        let given = given.filter(move |(name, _)| is_given(name) && !self.0.contains_key(*name));
        let all = self.0.iter().chain(given);
        all.map(|(name, attribute)| (&name[..], attribute))
    }

    /// How many values there are.
    fn len(&self) -> usize {
        let lengths = self.0.values().map(|attribute| attribute.values.len());
        lengths.sum()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name.as_bytes())
    }

    pub(super) fn has(&self, name: &str, value: &[u8]) -> bool {
        self.get(name)
            .is_some_and(|attribute| attribute.values.iter().any(|(known, _)| known == value))
    }
}

/// What two values of a set have in common when they are the same: of addresses, whom they mean.
fn meaning(name: &[u8], value: &[u8]) -> Result<Vec<Pattern>, Vec<u8>> {
    match name {
        b"only_from" | b"no_access" => Ok(clients(value)),
        _ => Err(value.to_vec()),
    }
}

impl Attribute {
    /// The only value.
    pub(super) fn one(&self) -> Result<&[u8], Fault> {
        match &self.values[..] {
            [(value, _)] => Ok(value),
            _ => Err(Fault::at(&self.place, "one value")),
        }
    }

    pub(super) fn number(&self, what: &str) -> Result<u32, Fault> {
        let value = self.one()?;
        cli::number(value).ok_or_else(|| Fault::at(&self.place, not_a_number(what, value)))
    }

    /// A number, or nothing for `UNLIMITED`.
    pub(super) fn limit(&self, what: &str) -> Result<Option<u32>, Fault> {
        if self.one()? == b"UNLIMITED" {
            return Ok(None);
        }
        self.number(what).map(Some)
    }

    pub(super) fn yes(&self) -> Result<bool, Fault> {
        match self.one()? {
            b"yes" => Ok(true),
            b"no" => Ok(false),
            _ => Err(Fault::at(&self.place, "yes or no")),
        }
    }
}
