//! The two files: what is created, replaced, left behind.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use crate::support::book::Book;
use crate::support::launch::Input;

const RULE: &str = "1.2.3.4:deny\n";

pub(crate) fn fill(book: &mut Book) {
    modes(book);
    failures(book);
    odd_input(book);
}

fn modes(book: &mut Book) {
    for mask in [0o000, 0o022, 0o027, 0o077, 0o777] {
        book.add(
            format!("database_has_mode_0644_less_umask_{mask:03o}"),
            move |s| {
                s.run(
                    s.program(["rules.cdb", "rules.tmp"])
                        .umask(mask)
                        .input(RULE),
                );
                s.show_directory();
            },
        );
    }
    book.add(
        "existing_temporary_file_keeps_its_mode_and_loses_its_content",
        |s| {
            s.write("rules.tmp", "x".repeat(5000));
            s.set_mode("rules.tmp", 0o640);
            s.run(s.program(["rules.cdb", "rules.tmp"]).input(RULE));
            s.show_directory();
        },
    );
    book.add("existing_database_is_replaced", |s| {
        s.write("rules.cdb", "an older database");
        s.set_mode("rules.cdb", 0o400);
        s.run(s.program(["rules.cdb", "rules.tmp"]).input(RULE));
        s.show_directory();
    });
    book.add(
        "replaced_database_stays_whole_for_those_who_have_it_open",
        |s| {
            s.write("rules.cdb", "an older database");
            fs::hard_link(s.path("rules.cdb"), s.path("second name")).expect("a hard link");
            s.run(s.program(["rules.cdb", "rules.tmp"]).input(RULE));
            s.show_directory();
            s.show_file("second name");
        },
    );
    book.add("temporary_name_may_be_a_link", |s| {
        symlink("target", s.path("rules.tmp")).expect("a symlink");
        s.run(s.program(["rules.cdb", "rules.tmp"]).input(RULE));
        s.show_directory();
        s.show_file("target");
    });
    book.add("both_names_may_be_the_same", |s| {
        s.run(s.program(["rules.cdb", "rules.cdb"]).input(RULE));
        s.show_directory();
    });
    book.add("names_may_have_folders", |s| {
        s.directory("etc");
        s.run(s.program(["etc/rules.cdb", "etc/rules.tmp"]).input(RULE));
        s.show_directory();
        s.show_file("etc/rules.cdb");
    });
}

fn failures(book: &mut Book) {
    for (name, temporary) in [
        (
            "temporary_file_in_a_missing_folder_cannot_be_created",
            "nowhere/rules.tmp",
        ),
        (
            "temporary_file_below_a_file_cannot_be_created",
            "plain/rules.tmp",
        ),
        ("temporary_file_cannot_be_a_directory", "folder"),
        ("temporary_file_needs_a_name", ""),
        ("full_disk_is_reported", "/dev/full"),
        ("file_that_cannot_be_synced_is_reported", "/dev/null"),
    ] {
        book.add(name, move |s| {
            s.write("plain", "text");
            s.directory("folder");
            s.run(s.program(["rules.cdb", temporary]).input(RULE));
            s.show_directory();
        });
    }
    for (name, database) in [
        ("database_cannot_replace_a_directory", "folder"),
        (
            "database_in_a_missing_folder_cannot_be_made",
            "nowhere/rules.cdb",
        ),
        ("database_below_a_file_cannot_be_made", "plain/rules.cdb"),
        ("database_needs_a_name", ""),
    ] {
        book.add(name, move |s| {
            s.write("plain", "text");
            s.directory("folder");
            s.run(s.program([database, "rules.tmp"]).input(RULE));
            s.show_directory();
        });
    }
    book.add("bad_temporary_file_is_reported_before_bad_input", |s| {
        s.run(
            s.program(["rules.cdb", "nowhere/rules.tmp"])
                .input("1.2.3.4:foo\n"),
        );
        s.show_directory();
    });
    book.add("folder_that_is_not_writable_is_reported", |s| {
        s.directory("etc");
        s.set_mode("etc", 0o555);
        s.run(
            s.program(["etc/rules.cdb", "etc/rules.tmp"])
                .unprivileged()
                .input(RULE),
        );
        s.show_directory();
    });
    book.add("temporary_file_that_is_not_writable_is_reported", |s| {
        s.open_to_all();
        s.write("rules.tmp", "");
        s.set_mode("rules.tmp", 0o444);
        s.run(
            s.program(["rules.cdb", "rules.tmp"])
                .unprivileged()
                .input(RULE),
        );
        s.note("the temporary file is still there");
        s.show_file("rules.tmp");
    });
    book.add("file_size_limit_is_reported", |s| {
        let launch = s.program(["rules.cdb", "rules.tmp"]);
        s.run(
            launch
                .limit(Resource::RLIMIT_FSIZE, 1000)
                .ignoring(Signal::SIGXFSZ)
                .input(RULE),
        );
    });
}

fn odd_input(book: &mut Book) {
    book.add("closed_stdin_is_reported", |s| {
        s.run(s.program(["rules.cdb", "rules.tmp"]).closed(0));
        s.note_leftover("rules.tmp");
    });
    book.add("directory_as_stdin_is_reported", |s| {
        let directory = File::open(s.path(".")).expect("a directory can be opened");
        s.run(
            s.program(["rules.cdb", "rules.tmp"])
                .stdin(Input::File(directory)),
        );
        s.note_leftover("rules.tmp");
    });
    book.add("closed_stderr_changes_no_exit_code", |s| {
        s.run(
            s.program(["rules.cdb", "rules.tmp"])
                .closed(2)
                .input("1.2.3.4:foo\n"),
        );
        s.run(s.program([""; 0]).closed(2));
    });
    book.add("closed_stdout_does_no_harm", |s| {
        s.run(s.program(["rules.cdb", "rules.tmp"]).closed(1).input(RULE));
        s.show_directory();
    });
}
