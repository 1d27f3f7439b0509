//! `1.2.3.37-53` is one record for each number.

use super::compile;
use crate::support::book::Book;

const RANGES: &[(&str, &[u8])] = &[
    ("last_number", b"1.2.3.37-40:deny\n"),
    ("prefix_with_its_dot", b"10.2-3.:deny\n"),
    ("number_in_the_middle", b"1.2-3.4:deny\n"),
    ("only_the_first_of_two", b"1-2.3-4.:deny\n"),
    ("high_end_stops_at_255", b"1.2.3.254-300:deny\n"),
    (
        "high_end_may_overflow_a_machine_word",
        b"1.2.3.254-99999999999:deny\n",
    ),
    ("leading_zeros_vanish", b"1.2.3.007-8:deny\n"),
    ("missing_low_end_is_0", b"1.2.3.-2:deny\n"),
    ("missing_high_end_makes_nothing", b"1.2.3.4-:deny\n"),
    ("reversed_makes_nothing", b"1.2.3.9-5:deny\n"),
    ("missing_low_end_at_the_start", b"-3:deny\n"),
    ("alone", b"250-260:deny\n"),
    ("lone_dash_is_0", b"-:deny\n"),
    ("of_one_number", b"1.2.3.4-4:deny\n"),
    ("low_end_above_255_makes_nothing", b"1.2.3.256-300:deny\n"),
    ("rest_after_the_high_end_is_kept", b"1.2.3.4-5.6.7:deny\n"),
    (
        "carries_its_settings_into_every_record",
        b"1.2.3.1-2:deny,X=\"y\"\n",
    ),
];

pub(crate) fn fill(book: &mut Book) {
    for (label, rules) in RANGES {
        book.add(format!("range_{label}"), move |s| compile(s, rules));
    }
    book.add("range_of_all_numbers", |s| {
        compile(s, b"10.0-255.:deny,A=\"b\"\n")
    });
}
