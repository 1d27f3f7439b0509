//! Damaged and hostile databases: a look-up ends, and it finds what another reader finds, or it is an error. A server
//! drops the connection then, and lives on.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::mpsc;

use nix::sys::signal::Signal;
use ucspi_tcp::rules::{Instruction, Lengths, Rules, instructions, search};

use super::dice::Dice;
use super::{Folder, at, reader};
use crate::support::deadline;
use crate::support::launch::Launch;
use crate::support::programs::Programs;

/// Denies the peer of these tests, and holds a record of each kind.
const RULES: &str = "127.0.0.1:deny\n10.:allow,A=\"1\"\n127.0.0.0/8:deny\n2001:db8::1:deny\n\
    =.example.org:deny\njoe@127.0.0.1:allow\nfe80::/10:deny\n:deny,B=\"2\"\n";

/// What becomes of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Served,
    Denied,
    Dropped,
}

/// What becomes of the peer 127.0.0.1 with the rules in `file`, after the other reader.
fn fate(file: &[u8]) -> Fate {
    let Ok(keys) = reader::keys(file) else {
        return Fate::Dropped;
    };
    let hit = search(at("127.0.0.1"), &Lengths::ALL, |key| {
        // Prefixes of which there is no record are not tried: what damage would be met is not.
        let is_alike = |other: &&&[u8]| other.len() == key.bytes.len() && other[0] == key.bytes[0];
        if matches!(*key.bytes, [b'_' | b'^', ..]) && !keys.iter().any(|other| is_alike(&other)) {
            return ControlFlow::Continue(());
        }
        let found = reader::find(file, &key.bytes).transpose();
        found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    });
    match hit.break_value() {
        Some(Err(reader::Damaged)) => Fate::Dropped,
        Some(Ok(data)) if !is_whole(data) => Fate::Dropped,
        Some(Ok(data)) if instructions(data).any(|item| item == Instruction::Deny) => Fate::Denied,
        _ => Fate::Served,
    }
}

/// Whether `data` is what a compiler writes: denies and settings, each ended by a NUL.
fn is_whole(data: &[u8]) -> bool {
    let mut items = data.split(|byte| *byte == 0);
    items.next_back() == Some(b"") && items.all(|item| matches!(item, [b'D' | b'+', ..]))
}

/// What becomes of it with us.
fn our_fate(folder: &Folder, file: &[u8]) -> Fate {
    let path = folder.path("damaged.cdb");
    fs::write(&path, file).expect("the folder is ours");
    match Rules::new(path, false).verdict(at("127.0.0.1")) {
        Err(_) => Fate::Dropped,
        Ok(verdict) if verdict.deny => Fate::Denied,
        Ok(_) => Fate::Served,
    }
}

/// `whole`, cut at each place where something ends or begins, and one byte to both sides of it.
fn cut(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut ends = vec![0, 8, 1024, 2048, whole.len()];
    let mut record = 2048;
    while record < whole.len() {
        ends.push(record);
        let number = |at: usize| {
            let bytes = whole[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes) as usize
        };
        if record + 8 > whole.len() || number(record) + number(record + 4) > whole.len() {
            break;
        }
        ends.push(record + 8);
        record += 8 + number(record) + number(record + 4);
    }
    ends.extend((2048..whole.len()).step_by(8));
    let near = |end: usize| end.saturating_sub(1)..=(end + 1).min(whole.len());
    let mut ends: Vec<usize> = ends.into_iter().flat_map(near).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.retain(|&end| end < whole.len());
    ends.into_iter().map(|end| whole[..end].to_vec()).collect()
}

/// `whole` with one to four bytes changed.
fn flipped(whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut file = whole.to_vec();
    for _ in 0..1 + dice.below(4) {
        // The header is large, and what is in it matters less.
        let at = if dice.one_in(3) {
            dice.below(2048)
        } else {
            2048 + dice.below(file.len() - 2048)
        };
        file[at] ^= 1 << dice.below(8);
    }
    file
}

/// `whole` with tables that are anywhere, of any size; some of them plausible.
fn redirected(whole: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut file = whole.to_vec();
    for entry in 0..256 {
        let position = match dice.below(4) {
            0 => dice.number(),
            1 => u64::from(u32::MAX),
            _ => dice.number() % file.len() as u64,
        };
        let slots = match dice.below(4) {
            0 => dice.number(),
            1 => dice.number() % 300,
            _ => dice.number() % 4,
        };
        file[entry * 8..entry * 8 + 4].copy_from_slice(&position.to_le_bytes()[..4]);
        file[entry * 8 + 4..entry * 8 + 8].copy_from_slice(&slots.to_le_bytes()[..4]);
    }
    if dice.one_in(2) {
        // Leaves the records as they are: only the tables lie.
        let end = u32::try_from(record_end(whole)).expect("the file is small");
        for entry in 0..256 {
            let at = entry * 8;
            let position = file[at..at + 4]
                .try_into()
                .map(u32::from_le_bytes)
                .expect("four bytes");
            let position = position.max(end);
            file[at..at + 4].copy_from_slice(&position.to_le_bytes());
        }
        file[..4].copy_from_slice(&end.to_le_bytes());
    }
    file
}

fn record_end(whole: &[u8]) -> usize {
    let first = whole[..4].try_into().expect("four bytes");
    u32::from_le_bytes(first) as usize
}

fn damaged(whole: &[u8], count: usize) -> Vec<Vec<u8>> {
    let dice = &mut Dice::new(42);
    let mut files = cut(whole);
    files.extend((0..count).map(|_| flipped(whole, dice)));
    files.extend((0..count / 3).map(|_| redirected(whole, dice)));
    files
}

#[test]
fn reader_of_a_damaged_file_agrees_with_another_one() {
    let folder = Folder::new();
    let whole = folder.compiled(RULES);
    assert_eq!(fate(&whole), Fate::Denied);
    for file in damaged(&whole, 6000) {
        assert_eq!(
            our_fate(&folder, &file),
            fate(&file),
            "{}",
            file.escape_ascii()
        );
    }
}

#[test]
fn every_file_that_is_cut_short_is_an_error() {
    let folder = Folder::new();
    let whole = folder.compiled(RULES);
    for file in cut(&whole) {
        // Only what stands behind the slot that is looked for may be missed.
        assert_ne!(
            our_fate(&folder, &file),
            Fate::Served,
            "{} bytes",
            file.len()
        );
        if file.len() < record_end(&whole) {
            assert_eq!(
                our_fate(&folder, &file),
                Fate::Dropped,
                "{} bytes",
                file.len()
            );
        }
    }
}

#[test]
fn server_drops_the_connection_when_the_rules_are_damaged_and_lives_on() {
    let folder = Folder::new();
    let whole = folder.compiled(RULES);
    let mut files = damaged(&whole, 240);
    files.push(whole);
    let args = [
        "-1vHRl0",
        "-x",
        "rules.cdb",
        "127.0.0.1",
        "0",
        "echo",
        "served",
    ];
    let launch = Launch::new(Programs::subject().path("tcpserver"), "tcpserver", args);
    let mut server = launch.spawn(&folder.0).expect("it is there");
    let line = server.stdout.as_ref().expect("a pipe").first_line();
    let port: u16 = String::from_utf8_lossy(&line)
        .trim()
        .parse()
        .expect("the port");
    for file in &files {
        fs::write(folder.path("rules.new"), file).expect("the folder is ours");
        fs::rename(folder.path("rules.new"), folder.path("rules.cdb")).expect("the folder is ours");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server lives");
        stream
            .set_read_timeout(Some(deadline()))
            .expect("it is not zero");
        let mut received = Vec::new();
        stream
            .read_to_end(&mut received)
            .expect("the server decides in time");
        let wanted: &[u8] = match fate(file) {
            Fate::Served => b"served\n",
            Fate::Denied | Fate::Dropped => b"",
        };
        assert_eq!(received, wanted, "{}", file.escape_ascii());
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.outcome().stderr;
    let log = String::from_utf8_lossy(&log);
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    let wanted = |wanted: Fate| files.iter().filter(|file| fate(file) == wanted).count();
    let drop = "tcpserver: warning: dropping connection, unable to read rules.cdb: protocol error";
    assert_eq!(count(drop), wanted(Fate::Dropped), "{log}");
    assert_eq!(count("tcpserver: deny "), wanted(Fate::Denied));
    assert_eq!(count("tcpserver: ok "), wanted(Fate::Served));
    assert_eq!(count("warning: "), count(drop));
}

#[test]
fn many_slots_that_lead_to_one_large_record_cost_no_more_than_themselves() {
    const SLOTS: u32 = 50_000;
    const DATA_BYTES: u32 = 4 << 20;
    let key = b"127.0.0.1";
    let hash = key.iter().fold(5381_u32, |hash, &byte| {
        hash.wrapping_mul(33) ^ u32::from(byte)
    });
    // One record with another key of the same length, and a table of nothing but ways to it.
    let mut file = vec![0; 2048];
    let (key_bytes, end) = (9_u32, 2048 + 8 + 9 + DATA_BYTES);
    for part in [
        &key_bytes.to_le_bytes()[..],
        &DATA_BYTES.to_le_bytes(),
        b"127.0.0.2",
    ] {
        file.extend_from_slice(part);
    }
    file.resize(end as usize, 0);
    for _ in 0..SLOTS {
        file.extend_from_slice(&hash.to_le_bytes());
        file.extend_from_slice(&2048_u32.to_le_bytes());
    }
    for entry in file[..2048].as_chunks_mut::<8>().0 {
        entry[..4].copy_from_slice(&end.to_le_bytes());
        entry[4..].copy_from_slice(&SLOTS.to_le_bytes());
    }
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(our_fate(&Folder::new(), &file)));
    assert_eq!(told.recv_timeout(deadline()), Ok(Fate::Dropped));
}

/// A file has no check sums, but every record must be found where its key leads, and hold what a compiler writes.
#[test]
fn no_wrong_bit_lets_anybody_in() {
    let folder = Folder::new();
    let whole = folder.compiled("127.0.0.1:deny\n10.:allow\n");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut file = whole.clone();
            file[at] ^= 1 << bit;
            assert_ne!(
                our_fate(&folder, &file),
                Fate::Served,
                "bit {bit} of byte {at}"
            );
        }
    }
}
