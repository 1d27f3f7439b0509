//! `completions/` is what `package/complete` makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::programs;
use crate::support::temp::TempDir;

pub(crate) fn compare() {
    let folder = TempDir::new();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("an empty folder");
    programs::install(&bin);
    let made = folder.path().join("made");
    let script = programs::root().join("package/complete");
    let run = |programs: &Path| {
        let words = [&made, programs].map(|path| path.to_str().expect("a plain path"));
        programs::run_script(&script, &words, folder.path(), &bin)
    };
    let without = run(&folder.path().join("nowhere"));
    assert_eq!(without.status.code(), Some(111), "{}", without.text());
    assert!(
        !made.exists(),
        "nothing is written before all have answered"
    );
    let outcome = run(&bin);
    assert!(outcome.status.success(), "{}", outcome.text());
    let made = files(&made);
    let kept = files(&programs::root().join("completions"));
    let names: Vec<_> = made.keys().collect();
    assert_eq!(names, kept.keys().collect::<Vec<_>>());
    for (name, text) in &made {
        assert!(
            Some(text) == kept.get(name),
            "completions/{name} is out of date: package/complete completions"
        );
    }
    offers_what_is_meant(folder.path(), &bin);
    let expected = programs::names().into_iter();
    let expected: Vec<String> = expected
        .filter(|name| programs::has_options(name))
        .collect();
    let found: Vec<String> = kept
        .keys()
        .filter_map(|name| name.strip_prefix("bash/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(found, expected, "programs with options");
}

/// In bash, tcpserver's words are completed by what they mean: users, groups, files, options, hosts, and programs as in
/// `bin`. Where there is no bash, nobody completes anything.
fn offers_what_is_meant(folder: &Path, bin: &Path) {
    for (name, text) in [("rules.cdb", ""), ("hosts", "192.0.2.1 host.example\n")] {
        fs::write(folder.join(name), text).expect("a folder of our own");
    }
    let file = programs::root().join("completions/bash/tcpserver");
    // As bash takes a line apart.
    for (words, offered) in [
        ("-u roo", "root"),
        ("-g roo", "root"),
        ("-x ru", "rules.cdb"),
        ("--drain = 30 -u roo", "root"),
        ("--drain = 30 --upg", "--upgrade"),
        ("--inherit --upg", "--upgrade"),
        ("--drain = 3", ""),
        ("--inherit -H host.e", "host.example"),
        ("--drain = 30 host.e", "host.example"),
        ("host.example 25 tcpserve", "tcpserver"),
    ] {
        let script = format!(
            "source {}; COMP_WORDS=(tcpserver {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _tcpserver; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let Some(outcome) = programs::run_in_bash(&script, folder, bin) else {
            return;
        };
        let text = outcome.text();
        let is_offered = text.lines().any(|line| line == offered);
        assert!(is_offered, "{words}: {text:?}");
    }
}

/// All files two levels down, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for shell in ["bash", "fish", "zsh"] {
        for entry in fs::read_dir(folder.join(shell)).expect("a folder for each shell") {
            let path = entry.expect("a folder that can be read").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("text");
            found.insert(format!("{shell}/{name}"), text);
        }
    }
    found
}
