//! Files that other writers make, or might: the format leaves to them how large tables are and what an empty one is.

use std::fs;

use ucspi_tcp::rules::{Rules, Verdict};

use super::dice::Dice;
use super::written::{About, Rule};
use super::{Folder, at};
use crate::support::cdb;

/// What the rules in `file` say about `ip`.
fn verdict(folder: &Folder, file: &[u8], ip: &str) -> Option<Verdict> {
    let path = folder.path("other.cdb");
    fs::write(&path, file).expect("the folder is ours");
    Rules::new(path, false).verdict(at(ip)).ok()
}

/// How many slots a table has for so many entries.
type Slots = fn(usize) -> usize;

#[test]
fn table_may_be_of_any_size_that_holds_its_entries() {
    let folder = Folder::new();
    let sizes: [(&str, Slots); 7] = [
        ("as many slots as entries", |entries| entries),
        ("one more", |entries| entries + 1),
        ("three for each", |entries| 3 * entries),
        ("a power of two", |entries| {
            (2 * entries).next_power_of_two()
        }),
        ("ten for each, at least ten", |entries| 10 * entries.max(1)),
        ("always 256", |_| 256),
        ("always 4096", |_| 4096),
    ];
    for seed in 0..100 {
        let dice = &mut Dice::new(0xcdb + seed);
        let rules: Vec<Rule> = (0..1 + dice.below(40))
            .map(|_| Rule::any(About::any_old(dice), dice))
            .collect();
        let records: Vec<(Vec<u8>, Vec<u8>)> = rules
            .iter()
            .flat_map(|rule| rule.about.keys().into_iter().map(|key| (key, rule.data())))
            .collect();
        let records: Vec<(&[u8], &[u8])> = records.iter().map(|(k, d)| (&k[..], &d[..])).collect();
        let usual = cdb::file(&records);
        let ip = dice.ipv4().to_string();
        let wanted = verdict(&folder, &usual, &ip);
        assert!(wanted.is_some());
        let (name, slots) = sizes[dice.below(sizes.len())];
        let file = cdb::file_with(&records, slots);
        assert_eq!(verdict(&folder, &file, &ip), wanted, "{name}: {records:?}");
    }
}

#[test]
fn empty_table_may_be_anywhere() {
    let folder = Folder::new();
    for place in [0, 1, 2047, 2048, u32::MAX] {
        let mut file = cdb::file(&[(b"10.0.0.1", b"D\0")]);
        for entry in file[..2048].as_chunks_mut::<8>().0 {
            if entry[4..] == [0; 4] {
                entry[..4].copy_from_slice(&place.to_le_bytes());
            }
        }
        let found = |ip| verdict(&folder, &file, ip).map(|verdict| verdict.deny);
        assert_eq!(found("10.0.0.1"), Some(true), "{place}");
        assert_eq!(found("10.0.0.2"), Some(false), "{place}");
    }
}

#[test]
fn tables_may_stand_in_any_order_and_have_room_between_them() {
    let folder = Folder::new();
    let usual = cdb::file(&[(b"10.0.0.1", b"D\0"), (b"10.0.0.2", b""), (b"", b"+A=1\0")]);
    let mut file = usual.clone();
    for entry in file.clone()[..2048].as_chunks::<8>().0.iter().enumerate() {
        let (number, [a, b, c, d, e, f, g, h]) = entry;
        let position = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let slots = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        if slots == 0 {
            continue;
        }
        // The first one stays, because it ends the records; the others go behind, the last one first.
        let is_first = usual[..2048]
            .as_chunks::<8>()
            .0
            .iter()
            .all(|other| other[4..] == [0; 4] || other[..4] >= [*a, *b, *c, *d][..]);
        if !is_first {
            file.extend_from_slice(b"room");
            let place = u32::try_from(file.len()).expect("it is small");
            file.extend_from_slice(&usual[position..position + 8 * slots]);
            file[8 * number..8 * number + 4].copy_from_slice(&place.to_le_bytes());
        }
    }
    assert!(file.len() > usual.len());
    for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        let wanted = verdict(&folder, &usual, ip);
        assert!(wanted.is_some());
        assert_eq!(verdict(&folder, &file, ip), wanted, "{ip}");
    }
}

/// `cdb -c -0` fills a record with zeros when another one takes its place.
#[test]
fn what_tinycdb_has_taken_out_is_passed_over() {
    let folder = Folder::new();
    // The middle one stands for 9 + 2 bytes of key and data, behind which its slots are those of nothing.
    let whole = cdb::file(&[(b"10.0.0.1", b"D\0"), (b"10.0.0.2", b"")]);
    let end = u32::from_le_bytes([whole[0], whole[1], whole[2], whole[3]]) as usize;
    let filler = [&[0, 0, 0, 0, 11, 0, 0, 0][..], &[0; 11]].concat();
    let mut file = [&whole[..end], &filler, &whole[end..]].concat();
    for entry in file[..2048].as_chunks_mut::<8>().0 {
        let [a, b, c, d, ..] = *entry;
        let position = u32::from_le_bytes([a, b, c, d]) + 19;
        entry[..4].copy_from_slice(&position.to_le_bytes());
    }
    let found = |ip| verdict(&folder, &file, ip).map(|verdict| verdict.deny);
    assert_eq!(found("10.0.0.1"), Some(true));
    assert_eq!(found("10.0.0.2"), Some(false));
    assert_eq!(found("10.0.0.3"), Some(false));
}
