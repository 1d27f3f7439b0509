//! `-u`, `-g`, `-U`: who the program is.

use super::{as_it_is, attempt, listening};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::probe;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("ids_and_groups_are_kept_when_none_is_given", |s| {
        ids(s, &["-1HRl0"], |launch| launch.groups(&[0, 4, 5]))
    })
    .needs_root();
    for (name, options) in [
        ("group_replaces_all_groups", &["-1HRl0", "-g", "77"][..]),
        ("user_alone_keeps_the_groups", &["-1HRl0", "-u", "66"]),
        (
            "user_and_group_in_either_order",
            &["-1HRl0", "-u", "66", "-g", "77"],
        ),
        (
            "group_and_user_in_either_order",
            &["-1HRl0", "-g77", "-u66"],
        ),
        (
            "last_user_and_group_count",
            &["-1HRl0", "-g1", "-u1", "-g77", "-u66"],
        ),
        (
            "user_0_and_group_0_keep_everything",
            &["-1HRl0", "-g0", "-u0"],
        ),
        (
            "largest_user_and_group",
            &["-1HRl0", "-g4294967294", "-u4294967294"],
        ),
    ] {
        book.add(name, move |s| {
            ids(s, options, |launch| launch.groups(&[0, 4, 5]))
        })
        .needs_root();
    }
    for (name, options) in [
        (
            "uid_and_gid_variables_name_user_and_group",
            &["-1HRUl0"][..],
        ),
        (
            "user_option_after_the_variables_wins",
            &["-1HRUl0", "-u", "5"],
        ),
        (
            "variables_after_the_user_option_win",
            &["-1HRl0", "-u", "5", "-U"],
        ),
        ("variables_do_not_matter_without_minus_u", &["-1HRl0"]),
    ] {
        book.add(name, move |s| {
            ids(s, options, |launch| {
                launch.groups(&[0, 4, 5]).env("UID", "66").env("GID", "77")
            });
        })
        .needs_root();
    }
    book.add("missing_variables_change_nothing", |s| {
        ids(s, &["-1HRUl0", "-u5"], |launch| launch.groups(&[0, 4]))
    })
    .needs_root();
    book.add("gid_variable_alone_changes_only_the_group", |s| {
        ids(s, &["-1HRUl0"], |launch| {
            launch.groups(&[0, 4]).env("GID", "77")
        });
    })
    .needs_root();
    book.add("privileges_are_dropped_after_the_port_is_bound", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0", "-u66", "-g77"], &["id", "-u"]));
        server.connect().receive_all();
        server.wait_for_ends(1);
        server.terminate();
    })
    .needs_root();
    book.add("group_that_cannot_be_set_is_fatal", |s| {
        attempt(s, &["-1vHRl0", "-g", "12345"], Launch::unprivileged);
    });
    book.add("user_that_cannot_be_set_is_fatal", |s| {
        attempt(s, &["-1vHRl0", "-u", "12345"], Launch::unprivileged);
    });
    book.add("quiet_silences_a_user_that_cannot_be_set", |s| {
        attempt(s, &["-1qHRl0", "-u", "12345"], Launch::unprivileged);
    });
    for (name, option) in [
        ("user_above_32_bits_is_refused", "-u"),
        ("group_above_32_bits_is_refused", "-g"),
    ] {
        book.add(name, move |s| {
            attempt(s, &["-1vHRl0", option, "4294967296"], as_it_is)
        })
        .differs("strict-numbers")
        .needs_root();
    }
}

fn ids(s: &mut Scene, options: &[&str], with: impl Fn(Launch) -> Launch) {
    let mut server = s.serve(with(listening(s, options, &probe::IDS)));
    server.connect().receive_ids();
    server.terminate();
}
