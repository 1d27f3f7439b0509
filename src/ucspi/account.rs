//! Users and groups as operands of `-u` and `-g`: a number, or a name from `/etc/passwd` or `/etc/group`.
//!
//! The files are read as they are, without the C library's name service: its modules are loaded at run time, which a
//! static program cannot do. Source: passwd(5), group(5).

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::cli::{Error, Opt, number};
use crate::service::Privileges;
use crate::sys::process;

/// Who to become, as the options of a command line add up. What is not given stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The last `-u`, with all that came with it.
    pub user: Option<User>,
    /// The last `-g`.
    pub group: Option<Group>,
}

/// A user, of `-u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The user's own group, when the user was given by name.
    pub gid: Option<u32>,
}

/// A group, of `-g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's number.
    pub gid: u32,
    /// It was given by name.
    pub is_named: bool,
}

impl Account {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::question(
            "U",
            "take the user and the group from $UID and $GID",
            Self::inherit,
        ),
        Opt::value(
            "g",
            "gid",
            "become this group, a number or a name, once the port is bound",
            |account, value| {
                account.group = Some(value.parse("a number or the name of a group", group)?);
                Ok(())
            },
        ),
        Opt::value(
            "u",
            "uid",
            "become this user, a number or a name, once the port is bound",
            |account, value| {
                account.user = Some(value.parse("a number or the name of a user", user)?);
                Ok(())
            },
        ),
    ];

    fn inherit(&mut self) -> Result<(), Error> {
        if let Some(uid) = inherited_id("UID")? {
            self.user = Some(User { uid, gid: None });
        }
        if let Some(gid) = inherited_id("GID")? {
            self.group = Some(Group {
                gid,
                is_named: false,
            });
        }
        Ok(())
    }

    /// Who the process is to become.
    pub fn privileges(self) -> Privileges {
        Privileges {
            gid: self.gid(),
            uid: self.uid(),
        }
    }

    /// The group to become the only one of the process, `None` to keep the group and the group list: that of `-g`, else
    /// the own group of a named user.
    ///
    /// Where anything is named the list is set, also to group 0. Of numbers alone, 0 changes nothing, as in the original;
    /// `envuidgid root` says it.
    fn gid(self) -> Option<u32> {
        let own = self.user.and_then(|user| user.gid);
        let gid = self.group.map(|group| group.gid);
        if own.is_some() || self.group.is_some_and(|group| group.is_named) {
            gid.or(own)
        } else {
            gid.filter(|&gid| gid != 0)
        }
    }

    /// The user to become; `None` to stay who we are, which 0 says too, as in the original.
    fn uid(self) -> Option<u32> {
        self.user.map(|user| user.uid).filter(|&uid| uid != 0)
    }
}

/// The number in the environment variable `name`, if it is set.
fn inherited_id(name: &str) -> Result<Option<u32>, Error> {
    let Some(value) = process::variable(name) else {
        return Ok(None);
    };
    match number(&value) {
        Some(id) => Ok(Some(id)),
        None => Err(Error::operand(
            [
                b"option -U needs a number in $",
                name.as_bytes(),
                b", not \"",
                &value,
                b"\"",
            ]
            .concat(),
        )),
    }
}

/// The user called `text`: a number, or a name; `None` when there is no such user.
pub(crate) fn user(text: &[u8]) -> Option<User> {
    if let Some(uid) = number(text) {
        return Some(User { uid, gid: None });
    }
    let fields = entry(Path::new("/etc/passwd"), text)?;
    Some(User {
        uid: field(&fields, 2)?,
        gid: Some(field(&fields, 3)?),
    })
}

/// The group called `text`: a number, or a name; `None` when there is no such group.
pub(crate) fn group(text: &[u8]) -> Option<Group> {
    if let Some(gid) = number(text) {
        return Some(Group {
            gid,
            is_named: false,
        });
    }
    Some(Group {
        gid: field(&entry(Path::new("/etc/group"), text)?, 2)?,
        is_named: true,
    })
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
    use super::{Account, Group, User, group, user};

    const NUMBER: Option<User> = Some(User { uid: 66, gid: None });

    fn named(uid: u32, gid: u32) -> Option<User> {
        let gid = Some(gid);
        Some(User { uid, gid })
    }

    fn of_group(gid: u32, is_named: bool) -> Option<Group> {
        Some(Group { gid, is_named })
    }

    #[test]
    fn numbers_are_themselves_and_names_are_looked_up() {
        assert_eq!(user(b"66"), NUMBER);
        assert_eq!(user(b"root"), named(0, 0));
        assert_eq!(group(b"77"), of_group(77, false));
        assert_eq!(group(b"root"), of_group(0, true));
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

    #[test]
    fn name_always_sets_the_group_list_and_numbers_do_as_in_the_original() {
        let zero = Some(User { uid: 0, gid: None });
        for (user, group, uid, gid) in [
            (None, None, None, None),
            (NUMBER, None, Some(66), None),
            (NUMBER, of_group(77, false), Some(66), Some(77)),
            (NUMBER, of_group(0, false), Some(66), None),
            (NUMBER, of_group(0, true), Some(66), Some(0)),
            (zero, of_group(0, false), None, None),
            (zero, of_group(77, true), None, Some(77)),
            (named(66, 5), None, Some(66), Some(5)),
            (named(66, 0), None, Some(66), Some(0)),
            (named(66, 5), of_group(77, false), Some(66), Some(77)),
            (named(66, 5), of_group(0, false), Some(66), Some(0)),
            (named(0, 0), None, None, Some(0)),
            (None, of_group(0, true), None, Some(0)),
        ] {
            let account = Account { user, group };
            assert_eq!((account.uid(), account.gid()), (uid, gid), "{account:?}");
        }
    }
}
