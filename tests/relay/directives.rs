//! What the directives of a file do, each seen from outside.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;

use crate::files::{Running, free_port};
use crate::pidfd;
use crate::temp::TempDir;
use crate::world::{PATIENCE, Remote, program, talk, until};

/// A file with these directives, and these of the relay besides a remote at `remote`.
fn text(master: &str, relay: &str, remote: &Remote) -> String {
    let port = remote.address.port();
    format!(
        "id = spawnd {{ {master} }}\nid = tcprelay {{ remote = {{ address = 127.0.0.1 port = {port} }} {relay} }}\n"
    )
}

const LISTEN: &str = "listen { address = 127.0.0.1 port = PORT }";

/// One that runs with these directives for `remote`.
fn running(master: &str, relay: &str, remote: &Remote) -> Running {
    Running::start(&text(&format!("{LISTEN} {master}"), relay, remote))
}

/// The name of the remote that takes a new client, if one does, and the connection.
fn arrive(port: u16) -> (String, TcpStream) {
    let mut stream = until("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut name = [0];
    let length = stream.read(&mut name).unwrap_or(0);
    (
        String::from_utf8_lossy(&name[..length]).into_owned(),
        stream,
    )
}

fn status_of(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(field));
    line.expect("a line")
        .trim_start_matches([':', '\t'])
        .to_owned()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn users_times_instances_is_the_limit_and_overload_says_what_happens_then() {
    let a = Remote::new("A");
    for (spawn, overload) in [
        ("spawn { users max = 1 instances max = 2 }", "close"),
        ("spawn { users max = 2 servers max = 1 }", "reset"),
        (
            "spawn { users max = 2 instances max = 9 } single process = yes",
            "close",
        ),
    ] {
        let running = running(&format!("{spawn} overload = {overload}"), "", &a);
        let _two = [arrive(running.port), arrive(running.port)];
        let mut third = TcpStream::connect(("127.0.0.1", running.port)).expect("it listens");
        third.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let read = third.read(&mut [0]);
        assert_eq!(read.is_err(), overload == "reset", "{spawn}: {read:?}");
        assert_eq!(read.unwrap_or(0), 0);
    }
}

#[test]
fn sticky_cache_keeps_a_source_where_it_is() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    let second = format!(
        "remote = {{ address = 127.0.0.1 port = {} }}",
        b.address.port()
    );
    let running = running("sticky cache period = 60", &second, &a);
    let sessions: Vec<_> = (0..6).map(|_| arrive(running.port)).collect();
    let names: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names == "AAAAAA" || names == "BBBBBB", "{names}");
}

#[test]
fn idle_timeout_and_local_address_are_obeyed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let running = Running::start(&format!(
        "id = spawnd {{ {LISTEN} }}\nid = tcprelay {{ local address = 127.0.0.7 idle timeout = 1 remote = {{ address = 127.0.0.1 port = {port} }} }}"
    ));
    let mut client = until("it listens", || {
        TcpStream::connect(("127.0.0.1", running.port)).ok()
    });
    client.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let (_remote, peer) = listener.accept().expect("a connection");
    assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 7));
    assert_eq!(client.read(&mut [0]).expect("an end in order"), 0);
}

#[test]
fn rebalance_and_retire_are_obeyed() {
    let (mut a, b) = (Remote::absent("A"), Remote::new("B"));
    let port = b.address.port();
    let more = format!("rebalance = 3 retire = 4 remote = {{ address = 127.0.0.1 port = {port} }}");
    let running = running("", &more, &a);
    // Two choices: A, which is dead, and B.
    let _first = arrive(running.port);
    a.come_back();
    let sessions: Vec<_> = (0..3).map(|_| arrive(running.port)).collect();
    let names: String = sessions.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.starts_with('B') && names.contains('A'), "{names}");
    // The process that has these sessions by now.
    let pid = running.child.id();
    until("it was replaced", || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        (!children.expect("it runs").is_empty()).then_some(())
    });
    assert_eq!(arrive(running.port).0.len(), 1);
}

#[test]
fn single_process_has_one_thread() {
    let a = Remote::new("A");
    let running = running("single process = yes", "", &a);
    assert_eq!(running.ask(b"1"), b"A1");
    assert_eq!(status_of(running.child.id(), "Threads"), "1");
}

#[test]
fn process_is_whose_and_where_the_file_says() {
    if !is_root() {
        return;
    }
    let a = Remote::new("A");
    let running = running(
        "spawn { userid = nobody groupid = 65534 working directory = / }",
        "",
        &a,
    );
    assert_eq!(running.ask(b"1"), b"A1");
    let pid = running.child.id();
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("a list")
        .expect("one");
    let uid = nobody.uid.to_string();
    assert!(status_of(pid, "Uid").split('\t').all(|id| id == uid));
    assert!(status_of(pid, "Gid").split('\t').all(|id| id == "65534"));
    let place = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("it runs");
    assert_eq!(place, std::path::Path::new("/"));
}

#[test]
fn connections_are_as_their_listener_is() {
    let a = Remote::new("A");
    let text = text(
        "tcp keepalive idle = 71 tcp keepalive count = 5 listen { port = PORT dscp = 8 tcp keepalive interval = 13 tcp keepalive idle = 72 }",
        "",
        &a,
    );
    let running = Running::start(&text);
    let (name, client) = arrive(running.port);
    assert_eq!(name, "A");
    let ours = client.local_addr().expect("it is connected").port();
    let pid = running.child.id();
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let numbers = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut sockets = numbers.filter_map(|number| pidfd::descriptor_of(pid, number).ok());
    // Of both families at once.
    let is_it = |socket: &OwnedFd| {
        let peer = nix::sys::socket::getpeername::<nix::sys::socket::SockaddrIn6>(
            std::os::fd::AsRawFd::as_raw_fd(socket),
        );
        peer.is_ok_and(|peer| peer.port() == ours)
    };
    let socket = sockets.find(is_it).expect("it has the connection");
    assert!(getsockopt(&socket, sockopt::KeepAlive).expect("a socket"));
    let numbers = [
        getsockopt(&socket, sockopt::TcpKeepCount),
        getsockopt(&socket, sockopt::TcpKeepIdle),
        getsockopt(&socket, sockopt::TcpKeepInterval),
    ];
    assert_eq!(numbers, [Ok(5), Ok(72), Ok(13)]);
    let class = getsockopt(&socket, sockopt::Ipv4Tos).expect("an IPv4 connection");
    assert_eq!(class, 8 << 2);
}

#[test]
fn name_of_a_listener_stands_for_all_its_addresses() {
    let a = Remote::new("A");
    // Both are in /etc/hosts nearly everywhere.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let has = |address: &str| {
        hosts.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(address) && words.any(|word| word == "localhost")
        })
    };
    if !has("127.0.0.1") || !has("::1") || TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let running = Running::start(&text("listen { address = localhost port = PORT }", "", &a));
    assert_eq!(running.ask(b"4"), b"A4");
    let stream = TcpStream::connect(("::1", running.port)).expect("it listens there, too");
    assert_eq!(talk(stream, b"6").expect("an answer"), b"A6");
}

#[test]
fn listeners_come_and_go_with_hup_and_sessions_stay() {
    let a = Remote::new("A");
    let folder = TempDir::new();
    let part = folder.path().join("listeners");
    let (first, second) = (free_port(), free_port());
    let listen = |port: u16| format!("listen {{ address = 127.0.0.1 port = {port} }}");
    std::fs::write(&part, listen(first)).expect("a folder of our own");
    let mut running = Running::start(&text(&format!("include = {}", part.display()), "", &a));
    running.port = first;
    let (_, mut lasting) = arrive(first);
    std::fs::write(&part, listen(second)).expect("a folder of our own");
    running.signal(Signal::SIGHUP);
    assert_eq!(arrive(second).0, "A");
    until("the other port is closed", || {
        TcpStream::connect(("127.0.0.1", first)).err()
    });
    std::io::Write::write_all(&mut lasting, b"?").expect("it is still there");
    lasting.read_exact(&mut [0]).expect("it is still there");
}

#[test]
fn background_process_tells_its_pid_and_ends_with_term() {
    let a = Remote::new("A");
    let (folder, port) = (TempDir::new(), free_port());
    let pidfile = folder.path().join("pid");
    let text = text(
        &format!("{LISTEN} background = yes pidfile = {}", pidfile.display()),
        "",
        &a,
    );
    std::fs::write(
        folder.path().join("f"),
        text.replace("PORT", &port.to_string()),
    )
    .expect("a folder");
    let mut command = Command::new(program("tcprelay"));
    let status = command.arg("f").current_dir(folder.path()).status();
    assert_eq!(status.expect("it runs").code(), Some(0));
    assert_eq!(arrive(port).0, "A");
    let pid = std::fs::read_to_string(&pidfile).expect("it is there");
    let pid = pid.trim().parse().expect("a number");
    // Not of our session, nor with our descriptors.
    let session = nix::unistd::getsid(Some(Pid::from_raw(pid))).expect("it runs");
    assert_eq!(session.as_raw(), pid);
    let output = std::fs::read_link(format!("/proc/{pid}/fd/2")).expect("it runs");
    assert_eq!(output, std::path::Path::new("/dev/null"));
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    until("the file is gone", || (!pidfile.exists()).then_some(()));
    until("it has ended", || {
        std::fs::metadata(format!("/proc/{pid}")).err()
    });
}

/// A tcprelay with the file `text` whose descriptor 0 is `listener`, as inetd starts one for all connections; ended when it
/// goes out of scope.
struct Guest {
    child: Child,
    folder: TempDir,
}

impl Guest {
    fn start(text: &str, listener: &TcpListener) -> Self {
        let folder = TempDir::new();
        std::fs::write(folder.path().join("f"), text).expect("a folder");
        let log = std::fs::File::create(folder.path().join("log")).expect("a folder");
        let mut command = Command::new(program("tcprelay"));
        command.args(["-D", "f"]).current_dir(folder.path());
        let stdin = OwnedFd::from(listener.try_clone().expect("descriptors"));
        command.stdin(Stdio::from(stdin)).stderr(log);
        let child = command.spawn().expect("it starts");
        Self { child, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a file")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn listener_on_descriptor_0_is_taken_and_hup_ends_it() {
    let a = Remote::new("A");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut guest = Guest::start(&text("background = yes", "retire limit = 2", &a), &listener);
    // Three processes, one after the other.
    let sessions: Vec<_> = (0..5).map(|_| arrive(port)).collect();
    assert!(
        sessions.iter().all(|(name, _)| name == "A"),
        "{}",
        guest.log()
    );
    until("it was replaced", || {
        (guest.log().matches("draining ").count() == 2).then_some(())
    });
    drop(sessions);
    let pid = Pid::from_raw(i32::try_from(guest.child.id()).expect("a pid"));
    // It may not listen to it yet.
    let status = until("it ends", || {
        kill(pid, Signal::SIGHUP).expect("it is ours");
        guest.child.try_wait().expect("it is ours")
    });
    assert_eq!(status.code(), Some(0), "{}", guest.log());
}

#[test]
fn file_without_a_listener_needs_one_on_descriptor_0() {
    let a = Remote::new("A");
    let folder = TempDir::new();
    std::fs::write(folder.path().join("f"), text("", "", &a)).expect("a folder");
    for (words, code) in [(&["f"][..], 78), (&["-P", "f"], 0)] {
        let mut command = Command::new(program("tcprelay"));
        command
            .args(words)
            .current_dir(folder.path())
            .stdin(Stdio::null());
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.ends_with("f: Expected 'listen', but there is none\n"),
            "{said}"
        );
    }
}

#[test]
fn log_goes_to_the_system_and_a_wrong_file_at_hup_is_a_line_here() {
    // A /dev of its own, with a log.
    if !is_root() {
        return;
    }
    let (a, dead) = (Remote::new("A"), Remote::absent("D"));
    let (folder, port) = (TempDir::new(), free_port());
    let system = UnixDatagram::bind(folder.path().join("log")).expect("a folder of our own");
    system.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let good = text(
        &format!("{LISTEN} syslog ident = me syslog facility = local0 syslog severity = notice"),
        &format!(
            "remote = {{ address = 127.0.0.1 port = {} }}",
            a.address.port()
        ),
        &dead,
    );
    let file = folder.path().join("f");
    std::fs::write(&file, good.replace("PORT", &port.to_string())).expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount --bind \"$0\" /dev && exec \"$@\""]);
    command
        .arg(folder.path())
        .arg(program("tcprelay"))
        .arg(&file);
    command.stderr(Stdio::piped()).stdin(Stdio::null());
    let mut guest = Guest {
        child: command.spawn().expect("it starts"),
        folder: TempDir::new(),
    };
    assert_eq!(arrive(port).0, "A");
    let mut message = [0; 1000];
    let length = system.recv(&mut message).expect("a message");
    let message = String::from_utf8_lossy(&message[..length]).into_owned();
    let pid = guest.child.id();
    let end = format!(" me[{pid}]: dead {} connection refused", dead.operand());
    assert!(
        message.starts_with("<133>") && message.ends_with(&end),
        "{message}"
    );
    std::fs::write(&file, "nonsense").expect("a folder");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGHUP).expect("it runs");
    let mut stderr = std::io::BufReader::new(guest.child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("text");
    let start = format!(
        "tcprelay: warning: nothing is changed: {}:1: Expected 'alias', ",
        file.display()
    );
    assert!(line.starts_with(&start), "{line}");
}
