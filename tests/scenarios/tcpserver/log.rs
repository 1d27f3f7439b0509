//! The lines on stderr.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use nix::sys::resource::Resource;

use super::{as_it_is, listening, one_connection, one_logged_connection};
use crate::support::book::Book;
use crate::support::launch::Output;

pub(crate) fn fill(book: &mut Book) {
    for (name, script) in [
        ("served_connection_ends_with_status_0", "exit 0"),
        ("exit_code_is_logged_as_a_raw_wait_status", "exit 7"),
        ("exit_code_255_is_logged_as_a_raw_wait_status", "exit 255"),
        ("killed_program_is_logged_by_its_signal", "kill -KILL $$"),
        (
            "terminated_program_is_logged_by_its_signal",
            "kill -TERM $$",
        ),
        ("crashed_program_is_logged_by_its_signal", "kill -SEGV $$"),
    ] {
        book.add(name, move |s| {
            one_logged_connection(s, &["-1vHRl0"], &["sh", "-c", script], |launch| {
                launch.limit(Resource::RLIMIT_CORE, 0)
            });
        });
    }
    book.add(
        "connections_one_after_the_other_have_pids_of_their_own",
        |s| {
            let mut server = s.serve(listening(s, &["-1vHRl0"], &["sh", "-c", "echo pid=$$"]));
            for count in 1..=3 {
                server
                    .connect_from(Ipv4Addr::new(127, 0, 0, count))
                    .receive_all();
                server.wait_for_ends(usize::from(count));
            }
            server.terminate();
        },
    );
    book.add("program_may_write_into_the_log", |s| {
        one_logged_connection(
            s,
            &["-1vHRl0"],
            &["sh", "-c", "echo from the program >&2"],
            as_it_is,
        );
    });
    book.add("nothing_is_logged_by_default", |s| {
        one_connection(s, &["-1HRl0"], &["echo", "served"], as_it_is)
    });
    book.add("warnings_are_logged_by_default", |s| {
        one_connection(s, &["-1HRl0"], &["no-such-program"], as_it_is)
    });
    book.add("warnings_are_not_logged_when_quiet", |s| {
        one_connection(s, &["-1qHRl0"], &["no-such-program"], as_it_is)
    });
    book.add("program_of_a_quiet_server_has_a_stderr", |s| {
        one_connection(
            s,
            &["-1qHRl0"],
            &["sh", "-c", "echo from the program >&2"],
            as_it_is,
        );
    });
    book.add("quiet_after_verbose_is_quiet", |s| {
        one_connection(s, &["-1vqHRl0"], &["no-such-program"], as_it_is)
    });
    book.add("verbose_log_has_the_warning_after_the_ok_line", |s| {
        one_logged_connection(s, &["-1vHRl0"], &["no-such-program"], as_it_is);
    });
    for length in [1, 99, 100, 101, 120, 3000] {
        book.add(
            format!("local_name_of_{length}_bytes_in_the_log"),
            move |s| {
                one_logged_connection(
                    s,
                    &["-1vHR", "-l", &"n".repeat(length)],
                    &["printenv", "TCPLOCALHOST"],
                    as_it_is,
                );
            },
        );
    }
    for (name, local) in [
        (
            "blank_control_and_percent_are_question_marks_in_the_log",
            "a b\tc%d\u{1}e\u{7f}f",
        ),
        ("line_feed_is_a_question_mark_in_the_log", "a\nb\r\n"),
        ("colon_is_a_question_mark_in_the_log", "a:b::c"),
        (
            "eight_bit_bytes_are_question_marks_in_the_log",
            "a\u{e9}b\u{ff}",
        ),
        (
            "printable_bytes_are_kept_in_the_log",
            "!\"#$&'()*+,-./09;<=>?@AZ[\\]^_`az{|}~",
        ),
        ("empty_local_name_is_empty_in_the_log", ""),
    ] {
        book.add(name, move |s| {
            one_logged_connection(
                s,
                &["-1vHR", "-l", local],
                &["printenv", "TCPLOCALHOST"],
                as_it_is,
            );
        });
    }
    book.add("log_without_a_reader_does_not_stop_the_server", |s| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let log = Output::File(File::from(OwnedFd::from(writer)));
        let mut server = s.serve(listening(s, &["-1vHRl0"], &["echo", "served"]).stderr(log));
        server.connect().receive_all();
        server.connect().receive_all();
        server.terminate();
    });
    book.add("full_log_does_not_stop_the_server", |s| {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("the system has /dev/full");
        let mut server =
            s.serve(listening(s, &["-1vHRl0"], &["echo", "served"]).stderr(Output::File(full)));
        server.connect().receive_all();
        server.connect().receive_all();
        server.terminate();
    });
}
