//! As much of mdoc(7) as the pages use.

use std::fs;

use super::programs;

/// An option: its letter or name, and what its value is called.
pub(crate) type Key = (String, Option<String>);

/// A page of the manual.
pub(crate) struct Page {
    /// `tcpserver.1`.
    pub(crate) file: String,
    lines: Vec<String>,
}

/// A piece of an example.
#[derive(Debug)]
pub(crate) struct Block {
    /// What the comment before it says: `server`, `file rules`; empty without one.
    pub(crate) kind: String,
    /// The lines as a reader sees them.
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn all() -> Vec<Self> {
        let folder = fs::read_dir(programs::root().join("man")).expect("man/ is there");
        folder
            .map(|entry| entry.expect("man/ can be read").file_name())
            .map(|file| Self::read(&file.to_string_lossy()))
            .collect()
    }

    /// The page called `name`, of section 1 or 5.
    pub(crate) fn of(name: &str) -> Self {
        let section = if name == "tcp-environ" { 5 } else { 1 };
        Self::read(&format!("{name}.{section}"))
    }

    fn read(file: &str) -> Self {
        let text = programs::read(&format!("man/{file}"));
        Self {
            file: file.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn sections(&self) -> Vec<String> {
        let titles = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix(".Sh "));
        titles.map(str::to_owned).collect()
    }

    /// The lines of a section; none if it is not there.
    fn section(&self, title: &str) -> &[String] {
        let heading = format!(".Sh {title}");
        let Some(start) = self.lines.iter().position(|line| *line == heading) else {
            return &[];
        };
        let rest = &self.lines[start + 1..];
        let end = rest.iter().position(|line| line.starts_with(".Sh "));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The options that have an entry in a list.
    pub(crate) fn described_options(&self) -> Vec<Key> {
        let entries = self.section("DESCRIPTION").iter();
        entries
            .filter_map(|line| option(line.strip_prefix(".It Fl ")?))
            .collect()
    }

    /// What is said about one of them.
    pub(crate) fn description_of(&self, name: &str) -> String {
        let lines = self.section("DESCRIPTION");
        let is_it = |line: &String| {
            let found = line.strip_prefix(".It Fl ").and_then(option);
            found.is_some_and(|(found, _)| found == name)
        };
        let start = lines
            .iter()
            .position(is_it)
            .map_or(lines.len(), |at| at + 1);
        let entry = lines[start..]
            .iter()
            .take_while(|line| !line.starts_with(".It ") && !line.starts_with(".El"));
        entry.map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn synopsis_options(&self) -> Vec<Key> {
        let mut found = Vec::new();
        for line in self.section("SYNOPSIS") {
            // An option that makes another command of it stands without brackets.
            let words = line.strip_prefix(".Op Fl ");
            let Some(words) = words.or_else(|| line.strip_prefix(".Fl ")) else {
                continue;
            };
            if words.starts_with('-') || words.contains(' ') {
                found.extend(option(words));
            } else {
                found.extend(words.chars().map(|letter| (letter.to_string(), None)));
            }
        }
        found
    }

    /// Without `arg`, which programs take and usage lines leave out.
    pub(crate) fn synopsis_operands(&self) -> Vec<String> {
        let lines = self.section("SYNOPSIS").iter();
        lines
            .filter(|line| !line.contains("Fl "))
            .flat_map(|line| line.split(' '))
            .filter(|word| !matches!(*word, ".Nm" | ".Ar" | ".Op" | "Ar" | "Op" | "arg" | "..."))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn described_variables(&self) -> Vec<String> {
        let entries = self.section("DESCRIPTION").iter();
        entries
            .filter_map(|line| line.strip_prefix(".It Ev "))
            .flat_map(|names| names.split(" , "))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn examples(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut kind = String::new();
        let mut open: Option<String> = None;
        for line in self.section("EXAMPLES") {
            if let Some(text) = &mut open {
                if line == ".Ed" {
                    let text = open.take().unwrap_or_default();
                    let kind = std::mem::take(&mut kind);
                    blocks.push(Block { kind, text });
                } else {
                    text.push_str(&shown(line));
                    text.push('\n');
                }
            } else if let Some(comment) = line.strip_prefix(".\\\" example: ") {
                kind = comment.to_owned();
            } else if line.starts_with(".Bd -literal") {
                open = Some(String::new());
            }
        }
        blocks
    }

    /// The lines that are displayed between sentences, without their macros.
    pub(crate) fn displayed(&self) -> Vec<String> {
        let lines = self.lines.iter();
        let lines =
            lines.filter_map(|line| line.strip_prefix(".Dl ").or(line.strip_prefix(".D1 ")));
        let words = lines.map(|line| line.split(' ').filter(|word| !["Ar", "Li"].contains(word)));
        words
            .map(|words| words.collect::<Vec<_>>().join(" ").replace("Fl ", "-"))
            .collect()
    }
}

/// `c Ar limit` or `-drain Ns = Ns Ar seconds`, as what follows `Fl`.
fn option(words: &str) -> Option<Key> {
    let mut words = words.split(' ');
    let name = words.next()?;
    let value = words.skip_while(|word| !["Ar", "Cm"].contains(word)).nth(1);
    let name = name.strip_prefix('-').unwrap_or(name);
    Some((name.to_owned(), value.map(str::to_owned)))
}

/// A literal line, as a reader sees it.
fn shown(line: &str) -> String {
    line.replace("\\(aq", "'")
        .replace("\\&", "")
        .replace("\\e", "\\")
}
