//! What is written to be typed: each command line in README.md, in `docs`, `examples`, `package` and in the manual; and
//! what the files of `examples` tell others to run.
//!
//! Most of them are run by a test: README's blocks by `documents/readme.rs` and `ci/paste`, the examples of a page by
//! `man/examples.rs`, the scripts of `examples` by tests that [`nobody_runs`] looks for. All are looked at here: a line
//! of ours must have options that exist, with their values, and enough operands; so must the program that it runs, if that
//! is ours, too. A script of the repository must be there, and what is neither must be in [`OTHERS`].
//!
//! What this leaves out: a command in running text need not have its operands; `tcpserver ::` is said there of an address.

use std::fs;
use std::path::Path;

use super::page::Page;
use super::programs;

/// What a line in a block may begin with that is not ours: what the shell and Rust have, and `smtp`, in a line for inetd.
const OTHERS: [&str; 8] = [
    "cargo", "echo", "export", "kill", "mkfifo", "printf", "read", "smtp",
];

/// A piece of text that is to be typed, and where it stands.
struct Typed {
    place: String,
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A few words of a sentence or a table.
    Words,
    /// Whole, and run by another test.
    Example,
    /// Whole, and only looked at.
    Block,
}

/// What is wrong with the command lines, one line each.
pub(super) fn faults() -> Vec<String> {
    let typed = documents().into_iter().chain(pages()).chain(others_files());
    typed.flat_map(|typed| typed.faults()).collect()
}

/// What stands in `examples` that no test, and no example, names by its path.
pub(super) fn nobody_runs() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["tests", "ci", "examples"] {
        files(&programs::root().join(folder), &mut found);
    }
    let texts: Vec<String> = found
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    let entries = fs::read_dir(programs::root().join("examples")).expect("it is there");
    entries
        .map(|entry| entry.expect("a folder that can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| {
            let names = [format!("examples/{name}"), format!("\"{name}/")];
            let is_named = |text: &String| names.iter().any(|name| text.contains(name));
            !texts.iter().any(is_named)
        })
        .collect()
}

fn documents() -> Vec<Typed> {
    let mut found = Vec::new();
    for folder in ["docs", "examples", "package"] {
        files(&programs::root().join(folder), &mut found);
    }
    let names = found.iter().map(|file| relative(file));
    let names = names.filter(|name| name.ends_with(".md"));
    ["README.md", "CONTRIBUTING.md"]
        .map(str::to_owned)
        .into_iter()
        .chain(names)
        .flat_map(|name| typed_in(&name, &programs::read(&name)))
        .collect()
}

/// The examples of the pages, and the lines that are displayed elsewhere in them.
fn pages() -> Vec<Typed> {
    let mut found = Vec::new();
    for page in Page::all() {
        let place = format!("man/{}", page.file);
        let blocks = page.examples().into_iter().filter_map(|block| {
            let kind = block.kind.split(' ').next().unwrap_or_default();
            let prompted = |line: &str| line.starts_with("$ ") || line.starts_with("> ");
            match kind {
                "file" => None,
                "server" => Some(block.text),
                _ => Some(
                    block
                        .text
                        .lines()
                        .filter(|line| prompted(line))
                        .fold(String::new(), |text, line| text + &line[2..] + "\n"),
                ),
            }
        });
        for text in blocks.chain(page.displayed()) {
            found.push(Typed {
                place: place.clone(),
                text,
                kind: Kind::Example,
            });
        }
    }
    found
}

/// What systemd, Kubernetes and Nomad are told to run by the files of `examples`.
fn others_files() -> Vec<Typed> {
    let mut found = Vec::new();
    files(&programs::root().join("examples"), &mut found);
    let names = found.iter().map(|file| relative(file));
    let all = names.flat_map(|place| {
        let text = programs::read(&place);
        let lines = match place.rsplit_once('.') {
            Some((_, "service")) => text.lines().filter_map(of_unit).collect(),
            Some((_, "yaml" | "hcl")) => of_lists(&text),
            _ => Vec::new(),
        };
        lines.into_iter().map(move |text| Typed {
            place: place.clone(),
            text,
            kind: Kind::Example,
        })
    });
    all.collect()
}

/// The command of a line of a unit.
fn of_unit(line: &str) -> Option<String> {
    let (name, command) = line.split_once('=')?;
    name.starts_with("Exec").then(|| command.to_owned())
}

/// The commands in lists of quoted words: from a word in `/bin` to the end of the list.
fn of_lists(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((_, list)) = rest.split_once("\"/bin/") {
        let (list, behind) = list.split_once(']').unwrap_or((list, ""));
        let words = list.split('"').step_by(2);
        lines.push(words.map(|word| format!("'{word}' ")).collect());
        rest = behind;
    }
    lines
}

/// Fenced blocks of the shell, indented ones, and code in sentences and tables.
fn typed_in(place: &str, text: &str) -> Vec<Typed> {
    let mut found = Vec::new();
    let mut add = |text: &str, kind| {
        found.push(Typed {
            place: place.to_owned(),
            text: text.to_owned(),
            kind,
        });
    };
    let (mut block, mut prose, mut fence) = (String::new(), String::new(), None);
    let mut is_after_blank = true;
    for line in text.lines() {
        let indented = line.strip_prefix("    ");
        match (fence, line.strip_prefix("```"), indented) {
            (None, Some(kind), _) => fence = Some(kind),
            (Some(kind), Some(_), _) => {
                match kind {
                    "sh" => add(&block, Kind::Block),
                    "text" => {}
                    _ => panic!("{place}: a block of {kind:?} is neither sh nor text"),
                }
                block.clear();
                fence = None;
            }
            (Some(_), None, _) => block = block + line + "\n",
            (None, None, Some(line)) if is_after_blank || !block.is_empty() => {
                block = block + line + "\n";
            }
            _ => {
                if !block.is_empty() {
                    add(&block, Kind::Block);
                    block.clear();
                }
                prose = prose + line + "\n";
            }
        }
        is_after_blank = line.is_empty();
    }
    for code in prose.split('`').skip(1).step_by(2) {
        add(code, Kind::Words);
    }
    found
}

impl Typed {
    fn faults(&self) -> Vec<String> {
        let lines = commands(&self.text);
        let wrong = lines.iter().filter_map(|words| self.fault(words));
        wrong
            .map(|fault| format!("{}: {fault}, in\n{}", self.place, self.text))
            .collect()
    }

    /// What is wrong with a command, if anything.
    fn fault(&self, words: &[String]) -> Option<String> {
        let words = command(words);
        let first = words.first()?;
        if programs::names().contains(first) {
            // Three dots stand for what everybody has of his own.
            let is_whole = self.kind != Kind::Words && !words.iter().any(|word| word == "...");
            return taken(first, &words[1..], is_whole).err();
        }
        let is_script = ["package/", "ci/", "examples/"]
            .iter()
            .any(|folder| first.starts_with(folder));
        if is_script {
            let is_there = programs::root().join(first).exists();
            return (!is_there).then(|| format!("{first} is not there"));
        }
        let is_known = OTHERS.contains(&first.as_str());
        (self.kind == Kind::Block && !is_known).then(|| format!("{first} is unknown"))
    }
}

/// Goes through the options and operands of a program of ours, and those of the program that it runs.
fn taken(name: &str, words: &[String], is_whole: bool) -> Result<(), String> {
    let options = programs::options(name);
    let takes_value = |found: &str| {
        let option = options.iter().find(|option| option.name == found);
        let option = option.ok_or_else(|| format!("{name} has no option {found}"))?;
        Ok::<bool, String>(option.key().1.is_some())
    };
    let mut words = words.iter();
    while let Some(word) = words.as_slice().first() {
        let mut needs_value = false;
        if ["--help", "--version"].contains(&word.as_str()) {
            return Ok(());
        } else if options.is_empty() || !word.starts_with('-') || word == "-" {
            break;
        } else if word == "--" {
            words.next();
            break;
        } else if let Some(long) = word.strip_prefix("--") {
            let (long, value) = long.split_once('=').unwrap_or((long, ""));
            needs_value = takes_value(long)? && value.is_empty() && !word.ends_with('=');
        } else {
            for (at, letter) in word.char_indices().skip(1) {
                if takes_value(&letter.to_string())? {
                    needs_value = at + letter.len_utf8() == word.len();
                    break;
                }
            }
        }
        words.next();
        if needs_value && words.next().is_none() && is_whole {
            return Err(format!("{name} {word} needs a value"));
        }
    }
    let operands = words.as_slice();
    let needed = programs::needed_operands(name);
    // These have ways that the usage line does not show: a file of event-driven-servers, rules to look at.
    let has_more_ways = ["tcprelay", "tcprules"].contains(&name);
    let needs = if has_more_ways { 1 } else { needed.len() };
    if is_whole && operands.len() < needs {
        return Err(format!("{name} needs {needed:?}"));
    }
    let runs = |operand: &String| operand == "program" || operand == "smtpd";
    let at = needed.iter().position(runs);
    match at.and_then(|at| operands.get(at..)) {
        Some([program, words @ ..]) if programs::names().contains(program) => {
            taken(program, words, is_whole)
        }
        _ => Ok(()),
    }
}

/// The command proper: without settings before it, and what only runs it.
fn command(words: &[String]) -> &[String] {
    let is_before = |word: &String| {
        let is_setting = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        is_setting || ["exec", "env", "!", "if", "until"].contains(&word.as_str())
    };
    let start = words.iter().position(|word| !is_before(word));
    &words[start.unwrap_or(words.len())..]
}

/// The simple commands of a text for the shell, each as its words, without redirections.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_between = word.is_none();
        match letter {
            '\\' => match letters.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(next) = letters.next_if(|&next| next != letter) {
                    word.push(next);
                }
                letters.next();
            }
            '#' if is_between => while letters.next_if(|&next| next != '\n').is_some() {},
            '\n' | ';' | '|' | '&' | '<' | '>' | ' ' | '\t' => {
                if let Some(word) = word.take() {
                    // `2` of `2>&1` is none.
                    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                    if !(is_number && matches!(letter, '<' | '>')) {
                        all.last_mut().expect("never empty").push(word);
                    }
                }
                match letter {
                    '<' | '>' => {
                        // To where: `&1`, or a word that is no argument.
                        letters.next_if_eq(&'&');
                        while letters.next_if(|next| " >".contains(*next)).is_some() {}
                        while letters
                            .next_if(|next| !" \t\n;|&)".contains(*next))
                            .is_some()
                        {}
                    }
                    ' ' | '\t' => {}
                    _ => all.push(Vec::new()),
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if let Some(word) = word {
        all.last_mut().expect("never empty").push(word);
    }
    all.retain(|words| !words.is_empty());
    all
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("a folder that can be read").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(programs::root()).expect("it is below");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_text_for_the_shell_is_taken_apart() {
    let words = |text: &str| {
        commands(text)
            .iter()
            .map(|words| command(words).join("|"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(
            "A=b exec tcpserver -v \\\n  0 25 sh -c 'echo \"x y\" >&7' 2>&1 | multilog t ./log &\n# no\ntcprules a b <c && x"
        ),
        [
            "tcpserver|-v|0|25|sh|-c|echo \"x y\" >&7",
            "multilog|t|./log",
            "tcprules|a|b",
            "x"
        ]
    );
}

#[test]
fn commands_of_other_files_are_found() {
    assert_eq!(
        of_unit("ExecStart=tcpctl x status").as_deref(),
        Some("tcpctl x status")
    );
    assert_eq!(of_unit("Type=exec"), None);
    let text = "command: [\"/bin/a\", \"-b\",\n \"/bin/c\"]\nx: [\"y\"]\ncommand = \"/bin/d\"\nargs = [\"e\"]\n";
    assert_eq!(of_lists(text), ["'a' '-b' '/bin/c' ", "'d' 'e' "]);
    let found = others_files();
    for (place, count) in [
        ("kubernetes.yaml", 3),
        ("nomad.hcl", 2),
        ("echo.service", 2),
    ] {
        let lines = found.iter().filter(|typed| typed.place.ends_with(place));
        assert_eq!(lines.count(), count, "{place}");
    }
}

#[test]
fn a_wrong_line_is_found() {
    use Kind::{Block, Example, Words};
    for (text, kind, count) in [
        ("tcpserver -v 0 25 recordio cat", Block, 0),
        ("tcpserver -v 0 25", Example, 1),
        ("tcpserver -v 0 25", Words, 0),
        ("tcpserver -Z 0 25 cat", Words, 1),
        ("tcpserver -c", Block, 1),
        ("tcpserver --drain 0 25 cat", Block, 1),
        ("tcpserver --drain=3 0 25 rblsmtpd -Z cat", Block, 1),
        ("tcpserver ...", Block, 0),
        ("package/nothing", Words, 1),
        ("nothing", Block, 1),
        ("nothing", Words, 0),
    ] {
        let (place, text) = ("here".to_owned(), text.to_owned());
        let typed = Typed { place, text, kind };
        assert_eq!(typed.faults().len(), count, "{}", typed.text);
    }
}
