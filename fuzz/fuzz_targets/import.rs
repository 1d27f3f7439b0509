//! What every target of the import room checks: whatever the files say, what comes out can be run and compiled.

use std::collections::BTreeMap;

use ucspi_tcp::import::{Kind, Source, Style, Tree, commands, convert, files};
use ucspi_tcp::rules;

const STYLES: [Style; 5] = [
    Style::Daemontools,
    Style::Runit,
    Style::S6,
    Style::Systemd,
    Style::Openrc,
];

/// A file with this text.
pub(crate) fn file(text: &[u8]) -> Tree {
    let text = text.to_vec();
    Tree::File { mode: 0o644, text }
}

/// Converts sources; `included` is what every path leads to.
pub(crate) fn check(sources: &[(Kind, &str, Tree)], included: &Tree) {
    let sources = sources.iter().map(|(kind, path, tree)| Source {
        path: path.as_bytes().to_vec(),
        kind: *kind,
        tree: tree.clone(),
    });
    let sources: Vec<Source> = sources.collect();
    let import = match convert(&sources, &mut |_| Ok(included.clone())) {
        Ok(import) => import,
        Err(fault) => {
            assert!(!fault.expected.is_empty());
            assert!(!fault.place.to_string().contains(char::is_control));
            return;
        }
    };
    for note in import.missing() {
        assert!(
            !note.to_string().contains(char::is_control),
            "one line: {note}"
        );
    }
    let mut names = BTreeMap::new();
    for service in &import.services {
        let name = &service.name;
        assert_eq!(
            names.insert(name.clone(), ()),
            None,
            "{name} is there twice"
        );
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
        assert!(
            name.len() < 240 && name.chars().all(is_plain) && !name.starts_with(['.', '-']),
            "{name}"
        );
        for style in STYLES {
            for file in files(service, style, None, b"/services") {
                assert_eq!(
                    file.is_program,
                    file.text.starts_with(b"#!/"),
                    "{}",
                    file.path
                );
                if file.path == "rules" {
                    check_rules(&file.text);
                }
            }
        }
        assert!(commands(service, Style::Daemontools).starts_with(b"# "));
    }
}

/// Each line is a rule or says where it comes from, and no key is there twice.
fn check_rules(text: &[u8]) {
    let mut keys = BTreeMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(rule) = rules::parse(line).expect("a rule") else {
            assert!(line.is_empty() || line.starts_with(b"# "));
            continue;
        };
        let insert = |key: &[u8]| {
            assert_eq!(
                keys.insert(key.to_vec(), ()),
                None,
                "{}",
                line.escape_ascii()
            );
            Ok::<(), ()>(())
        };
        rule.keys(insert).expect("it never fails");
    }
}
