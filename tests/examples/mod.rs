//! Every example is run: `examples/perlipc` with the bytes of perlipc(1), `examples/services` with those of the RFCs.
//!
//! Each in a network of its own: they have their own ports there, and a name server.

use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};

use crate::peers::clocks;
use crate::support::launch::{self, Launch};
use crate::support::nameserver::NameServer;
use crate::support::net;
use crate::support::place::{Place, text};
use crate::support::process::Process;
use crate::support::programs::Programs;
use crate::support::trials::{self, Trial};
use crate::support::wait::eventually;
use crate::support::zone::Zone;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

const TESTS: &[(&str, fn())] = &[
    (
        "greeting_server_greets_by_name",
        greeting_server_greets_by_name,
    ),
    (
        "greeting_server_greets_who_has_no_name",
        greeting_server_greets_who_has_no_name,
    ),
    (
        "fortune_server_serves_all_at_once",
        fortune_server_serves_all_at_once,
    ),
    (
        "fortune_server_logs_a_missing_fortune",
        fortune_server_logs_a_missing_fortune,
    ),
    ("client_shows_all_that_comes", client_shows_all_that_comes),
    (
        "client_fails_without_a_server",
        client_fails_without_a_server,
    ),
    ("daytime_is_shown_by_date_at", daytime_is_shown_by_date_at),
    ("daytime_is_one_line", daytime_is_one_line),
    ("echo_sends_back_all", echo_sends_back_all),
    (
        "discard_reads_all_and_says_nothing",
        discard_reads_all_and_says_nothing,
    ),
    (
        "lines_of_the_readme_are_those_of_the_scripts",
        lines_of_the_readme_are_those_of_the_scripts,
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let trials = trials::of_tests(TESTS).into_iter();
    trials.map(Trial::in_own_net).collect()
}

fn greeting_server_greets_by_name() {
    let example = Example::new();
    let (server, port) = example.serve("perlipc/server", 2345);
    assert_eq!(port, 2345);
    for _ in 0..2 {
        let before = clocks::now();
        let greeting = example.hear(port);
        let date = greeting
            .strip_prefix("Hello there, localhost, it's now ")
            .and_then(|date| date.strip_suffix("\r\n"))
            .unwrap_or_else(|| panic!("{greeting:?}"));
        clocks::assert_is_since(before, date, &example.place);
    }
    let log = server.stderr.as_ref().expect("the log is a pipe");
    log.wait_for("tcpserver: ok ", 2);
    log.wait_for("localhost:127.0.0.1:", 2);
    log.wait_for("tcpserver: status: 1/1", 2);
}

fn greeting_server_greets_who_has_no_name() {
    let example = Example::new();
    let (_server, port) = example.serve("perlipc/server", 0);
    let from = Ipv4Addr::new(127, 0, 0, 9);
    let mut client = net::connect_from(from, HERE, port, |_| false).expect("it listens");
    let greeting = text(&net::receive_all(&mut client));
    assert!(
        greeting.starts_with("Hello there, , it's now "),
        "{greeting:?}"
    );
}

fn fortune_server_serves_all_at_once() {
    let example = Example::new();
    // The first one waits until it is told to go on.
    let fortune = "#!/bin/sh\nif mkdir \"$WORK/first\" 2>/dev/null; then read go <\"$WORK/go\"; fi\nprintf 'one\\ntwo\\n'\n";
    example.program("fortune", fortune);
    let work = example.place.path().join("go");
    nix::unistd::mkfifo(&work, nix::sys::stat::Mode::S_IRWXU).expect("the folder is ours");
    let (_server, port) = example.serve("perlipc/fortunes", 0);
    let mut first = net::connect_from(HERE, HERE, port, |_| false).expect("it listens");
    let greeting = text(&net::receive_line(&mut first));
    assert!(greeting.starts_with("Hello there, localhost, it's now "));
    assert!(greeting.ends_with("\r\n"), "{greeting:?}");
    example.wait_for_folder("first");
    let second = example.hear(port);
    assert!(second.ends_with("\r\none\ntwo\n"), "{second:?}");
    std::fs::write(work, "go on\n").expect("the first one reads it");
    assert_eq!(text(&net::receive_all(&mut first)), "one\ntwo\n");
}

fn fortune_server_logs_a_missing_fortune() {
    let example = Example::new();
    let (server, port) = example.serve("perlipc/fortunes", 0);
    let greeting = example.hear(port);
    assert!(greeting.ends_with("\r\n"), "{greeting:?}");
    let log = server.stderr.as_ref().expect("the log is a pipe");
    log.wait_for("fortune: not found", 1);
    log.wait_for("status 32512", 1);
}

fn client_shows_all_that_comes() {
    let example = Example::new();
    let bytes = b"one\r\ntwo\n\0\xff no line end";
    for (args, port) in [
        (&[][..], 2345),
        (&["localhost"], 2345),
        (&["localhost", "2000"], 2000),
        (&["127.0.0.1", "daytime"], 13),
    ] {
        let listener = net::listener_at(HERE, port);
        let client = example.start("perlipc/client", args);
        let mut server = net::accept(&listener);
        net::send(&mut server, bytes);
        drop(server);
        let outcome = client.outcome();
        assert_eq!(outcome.stdout, bytes);
        assert_eq!(
            (text(&outcome.stderr), outcome.status.code()),
            (String::new(), Some(0))
        );
    }
}

fn client_fails_without_a_server() {
    let example = Example::new();
    let outcome = example.start("perlipc/client", &[]).outcome();
    assert_eq!(
        (text(&outcome.stderr), outcome.status.code()),
        (
            "tcpclient: unable to connect to 127.0.0.1 port 2345: connection refused\n".to_owned(),
            Some(111)
        )
    );
    let outcome = example.start("perlipc/client", &["nobody.test"]).outcome();
    assert_eq!(
        (text(&outcome.stderr), outcome.status.code()),
        (
            "tcpclient: fatal: no IP address for nobody.test\n".to_owned(),
            Some(111)
        )
    );
}

fn daytime_is_shown_by_date_at() {
    let example = Example::new();
    let (_server, port) = example.serve("services/daytime", 13);
    assert_eq!(port, 13);
    clocks::tells_the_date(&example.place);
}

fn daytime_is_one_line() {
    let example = Example::new();
    let (_server, port) = example.serve("services/daytime", 0);
    let line = example.hear(port);
    assert!(line.ends_with("\r\n"), "{line:?}");
    assert_eq!(line.matches('\n').count(), 1);
}

fn echo_sends_back_all() {
    let example = Example::new();
    let (_server, port) = example.serve("services/echo", 7);
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let mut client = net::connect_from(HERE, HERE, port, |_| false).expect("it listens");
    let mut sender = client.try_clone().expect("a descriptor can be duplicated");
    let echoed = std::thread::scope(|scope| {
        scope.spawn(|| {
            net::send(&mut sender, &bytes);
            net::half_close(&sender);
        });
        net::receive_all(&mut client)
    });
    assert!(echoed == bytes, "{} of {} bytes", echoed.len(), bytes.len());
    // At once: nobody waits for the end.
    let mut client = net::connect_from(HERE, HERE, port, |_| false).expect("it listens");
    for line in ["one\n", "two\n"] {
        net::send(&mut client, line.as_bytes());
        assert_eq!(text(&net::receive_line(&mut client)), line);
    }
}

fn discard_reads_all_and_says_nothing() {
    let example = Example::new();
    let (server, port) = example.serve("services/discard", 9);
    let mut client: TcpStream = net::connect_from(HERE, HERE, port, |_| false).expect("it listens");
    net::send(&mut client, &vec![b'x'; 1 << 20]);
    client.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(net::receive_all(&mut client), b"");
    let log = server.stderr.as_ref().expect("the log is a pipe");
    log.wait_for("status 0", 1);
}

/// What the table calls one line is what the script does.
fn lines_of_the_readme_are_those_of_the_scripts() {
    let folder = folder().join("perlipc");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    let table = read("README.md");
    for name in ["client", "server", "fortunes"] {
        let script = read(name);
        let line = script
            .lines()
            .last()
            .and_then(|line| line.strip_prefix("exec "));
        let line = line.expect("the last line does it").replace('"', "");
        let line = line.replace("${1-localhost}", "localhost");
        let line = line
            .replace("${1-2345}", "2345")
            .replace("${2-2345}", "2345");
        assert!(table.contains(&format!("`{line}`")), "{line}");
    }
}

/// The programs under their names, where an example finds them, and a name server.
struct Example {
    place: Place,
    _name_server: NameServer,
}

impl Example {
    fn new() -> Self {
        let place = Place::new();
        let programs = place.path().join("bin");
        std::fs::create_dir(&programs).expect("the folder is ours");
        for name in ["addcr", "tcpcat", "tcpserver"] {
            let path = Programs::subject().path(name);
            std::os::unix::fs::symlink(path, programs.join(name)).expect("the folder is ours");
        }
        let zone = Zone::default()
            .a("localhost", &[HERE])
            .ptr(HERE, "localhost");
        Self {
            place,
            _name_server: NameServer::of(NAME_SERVER, zone),
        }
    }

    /// Puts a script where the example finds programs.
    fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let _no_fork = launch::no_fork_meets_an_open_file();
        let path = self.place.path().join("bin").join(name);
        std::fs::write(&path, script)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
            .expect("the folder is ours");
    }

    fn start(&self, example: &str, args: &[&str]) -> Process {
        let script = folder().join(example);
        let script = script.to_string_lossy();
        let words = [&[&*script], args].concat();
        self.place.start(&words, |launch| self.with(launch))
    }

    fn with(&self, launch: Launch) -> Launch {
        let work = self.place.path().to_string_lossy();
        launch
            .empty_env()
            .env("PATH", format!("{work}/bin:/usr/bin:/bin"))
            .env("WORK", work.as_bytes())
            .env("TZ", "UTC0")
            .env("DNSCACHEIP", NAME_SERVER.to_string())
    }

    /// Starts a server that is an example, on its own port unless another one is given: 0 for any.
    fn serve(&self, example: &str, port: u16) -> (Process, u16) {
        let any = ["0"];
        let process = self.start(example, if port == 0 { &any } else { &[] });
        let port = process.port();
        (process, port)
    }

    /// All that a server sends.
    fn hear(&self, port: u16) -> String {
        let mut client = net::connect_from(HERE, HERE, port, |_| false).expect("it listens");
        text(&net::receive_all(&mut client))
    }

    fn wait_for_folder(&self, name: &str) {
        let folder = self.place.path().join(name);
        eventually("the folder is made", || folder.is_dir());
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}
