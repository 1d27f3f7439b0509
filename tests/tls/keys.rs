//! The key process: private keys are there, and nowhere else.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::place::{Place, find, ours, text};
use crate::support::{is_root, is_set, proc};
use crate::world::{Server, echo, line, pki, say, session, trusting};

/// True when `bytes` stand in the memory of a process, in this order or the other.
pub(crate) fn has(pid: u32, bytes: &[u8]) -> bool {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs, and we are root");
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).expect("we are root");
    for map in maps.lines() {
        let mut words = map.split_whitespace();
        let (Some(range), Some(mode)) = (words.next(), words.next()) else {
            continue;
        };
        if !mode.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("proc(5)");
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).expect("proc(5)"));
        let mut part = vec![0; usize::try_from(to - from).expect("it fits")];
        memory.seek(SeekFrom::Start(from)).expect("an address");
        // What cannot be read nobody else reads either.
        if memory.read_exact(&mut part).is_ok() {
            for wanted in [bytes, &reversed] {
                if memchr::memmem::find(&part, wanted).is_some() {
                    return true;
                }
            }
        }
    }
    false
}

#[test]
fn secret_is_in_the_key_process_only() {
    if !is_root() {
        return;
    }
    for (both, key, name) in [
        ("a.both", "a.key", "a.example"),
        ("b.both", "b.key", "b.example"),
    ] {
        let secret = pki().secret(key);
        assert!(secret.len() > 30, "{key}");
        let server = Server::with(&[&pki().option("cert", both)], &["cat"]);
        for _ in 0..100 {
            let mut session = session(server.connect(), name, trusting());
            session.write_all(b"x\n").expect("it listens");
            assert_eq!(line(&mut session), "x\n");
        }
        let held = session(server.connect(), name, trusting());
        assert!(
            !has(server.process.pid(), &secret),
            "{key} is in the server"
        );
        assert!(
            has(server.key_process(), &secret),
            "the search finds nothing at all"
        );
        drop(held);
    }
}

/// The children of a process.
fn children(pid: u32) -> impl Iterator<Item = u32> {
    let pids = proc::children(pid).into_iter();
    pids.map(|pid| u32::try_from(pid).expect("a pid"))
}

#[test]
fn secret_of_a_client_is_in_its_key_process_only() {
    if !is_root() {
        return;
    }
    let server = Server::start(&[&pki().option("client-ca", "ca.pem")], &["cat"]);
    let port = server.port.to_string();
    let [tlsclient, tcpclient, tlsc] = ["tlsclient", "tcpclient", "tlsc"].map(ours);
    let options = [
        pki().option("ca", "ca.pem"),
        pki().option("cert", "client.pem"),
        pki().option("key", "client.key"),
        "--name=a.example".to_owned(),
    ];
    let options = options.each_ref().map(String::as_str);
    let to = ["-RHl0", "127.0.0.1", &port];
    let program = ["sleep", "100"];
    for words in [
        [&[&tlsclient, "-v"], &options[..], &to, &program].concat(),
        [
            &[&tcpclient[..]],
            &to[..],
            &[&tlsc, "-v"],
            &options,
            &program,
        ]
        .concat(),
    ] {
        let client = Place::new().start(&words, |launch| launch);
        client.stderr.as_ref().expect("a pipe").wait_for("tls ", 1);
        let secret = pki().secret("client.key");
        assert!(!has(client.pid(), &secret), "{words:?}");
        // The key process, and the program.
        crate::support::wait::eventually("the program runs", || {
            children(client.pid()).count() == 2
        });
        let having: Vec<bool> = children(client.pid())
            .map(|pid| has(pid, &secret))
            .collect();
        assert_eq!(having, [true, false], "{words:?}");
    }
}

#[test]
fn secret_of_a_single_server_is_in_its_key_process_only() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let (tlsd, both) = (ours("tlsd"), pki().option("cert", "a.both"));
    let (process, port) = place.serve(0, &[&tlsd, &both, "cat"], |launch| launch);
    let mut session = session(crate::world::connect(port), "a.example", trusting());
    session.write_all(b"x\n").expect("it listens");
    assert_eq!(line(&mut session), "x\n");
    let tlsd = children(process.pid()).next().expect("it serves one");
    let secret = pki().secret("a.key");
    // The key process, and the program.
    let having: Vec<bool> = children(tlsd).map(|pid| has(pid, &secret)).collect();
    assert_eq!(having, [true, false]);
    assert!(!has(tlsd, &secret) && !has(process.pid(), &secret));
}

#[test]
fn key_process_keeps_nothing_that_it_read_but_the_key() {
    if !is_root() {
        return;
    }
    let words = b"plain-words-that-nobody-else-says";
    let secret = Place::new();
    secret.write("passphrase", words);
    let file = format!("--passphrase-file={}/passphrase", secret.path().display());
    for name in ["a.key", "a.pk8", "a.said"] {
        let options = [pki().option("cert", "a.pem"), pki().option("key", name)];
        let server = Server::with(&[&options[0], &options[1], &file], &["cat"]);
        let keys = server.key_process();
        let number = pki().secret("a.key");
        // Tag, length and number, as in the file's DER. RFC 5915
        let der = [&[4, 32][..], &number].concat();
        assert!(!has(keys, &der), "{name} as DER");
        let text = pki().read(name);
        // What was let go of may be written over where it begins.
        let line = &text.lines().nth(1).expect("base64")[24..];
        assert!(!has(keys, line.as_bytes()), "{name} as PEM");
        assert!(!has(keys, words), "{name}: the passphrase");
        assert!(has(keys, &number), "the search finds nothing at all");
    }
}

#[test]
fn key_process_has_no_network_and_makes_none() {
    key_process_of("tlsserver", &[], "cat");
}

#[test]
fn key_process_of_a_relay_has_no_network_and_makes_none() {
    key_process_of("tcprelay", &["--tls"], &echo());
}

/// Looks what the key process of `program` does.
fn key_process_of(program: &str, options: &[&str], last: &str) {
    let Ok(strace) = find("strace") else {
        assert!(!is_set("UCSPI_COMPONENTS_REQUIRED"), "there is no strace");
        return;
    };
    let place = Place::new();
    let both = pki().option("cert", "a.both");
    let program = ours(program);
    let calls = "trace=%network,clone,clone3,fork,vfork";
    let tracing = [&strace[..], "-f", "-qq", "-e", calls, "-o", "trace"];
    let server = [&program[..], "-1RHl0", &both, "127.0.0.1", "0", last];
    let words = [&tracing, &server[..3], options, &server[3..]].concat();
    let process = place.start(&words, |launch| launch);
    let port = process.port();
    for _ in 0..3 {
        say(
            session(crate::world::connect(port), "a.example", trusting()),
            b"x",
        );
    }
    let trace = place.read("trace");
    let keys = trace
        .lines()
        .find(|line| line.contains("fork(") || line.contains("clone("));
    let keys = keys
        .and_then(|line| line.rsplit("= ").next())
        .expect("it starts one");
    let keys: u32 = keys.trim().parse().expect("a pid");
    let open: Vec<_> = proc::descriptors(keys)
        .into_iter()
        .filter(|kind| !kind.is_empty())
        .collect();
    assert_eq!(open, if is_root() { vec!["socket"] } else { vec![] });
    let own = format!("{keys} ");
    let calls: Vec<&str> = trace
        .lines()
        .filter(|line| line.starts_with(&own))
        .collect();
    assert_eq!(
        calls, [""; 0],
        "the key process does something with the network"
    );
    assert!(trace.contains("accept4("), "the trace shows nothing at all");
}

#[test]
fn server_ends_with_111_when_the_key_process_does() {
    let mut server = Server::start(&[], &["cat"]);
    let keys = Pid::from_raw(i32::try_from(server.key_process()).expect("a pid"));
    // It does not mind what is meant for the server.
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(keys, signal).expect("it runs");
    }
    assert_eq!(say(server.session(), b"still"), b"still");
    kill(keys, Signal::SIGKILL).expect("it runs");
    assert_eq!(server.process.wait().code(), Some(111));
    server.wait_for("fatal: the key process has ended", 1);
}

#[test]
fn key_process_ends_with_the_server() {
    let server = Server::start(&[], &["cat"]);
    let keys = server.key_process();
    server.process.signal(Signal::SIGKILL);
    crate::support::wait::eventually("the key process ends", || proc::has_ended(keys));
}

#[test]
fn key_process_is_not_dumpable() {
    use std::os::unix::fs::MetadataExt as _;
    if !is_root() {
        return;
    }
    let place = Place::new();
    let own = place.path().join("own");
    fs::copy(pki().file("a.both"), &own).expect("our folder");
    nix::unistd::chown(&own, Some(65_534.into()), None).expect("we are root");
    set_mode(&place, ".", 0o777);
    let server = Server::launch(place, &["--cert=own"], &["cat"], |launch| {
        launch.unprivileged()
    });
    // Such a process belongs to root in /proc, whoever runs it. proc(5)
    let memory = format!("/proc/{}/mem", server.key_process());
    assert_eq!(fs::metadata(memory).expect("it runs").uid(), 0);
}

#[test]
fn key_that_only_root_may_read_is_read_again_after_the_user_has_changed() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::copy(pki().file("a.both"), place.path().join("own")).expect("our folder");
    set_mode(&place, "own", 0o600);
    let server = Server::launch(
        place,
        &["-u65534", "-g65534", "--cert=own"],
        &["cat"],
        |it| it,
    );
    std::fs::copy(pki().file("b.both"), server.place.path().join("own")).expect("our folder");
    set_mode(&server.place, "own", 0o600);
    server.process.signal(Signal::SIGHUP);
    server.wait_for("tls certificates 1", 1);
    say(session(server.connect(), "b.example", trusting()), b"");
}

fn set_mode(place: &Place, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(place.path().join(name), permissions).expect("our file");
}

#[test]
fn key_serves_in_every_form() {
    let secret = Place::new();
    secret.write("passphrase", "secret\nmore\n");
    let file = format!("--passphrase-file={}/passphrase", secret.path().display());
    for (certificate, key, name) in [
        ("a.pem", "a.key", "a.example"),
        ("b.pem", "b.key", "b.example"),
        ("ed.pem", "ed.key", "ed.example"),
        ("a.pem", "a.pk8", "a.example"),
        ("a.pem", "a.locked", "a.example"),
        ("a.pem", "a.scrypt", "a.example"),
        ("b.pem", "b.des3", "b.example"),
        ("a.pem", "a.old128", "a.example"),
        ("b.pem", "b.old256", "b.example"),
        ("b.pem", "b.old3des", "b.example"),
    ] {
        let (certificate, own) = (pki().option("cert", certificate), pki().option("key", key));
        let server = Server::with(&[&certificate, &own, &file], &["cat"]);
        let answer = say(session(server.connect(), name, trusting()), b"x");
        assert_eq!(answer, b"x", "{key}");
    }
}

#[test]
fn passphrase_comes_from_a_descriptor() {
    use std::io::Write as _;
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    fs::File::from(write)
        .write_all(b"secret\n")
        .expect("there is room");
    let (certificate, key) = (
        pki().option("cert", "a.pem"),
        pki().option("key", "a.locked"),
    );
    let options = [&certificate[..], &key, "--passphrase-fd=9"];
    let server = Server::launch(Place::new(), &options, &["cat"], |it| it.inherit(9, read));
    assert_eq!(say(server.session(), b"x"), b"x");
    // It is kept for the next time.
    server.process.signal(Signal::SIGHUP);
    server.wait_for("tls certificates 1", 1);
}

#[test]
fn what_cannot_be_used_is_said_in_one_line() {
    let place = Place::new();
    place.write("wrong", "wrong");
    place.write("empty", "");
    let wrong = format!("--passphrase-file={}/wrong", place.path().display());
    let file = |name: &str| pki().file(name);
    for (certificate, key, more, why) in [
        (
            "a.pem",
            "nosuch",
            "-Q",
            "unable to read PATH: file does not exist",
        ),
        (
            "a.pem",
            "b.key",
            "-Q",
            "unable to use CERT: the key is not that of the certificate",
        ),
        (
            "a.pem",
            "a.locked",
            "-Q",
            "unable to use PATH: its key needs a passphrase",
        ),
        (
            "a.pem",
            "a.locked",
            &wrong,
            "unable to use PATH: the passphrase does not open its key",
        ),
        (
            "b.pem",
            "b.old3des",
            &wrong,
            "unable to use PATH: the passphrase does not open its key",
        ),
        ("a.pem", "a.pem", "-Q", "unable to use CERT: it has no key"),
        (
            "old.pem",
            "a.key",
            "-Q",
            "unable to use CERT: its certificate is of no use for TLS",
        ),
        (
            "a.key",
            "a.key",
            "-Q",
            "unable to use CERT: it has no certificate",
        ),
    ] {
        let options = [pki().option("cert", certificate), pki().option("key", key)];
        let words = [
            &ours("tlsserver")[..],
            more,
            &options[0],
            &options[1],
            "0",
            "0",
            "true",
        ];
        let outcome = place.run(&words, |launch| launch);
        let why = why
            .replace("PATH", &file(key))
            .replace("CERT", &file(certificate));
        assert_eq!(text(&outcome.stderr), format!("tlsserver: fatal: {why}\n"));
        assert_eq!(outcome.status.code(), Some(111));
    }
}
