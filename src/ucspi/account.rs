//! Users and groups as operands of `-u` and `-g`: a number, or a name from `/etc/passwd` or `/etc/group`.
//!
//! The files are read as they are, without the C library's name service: its modules are loaded at run time, which a
//! static program cannot do. Source: passwd(5), group(5).

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::cli::number;

/// Who to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number; 0 means to stay who we are, as in the original.
    pub uid: u32,
    /// The user's own group, when the user was given by name.
    pub gid: Option<u32>,
}

/// The user called `text`: a number, or a name; `None` when there is no such user.
pub fn user(text: &[u8]) -> Option<User> {
    if let Some(uid) = number(text) {
        return Some(User { uid, gid: None });
    }
    let fields = entry(Path::new("/etc/passwd"), text)?;
    Some(User {
        uid: field(&fields, 2)?,
        gid: Some(field(&fields, 3)?),
    })
}

/// The number of the group called `text`: a number itself, or a name; `None` when there is no such group.
pub fn group(text: &[u8]) -> Option<u32> {
    number(text).or_else(|| field(&entry(Path::new("/etc/group"), text)?, 2))
}

fn field(line: &[u8], index: usize) -> Option<u32> {
    number(line.split(|&byte| byte == b':').nth(index)?)
}

/// The first line of `file` that starts with `name` and a colon.
fn entry(file: &Path, name: &[u8]) -> Option<Vec<u8>> {
    let is_name = !name.is_empty() && !name.contains(&b':') && !name.contains(&b'\n');
    let lines = BufReader::new(std::fs::File::open(file).ok()?).split(b'\n');
    let mut lines = lines.map_while(Result::ok);
    lines.find(|line| {
        is_name
            && line
                .strip_prefix(name)
                .is_some_and(|rest| rest.first() == Some(&b':'))
    })
}

#[cfg(test)]
mod tests {
    use super::{User, group, user};

    #[test]
    fn numbers_are_themselves_and_names_are_looked_up() {
        assert_eq!(
            user(b"1000"),
            Some(User {
                uid: 1000,
                gid: None
            })
        );
        assert_eq!(
            user(b"root"),
            Some(User {
                uid: 0,
                gid: Some(0)
            })
        );
        assert_eq!(group(b"77"), Some(77));
        assert_eq!(group(b"root"), Some(0));
    }

    #[test]
    fn what_is_neither_is_nobody() {
        for name in [
            &b""[..],
            b"no such user",
            b"root:x",
            b"4294967296",
            b"-1",
            b"1000x",
        ] {
            assert_eq!((user(name), group(name)), (None, None), "{name:?}");
        }
    }
}
