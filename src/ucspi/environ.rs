//! The environment of a program: what was inherited, and what the connection changes in it.
//!
//! Source: tcp-environ(5), and observed runs: also the order of the entries is the original's.

use std::ffi::{CStr, CString};

/// Entries of an environment, each as it was given.
pub(crate) type Entries = Vec<CString>;

/// Entries with their [marks](Entry::mark), for who changes them again and again.
#[derive(Debug)]
pub(super) struct Marked(Vec<(CString, u32)>);

impl From<Entries> for Marked {
    fn from(entries: Entries) -> Self {
        let marked = entries.into_iter().map(|entry| {
            let mark = Entry::of(&entry).mark();
            (entry, mark)
        });
        Self(marked.collect())
    }
}

/// `inherited` with `name` set to `value`.
pub fn with(inherited: &[CString], name: &str, value: &[u8]) -> Vec<CString> {
    let mut changes = Changes::default();
    changes.set(&[name], value);
    changes.made(inherited)
}

/// Changes to make, in order: each removes every entry of its name, and a setting is put last. An entry that is removed
/// is filled with the last one, as in the original.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// All of them, each with the NUL at its end: one piece of memory, as every connection has some.
    text: Vec<u8>,
    /// Where each ends, behind its NUL.
    ends: Vec<usize>,
}

impl Changes {
    /// None yet, with room for those of most connections, so that they come to one place.
    pub(super) fn with_room() -> Self {
        Self {
            text: Vec::with_capacity(512),
            ends: Vec::with_capacity(24),
        }
    }

    /// Sets the variable of this `name`, which may be in parts, to `value`, which ends at a NUL.
    pub(super) fn set(&mut self, name: &[&str], value: &[u8]) {
        self.name(name);
        self.text.push(b'=');
        self.value(value);
    }

    /// Sets it to what is known, and removes it otherwise: a stale value must not pass for one of ours.
    pub(super) fn set_if_known(&mut self, name: &[&str], value: Option<&[u8]>) {
        match value {
            Some(value) => self.set(name, value),
            None => {
                self.name(name);
                self.value(b"");
            }
        }
    }

    /// Makes the change `name=value`.
    pub(crate) fn setting(&mut self, setting: &[u8]) {
        self.value(setting);
    }

    /// Settings of the connection that `inherited` describes: what there begins with `TCP`.
    pub(crate) fn inherited(inherited: &[CString]) -> Self {
        let mut changes = Self::default();
        let entries = inherited.iter().map(|entry| entry.to_bytes());
        entries
            .filter(|entry| entry.starts_with(b"TCP"))
            .for_each(|entry| changes.setting(entry));
        changes
    }

    /// Calls the connection `protocol`: that is `PROTO`, and each change of a name that begins with `TCP` is made to one that
    /// begins so too, but for those of IPv6.
    pub(crate) fn call(&mut self, protocol: &str) {
        let mut copies = Self::default();
        copies.set(&["PROTO"], protocol.as_bytes());
        for change in self.entries() {
            let rest = change.to_bytes().strip_prefix(b"TCP");
            if let Some(rest) = rest.filter(|rest| !rest.starts_with(b"6")) {
                copies.name(&[protocol]);
                copies.value(rest);
            }
        }
        copies
            .entries()
            .for_each(|copy| self.setting(copy.to_bytes()));
    }

    /// `inherited` with the changes made, as entries of their own.
    pub(crate) fn made(&self, inherited: &[CString]) -> Vec<CString> {
        let marked = inherited
            .iter()
            .map(|entry| (entry.as_c_str(), Entry::of(entry).mark()));
        self.change(marked).into_iter().map(Into::into).collect()
    }

    /// `inherited` with the changes made.
    pub(super) fn apply<'a>(&'a self, inherited: &'a Marked) -> Vec<&'a CStr> {
        let marked = inherited.0.iter();
        self.change(marked.map(|(entry, mark)| (entry.as_c_str(), *mark)))
    }

    /// `inherited`, each entry with its mark, with the changes made, in a time that grows with both and hardly faster: a rule
    /// may have many settings.
    fn change<'a>(
        &'a self,
        inherited: impl ExactSizeIterator<Item = (&'a CStr, u32)>,
    ) -> Vec<&'a CStr> {
        let changes: Vec<_> = self.entries().map(Entry::of).collect();
        let mut places = Places::of(&changes);
        let mut entries: Vec<&CStr> = Vec::with_capacity(inherited.len() + changes.len());
        for (entry, mark) in inherited {
            // Most of what is inherited stays, and is not even read.
            if places.have(mark)
                && let Some(place) = places.find(&Entry::of(entry))
            {
                if place.is_some() {
                    // A program finds the first of two copies, or the last: which one is not ours to say.
                    continue;
                }
                *place = Some(entries.len());
            }
            entries.push(entry);
        }
        for change in &changes {
            let Some(place) = places.find_name(change.name) else {
                continue;
            };
            let removed = place.take();
            if change.is_setting {
                *place = Some(entries.len() - usize::from(removed.is_some()));
            }
            if let Some(removed) = removed {
                entries.swap_remove(removed);
                let moved = entries.get(removed).map(|moved| Entry::of(moved));
                if let Some(moved) = moved.and_then(|moved| places.find(&moved)) {
                    *moved = Some(removed);
                }
            }
            if change.is_setting {
                entries.push(change.text);
            }
        }
        entries
    }

    /// Begins a change.
    fn name(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
    }

    /// Ends a change, by `value` up to its first NUL.
    fn value(&mut self, value: &[u8]) {
        let end = value.iter().position(|&byte| byte == 0);
        self.text
            .extend_from_slice(&value[..end.unwrap_or(value.len())]);
        self.text.push(0);
        self.ends.push(self.text.len());
    }

    /// All changes, in order.
    fn entries(&self) -> impl Iterator<Item = &CStr> {
        let mut begin = 0;
        self.ends.iter().map(move |&end| {
            let entry = &self.text[begin..end];
            begin = end;
            CStr::from_bytes_with_nul(entry).unwrap_or_default()
        })
    }
}

/// An entry, and what stands before its first `=`. Without one, that is all of it: such an entry is none of its name, and
/// such a change removes.
struct Entry<'a> {
    text: &'a CStr,
    name: &'a [u8],
    is_setting: bool,
}

impl<'a> Entry<'a> {
    fn of(text: &'a CStr) -> Self {
        let bytes = text.to_bytes();
        let end = bytes.iter().position(|&byte| byte == b'=');
        Self {
            text,
            name: &bytes[..end.unwrap_or(bytes.len())],
            is_setting: end.is_some(),
        }
    }

    /// A number below 64, by which most names differ.
    fn mark(&self) -> u32 {
        let first = self.name.first().map_or(0, |&byte| usize::from(byte));
        // Less than 64.
        u32::try_from((8 * first + self.name.len()) % 64).unwrap_or_default()
    }
}

/// Where the one entry of each name is that is to be changed, once there is one.
struct Places<'a> {
    /// In the order of the names' lengths, which tell most of them apart, and then of their bytes.
    names: Vec<(&'a [u8], Option<usize>)>,
    /// A bit for each of their [marks](Entry::mark).
    marks: u64,
}

impl<'a> Places<'a> {
    fn of(changes: &[Entry<'a>]) -> Self {
        let names = changes.iter().map(|change| (change.name, None));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable_by_key(|&(name, _)| (name.len(), name));
        names.dedup_by_key(|&mut (name, _)| name);
        let marks = changes.iter().map(|change| 1 << change.mark());
        let marks = marks.fold(0, |all, mark| all | mark);
        Self { names, marks }
    }

    /// False when nothing with this mark is to be changed.
    fn have(&self, mark: u32) -> bool {
        self.marks >> mark & 1 == 1
    }

    /// The place of what has `name`, if that is to be changed.
    fn find_name(&mut self, name: &[u8]) -> Option<&mut Option<usize>> {
        let key = (name.len(), name);
        let at = self
            .names
            .binary_search_by_key(&key, |&(name, _)| (name.len(), name));
        Some(&mut self.names[at.ok()?].1)
    }

    /// The place of `entry`, if that is to be changed.
    fn find(&mut self, entry: &Entry<'_>) -> Option<&mut Option<usize>> {
        entry.is_setting.then(|| self.find_name(entry.name))?
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::{Changes, Entries};
    use crate::sys::exec::c_string;

    fn changed(inherited: &[&str], make: impl FnOnce(&mut Changes)) -> Vec<String> {
        let inherited: Entries = inherited
            .iter()
            .map(|entry| c_string(entry.as_bytes()))
            .collect();
        let mut changes = Changes::default();
        make(&mut changes);
        let text = |entry: &CStr| entry.to_str().unwrap().to_owned();
        let marked = inherited.into();
        let applied = changes.apply(&marked);
        applied.into_iter().map(text).collect()
    }

    #[test]
    fn last_entry_takes_the_place_of_a_removed_one() {
        let entries = changed(&["A=1", "B=2", "C=3"], |changes| {
            changes.set(&["A"], b"4");
            changes.set_if_known(&["B"], None);
        });
        assert_eq!(entries, ["C=3", "A=4"]);
    }

    #[test]
    fn every_copy_of_a_name_is_removed_and_others_stay_untouched() {
        let inherited = ["AB=1", "A", "A=1", "B=1", "A=2", "B=2", "=x", "A=3"];
        let entries = changed(&inherited, |changes| changes.set(&["A"], b""));
        assert_eq!(entries, ["AB=1", "A", "=x", "B=1", "B=2", "A="]);
        let entries = changed(&inherited, |changes| changes.set_if_known(&["A"], None));
        assert_eq!(entries, ["AB=1", "A", "=x", "B=1", "B=2"]);
    }

    #[test]
    fn last_of_several_changes_counts() {
        let entries = changed(&["A=1", "B=1", "C=1"], |changes| {
            changes.set(&["A"], b"2");
            changes.set(&["B"], b"2");
            changes.set_if_known(&["A"], None);
            changes.set(&["B"], b"3");
            changes.set(&["A"], b"4");
        });
        assert_eq!(entries, ["C=1", "B=3", "A=4"]);
    }

    #[test]
    fn entry_without_a_value_has_no_name_when_it_moves_either() {
        let entries = changed(&["B=1", "A=1", "B"], |changes| {
            changes.set(&["A"], b"2");
            changes.set(&["B"], b"3");
            changes.set(&["A"], b"4");
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
        assert_eq!(
            changed(&[], |changes| changes.set(&["A"], b"x\0B=y")),
            ["A=x"]
        );
    }
}
