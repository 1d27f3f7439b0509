//! Known answers: what the three originals wrote and found when they were watched.

use super::{Folder, at, found, setting};
use crate::support::cdb;
use ucspi_tcp::rules::Reader;

/// What a file holds from byte 2048 on, in the way of hexdump.
fn dumped(dump: &str) -> Vec<u8> {
    let digits: String = dump.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn file_of_all_three_originals_is_written_to_the_byte() {
    let file = Folder::new().compiled("1.2.3.4:allow\n10.:deny\n=.x.org:allow,V=\"a\"\n:deny\n");
    assert_eq!(file.len(), 2170);
    let records = dumped(
        "0700 0000 0000 0000 312e 322e 332e 3403
         0000 0002 0000 0031 302e 4400 0700 0000
         0500 0000 3d2e 782e 6f72 672b 563d 6100
         0000 0000 0200 0000 4400 0000 0000 0000
         0000 0515 0000 3008 0000 8a6c 860b 0f08
         0000 0000 0000 0000 0000 cffa 4c3c 0008
         0000 0000 0000 0000 0000 0000 0000 0000
         0000 dad1 b359 1c08 0000",
    );
    assert_eq!(file[2048..], records);
    assert_eq!(
        file[0x28..0x38],
        dumped("3a08 0000 0200 0000 4a08 0000 0000 0000")
    );
}

#[test]
fn file_of_ucspi_tcp6_is_written_to_the_byte() {
    let file = Folder::new()
        .compiled("10.0.0.0/8:deny\nfe80::/10:deny\n2001:db8::1:allow\njoe@::1:allow,U=\"j\"\n");
    let records = dumped(
        "0900 0000 0200 0000 5f30 3030 3065 3067
         3044 000b 0000 0002 0000 005e 6061 6263
         6465 6630 6730 4400 2700 0000 0000 0000
         3230 3031 3a30 4442 383a 3030 3030 3a30
         3030 303a 3030 3030 3a30 3030 303a 3030
         3030 3a30 3030 312b 0000 0005 0000 006a
         6f65 4030 3030 303a 3030 3030 3a30 3030
         303a 3030 3030 3a30 3030 303a 3030 3030
         3a30 3030 303a 3030 3031 2b55 3d6a 001b
         983b 4f13 0800 0000 0000 0000 0000 0000
         0000 0000 0000 005e e576 7c57 0800 00b3
         0490 0228 0800 0000 0000 0000 0000 00b8
         f481 5500 0800 0000 0000 0000 0000 00",
    );
    assert_eq!(file[2048..], records);
}

#[test]
fn keys_are_those_that_ucspi_tcp6_was_seen_to_write() {
    let folder = Folder::new();
    for (address, key) in [
        ("10.0.0.0/8", "_0000e0g0".to_owned()),
        ("10/8", "_0000e0g0".to_owned()),
        ("127./8", "_0bcdefgh".to_owned()),
        ("172.16.0.0/12", "_a0c0ef00000l".to_owned()),
        ("1.2.3.4/32", "_0000000h000000o0000000wx00000400".to_owned()),
        ("128.0.0.0/1", "_a".to_owned()),
        ("0.0.0.0/8", "_00000000".to_owned()),
        ("fe80::/10", "^`abcdef0g0".to_owned()),
        ("::/1", "^0".to_owned()),
        (
            "2001:db8::1/128",
            format!("^00`000000000000a0000bc0de0fgh{}i", "0".repeat(98)),
        ),
        (
            "::ffff:0:0/96",
            format!("^{}`abcdefghijklmno", "0".repeat(80)),
        ),
        (
            "2001:DB8:0:0::5",
            "2001:0DB8:0000:0000:0000:0000:0000:0005".to_owned(),
        ),
        (
            "joe@fe80::1",
            "joe@FE80:0000:0000:0000:0000:0000:0000:0001".to_owned(),
        ),
    ] {
        let file = folder.compiled(&format!("{address}:deny"));
        assert_eq!(file, cdb::file(&[(key.as_bytes(), b"D\0")]), "{address}");
    }
}

#[test]
fn key_of_all_ones_counts_beyond_the_letters() {
    let file = Folder::new().compiled("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128:deny");
    let key: Vec<u8> = [b'^'].into_iter().chain(0x60..=0xdf).collect();
    assert_eq!(file, cdb::file(&[(&key, b"D\0")]));
}

#[test]
fn no_rules_are_the_empty_database() {
    let file = Folder::new().compiled("");
    assert_eq!(file, [[0, 8, 0, 0, 0, 0, 0, 0]; 256].concat());
}

#[test]
fn prefixes_that_ucspi_tcp6_refuses_or_never_finds_are_found() {
    let folder = Folder::new();
    let reader = folder.reader("128.0.0.0/1:allow,N=\"1\"\n0.0.0.0/0:allow,N=\"0\"\n");
    assert_eq!(setting(&reader, at("200.1.1.1")).as_deref(), Some("N=1"));
    assert_eq!(setting(&reader, at("100.1.1.1")).as_deref(), Some("N=0"));
    assert_eq!(setting(&reader, at("::1")), None);
    let reader = folder.reader("::/1:allow,N=\"1\"\n::/0:allow,N=\"0\"\n");
    assert_eq!(setting(&reader, at("2001::1")).as_deref(), Some("N=1"));
    assert_eq!(setting(&reader, at("fe80::1")).as_deref(), Some("N=0"));
    assert_eq!(setting(&reader, at("1.2.3.4")).as_deref(), Some("N=1"));
}

#[test]
fn longer_prefix_wins_whatever_its_form() {
    let folder = Folder::new();
    // ucspi-tcp6 lets the dotted form win here, in spite of its manual.
    let reader = folder.reader("10.:allow,N=\"8\"\n10.1.0.0/16:allow,N=\"16\"\n");
    assert_eq!(setting(&reader, at("10.1.2.3")).as_deref(), Some("N=16"));
    assert_eq!(setting(&reader, at("10.2.2.3")).as_deref(), Some("N=8"));
    let reader = folder.reader("10.0.0.0/8:allow,N=\"net\"\n10.:allow,N=\"dotted\"\n");
    assert_eq!(
        setting(&reader, at("10.1.2.3")).as_deref(),
        Some("N=dotted")
    );
}

/// Key, data.
type Record<'a> = (&'a [u8], &'a [u8]);

fn reader_of(records: &[Record<'_>]) -> (Folder, Reader) {
    let folder = Folder::new();
    let path = folder.path("made.cdb");
    std::fs::write(&path, cdb::file(records)).expect("the folder is ours");
    let reader = Reader::open(&path).expect("it was just written");
    (folder, reader)
}

#[test]
fn text_of_the_ipv6_patch_takes_its_place_by_length() {
    let exact = b"2001:0DB8:0000:0000:0000:0000:0000:0001";
    let net_48 = super::written::v6_key("2001:db8::".parse().expect("an address"), 48);
    let order: [Record<'_>; 7] = [
        (exact, b"+N=1\0"),
        (b"2001:db8::1", b"+N=2\0"),
        (b"2001:db8::", b"+N=3\0"),
        (&net_48, b"+N=4\0"),
        (b"2001:db8:", b"+N=5\0"),
        (b"2001:", b"+N=6\0"),
        (b"", b"+N=7\0"),
    ];
    for first in 0..order.len() {
        // The worst first: only the order of look-up decides.
        let left: Vec<Record<'_>> = order[first..].iter().rev().copied().collect();
        let (_folder, reader) = reader_of(&left);
        let wanted = format!("N={}", first + 1);
        assert_eq!(setting(&reader, at("2001:DB8:0::1")), Some(wanted));
    }
}

#[test]
fn rules_for_mapped_addresses_are_found_for_ipv4_in_every_form() {
    let mapped = b"0000:0000:0000:0000:0000:FFFF:0A00:0001";
    for key in [
        &mapped[..],
        b"::ffff:10.0.0.1",
        b"::ffff:10.0.0.",
        b"::ffff:10.",
        b"10.0.0.1",
        b"10.",
    ] {
        let (_folder, reader) = reader_of(&[(key, b"D\0")]);
        for ip in [
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "::FFFF:A00:1",
            "0:0:0:0:0:ffff:10.0.0.1",
        ] {
            let data = found(&reader, at(ip));
            assert_eq!(
                data.as_deref(),
                Some(&b"D\0"[..]),
                "{ip} {}",
                key.escape_ascii()
            );
        }
    }
}

#[test]
fn first_of_two_equal_keys_counts() {
    let reader = Folder::new()
        .reader("::1:allow,N=\"1\"\n0:0::1:deny\n10/8:allow,N=\"2\"\n10.0.0.0/8:deny\n");
    assert_eq!(setting(&reader, at("::1")).as_deref(), Some("N=1"));
    assert_eq!(setting(&reader, at("10.1.1.1")).as_deref(), Some("N=2"));
}
