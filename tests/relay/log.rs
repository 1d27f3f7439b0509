//! The log, line by line: others read it.

use std::io::{Read, Write};

use crate::world::{Relay, Remote, talk};

/// The lines of the log, with words for what differs from run to run.
fn lines(relay: &Relay, words: &[(String, &str)]) -> Vec<String> {
    let log = relay.log();
    let lines = log.lines().map(|line| {
        let mut line = line.to_owned();
        for (what, word) in words {
            line = line.replace(what, word);
        }
        match line.split_once(" ms ") {
            Some((start, _)) => format!("{start} ms N"),
            None => line,
        }
    });
    lines.collect()
}

#[test]
fn lines_are_those_of_the_manual() {
    let (dead, mut a) = (Remote::absent("D"), Remote::new("A"));
    let relay = Relay::start(
        &["--balance=order", "--revive=1000"],
        &[&dead.operand(), &a.operand()],
    );
    let mut words = vec![(dead.operand(), "DEAD"), (a.operand(), "LIVE")];
    let first = relay.connect();
    words.push((
        format!(":{}", first.local_addr().expect("it is").port()),
        ":CLIENT",
    ));
    words.push((format!(":{}", relay.port), ":PORT"));
    assert_eq!(talk(first, b"12345").expect("an answer"), b"A12345");
    relay.wait_for("tcprelay: status: 0/40", 2);
    a.leave();
    let mut second = relay.connect();
    second.write_all(b"?").expect("it is taken");
    assert_eq!(second.read(&mut [0]).unwrap_or(0), 0);
    relay.wait_for("tcprelay: status: 0/40", 3);
    let expected = [
        "tcprelay: status: 0/40",
        "tcprelay: status: 1/40",
        "tcprelay: open 1 from 127.0.0.1",
        "tcprelay: retry 1 DEAD connection refused",
        "tcprelay: dead DEAD connection refused",
        "tcprelay: ok 1 0:127.0.0.1:PORT :127.0.0.1::CLIENT to LIVE",
        "tcprelay: end 1 status 0 in 5 out 6 ms N",
        "tcprelay: status: 0/40",
        "tcprelay: status: 1/40",
        "tcprelay: open 2 from 127.0.0.1",
        "tcprelay: retry 2 LIVE connection refused",
        "tcprelay: dead LIVE connection refused",
        "tcprelay: retry 2 DEAD connection refused",
        "tcprelay: fail 2 no remote",
        "tcprelay: end 2 status 28416 in 0 out 0 ms N",
        "tcprelay: status: 0/40",
    ];
    assert_eq!(lines(&relay, &words), expected);
}
