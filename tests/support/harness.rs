//! The harness itself: a transcript that hides a difference, or invents one, is worse than none.

use crate::support::names::Names;
use crate::support::transcript::{Transcript, escape};
use crate::support::{cdb, diff, inspect, probe};

#[test]
fn pids_are_numbered_in_the_order_in_which_they_appear() {
    let mut names = Names::default();
    assert_eq!(
        names.apply("tcpserver: pid 77 from 127.0.0.1"),
        "tcpserver: pid PID1 from 127.0.0.1"
    );
    assert_eq!(
        names.apply("tcpserver: ok 88 :127.0.0.1:1 :1.2.3.4::2"),
        "tcpserver: ok PID2 :127.0.0.1:1 :1.2.3.4::2"
    );
    assert_eq!(
        names.apply("tcpserver: end 77 status 0"),
        "tcpserver: end PID1 status 0"
    );
    assert_eq!(names.apply("88 < hello "), "PID2 < hello ");
    assert_eq!(names.apply("pid=88"), "pid=PID2");
}

#[test]
fn connection_numbers_that_are_no_pids_look_like_pids() {
    let line = "tcpserver: deny 4194305 :127.0.0.1:1 :127.0.0.2::2";
    assert_eq!(
        Names::default().apply(line),
        "tcpserver: deny PID1 :127.0.0.1:1 :127.0.0.2::2"
    );
}

#[test]
fn number_equal_to_a_pid_is_kept_where_no_pid_stands() {
    let mut names = Names::default();
    names.apply("tcpserver: pid 25600 from 127.0.0.1");
    assert_eq!(
        names.apply("tcpserver: end 25600 status 25600"),
        "tcpserver: end PID1 status 25600"
    );
    assert_eq!(
        names.apply("tcpserver: warning: 25600 < 7"),
        "tcpserver: warning: 25600 < 7"
    );
}

#[test]
fn known_ports_are_named_where_ports_stand() {
    let mut names = Names::default();
    names.port(40000, "PORT");
    names.port(50001, "CPORT1");
    let line = "tcpserver: ok 9 0:127.0.0.1:40000 :127.0.0.1::50001";
    assert_eq!(
        names.apply(line),
        "tcpserver: ok PID1 0:127.0.0.1:PORT :127.0.0.1::CPORT1"
    );
    assert_eq!(names.apply("TCPREMOTEPORT=50001"), "TCPREMOTEPORT=CPORT1");
    assert_eq!(
        names.apply("connected to 127.0.0.1 port 40000"),
        "connected to 127.0.0.1 port PORT"
    );
    assert_eq!(names.apply("40000"), "PORT");
    assert_eq!(names.apply("X=40000, 40000 bytes"), "X=40000, 40000 bytes");
}

#[test]
fn unknown_ports_are_kept_so_that_a_wrong_one_is_seen() {
    let mut names = Names::default();
    names.port(40000, "PORT");
    assert_eq!(names.apply("TCPLOCALPORT=40001"), "TCPLOCALPORT=40001");
}

#[test]
fn paths_of_the_scene_are_named() {
    let mut names = Names::default();
    names.path("/tmp/scene.1", "WORK");
    assert_eq!(names.apply("/tmp/scene.1/rules.cdb"), "WORK/rules.cdb");
}

#[test]
fn every_byte_has_one_printable_form() {
    let all: Vec<u8> = (0..=255).collect();
    let text = escape(&all);
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let forms: std::collections::HashSet<String> =
        all.iter().map(|byte| escape(&[*byte])).collect();
    assert_eq!(forms.len(), 256);
    assert_eq!(escape(b"two  "), "two \\x20");
}

#[test]
fn missing_line_feed_at_the_end_is_visible() {
    let mut transcript = Transcript::default();
    transcript.bytes("stdout", b"one\ntwo");
    transcript.bytes("stderr", b"");
    assert_eq!(
        transcript.into_text(),
        "stdout: one\nstdout: two [no line feed]\n"
    );
}

#[test]
fn long_output_is_a_length_and_a_hash() {
    let mut transcript = Transcript::default();
    transcript.bytes("stdout", &[b'x'; 10_000]);
    let text = transcript.into_text();
    assert!(text.starts_with("stdout: 10000 bytes, fnv1a "), "{text}");
    assert_ne!(inspect::summary(b"a"), inspect::summary(b"b"));
}

#[test]
fn hex_dump_shows_a_run_of_equal_lines_once() {
    let mut bytes = vec![0; 64];
    bytes.push(b'A');
    let lines: Vec<String> = inspect::hex_dump(&bytes)
        .lines()
        .map(|line| line.split("  ").next().unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["0000", "*", "0040"]);
}

#[test]
fn difference_is_shown_line_by_line() {
    assert_eq!(
        diff::lines("a\nb\nc\n", "a\nx\nc\n"),
        "  a\n- b\n+ x\n  c\n"
    );
    assert_eq!(diff::lines("a\n", "a\nb\n"), "  a\n+ b\n");
}

#[test]
fn signal_masks_are_read_as_names() {
    let status = "Name:\tcat\nSigBlk:\t0000000000010000\nSigIgn:\t0000000180000001\n";
    assert_eq!(
        probe::signals(status),
        ["blocked: SIGCHLD", "ignored: SIGHUP"]
    );
}

#[test]
fn descriptor_listing_is_read_without_the_lister_itself() {
    let listing = "total 0\n\
        lrwx------ 1 root root 64 Jan 1 00:00 0 -> socket:[11]\n\
        lrwx------ 1 root root 64 Jan 1 00:00 1 -> socket:[11]\n\
        l-wx------ 1 root root 64 Jan 1 00:00 2 -> pipe:[12]\n\
        lr-x------ 1 root root 64 Jan 1 00:00 3 -> /proc/99/fd\n\
        lr-x------ 1 root root 64 Jan 1 00:00 5 -> /dev/zero\n";
    let lines = [
        "0 read-write socket A",
        "1 read-write socket A",
        "2 write pipe B",
        "5 read /dev/zero",
    ];
    assert_eq!(probe::descriptors(listing), lines);
}

#[test]
fn cdb_writer_makes_the_file_that_the_original_makes() {
    let records: [(&[u8], &[u8]); 4] = [
        (b"1.2.3.4", b""),
        (b"10.", b"D\0"),
        (b"=.x.org", b"+V=a\0"),
        (b"", b"D\0"),
    ];
    // Length and hash of what tcprules makes of the worked example; see its golden transcript.
    assert_eq!(
        inspect::summary(&cdb::file(&records)),
        "2170 bytes, fnv1a 161ef74b22019794"
    );
}
