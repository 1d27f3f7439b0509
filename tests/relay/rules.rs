//! What rules say to a relay.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::temp::TempDir;
use crate::world::{Relay, Remote, program};

/// A folder with `rules.cdb` made of `rules`.
fn compiled(rules: &str) -> TempDir {
    let folder = TempDir::new();
    let mut compiler = Command::new(program("tcprules"))
        .args(["rules.cdb", "rules.tmp"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = compiler.stdin.take().expect("a pipe");
    stdin.write_all(rules.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(compiler.wait().expect("it ends").success());
    folder
}

fn with_rules(rules: &str, remotes: &[&str]) -> Relay {
    Relay::start_in(compiled(rules), &["-x", "rules.cdb"], remotes)
}

#[test]
fn denied_client_gets_nothing() {
    let a = Remote::new("A");
    let relay = with_rules("127.:deny\n", &[&a.operand()]);
    assert_eq!(relay.ask(b""), b"");
    relay.wait_for("tcprelay: deny 1 0:127.0.0.1:", 1);
    relay.wait_for("tcprelay: end 1 status 25600", 1);
    assert_eq!(a.taken(), 0);
}

#[test]
fn relayto_names_the_only_remote() {
    let (a, mut b) = (Remote::new("A"), Remote::new("B"));
    let rules = format!("127.:allow,RELAYTO=\"{}\"\n", b.operand());
    let relay = with_rules(&rules, &[&a.operand()]);
    assert_eq!(relay.ask(b""), b"B");
    b.leave();
    assert_eq!(relay.ask(b""), b"");
    relay.wait_for("tcprelay: fail 2 no remote", 1);
    assert_eq!(a.taken(), 0);
}

#[test]
fn relaymax_limits_the_sessions_of_a_source() {
    let a = Remote::new("A");
    let relay = with_rules("127.:allow,RELAYMAX=\"1\"\n", &[&a.operand()]);
    let mut first = relay.connect();
    first.read_exact(&mut [0]).expect("a remote has it");
    assert_eq!(relay.ask(b""), b"");
    relay.wait_for("tcprelay: fail 2 RELAYMAX sessions of this source", 1);
    drop(first);
    relay.wait_for("tcprelay: end 1 ", 1);
    assert_eq!(relay.ask(b""), b"A");
}

#[test]
fn relayidle_is_in_the_place_of_the_option() {
    let a = Remote::new("A");
    let relay = with_rules("127.:allow,RELAYIDLE=\"1\"\n", &[&a.operand()]);
    let mut all = Vec::new();
    relay
        .connect()
        .read_to_end(&mut all)
        .expect("an end in order");
    assert_eq!(all, b"A");
}

#[test]
fn setting_that_cannot_be_read_lets_nobody_through() {
    let a = Remote::new("A");
    for (setting, why) in [
        ("RELAYMAX=\"many\"", "RELAYMAX is not a number"),
        (
            "RELAYTO=\"nowhere\"",
            "Expected host:port, [address]:port or unix:path, but got 'nowhere'",
        ),
    ] {
        let relay = with_rules(&format!("127.:allow,{setting}\n"), &[&a.operand()]);
        assert_eq!(relay.ask(b""), b"");
        relay.wait_for(&format!("tcprelay: fail 1 {why}\n"), 1);
    }
    assert_eq!(a.taken(), 0);
}
