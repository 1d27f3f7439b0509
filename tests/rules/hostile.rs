//! Files that promise more than they hold, and more than anybody needs: they cost no memory and little work.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::sys::resource::Resource;
use ucspi_tcp::rules::{Rules, Sets, compile};

use super::{Folder, at};
use crate::support::cdb;
use crate::support::launch::Launch;
use crate::support::process::describe;
use crate::support::programs::Programs;

/// What one record may hold.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Enough to start, and much less than what the files of these tests promise.
const ADDRESS_SPACE: u64 = 40 << 20;

/// What tcprulescheck says of `file` when it has little memory.
fn asked(folder: &Folder, file: &str) -> (String, String) {
    let programs = Programs::subject();
    let launch = Launch::new(
        programs.path("tcprulescheck"),
        "tcprulescheck",
        [file, "127.0.0.1"],
    );
    let launch = launch.limit(Resource::RLIMIT_AS, ADDRESS_SPACE);
    let outcome = launch.spawn(&folder.0).expect("it is there").outcome();
    let said = [outcome.stdout, outcome.stderr].concat();
    (
        describe(outcome.status),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn is_refused(folder: &Folder, file: &str) {
    let said = format!("tcprulescheck: fatal: unable to read {file}: protocol error\n");
    assert_eq!(asked(folder, file), ("exit: 111".to_owned(), said));
}

/// A file of `bytes`, most of which are holes, whose header promises `slots` for the empty key at `position`.
fn sparse(path: &Path, bytes: u64, position: u32, slots: u32) -> File {
    let file = File::create_new(path).expect("the folder is ours");
    file.set_len(bytes).expect("holes take no room");
    let entry = [position.to_le_bytes(), slots.to_le_bytes()].concat();
    // 5381, the hash of the empty key, ends in 5.
    file.write_all_at(&entry, 5 * 8).expect("there is room");
    file
}

#[test]
fn header_that_promises_forty_million_slots_costs_no_memory() {
    let folder = Folder::new();
    const SLOTS: u32 = 40_000_000;
    let bytes = 2048 + 8 * u64::from(SLOTS);
    sparse(&folder.path("holes"), bytes, 2048, SLOTS);
    is_refused(&folder, "holes");
}

#[test]
fn holes_are_not_taken_for_records_without_end() {
    let folder = Folder::new();
    // Half of it would be records of nothing, the other half free slots.
    let bytes = u64::from(u32::MAX);
    sparse(&folder.path("holes"), bytes, 1 << 31, 1 << 20);
    is_refused(&folder, "holes");
}

#[test]
fn record_of_sixty_megabytes_costs_no_memory() {
    let folder = Folder::new();
    let value = vec![b'v'; 60 << 20];
    let data = [b"+A=", &value[..], b"\0"].concat();
    fs::write(folder.path("large"), cdb::file(&[(b"127.0.0.1", &data)])).expect("there is room");
    is_refused(&folder, "large");
}

#[test]
fn record_may_have_a_mebibyte_and_no_byte_more() {
    let folder = Folder::new();
    let value = RECORD_BYTES_MAX - "127.0.0.1+A=\0".len();
    for (length, is_right) in [(value, true), (value + 1, false)] {
        let data = [b"+A=", &vec![b'v'; length][..], b"\0"].concat();
        fs::write(folder.path("made"), cdb::file(&[(b"127.0.0.1", &data)])).expect("there is room");
        let (status, _) = asked(&folder, "made");
        assert_eq!(status == "exit: 0", is_right, "{length}: {status}");

        let line = format!("# first\n127.0.0.1:allow,A=\"{}\"\n", "v".repeat(length));
        let (cdb, tmp) = (folder.path("cdb"), folder.path("tmp"));
        let name = |path: &Path| path.to_string_lossy().into_owned().into_bytes();
        let made = compile(
            line.as_bytes(),
            &Sets::default(),
            &name(&cdb),
            &name(&tmp),
            |_| {},
        );
        assert_eq!(made.is_ok(), is_right, "{length}");
        if let Err(error) = made {
            assert_eq!(error.exit_code(), 100);
        }
    }
}

/// How many bytes this thread has read so far, from files that are in memory, too.
fn bytes_read() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/io").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

#[test]
fn damaged_file_is_looked_through_once() {
    let folder = Folder::new();
    // Larger than what is read into memory when it is opened.
    let records: Vec<_> = (0..20_000).map(|number| format!("10.{number}")).collect();
    let records: Vec<(&[u8], &[u8])> = records
        .iter()
        .map(|key| (key.as_bytes(), &b""[..]))
        .collect();
    let mut file = cdb::file(&records);
    let last = file.len() - 1;
    file[last] ^= 1;
    let path = folder.path("damaged");
    fs::write(&path, &file).expect("there is room");
    let mut rules = Rules::new(path.clone(), false);
    let mut cost = || {
        let before = bytes_read()?;
        assert!(rules.verdict(at("127.0.0.1")).is_err());
        // What reading the number itself costs counts, too.
        Some(bytes_read()? - before)
    };
    let Some(first) = cost() else {
        // A kernel that does not count.
        return;
    };
    assert!(first > 100_000, "{first}");
    for _ in 0..10 {
        let again = cost().expect("it counted before");
        assert!(again < 10_000, "{again}");
    }
    // A new version is looked at.
    file[last] ^= 1;
    fs::write(&path, &file).expect("there is room");
    assert!(rules.verdict(at("127.0.0.1")).is_ok());
}

/// The hash of the format, of what had the hash so far and these bytes behind it.
fn hash_on(so_far: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(so_far, |hash, &byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    })
}

/// 4096 keys of one hash: twelve places, at each of which two words lead from one hash to the same next one.
fn colliding() -> Vec<Vec<u8>> {
    let mut hash = 5381;
    let mut keys = vec![Vec::new()];
    for _ in 0..12 {
        let mut seen = HashMap::new();
        let letters = || b'!'..=b'~';
        let mut words = letters().flat_map(|a| letters().map(move |b| [a, b]));
        let pair = words.find_map(|word| {
            let other = seen.insert(hash_on(hash, &word), word)?;
            Some([other, word])
        });
        let pair = pair.expect("two of nearly nine thousand meet");
        hash = hash_on(hash, &pair[0]);
        let longer = |key: &Vec<u8>| pair.map(|word| [&key[..], &word].concat());
        keys = keys.iter().flat_map(longer).collect();
    }
    assert!(keys.iter().all(|key| hash_on(5381, key) == hash));
    keys
}

/// Slots that lead to other keys of the same hash: no chance makes so many.
#[test]
fn keys_made_to_collide_cost_a_bounded_number_of_reads() {
    let folder = Folder::new();
    let keys = colliding();
    let (last, others) = keys.split_last().expect("there are many");
    let records: Vec<(&[u8], &[u8])> = others.iter().map(|key| (&key[..], &b""[..])).collect();
    let path = folder.path("collisions");
    fs::write(&path, cdb::file(&records)).expect("there is room");
    let mut rules = Rules::new(path, false);
    let mut verdict = |ip: &[u8]| {
        let peer = ucspi_tcp::rules::Peer {
            ip,
            host: None,
            info: None,
        };
        rules.verdict(peer).is_ok()
    };
    assert!(verdict(&others[0]));
    assert!(!verdict(last));
    assert!(verdict(b"127.0.0.1"));
}
