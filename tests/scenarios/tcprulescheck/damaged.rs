//! Files that are no rules.

use crate::support::book::Book;
use crate::support::cdb;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("missing_file_is_reported", |s| check(s, "nothing"));
    book.add("file_below_a_file_is_reported", |s| {
        s.write("plain", "");
        check(s, "plain/rules.cdb");
    });
    book.add("name_too_long_is_reported", |s| check(s, &"x".repeat(300)));
    book.add("empty_name_is_reported", |s| check(s, ""));
    book.add("unreadable_file_is_reported", |s| {
        s.rules("rules.cdb", "0.0.0.0:deny\n");
        s.set_mode("rules.cdb", 0o200);
        s.run(s.program(["rules.cdb"]).unprivileged());
    });
    book.add("empty_file_is_reported", |s| {
        s.write("rules.cdb", "");
        check(s, "rules.cdb");
    })
    .differs("empty-cdb");
    book.add("directory_is_reported", |s| {
        s.directory("rules.cdb");
        check(s, "rules.cdb");
    })
    .differs("directory-as-cdb");
    book.add("character_device_is_reported", |s| check(s, "/dev/null"))
        .differs("empty-cdb");
    for length in [1, 100, 2047] {
        book.add(
            format!("file_cut_to_{length}_bytes_is_reported"),
            move |s| {
                let mut file = valid();
                file.truncate(length);
                s.write("rules.cdb", file);
                check(s, "rules.cdb");
            },
        );
    }
    for length in [2048, 2050, 2060, 2070] {
        book.add(
            format!("file_cut_to_{length}_bytes_is_reported_where_the_key_leads_beyond"),
            move |s| {
                let mut file = valid();
                file.truncate(length);
                s.write("rules.cdb", file);
                check(s, "rules.cdb");
            },
        );
    }
    for (name, byte) in [("ones", 0xff), ("text", b'x')] {
        book.add(format!("three_thousand_bytes_of_{name}"), move |s| {
            s.write("rules.cdb", vec![byte; 3000]);
            check(s, "rules.cdb");
        });
    }
    for length in [2048, 3000] {
        book.add(format!("file_of_{length}_zeros_is_no_database"), move |s| {
            s.write("rules.cdb", vec![0; length]);
            check(s, "rules.cdb");
        })
        .differs("damaged-rules");
    }
    book.add("key_length_beyond_the_end_is_reported", |s| {
        let mut file = valid();
        file[2048..2052].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
        s.write("rules.cdb", file);
        check(s, "rules.cdb");
    })
    .differs("damaged-rules");
    book.add("key_with_a_wrong_digit_is_reported", |s| {
        let mut file = valid();
        file[2062] = b'1';
        s.write("rules.cdb", file);
        check(s, "rules.cdb");
    })
    .differs("damaged-rules");
    book.add("data_length_beyond_the_end_is_reported", |s| {
        let mut file = valid();
        file[2052..2056].copy_from_slice(&0x7fff_fff0_u32.to_le_bytes());
        s.write("rules.cdb", file);
        check(s, "rules.cdb");
    });
    book.add("record_position_beyond_the_end_is_reported", |s| {
        let mut file = valid();
        for slot in file[2065..].chunks_exact_mut(8) {
            if slot[4..] != [0; 4] {
                slot[4..].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
            }
        }
        s.write("rules.cdb", file);
        check(s, "rules.cdb");
    });
    book.add("full_table_of_foreign_keys_is_reported", |s| {
        let mut file = valid();
        let filler = file[2065..].to_vec();
        for slot in file[2065..].chunks_exact_mut(8) {
            // Every slot has the right hash and leads to the record, whose key is made another one below.
            let full = filler
                .chunks_exact(8)
                .find(|slot| slot[4..] != [0; 4])
                .expect("one slot is used");
            slot.copy_from_slice(full);
        }
        file[2056] = b'9';
        s.write("rules.cdb", file);
        check(s, "rules.cdb");
    })
    .differs("damaged-rules");
}

/// One rule that denies 0.0.0.0: 2048 bytes of header, 17 of record, 16 of hash table.
fn valid() -> Vec<u8> {
    cdb::file(&[(b"0.0.0.0", b"D\0")])
}

fn check(s: &mut Scene, file: &str) {
    s.run(s.program([file]));
}
