//! The environment of a program: what was inherited, and what the connection changes in it.
//!
//! Source: tcp-environ(5), and observed runs: also the order of the entries is the original's.

use std::collections::HashMap;
use std::ffi::{CStr, CString};

use crate::sys::exec::c_string;

/// Entries of an environment, each as it was given.
pub(crate) type Entries = Vec<CString>;

/// `inherited` with `name` set to `value`.
pub fn with(inherited: &[CString], name: &str, value: &[u8]) -> Vec<CString> {
    let mut changes = Changes::default();
    changes.set(name, value);
    changes.made(inherited)
}

/// Changes to make, in order: each removes every entry of its name, and a setting is put last. An entry that is removed
/// is filled with the last one, as in the original.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<CString>);

impl Changes {
    /// Sets `name` to `value`, which ends at a NUL.
    pub(super) fn set(&mut self, name: &str, value: &[u8]) {
        self.setting(&[name.as_bytes(), b"=", value].concat());
    }

    /// Sets `name` to what is known, and removes it otherwise: a stale value must not pass for one of ours.
    pub(super) fn set_if_known(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.set(name, value),
            None => self.0.push(c_string(name.as_bytes())),
        }
    }

    /// Makes the change `name=value`.
    pub(crate) fn setting(&mut self, setting: &[u8]) {
        self.0.push(c_string(setting));
    }

    /// Settings of the connection that `inherited` describes: what there begins with `TCP`.
    pub(crate) fn inherited(inherited: &[CString]) -> Self {
        let is_told = |entry: &&CString| entry.to_bytes().starts_with(b"TCP");
        Self(inherited.iter().filter(is_told).cloned().collect())
    }

    /// Calls the connection `protocol`: that is `PROTO`, and each change of a name that begins with `TCP` is made to one that
    /// begins so too, but for those of IPv6.
    pub(crate) fn call(&mut self, protocol: &str) {
        let copy = |change: &CString| {
            let rest = change.to_bytes().strip_prefix(b"TCP")?;
            (!rest.starts_with(b"6")).then(|| c_string(&[protocol.as_bytes(), rest].concat()))
        };
        let copies: Vec<CString> = self.0.iter().filter_map(copy).collect();
        self.set("PROTO", protocol.as_bytes());
        self.0.extend(copies);
    }

    /// `inherited` with the changes made, as entries of their own.
    pub(crate) fn made(&self, inherited: &[CString]) -> Vec<CString> {
        self.apply(inherited).into_iter().map(Into::into).collect()
    }

    /// `inherited` with the changes made, in a time that grows with both and no faster: a rule may have many settings.
    pub(super) fn apply<'a>(&'a self, inherited: &'a [CString]) -> Vec<&'a CStr> {
        // Where the one entry of each name is that is to be changed, once there is one.
        let names = self.0.iter().map(|change| (name(change), None));
        let mut places: HashMap<&[u8], Option<usize>> = names.collect();
        let mut entries: Vec<&CStr> = Vec::with_capacity(inherited.len() + self.0.len());
        for entry in inherited {
            if let Some(place) = places.get_mut(name(entry)).filter(|_| is_setting(entry)) {
                if place.is_some() {
                    // A program finds the first of two copies, or the last: which one is not ours to say.
                    continue;
                }
                *place = Some(entries.len());
            }
            entries.push(entry);
        }
        for change in &self.0 {
            let place = places.get_mut(name(change)).and_then(Option::take);
            if let Some(place) = place {
                entries.swap_remove(place);
                let moved = entries.get(place).filter(|moved| is_setting(moved));
                if let Some(moved) = moved.and_then(|moved| places.get_mut(name(moved))) {
                    *moved = Some(place);
                }
            }
            if is_setting(change) {
                places.insert(name(change), Some(entries.len()));
                entries.push(change);
            }
        }
        entries
    }
}

/// What stands before the first `=` of `entry`, or all of it.
fn name(entry: &CStr) -> &[u8] {
    let text = entry.to_bytes();
    let end = text.iter().position(|&byte| byte == b'=');
    &text[..end.unwrap_or(text.len())]
}

/// True for `name=value`: an entry without `=` is none of its name, and a change without one removes.
fn is_setting(entry: &CStr) -> bool {
    entry.to_bytes().contains(&b'=')
}

#[cfg(test)]
mod tests {
    use super::Changes;
    use crate::sys::exec::c_string;

    fn changed(inherited: &[&str], make: impl FnOnce(&mut Changes)) -> Vec<String> {
        let inherited: Vec<_> = inherited
            .iter()
            .map(|entry| c_string(entry.as_bytes()))
            .collect();
        let mut changes = Changes::default();
        make(&mut changes);
        changes
            .apply(&inherited)
            .iter()
            .map(|entry| entry.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn last_entry_takes_the_place_of_a_removed_one() {
        let entries = changed(&["A=1", "B=2", "C=3"], |changes| {
            changes.set("A", b"4");
            changes.set_if_known("B", None);
        });
        assert_eq!(entries, ["C=3", "A=4"]);
    }

    #[test]
    fn every_copy_of_a_name_is_removed_and_others_stay_untouched() {
        let inherited = ["AB=1", "A", "A=1", "B=1", "A=2", "B=2", "=x", "A=3"];
        let entries = changed(&inherited, |changes| changes.set("A", b""));
        assert_eq!(entries, ["AB=1", "A", "=x", "B=1", "B=2", "A="]);
        let entries = changed(&inherited, |changes| changes.set_if_known("A", None));
        assert_eq!(entries, ["AB=1", "A", "=x", "B=1", "B=2"]);
    }

    #[test]
    fn last_of_several_changes_counts() {
        let entries = changed(&["A=1", "B=1", "C=1"], |changes| {
            changes.set("A", b"2");
            changes.set("B", b"2");
            changes.set_if_known("A", None);
            changes.set("B", b"3");
            changes.set("A", b"4");
        });
        assert_eq!(entries, ["C=1", "B=3", "A=4"]);
    }

    #[test]
    fn entry_without_a_value_has_no_name_when_it_moves_either() {
        let entries = changed(&["B=1", "A=1", "B"], |changes| {
            changes.set("A", b"2");
            changes.set("B", b"3");
            changes.set("A", b"4");
        });
        assert_eq!(entries, ["B=3", "B", "A=4"]);
    }

    /// Hundreds of thousands of settings fit in a rule, and everybody waits for it.
    #[test]
    fn many_settings_cost_no_more_than_themselves() {
        const SETTINGS: usize = 200_000;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let entries = changed(&["V1=x", "HOME=/"], |changes| {
                for number in (0..SETTINGS).chain([0]) {
                    changes.setting(format!("V{number}=").as_bytes());
                }
            });
            tell.send((entries.len(), entries[..4].to_vec()))
        });
        // The square of that takes minutes.
        let entries = told.recv_timeout(std::time::Duration::from_secs(60));
        let (count, first) = entries.expect("it ends in time");
        assert_eq!(count, SETTINGS + 1);
        assert_eq!(first, ["V199999=", "HOME=/", "V1=", "V2="]);
    }

    #[test]
    fn value_ends_at_a_nul() {
        assert_eq!(changed(&[], |changes| changes.set("A", b"x\0B=y")), ["A=x"]);
    }
}
