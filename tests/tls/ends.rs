//! How sessions end: in order, cut short, or by who never goes.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::support::place::text;
use crate::world::{Server, close, line, say};

#[test]
fn orderly_end_of_the_client_is_the_end_of_input_and_has_no_line() {
    let server = Server::start(&[], &["sh", "-c", "wc -c"]);
    assert_eq!(text(&say(server.session(), b"12345")).trim(), "5");
    server.wait_for("end ", 1);
    assert_eq!(server.said("truncated"), [""; 0]);
}

#[test]
fn end_without_a_word_is_the_end_of_input_too_and_the_log_says_that_it_was_cut() {
    let server = Server::start(&[], &["sh", "-c", "wc -c >got"]);
    let mut session = server.session();
    session.write_all(b"12345").expect("it listens");
    session.sock.shutdown(Shutdown::Write).expect("it is open");
    server.wait_for("end ", 1);
    assert_eq!(server.place.read("got").trim(), "5");
    assert_eq!(server.said("truncated"), ["tlsserver: tls truncated"]);
}

#[test]
fn reset_is_a_cut_too() {
    let server = Server::start(&[], &["sh", "-c", "echo go; cat >got"]);
    let mut session = server.session();
    assert_eq!(line(&mut session), "go\n");
    crate::support::net::reset_on_close(&session.sock);
    drop(session);
    server.wait_for("end ", 1);
    assert_eq!(server.said("truncated"), ["tlsserver: tls truncated"]);
}

#[test]
fn end_of_the_program_is_close_notify_and_fin() {
    let server = Server::start(&[], &["echo", "bye"]);
    let mut session = server.session();
    let mut answer = String::new();
    // An end without close_notify is an error here.
    session.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "bye\n");
    assert_eq!(session.sock.read(&mut [0]).expect("FIN"), 0);
}

#[test]
fn program_that_only_closes_its_output_still_gets_input() {
    // Descriptors 0 and 1 are one socket, so that shutdown(2) alone closes its output.
    let script =
        "$| = 1; print qq(go\\n); shutdown STDOUT, 1; open F, q(>), q(got); print F <STDIN>";
    let server = Server::start(&["--tls-timeout=1.5"], &["perl", "-e", script]);
    let mut session = server.session();
    let mut answer = String::new();
    session.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "go\n");
    // It takes longer than a client that stays after the end may.
    std::thread::sleep(std::time::Duration::from_millis(2000));
    session.write_all(b"late").expect("the program is there");
    close(&mut session);
    server.wait_for("end ", 1);
    assert_eq!(server.place.read("got"), "late");
}

#[test]
fn client_that_stays_after_the_end_holds_no_slot() {
    let server = Server::start(&["-c1", "--tls-timeout=1.5"], &["echo", "bye"]);
    let mut first = server.session();
    assert_eq!(line(&mut first), "bye\n");
    // It does not close. The next one gets the only slot all the same.
    let mut second = server.session();
    assert_eq!(line(&mut second), "bye\n");
    server.wait_for("end ", 1);
    assert_eq!(server.said("truncated"), [""; 0]);
}

#[test]
fn program_that_does_not_read_does_not_lose_what_it_writes() {
    let script = "head -c 500000 /dev/zero; exit 0";
    let server = Server::start(&[], &["sh", "-c", script]);
    let mut session = server.session();
    session.write_all(&[0; 10_000]).expect("it listens");
    let mut answer = Vec::new();
    session.read_to_end(&mut answer).expect("an orderly end");
    assert_eq!(answer.len(), 500_000);
}

#[test]
fn client_that_does_not_read_stops_the_program_and_nobody_else() {
    let server = Server::start(
        &[],
        &["sh", "-c", "yes | head -c 50000000; echo done >done"],
    );
    let mut stalled = server.session();
    stalled.write_all(b"x").expect("it listens");
    let mut other = server.session();
    assert_eq!(line(&mut other), "y\n");
    assert_eq!(server.place.read("done"), "");
    let resident = crate::support::process::resident(server.process.pid());
    assert!(resident < 60_000, "{resident} KiB for two sessions");
}
