//! Inputs larger than any buffer; the databases are compared by hash.

use std::fmt::Write as _;

use super::compile;
use crate::support::book::Book;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("twenty_thousand_rules", |s| {
        let mut rules = String::new();
        for number in 0..20_000 {
            let action = if number % 3 == 0 { "deny" } else { "allow" };
            writeln!(
                rules,
                "10.{}.{}.{}:{action},N=\"{number}\"",
                number / 7 % 256,
                number % 251,
                number % 13
            )
            .expect("a String takes all text");
        }
        quietly(s, rules.as_bytes());
    });
    book.add("value_of_one_hundred_thousand_bytes", |s| {
        quietly(
            s,
            format!("1.2.3.4:allow,X=\"{}\"\n", "v".repeat(100_000)).as_bytes(),
        );
    });
    book.add("address_of_one_hundred_thousand_bytes", |s| {
        quietly(s, format!("={}:deny\n", "a.".repeat(50_000)).as_bytes());
    });
    book.add("five_hundred_settings_in_one_rule", |s| {
        let settings: String = (0..500)
            .map(|number| format!(",V{number}=\"{number}\""))
            .collect();
        quietly(s, format!(":allow{settings}\n").as_bytes());
    });
    book.add("many_equal_keys_share_one_table", |s| {
        quietly(s, "1.2.3.4:allow,X=\"y\"\n".repeat(700).as_bytes());
    });
    book.add("comment_longer_than_a_buffer", |s| {
        compile(
            s,
            format!("#{}\n1.2.3.4:deny\n", "c".repeat(20_000)).as_bytes(),
        );
    });
}

/// Input too long for a transcript comes from a file.
fn quietly(s: &mut Scene, rules: &[u8]) {
    s.write("rules", rules);
    let file = std::fs::File::open(s.path("rules")).expect("it was just written");
    s.show_file("rules");
    s.run(
        s.program(["rules.cdb", "rules.tmp"])
            .stdin(crate::support::launch::Input::File(file)),
    );
    s.show_file("rules.cdb");
}
