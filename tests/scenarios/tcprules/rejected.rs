//! Lines that are refused: one sentence, status 100, and the old database stays whole.

use crate::support::book::Book;
use crate::support::scene::Scene;

const LINES: &[(&str, &[u8])] = &[
    ("setting_without_equal_sign", b"1.2.3.4:allow,X\n"),
    ("setting_without_quote", b"1.2.3.4:allow,X=\n"),
    ("setting_without_closing_quote", b"1.2.3.4:allow,X=\"a\n"),
    (
        "setting_whose_quote_was_a_blank_at_the_end",
        b"1.2.3.4:allow,X= a \n",
    ),
    ("bytes_after_a_setting", b"1.2.3.4:allow,X=\"a\"z\n"),
    (
        "blank_between_settings",
        b"1.2.3.4:allow,X=\"a\" ,Y=\"b\"\n",
    ),
    ("lone_comma", b"1.2.3.4:allow,\n"),
    ("comma_at_the_end", b"1.2.3.4:allow,X=\"a\",\n"),
    ("blank_before_the_comma", b"1.2.3.4:allow ,X=\"a\"\n"),
    ("plus_in_place_of_a_comma", b"1.2.3.4:allow+X=\"y\"\n"),
    ("unknown_action", b"1.2.3.4:foo\n"),
    ("action_with_a_tail", b"1.2.3.4:denyx\n"),
    ("two_actions", b"1.2.3.4:allowdeny\n"),
    ("action_in_upper_case", b"1.2.3.4:ALLOW\n"),
    ("action_cut_short", b"1.2.3.4:allo\n"),
    ("blank_before_the_action", b"1.2.3.4: allow\n"),
    ("missing_action", b"1.2.3.4:\n"),
    ("missing_action_and_address", b":\n"),
    ("missing_action_with_blanks", b"1.2.3.4:  \n"),
    ("second_colon", b"1.2.3.4:x:allow\n"),
    ("colon_in_a_host", b"=a:b:allow\n"),
    ("action_within_the_address", b"a:denyb:allow\n"),
    ("colon_in_an_indented_comment", b" # note: well\n"),
    ("carriage_return_at_the_end", b"1.2.3.4:allow\r\n"),
    ("letters_in_a_range", b"1.2.3.a-b:allow\n"),
    ("letters_after_a_range", b"host-a:allow\n"),
    ("letters_before_a_range", b"a-5:allow\n"),
    ("range_with_three_ends", b"1.2.3.4-5-6:allow\n"),
    ("blank_in_a_range", b"1.2.3.4-5 :allow\n"),
];

pub(crate) fn fill(book: &mut Book) {
    for (label, line) in LINES {
        book.add(format!("refuses_{label}"), move |s| refuse(s, line))
            .adds("parse-position", "tcprules: line ");
    }
    book.add("refuses_the_first_bad_line_only", |s| {
        refuse(s, b"# one\n\n1.2.3.4:allow\n5.6.7.8:foo\n9.9.9.9:bar\n");
    })
    .adds("parse-position", "tcprules: line ");
    book.add("refuses_a_bad_last_line_without_line_feed", |s| {
        refuse(s, b"1.2.3.4:allow\n1.2.3.4:bad")
    })
    .adds("parse-position", "tcprules: line ");
    book.add("refuses_a_long_line_in_full", |s| {
        refuse(s, format!("1.2.3.4:foo{}\n", "x".repeat(3000)).as_bytes());
    })
    .adds("parse-position", "tcprules: line ");
    book.add("refused_line_is_shown_without_its_trailing_blanks", |s| {
        refuse(s, b"1.2.3.4:foo \t \n")
    })
    .adds("parse-position", "tcprules: line ");
    book.add("refused_line_is_shown_up_to_a_nul", |s| {
        refuse(s, b"1.2.3.4:foo\0bar\n")
    })
    .differs("nul-in-rules");
    book.add("refuses_a_nul_in_a_value", |s| {
        refuse(s, b"1.2.3.4:allow,X=\"a\0D\"\n")
    })
    .differs("nul-in-rules");
    book.add("refuses_a_nul_in_a_name", |s| {
        refuse(s, b"1.2.3.4:allow,X\0Y=\"a\"\n")
    })
    .differs("nul-in-rules");
    book.add("refuses_a_lone_pair_of_colons", |s| refuse(s, b"::allow\n"))
        .adds("parse-position", "tcprules: line ");
}

/// An older database must survive.
fn refuse(s: &mut Scene, rules: &[u8]) {
    s.write("rules.cdb", "an older database");
    s.run(s.program(["rules.cdb", "rules.tmp"]).input(rules));
    s.show_file("rules.cdb");
    s.note_leftover("rules.tmp");
}
