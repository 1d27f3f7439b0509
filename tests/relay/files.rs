//! Configuration files of event-driven-servers.

use std::io::{Read, Write};
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use nix::sys::signal::Signal;

use crate::names::Names;
use crate::temp::TempDir;
use crate::world::{Remote, bound, program, until};

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let (socket, address) = bound("127.0.0.1:0").expect("a port");
    // It stays ours: who wants it by its number may have it, and who wants any gets another.
    let _ = socket.into_raw_fd();
    address.port()
}

fn checked(text: &str) -> Output {
    checked_with(text, &[])
}

/// The same, with variables of the environment.
fn checked_with(text: &str, variables: &[(&str, &str)]) -> Output {
    let folder = TempDir::new();
    std::fs::write(folder.path().join("relay.conf"), text).expect("a folder of our own");
    let mut command = Command::new(program("tcprelay"));
    command
        .args(["-P", "relay.conf"])
        .envs(variables.iter().copied())
        .current_dir(folder.path());
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One that is started by its first line, and ended by TERM.
pub(crate) struct Running {
    pub(crate) child: std::process::Child,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl Running {
    /// `text` with `PORT` for a free port, run under the name of spawnd.
    pub(crate) fn start(text: &str) -> Self {
        let (folder, port) = (TempDir::new(), free_port());
        let file = folder.path().join("relay.conf");
        let first = format!("#!{}\n", program("spawnd").display());
        std::fs::write(&file, first + &text.replace("PORT", &port.to_string())).expect("a folder");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("ours");
        let log = std::fs::File::create(folder.path().join("log")).expect("a folder");
        // A file that was just written may be busy for a moment: another thread's fork holds it.
        let child = until("it starts", || {
            let mut command = Command::new(&file);
            command.stderr(log.try_clone().expect("descriptors"));
            command.current_dir(folder.path()).spawn().ok()
        });
        Self {
            child,
            folder,
            port,
        }
    }

    pub(crate) fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let stream = until("it listens", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        crate::world::talk(stream, bytes).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a file")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("it runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sample_that_comes_with_the_program_runs_by_itself() {
    let a = Remote::new("A");
    let text = "id = spawnd { listen = { address = 127.0.0.1 port = PORT } background = no }\n\
        id = tcprelay { remote = { address = 127.0.0.1 port = REMOTE } }\n\
        #id = spawnd { listen = { address = 127.0.0.1 port = 8631 tls = yes }\n#\tsingle process = yes\n#}\n";
    let mut running = Running::start(&text.replace("REMOTE", &a.address.port().to_string()));
    assert_eq!(running.ask(b"hello"), b"Ahello");
    running.signal(Signal::SIGTERM);
    let child = &mut running.child;
    let status = until("it ends", || child.try_wait().expect("ours"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn unix_listener_pidfile_limits_and_lists_work() {
    let a = Remote::new("A");
    let text = "id = spawnd { listen { address = 127.0.0.1 port = PORT } listen { path = sock mode = 0600 }\n\
        pidfile = pid permit 127.0.0.0/8 }\nid = tcprelay { remote = { address = 127.0.0.1 port = REMOTE } }\n";
    let running = Running::start(&text.replace("REMOTE", &a.address.port().to_string()));
    assert_eq!(running.ask(b"1"), b"A1");
    let place = running.folder.path().join("sock");
    let mode = std::fs::metadata(&place)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&place).expect("it listens");
    stream.write_all(b"2").expect("it is taken");
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end in order");
    assert_eq!(answer, b"A2");
    let pid = std::fs::read_to_string(running.folder.path().join("pid")).expect("it is there");
    assert_eq!(pid, format!("{}\n", running.child.id()));
}

#[test]
fn who_is_not_permitted_is_closed() {
    let a = Remote::new("A");
    let text = "id = spawnd { listen { address = 127.0.0.1 port = PORT } permit 10.0.0.0/8 }\n\
        id = tcprelay { remote = { address = 127.0.0.1 port = REMOTE } }\n";
    let running = Running::start(&text.replace("REMOTE", &a.address.port().to_string()));
    assert_eq!(running.ask(b""), b"");
    assert_eq!(a.taken(), 0);
}

#[test]
fn listener_that_cannot_be_had_is_tried_again() {
    let a = Remote::new("A");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = busy.local_addr().expect("it is bound").port();
    let text = format!(
        "id = spawnd {{ listen {{ address = 127.0.0.1 port = PORT }} listen {{ address = 127.0.0.1 port = {port} bind retry delay = 1 }} }}\n\
         id = tcprelay {{ remote = {{ address = 127.0.0.1 port = {} }} }}\n",
        a.address.port()
    );
    let running = Running::start(&text);
    assert_eq!(running.ask(b""), b"A");
    until("it says so", || {
        running
            .log()
            .contains("relay.conf:2: unable to bind: address already used")
            .then_some(())
    });
    drop(busy);
    // A program that another test starts may hold a copy of that one until it is executed.
    let answer = until("it has the port", || {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        crate::world::talk(stream, b"").ok()
    });
    assert_eq!(answer, b"A");
}

#[test]
fn file_changes_with_hup_and_a_wrong_one_changes_nothing() {
    let (a, b) = (Remote::new("A"), Remote::new("B"));
    let text = "id = spawnd { listen { address = 127.0.0.1 port = PORT } }\ninclude = remote\n";
    let remote = |remote: &Remote| {
        format!(
            "id = tcprelay {{ remote = {{ address = 127.0.0.1 port = {} }} }}\n",
            remote.address.port()
        )
    };
    let folder = TempDir::new();
    let part = folder.path().join("remote");
    std::fs::write(&part, remote(&a)).expect("a folder of our own");
    let running = Running::start(&text.replace("= remote", &format!("= {}", part.display())));
    assert_eq!(running.ask(b""), b"A");
    std::fs::write(&part, remote(&b)).expect("a folder of our own");
    running.signal(Signal::SIGHUP);
    until("B has the sessions", || {
        (running.ask(b"") == b"B").then_some(())
    });
    std::fs::write(&part, "id = tcprelay {\nremote = { colour = red }\n}\n")
        .expect("a folder of our own");
    running.signal(Signal::SIGHUP);
    let line = format!(
        "warning: nothing is changed: {}:2: Expected 'address', 'port', 'protocol', 'weight' or '}}', but got 'colour'\n",
        part.display()
    );
    until("it says so", || running.log().contains(&line).then_some(()));
    assert_eq!(running.ask(b""), b"B");
}

#[test]
fn check_says_where_a_file_is_wrong_and_what_has_no_effect() {
    let output = checked("id = spawnd {\n background = perhaps\n}\n");
    assert_eq!(output.status.code(), Some(78));
    let line = "relay.conf:2: Expected 'deny', 'false', 'no', 'permit', 'true' or 'yes', but got 'perhaps'\n";
    assert!(said(&output).ends_with(line), "{}", said(&output));
    let output = checked(
        "id = spawnd { proctitle = yes listen { port = 1 } }\nid = tcprelay { remote = { address = 127.0.0.1 port = 1 } }\n",
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).ends_with("relay.conf:1: proctitle has no effect here\n"),
        "{}",
        said(&output)
    );
    for (text, line) in [
        (
            "id = spawnd { listen { } } id = tcprelay { remote = { address = h port = 1 } }",
            "relay.conf:1: Expected 'port' or 'path', but there is none\n",
        ),
        (
            "id = spawnd { listen { port = 1 } } id = tcprelay { }",
            "relay.conf: Expected a remote, but there is none\n",
        ),
        (
            "id = spawnd { listen { port = nowhere } } id = tcprelay { remote = { address = h port = 1 } }",
            "relay.conf:1: Expected a port number or service, but got 'nowhere'\n",
        ),
        // It is no service of TCP.
        (
            "id = spawnd { listen { port = tftp } } id = tcprelay { remote = { address = h port = 1 } }",
            "relay.conf:1: Expected a port number or service, but got 'tftp'\n",
        ),
        (
            "id = spawnd { listen { port = 1 }\ninclude = nosuch }",
            "relay.conf:2: unable to read nosuch: file does not exist\n",
        ),
        (
            "id = spawnd { spawn { userid = no-such-user } } id = tcprelay { remote = { address = h port = 1 } }",
            "UNIX user 'no-such-user' not found.\n",
        ),
    ] {
        let output = checked(text);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(said(&output).ends_with(line), "{}", said(&output));
    }
}

#[test]
fn name_in_a_file_that_has_no_address_is_told_with_its_place() {
    let Some(_names) = Names::serve("127.53.15.1") else {
        return;
    };
    for (text, line) in [
        (
            "id = spawnd { listen { port = 1 } }\nid = tcprelay {\n remote = { address = nobody.invalid port = 1 } }\n",
            "relay.conf:3: no IP address for nobody.invalid\n",
        ),
        (
            "id = spawnd {\n listen { address = nobody.invalid port = 1 } }\nid = tcprelay { remote = { address = 127.0.0.1 port = 1 } }\n",
            "relay.conf:2: no IP address for nobody.invalid\n",
        ),
    ] {
        let output = checked_with(text, &[("DNSCACHEIP", "127.53.15.1")]);
        assert_eq!(output.status.code(), Some(78));
        assert!(said(&output).ends_with(line), "{}", said(&output));
    }
}

#[test]
fn parts_of_sections_are_included() {
    let a = Remote::new("A");
    let (folder, port) = (TempDir::new(), free_port());
    for (name, text) in [
        ("1.listen", "address = 127.0.0.1\n".to_owned()),
        ("2.listen", format!("port = {port}\n")),
        (
            "remote",
            format!(
                "remote = {{ address = 127.0.0.1 port = {} }}",
                a.address.port()
            ),
        ),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a folder of our own");
    }
    let place = folder.path().display();
    let mut running = Running::start(&format!(
        "gcore = /bin/false\nid = spawnd {{ listen {{ include = {place}/*.listen }} }}\nid = tcprelay {{ include = {place}/remote }}\n"
    ));
    running.port = port;
    assert_eq!(running.ask(b"1"), b"A1");
}

#[test]
fn port_that_is_taken_is_an_end_with_111_in_both_forms() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = busy.local_addr().expect("it is bound").port().to_string();
    let folder = TempDir::new();
    let text = format!(
        "id = spawnd {{ listen {{ address = 127.0.0.1 port = {port} }} }}\nid = tcprelay {{ remote = {{ address = 127.0.0.1 port = 1 }} }}\n"
    );
    std::fs::write(folder.path().join("relay.conf"), text).expect("a folder of our own");
    for words in [
        &["relay.conf"][..],
        &["-RHl0", "127.0.0.1", &port, "127.0.0.1:1"],
    ] {
        let mut command = Command::new(program("tcprelay"));
        command.args(words).current_dir(folder.path());
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(111), "{words:?}");
        let said = said(&output);
        assert!(said.starts_with("tcprelay: fatal: "), "{said}");
        assert!(
            said.ends_with("unable to bind: address already used\n"),
            "{said}"
        );
        let has_place = said.contains("/relay.conf:1: ");
        assert_eq!(has_place, words.len() == 1, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn sctp_works_or_is_refused_with_one_line() {
    let text = "id = spawnd { listen { address = 127.0.0.1 port = PORT protocol = SCTP } }\n\
        id = tcprelay { remote = { address = 127.0.0.1 port = 1 } }\n";
    let mut running = Running::start(text);
    let has_sctp = std::path::Path::new("/proc/net/sctp").exists();
    if has_sctp {
        return;
    }
    let child = &mut running.child;
    let status = until("it ends", || child.try_wait().expect("ours"));
    assert_eq!(status.code(), Some(111));
    let log = running.log();
    assert_eq!(
        log.matches("relay.conf:2: unable to create socket: ")
            .count(),
        1,
        "{log}"
    );
}

#[test]
fn which_form_it_is_depends_on_the_operands() {
    let output = |words: &[&str]| {
        let mut command = Command::new(program("tcprelay"));
        command.args(words).output().expect("it runs")
    };
    // A file, which does not exist.
    for words in [
        &["/no/such/file"][..],
        &["--check-only", "/no/such/file"],
        &["-P", "/no/such/file", "id"],
    ] {
        let output = output(words);
        assert_eq!(output.status.code(), Some(78), "{words:?}");
        assert!(said(&output).contains("unable to read /no/such/file: file does not exist"));
    }
    // A line without remotes.
    for words in [&[][..], &["--threads=1", "0", "1"], &["-c", "5", "0", "1"]] {
        let output = output(words);
        assert_eq!(output.status.code(), Some(100), "{words:?}");
        assert!(
            said(&output).contains("tcprelay: usage: tcprelay "),
            "{}",
            said(&output)
        );
    }
    // A line with one that is none.
    let output = output(&["--check-only", "127.0.0.1", "0", "nonsense"]);
    assert_eq!(output.status.code(), Some(100));
    assert!(
        said(&output)
            .contains("Expected host:port, [address]:port or unix:path, but got 'nonsense'")
    );
}

#[test]
fn command_line_of_a_file_relays_as_the_file_does() {
    let a = Remote::new("A");
    let (folder, port) = (TempDir::new(), free_port());
    let remote = a.address.port();
    for (who, expected) in [("127.0.0.0/8", &b"A1"[..]), ("10.0.0.0/8", b"")] {
        let text = format!(
            "id = spawnd {{ listen {{ address = 127.0.0.1 port = {port} }} permit {who} }}\n\
             id = tcprelay {{ remote = {{ address = 127.0.0.1 port = {remote} }} }}\n"
        );
        std::fs::write(folder.path().join("relay.conf"), text).expect("a folder of our own");
        let mut print = Command::new(program("tcprelay-conf"));
        print.arg("relay.conf").current_dir(folder.path());
        let printed = print.output().expect("it runs");
        assert_eq!(printed.status.code(), Some(0), "{}", said(&printed));
        let script = String::from_utf8(printed.stdout).expect("plain text");
        let script = script.replace("\ntcprelay ", "\nexec tcprelay ");
        let programs = program("tcprelay");
        let programs = programs.parent().expect("a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path());
        let child = shell.env("PATH", format!("{programs}:{path}")).spawn();
        let running = Running {
            child: child.expect("there is a shell"),
            folder: TempDir::new(),
            port,
        };
        assert_eq!(running.ask(b"1"), expected, "{script}");
    }
    assert_eq!(a.taken(), 1);
}
