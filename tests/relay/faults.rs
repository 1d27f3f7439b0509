//! System calls that fail, one at a time: what is carried arrives whole or is seen to break, the process ends in order or
//! serves on, and whoever comes later is served. Expects Debian's strace.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::temp::TempDir;
use crate::world::{PATIENCE, Remote, program, talk};

/// A call, and how it may fail.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "accept4",
        &["EMFILE", "ENOBUFS", "ECONNABORTED", "EPROTO", "EINTR"],
    ),
    (
        "socket",
        &["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES"],
    ),
    (
        "connect",
        &[
            "EADDRNOTAVAIL",
            "ECONNREFUSED",
            "ENETUNREACH",
            "EAGAIN",
            "EPERM",
        ],
    ),
    ("getsockopt", &["ENOBUFS"]),
    ("setsockopt", &["ENOMEM", "ENOPROTOOPT"]),
    ("getsockname", &["ENOBUFS"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("epoll_create1", &["EMFILE", "ENOMEM"]),
    ("epoll_wait", &["EINTR"]),
    ("eventfd2", &["EMFILE", "ENFILE"]),
    ("signalfd4", &["EMFILE", "ENOMEM"]),
    ("recvfrom", &["ECONNRESET", "EIO", "EINTR", "ENOMEM"]),
    // Not EAGAIN: after a real one the kernel tells when that is over, an edge; after one that strace made up, nothing changes.
    // The first is harmless, as waiting for it begins by asking whether the socket is writable.
    ("sendto", &["ECONNRESET", "EPIPE", "ENOBUFS", "ENOMEM"]),
    ("splice", &["EINVAL", "ENOMEM", "EIO", "ECONNRESET"]),
    ("pipe2", &["EMFILE", "ENFILE", "ENOMEM"]),
    ("fcntl", &["EMFILE", "EPERM"]),
    ("shutdown", &["ENOTCONN"]),
    ("close", &["EIO", "EINTR"]),
    ("write", &["EPIPE", "EAGAIN", "EIO", "ENOSPC"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
    ("bind", &["EADDRINUSE", "EACCES"]),
    ("listen", &["EADDRINUSE"]),
];

/// Which occurrences fail.
const WHEN: &[&str] = &["1", "2", "3", "5", "9", "2..4"];

/// How many of them a plain `cargo test` tries: every so-manieth.
const STRIDE: usize = 29;

#[test]
fn failing_calls_break_a_session_at_most() {
    if !Path::new("/usr/bin/strace").exists() {
        let required = std::env::var_os("UCSPI_COMPONENTS_REQUIRED").is_some();
        assert!(!required, "strace is not installed");
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: strace is not installed");
        }
        return;
    }
    let is_full = std::env::var_os("UCSPI_FAULTS").is_some_and(|which| which == "full");
    let all = FAULTS.iter().flat_map(|(call, failures)| {
        let failures = failures.iter();
        failures.flat_map(move |failure| WHEN.iter().map(move |when| (*call, *failure, *when)))
    });
    let remote = Remote::new("A");
    let broken: Vec<String> = all
        .step_by(if is_full { 1 } else { STRIDE })
        .filter_map(|(call, failure, when)| {
            let fault = format!("inject={call}:error={failure}:when={when}");
            let why = trial(&remote, &fault).err()?;
            Some(format!("{fault}: {why}"))
        })
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n\n"));
}

/// One relay with a fault, and some clients; why a promise is broken, if one is.
fn trial(remote: &Remote, fault: &str) -> Result<(), String> {
    let folder = TempDir::new();
    let path = folder.path().join("log");
    let log = std::fs::File::create(&path).expect("a folder of our own");
    let mut command = Command::new("/usr/bin/strace");
    // Detached, so that our child is the relay.
    command
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", fault])
        .arg(program("tcprelay"))
        .args(["-1vRHl0", "--threads=2", "127.0.0.1", "0"])
        .arg(remote.operand())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    let mut child = command.spawn().expect("strace is installed");
    let mut line = String::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut line).expect("text");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let served = line.trim().parse::<u16>().map(clients);
    if served.is_ok() {
        // It may have ended because of the fault.
        let _ = kill(pid, Signal::SIGTERM);
    }
    // A session that got lost keeps it from ending.
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        if began.elapsed() > PATIENCE / 4 {
            let _ = child.kill();
        } else if served.is_err() && began.elapsed() > PATIENCE / 30 {
            // It runs, and could not tell its port.
            let _ = kill(pid, Signal::SIGTERM);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let log = String::from_utf8_lossy(&std::fs::read(&path).expect("it is there")).into_owned();
    let told = |why: String| format!("{why}, {status}:\n{log}");
    match (served, status.code()) {
        (Ok(Ok(())), Some(0)) => Ok(()),
        // It did not start, and says why, once; the port may have been told.
        (_, Some(111)) if log.matches("tcprelay: fatal: ").count() == 1 => Ok(()),
        (Ok(Err(why)), _) => Err(told(why)),
        (Err(_), Some(0)) => Ok(()),
        // Its log is what failed.
        (Err(_), Some(111)) if fault.starts_with("inject=write:") => Ok(()),
        // Nor did what loads it.
        (Err(_), Some(127)) if log.contains("loading shared libraries") => Ok(()),
        _ => Err(told("it does not end in order".to_owned())),
    }
}

/// Some clients: each gets all or sees that it does not; and of the later ones, one is served.
fn clients(port: u16) -> Result<(), String> {
    const ENOUGH: usize = 12;
    let request = vec![b'x'; 100_000];
    let mut served = 0;
    for _ in 0..ENOUGH {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
            return Err("it does not listen".to_owned());
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut copy = stream.try_clone().expect("descriptors");
        let sent = request.clone();
        // Beside the answer, which is as long.
        let sender = std::thread::spawn(move || {
            let _ = copy.write_all(&sent);
            let _ = copy.shutdown(std::net::Shutdown::Write);
        });
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = stream.shutdown(std::net::Shutdown::Both);
        sender.join().expect("no panic");
        let is_whole = answer.len() == request.len() + 1;
        match read {
            Ok(_) if is_whole => served += 1,
            Ok(0) => {}
            Ok(count) => return Err(format!("an end in order after {count} bytes")),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err("a session hangs".to_owned());
            }
            Err(_) => {}
        }
    }
    let last = std::net::TcpStream::connect(("127.0.0.1", port)).and_then(|it| talk(it, b"!"));
    if served == 0 || last.ok().as_deref() != Some(b"A!") {
        return Err(format!("{served} were served, and the last one not"));
    }
    Ok(())
}
