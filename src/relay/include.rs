//! Names of files with the shell's wildcards: `*`, `?`, `[a-z]`, `[!a]`. glob(7)

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The files that `pattern` means, sorted; a pattern without wildcards is the name of one, whether or not it is there.
pub(super) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().as_bytes();
        let is_plain = !matches!(component, Component::Normal(_)) || !has_wildcard(name);
        found = if is_plain {
            found.into_iter().map(|path| path.join(component)).collect()
        } else {
            found.iter().flat_map(|path| inside(path, name)).collect()
        };
    }
    found
}

fn has_wildcard(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[".contains(byte))
}

/// The files of `folder` whose names match; those that begin with a dot only when the pattern does.
fn inside(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = std::fs::read_dir(here).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let is_hidden = |name: &OsStr| name.as_bytes().starts_with(b".") && !pattern.starts_with(b".");
    let mut names: Vec<_> = names
        .filter(|name| !is_hidden(name) && fits(name.as_bytes(), pattern))
        .collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// True when `name` matches `pattern`. Each star is tried again from the last one only, so that the time is bounded by the
/// product of both lengths.
fn fits(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut last_star = None;
    while at < name.len() {
        let step = match pattern.get(of) {
            Some(b'*') => {
                last_star = Some((of, at));
                of += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => bracket(name[at], &pattern[of..]),
            Some(&byte) if byte == name[at] => Some(1),
            _ => None,
        };
        match (step, last_star) {
            (Some(length), _) => {
                at += 1;
                of += length;
            }
            (None, Some((star, from))) => {
                last_star = Some((star, from + 1));
                (at, of) = (from + 1, star + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[of..].iter().all(|&byte| byte == b'*')
}

/// The length of the bracket expression with which `pattern` begins, if `byte` is in it. One that does not end means itself.
fn bracket(byte: u8, pattern: &[u8]) -> Option<usize> {
    let is_negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if is_negated { 2 } else { 1 };
    let Some(length) = pattern
        .iter()
        .skip(first + 1)
        .position(|&byte| byte == b']')
    else {
        return (byte == b'[').then_some(1);
    };
    let end = first + 1 + length;
    let set = &pattern[first..end];
    let mut is_in = false;
    let mut at = 0;
    while at < set.len() {
        if let [low, b'-', high, ..] = set[at..] {
            is_in |= (low..=high).contains(&byte);
            at += 3;
        } else {
            is_in |= set[at] == byte;
            at += 1;
        }
    }
    (is_in != is_negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_are_the_shell_s() {
        for (pattern, fitting, others) in [
            ("*", &["", "a", "a.cfg"][..], &[][..]),
            (
                "*.cfg",
                &["a.cfg", ".cfg", "a.cfg.cfg"],
                &["a.cf", "cfg", "a.cfgx"],
            ),
            ("a?c", &["abc"], &["ac", "abbc"]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["ab", "acb"]),
            ("[a-cx]1", &["a1", "c1", "x1"], &["d1", "1", "-1"]),
            ("[!a]", &["b"], &["a", ""]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[a", &["[a"], &["a"]),
            ("**", &["", "x"], &[]),
        ] {
            for name in fitting {
                assert!(
                    fits(name.as_bytes(), pattern.as_bytes()),
                    "{pattern} {name}"
                );
            }
            for name in others {
                assert!(
                    !fits(name.as_bytes(), pattern.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
    }

    #[test]
    fn many_stars_cost_little() {
        let pattern = b"*a".repeat(2000);
        assert!(!fits(&b"a".repeat(1999), &pattern));
        assert!(fits(&b"a".repeat(2000), &pattern));
    }
}
