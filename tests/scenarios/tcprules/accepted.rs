//! Lines that make records, and lines that make none.

use super::compile;
use crate::support::book::Book;

const MAKE_RECORDS: &[(&str, &[u8])] = &[
    ("bare_allow_has_no_data", b"1.2.3.4:allow\n"),
    ("deny_is_one_item", b"1.2.3.4:deny\n"),
    ("deny_comes_before_its_settings", b"1.2.3.4:deny,X=\"y\"\n"),
    ("settings_follow_in_order", b"1.2.3.4:allow,X=\"a\",Y=/b c/  \t\n"),
    ("one_variable_may_be_set_twice", b"1.2.3.4:allow,X=\"a\",X=\"b\"\n"),
    ("value_may_be_empty", b"1.2.3.4:allow,X=\"\"\n"),
    ("name_may_be_empty", b"1.2.3.4:allow,=\"v\"\n"),
    ("name_runs_up_to_the_equal_sign", b"1.2.3.4:allow,X,Y z\"=\"v\"\n"),
    ("any_byte_quotes_a_value", b"1.2.3.4:allow,X=xvaluex\n"),
    ("a_comma_quotes_a_value", b"1.2.3.4:allow,X=,value,,Y=:v:\n"),
    ("an_equal_sign_quotes_a_value", b"1.2.3.4:allow,X==value=\n"),
    ("a_blank_quotes_a_value", b"1.2.3.4:allow,X= a ,Y=\"b\"\n"),
    ("a_high_byte_quotes_a_value", b"1.2.3.4:allow,X=\xffvalue\xff\n"),
    ("value_may_look_like_a_rule", b"1.2.3.4:allow,X=\"a:deny,b#c\"\n"),
    ("value_may_hold_any_byte", b"1.2.3.4:allow,X=\"\x01\t\r\x7f\x80\xff'\\\"\n"),
    ("last_line_needs_no_line_feed", b"1.2.3.4:deny\n5.6.7.8:allow"),
    ("blanks_at_the_end_are_dropped", b"1.2.3.4:deny \t \t\n"),
    ("prefixes_hosts_users_and_the_empty_address_are_keys_as_they_stand",
     b"10.:deny\n10.1.:deny\n=a.b:deny\n=.b:deny\n=:deny\njoe@1.2.3.4:deny\njoe@=a.b:deny\n:deny\n"),
    ("upper_case_is_kept", b"=Host.Example:allow\nJoe@1.2.3.4:allow\n"),
    ("useless_addresses_are_stored_too", b"1.2.3:allow\n01.2.3.4:allow\n300.1.2.3:allow\nhost.name:allow\n"),
    ("a_dash_in_a_host_or_user_is_no_range", b"joe@1.2.3.4-5:deny\njoe-x@1.2.3.4:deny\n=host-a.x:deny\n"),
    ("blanks_around_the_address_belong_to_the_key", b" 1.2.3.4:allow\n1.2.3.4 :allow\n\t:allow\n"),
    ("address_may_hold_any_byte_but_a_colon", b"a#b,c\"\x01\x80\xff:allow\n"),
    ("equal_addresses_are_all_stored", b"1.2.3.4:allow,X=\"1\"\n1.2.3.4:deny\n1.2.3.4:allow\n"),
    ("keys_of_one_hash_table_are_probed_in_order", b"a:allow\nq:deny\na:deny\n=a:allow\n=q:deny\n"),
    ("worked_example_of_the_manual_layout", b"1.2.3.4:allow\n10.:deny\n=.x.org:allow,V=\"a\"\n:deny\n"),
];

const MAKE_NOTHING: &[(&str, &[u8])] = &[
    ("empty_input_makes_an_empty_database", b""),
    (
        "a_hash_in_the_first_column_makes_a_comment",
        b"#1.2.3.4:deny\n#\n# bad : line\n",
    ),
    ("empty_lines_are_skipped", b"\n\n\n"),
    ("lines_of_blanks_are_skipped", b"   \n\t\n \t \n"),
    (
        "lines_without_a_colon_are_ignored",
        b"allow\n1.2.3.4\n # indented\n1.2.3.4,allow\n",
    ),
    ("one_line_feed_makes_an_empty_database", b"\n"),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, rules) in MAKE_RECORDS.iter().chain(MAKE_NOTHING) {
        book.add(*name, move |s| compile(s, rules));
    }
    book.add("cidr_prefixes_have_keys_of_their_own", |s| {
        compile(
            s,
            b"10.0.0.0/8:deny\n172.16.0.0/12:deny\n1.2.3.4/32:allow\n",
        );
    })
    .differs("cidr-rules");
    book.add("ipv6_addresses_can_be_written", |s| {
        compile(s, b"2001:db8::1:allow\n");
    })
    .differs("ipv6-rules");
    book.add("ipv6_loopback_can_be_written", |s| {
        compile(s, b"::1:allow\n")
    })
    .differs("ipv6-rules");
    book.add("ipv6_wildcard_can_be_written", |s| {
        compile(s, b":::allow\n")
    })
    .differs("ipv6-rules");
    book.add("ipv6_prefixes_can_be_written", |s| {
        compile(s, b"fe80::/10:deny\n")
    })
    .differs("ipv6-rules");
    book.add("a_user_at_an_ipv6_address_can_be_written", |s| {
        compile(s, b"joe@fe80::1:deny\n")
    })
    .differs("ipv6-rules");
    book.add("host_bits_are_taken_off_with_a_warning", |s| {
        let rules = b"1.2.3.4:allow\n\n10.1.2.3/8:deny\n10.9/8:allow,A=\"b\"\n2001:db8::1/32:deny\n0.0.0.1/0:deny";
        compile(s, rules);
    })
    .differs("cidr-rules");
    for name in [
        "MAXCONNIP",
        "MAXCONIP",
        "MAXPERIP",
        "MAXCONNC",
        "MAXRATE",
        "MAXLOAD",
        "DIEMSG",
    ] {
        book.add(
            format!("{}_is_a_variable_and_no_limit", name.to_ascii_lowercase()),
            move |s| {
                let rules = format!("1.2.3.4:allow,A=\"b\",{name}=\"1\"\n:allow,{name}=\"2\"\n");
                compile(s, rules.as_bytes());
            },
        )
        .adds("limits-variables", "tcprules: warning: line 1, column ");
    }
}
