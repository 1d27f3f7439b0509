//! Before `main`: every program starts in a root without devices, whatever is closed.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::service::{FRIEND, SERVED};
use crate::support::launch::Launch;
use crate::support::net;
use crate::support::process::{Outcome, describe};
use crate::world::{self, Server, lossy};

/// Each program, with arguments for something that ends by itself. Nobody listens where the clients ask.
const DEEDS: [(&str, &[&str]); 31] = [
    ("addcr", &[]),
    ("argv0", &["/bin/cat", "lion"]),
    ("date@", &["127.0.0.1"]),
    ("delcr", &[]),
    ("finger@", &["127.0.0.1"]),
    ("fixcrio", &["/bin/cat"]),
    ("http@", &["127.0.0.1", "page", "1"]),
    ("https@", &["127.0.0.1", "page", "1"]),
    ("inetd2tcp", &["nosuch"]),
    ("iotcpd", &["-p", "no such port"]),
    ("mconnect", &["127.0.0.1", "1"]),
    ("mconnect-io", &[]),
    ("rblsmtpd", &["/bin/cat"]),
    ("recordio", &["/bin/cat"]),
    ("spawnd", &["nosuch"]),
    ("tcpcat", &["127.0.0.1", "1"]),
    ("tcpclient", &["-HRl0", "127.0.0.1", "1", "true"]),
    ("tcpctl", &["nosuch", "status"]),
    ("tcpio", &["--version"]),
    ("tcppool", &["0", "no such port", "true"]),
    ("tcprelay", &["nosuch"]),
    ("tcprelay-conf", &["nosuch"]),
    ("tcprules", &["rules.cdb", "rules.tmp"]),
    ("tcprulescheck", &["rules.cdb"]),
    ("tcpserver", &["0", "no such port", "true"]),
    ("time@", &["--version"]),
    ("tlsc", &["true"]),
    (
        "tlsclient",
        &["-HRl0", "--no-verify", "127.0.0.1", "1", "true"],
    ),
    ("tlsd", &["true"]),
    ("tlsserver", &["0", "no such port", "true"]),
    ("who@", &["127.0.0.1"]),
];

/// What came of a program: how it ended, what it wrote to descriptors 1 and 2, without pids and the order of lines, which
/// processes beside it may change.
fn shown(outcome: &Outcome) -> [String; 3] {
    let log = lossy(&outcome.stderr).replace(|c: char| c.is_ascii_digit(), "");
    // recordio says this only if it hears of it before its program has ended.
    let lines = log.lines().filter(|line| *line != " < [EOF]");
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    let output = lossy(&outcome.stdout);
    [describe(outcome.status), output, lines.join("\n")]
}

#[test]
fn every_program_works_without_devices_whatever_is_closed() {
    let Some(world) = world::with_root_and(&["cat", "true"]) else {
        return;
    };
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("package/commands-base");
    let list = fs::read_to_string(list).expect("the package has a list");
    let listed: Vec<&str> = list.lines().collect();
    assert_eq!(DEEDS.map(|(program, _)| program).to_vec(), listed);
    for (program, args) in DEEDS {
        for closed in 0..=2 {
            let run = |with: fn(Launch) -> Launch| {
                let launch = world.program(program, args);
                let launch = launch.input("127.0.0.1:deny\n").closed(closed);
                shown(&world.start(with(launch)).outcome())
            };
            let expected = run(|launch| launch);
            let found = run(Launch::without_devices);
            assert_eq!(found, expected, "{program} without descriptor {closed}");
        }
    }
}

#[test]
fn server_without_devices_serves_whatever_is_closed() {
    let Some(world) = world::with_root_and(&["echo"]) else {
        return;
    };
    for closed in [&[0][..], &[2], &[0, 2]] {
        let args = ["-1", "-HRl0", "127.0.0.1", "0", "/bin/echo", SERVED];
        let launch = world.program("tcpserver", args).without_devices();
        let launch = closed.iter().fold(launch, |launch, &fd| launch.closed(fd));
        let server = Server::on(world.start(launch));
        let stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false);
        let mut stream = stream.expect("the server listens");
        let received = lossy(&net::receive_all(&mut stream));
        assert_eq!(received, format!("{SERVED}\n"), "without {closed:?}");
    }
}
