//! What a rejected client hears.

use std::io::Write as _;

use super::smtpd;
use crate::scenarios::files;
use crate::support::book::Book;
use crate::support::launch::{Input, Launch, Output};
use crate::support::scene::Scene;

const DIALOGUES: &[(&str, &[u8])] = &[
    ("end_of_input_ends_the_talk", b""),
    ("quit_ends_the_talk", b"QUIT\r\nNOOP\r\n"),
    (
        "whole_session_is_answered",
        b"EHLO client\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\ntext\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n",
    ),
    ("helo_is_fine", b"HELO client\r\n"),
    ("other_verbs_are_rejected", b"VRFY x\r\nEXPN x\r\nHELP\r\nSTARTTLS\r\nAUTH\r\nTURN\r\nBDAT 5\r\n"),
    ("verbs_are_known_in_any_case", b"helo x\r\nEhLo x\r\nmail x\r\nrSeT\r\nnoOP\r\nqUIt\r\n"),
    ("words_that_begin_as_verbs_are_rejected", b"HELOX\r\nQUITS\r\nMAILS\r\nQUI\r\nHE LO\r\n"),
    ("verb_ends_at_the_first_blank", b"NOOP\tx\r\nNOOP x\r\nQUIT:\r\nMAIL:\r\n NOOP\r\nQUIT now\r\n"),
    ("line_feed_alone_ends_a_command", b"NOOP\nRCPT\nQUIT\n"),
    ("one_cr_before_the_line_feed_is_dropped", b"NOOP\r\r\nNOOP \r\r\nNO\rOP\r\n\rNOOP\r\nNOOP\r\n"),
    ("cr_alone_ends_nothing", b"NOOP\rQUIT\rNOOP"),
    ("empty_lines_are_rejected", b"\r\n\n\r\r\n"),
    ("line_of_blanks_is_rejected", b" \r\n  \r\n"),
    ("nul_is_a_byte_of_the_command", b"NOOP\0\r\n\0NOOP\r\n\0\r\nNOOP x\0y\r\nQUIT\0\r\nQUIT \0\r\n"),
    ("eight_bits_are_a_byte_of_the_command", b"N\xd6OP\r\n\xff\r\n\xceOOP\r\n"),
    ("unfinished_command_is_not_answered", b"NOOP\r\nQUIT"),
    ("unfinished_command_with_cr_is_not_answered", b"NOOP\r\nQUIT\r"),
    ("byte_ff_is_not_the_end", b"\xff\xff\r\nNOOP\r\n"),
];

pub(crate) fn fill(book: &mut Book) {
    for (name, input) in DIALOGUES {
        book.add(*name, move |s| {
            let launch = rejected(s, &[]);
            s.run(launch.input(input));
        });
    }
    book.add("commands_may_be_long", |s| {
        let long = "x".repeat(70_000);
        for verb in ["NOOP ", "NOOP", "QUIT", ""] {
            let launch = rejected(s, &[]);
            s.run(launch.input(format!("{verb}{long}\r\nRSET\r\n")));
        }
    });
    book.add("many_commands_may_come_at_once", |s| {
        let launch = rejected(s, &[]);
        s.run(launch.input("NOOP\r\nRCPT x\r\n".repeat(2_000)));
    });
    book.add("commands_may_come_byte_by_byte", |s| {
        let launch = rejected(s, &[]).stdin(Input::Pipe);
        let mut process = s.start(launch);
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        stdout.wait_for("220", 1);
        for byte in b"NOOP x\r\n" {
            stdin.write_all(&[*byte]).expect("the program reads");
        }
        stdout.wait_for("250", 1);
        for byte in b"RCPT\nQUIT\r\n" {
            stdin.write_all(&[*byte]).expect("the program reads");
        }
        s.finish(process);
    });
    book.add("each_command_is_answered_before_the_next_comes", |s| {
        let launch = rejected(s, &[]).stdin(Input::Pipe);
        let mut process = s.start(launch);
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let stdout = process.stdout.clone().expect("stdout is a pipe");
        stdout.wait_for("220 rblsmtpd.local", 1);
        for (command, reply) in [("NOOP\r\n", "250 "), ("DATA\r\n", "451 ")] {
            stdin.write_all(command.as_bytes()).expect("it reads");
            stdout.wait_for(reply, 1);
        }
        drop(stdin);
        s.finish(process);
    });
    limits(book);
    book.add("closed_stdin_ends_the_talk", |s| {
        let launch = rejected(s, &[]);
        s.run(launch.closed(0));
    });
    book.add("stdin_that_cannot_be_read_ends_the_talk", |s| {
        let launch = rejected(s, &[]);
        s.run(launch.stdin(files::directory()));
    });
    book.add("closed_stdout_ends_the_talk", |s| {
        let launch = rejected(s, &["-t1"]);
        s.run(launch.closed(1).stdin(Input::Pipe));
    });
    book.add("full_stdout_ends_the_talk", |s| {
        let launch = rejected(s, &["-t1"]);
        s.run(launch.stdout(files::full()).stdin(Input::Pipe));
    });
    book.add("stdout_without_a_reader_ends_the_talk", |s| {
        let launch = rejected(s, &[]);
        s.run(launch.stdout(files::unread()).stdin(Input::Pipe));
    });
    book.add("log_that_cannot_be_written_changes_nothing", |s| {
        let launch = rejected(s, &[]);
        s.run(launch.closed(2).input("RCPT\r\n"));
        let launch = rejected(s, &[]);
        s.run(launch.stderr(files::full()).input("RCPT\r\n"));
    });
}

fn limits(book: &mut Book) {
    book.add("limit_of_no_time_says_only_why", |s| {
        let launch = rejected(s, &["-t0"]);
        s.run(launch.stdin(Input::Pipe));
        let launch = rejected(s, &["-t", "0"]);
        s.run(launch.input("NOOP\r\nQUIT\r\n"));
    });
    book.add("limit_ends_a_client_that_is_silent", |s| {
        let launch = rejected(s, &["-t1"]);
        s.run(launch.stdin(Input::Pipe));
    });
    book.add("limit_ends_a_client_that_reads_nothing", |s| {
        let (reader, writer) = std::io::pipe().expect("the system has pipes");
        let launch =
            rejected(s, &["-t1"]).stdout(Output::File(std::os::fd::OwnedFd::from(writer).into()));
        s.run(launch.input("RCPT\r\n".repeat(20_000)));
        drop(reader);
    });
    book.add(
        "client_that_cannot_be_written_to_ends_the_talk_at_once",
        |s| {
            // An hour more, and nothing else, is what the original gives it.
            for stdout in [files::full(), Output::Closed] {
                let launch = rejected(s, &["-t3600"]).stdout(stdout);
                s.run(launch.stdin(Input::Pipe));
            }
        },
    )
    .ours_alone("rblsmtpd-output");
    book.add("limit_is_for_the_whole_talk", |s| {
        // A client that says something all the time never has to wait for a second.
        let launch = rejected(s, &["-t1"]).stdin(Input::Pipe);
        let mut process = s.start(launch);
        let mut stdin = process.stdin.take().expect("stdin is a pipe");
        let talking = std::thread::spawn(move || {
            while stdin.write_all(b"x").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        s.finish(process);
        talking.join().expect("nobody panics here");
    });
}

/// A client that is rejected by `$RBLSMTPD`.
fn rejected(s: &Scene, options: &[&str]) -> Launch {
    smtpd(s, options).env("RBLSMTPD", "go away")
}
