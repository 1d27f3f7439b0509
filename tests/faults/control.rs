//! The control socket: what one can ask, who may ask, and that no asker harms anybody.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::signal::Signal;

use crate::service::{FOE, FRIEND};
use crate::support::net;
use crate::support::process::{Outcome, describe};
use crate::world::{self, Server, World, eventually, lossy};

const ECHO: [&str; 3] = ["sh", "-c", "echo ready; exec cat"];

/// A server with a control socket called `ctl`.
struct Controlled {
    world: World,
    server: Server,
}

impl Controlled {
    fn start(world: World, options: &[&str], program: &[&str]) -> Self {
        let control = format!("--control={}", world.name("ctl"));
        let fixed = ["-v", "--log=reason", "-RHl0", &control];
        let words = [&fixed[..], options, &["127.0.0.1", "0"], program].concat();
        let server = world.serve(words);
        Self { world, server }
    }

    fn connect(&self, source: Ipv4Addr) -> TcpStream {
        net::connect_from(source, Ipv4Addr::LOCALHOST, self.server.port, |_| false)
            .expect("the server listens")
    }

    fn served(&self, source: Ipv4Addr) -> TcpStream {
        let mut stream = self.connect(source);
        assert_eq!(net::receive_line(&mut stream), b"ready\n");
        stream
    }

    fn is_refused(&self, source: Ipv4Addr) -> bool {
        let mut stream = self.connect(source);
        net::half_close(&stream);
        net::receive_all(&mut stream).is_empty()
    }

    fn run(&self, words: &[&str]) -> Outcome {
        let path = self.world.name("ctl");
        let words: Vec<&str> = match words {
            ["--json", rest @ ..] => [&["--json", &path], rest].concat(),
            rest => [&[&path[..]], rest].concat(),
        };
        self.world.run("tcpctl", words)
    }

    fn ask(&self, words: &[&str]) -> String {
        let outcome = self.run(words);
        assert!(
            outcome.status.success(),
            "{words:?}: {}",
            lossy(&outcome.stderr)
        );
        assert_eq!(lossy(&outcome.stderr), "");
        lossy(&outcome.stdout)
    }

    /// What jq makes of an answer.
    fn jq(&self, words: &[&str], filter: &str) -> String {
        let answer = self.ask(&[&["--json"], words].concat());
        let launch = self.world.program("jq", ["-c", filter]).input(&answer);
        let Outcome {
            stdout,
            stderr,
            status,
        } = self.world.start(launch).outcome();
        assert!(status.success(), "{}\n{answer}", lossy(&stderr));
        lossy(&stdout).trim_end().to_owned()
    }

    fn socket(&self) -> UnixStream {
        let stream = UnixStream::connect(self.world.path("ctl")).expect("the server listens");
        let limit = Some(crate::support::deadline());
        stream.set_read_timeout(limit).expect("a limit");
        stream
    }

    /// What the server says to these bytes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.socket();
        // It may hang up before it has all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        lossy(&said)
    }
}

#[test]
fn server_tells_how_it_is() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n127.0.0.1:allow\n");
    let server = Controlled::start(world, &["--source-limit=2", "-x", &rules], &ECHO);
    let mut held = vec![server.served(FRIEND), server.served(FRIEND)];
    assert!(server.is_refused(FRIEND));
    assert!(server.is_refused(FOE));
    let (pid, port) = (server.server.process.pid(), server.server.port);
    let status = server.ask(&["status"]);
    let start = format!("tcpserver, process {pid}, serves 127.0.0.1:{port} for ");
    assert!(status.starts_with(&start), "{status}");
    assert!(
        status.ends_with("\n2 of 40 connections, 2 sources known\n"),
        "{status}"
    );
    assert_eq!(
        server.jq(
            &["status"],
            "[.name, .pid, .address, .open, .limit, .sources, .bans, .seconds > 0]"
        ),
        format!("[\"tcpserver\",{pid},\"127.0.0.1:{port}\",2,40,2,[],true]")
    );
    let counters = server.ask(&["counters"]);
    assert!(
        counters.starts_with("accepted 4\nserved 2\nended 0\nfailed 0\ndropped 0\nrefused rule 1\nrefused limit 1\nrefused rate 0\n"),
        "{counters}"
    );
    assert_eq!(
        server.jq(
            &["counters"],
            "[.accepted, .served, .refused.rule, .refused.limit, .refused.error]"
        ),
        "[4,2,1,1,0]"
    );
    let list = server.ask(&["list"]);
    let words: Vec<&str> = list
        .lines()
        .nth(2)
        .expect("two")
        .split_whitespace()
        .collect();
    let pids = world::children(pid);
    assert_eq!(words[0], pids[1].to_string(), "{list}");
    assert_eq!(words[3], format!("127.0.0.1:{port}"), "{list}");
    assert_eq!(words[5..], ["-", "-", "127.0.0.1"], "{list}");
    assert_eq!(
        server.jq(
            &["list"],
            "map([.number, .local, .host, .info, .rule, (.remote | test(\"^127.0.0.1:\"))])"
        ),
        format!(
            "[[{0},\"127.0.0.1:{port}\",null,null,\"127.0.0.1\",true],[{1},\"127.0.0.1:{port}\",null,null,\"127.0.0.1\",true]]",
            pids[0], pids[1]
        )
    );
    let top = server.ask(&["top"]);
    let top: Vec<Vec<&str>> = top
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(top[1], ["127.0.0.1/32", "2", "2", "1", "0.0"]);
    assert_eq!(top[2], ["127.0.0.2/32", "0", "0", "0", "0.0"]);
    assert_eq!(
        server.jq(&["top"], ".[0]"),
        "{\"source\":\"127.0.0.1/32\",\"open\":2,\"served\":2,\"refused\":1,\"penalty\":0}"
    );
    assert_eq!(
        server.jq(&["overview"], "[.status.open, .counters.accepted, (.connections | length), (.top | length), (.history | length), ([.history[].served] | add), ([.history[].refused] | add)]"),
        "[2,4,2,2,60,2,2]"
    );
    held.clear();
    eventually("they are gone", || server.jq(&["status"], ".open") == "0");
    assert_eq!(server.jq(&["list"], "."), "[]");
    assert_eq!(server.jq(&["counters"], ".ended"), "2");
    server.server.terminate();
}

#[test]
fn server_does_what_it_is_told() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let server = Controlled::start(world, &["-c1"], &ECHO);
    let first = server.served(FRIEND);
    let second = server.connect(FRIEND);
    assert!(net::is_silent(&second), "it waits");
    assert_eq!(server.ask(&["limit", "2"]), "");
    let mut second = second;
    assert_eq!(net::receive_line(&mut second), b"ready\n");
    assert_eq!(server.ask(&["limit", "3"]), "");
    assert_eq!(server.ask(&["ban", "127.0.0.2/31", "1000"]), "");
    assert_eq!(server.ask(&["ban", "192.0.2.1", "0.000001"]), "");
    assert!(server.is_refused(FOE));
    assert!(!server.is_refused(FRIEND));
    assert_eq!(
        server.jq(&["status"], ".bans | map(.prefix)"),
        "[\"127.0.0.2/31\"]"
    );
    assert!(
        server
            .ask(&["status"])
            .contains("\nbanned: 127.0.0.2/31 for ")
    );
    assert_eq!(server.ask(&["unban", "127.0.0.2/31"]), "");
    assert!(!server.is_refused(FOE));
    let again = server.run(&["unban", "127.0.0.2/31"]);
    assert_eq!(again.status.code(), Some(100));
    drop((first, second));
    let log = server.server.terminate();
    let denied: Vec<&str> = log.lines().filter(|line| line.contains(" deny ")).collect();
    assert!(
        denied.len() == 1 && denied[0].ends_with(" penalty"),
        "{log}"
    );
}

#[test]
fn unban_forgets_penalties() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let server = Controlled::start(
        world,
        &["--penalty=3:1000"],
        &["sh", "-c", "echo hello; exit 3"],
    );
    assert!(!server.is_refused(FRIEND));
    eventually("it has a penalty", || {
        !server.ask(&["top"]).contains("  0.0\n")
    });
    assert!(server.is_refused(FRIEND));
    assert_eq!(server.ask(&["unban", "127.0.0.0/8"]), "");
    assert!(!server.is_refused(FRIEND));
    server.server.terminate();
}

#[test]
fn server_drains_when_it_is_told_to() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let mut server = Controlled::start(world, &[], &ECHO);
    let mut held = server.served(FRIEND);
    assert_eq!(server.ask(&["drain"]), "");
    server.server.log().wait_for("tcpserver: draining 1", 1);
    assert!(
        net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.server.port, |_| false).is_err(),
        "it listens no more"
    );
    eventually("the control socket is free for the next server", || {
        !server.world.path("ctl").exists()
    });
    net::send(&mut held, b"still there\n");
    assert_eq!(net::receive_line(&mut held), b"still there\n");
    drop(held);
    let status = server.server.process.wait();
    assert_eq!(describe(status), "exit: 0");
}

#[test]
fn words_that_are_none_and_servers_that_are_none_are_told_apart() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    for words in [
        &["stats"][..],
        &["status", "now"],
        &["limit", "0"],
        &["ban", "127.0.0.1"],
        &["ban", "127.0.0.1/33", "1"],
        &["ban", "127.0.0.1", "-1"],
        &["http", "x"],
        &[],
    ] {
        let outcome = server.run(words);
        assert_eq!(outcome.status.code(), Some(100), "{words:?}");
        assert!(lossy(&outcome.stderr).ends_with("tcpctl: usage: tcpctl path request\n"));
    }
    let outcome = server.world.run("tcpctl", ["--xml", "ctl", "status"]);
    assert_eq!(outcome.status.code(), Some(100));
    server.world.write("file", "");
    for path in ["missing", "file"] {
        let path = server.world.name(path);
        let outcome = server.world.run("tcpctl", [&path[..], "status"]);
        assert_eq!(outcome.status.code(), Some(111));
        let said = lossy(&outcome.stderr);
        assert!(
            said.starts_with(&format!(
                "tcpctl: fatal: unable to ask the server at {path}: "
            )),
            "{said}"
        );
    }
    server.server.terminate();
}

#[test]
fn socket_is_for_its_owner_only() {
    let Some(world) = world::with_root_and(&["sh", "cat"]) else {
        return;
    };
    let folder = world.path(".");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let server = Controlled::start(world, &["-u", "4321", "-g", "1234"], &ECHO);
    let socket = fs::metadata(server.world.path("ctl")).expect("it is there");
    assert_eq!(
        (socket.mode() & 0o7777, socket.uid(), socket.gid()),
        (0o600, 4321, 1234)
    );
    let stranger = server
        .world
        .program("tcpctl", [&server.world.name("ctl")[..], "status"])
        .unprivileged();
    let outcome = server.world.start(stranger).outcome();
    assert_eq!(
        outcome.status.code(),
        Some(111),
        "{}",
        lossy(&outcome.stdout)
    );
    server.server.terminate();
}

#[test]
fn socket_that_nobody_listens_at_is_replaced_and_nothing_else_is() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    drop(UnixListener::bind(world.path("ctl")).expect("a socket"));
    assert!(world.path("ctl").exists(), "it is stale");
    let server = Controlled::start(world, &[], &ECHO);
    assert!(server.ask(&["status"]).starts_with("tcpserver"));
    let control = format!("--control={}", server.world.name("ctl"));
    let second = |control: &str| {
        let outcome = server
            .world
            .run("tcpserver", [control, "127.0.0.1", "0", "true"]);
        assert_eq!(outcome.status.code(), Some(111));
        lossy(&outcome.stderr)
    };
    let path = server.world.name("ctl");
    assert_eq!(
        second(&control),
        format!("tcpserver: fatal: unable to listen at {path}: address already used\n")
    );
    assert!(
        server.ask(&["status"]).starts_with("tcpserver"),
        "the first one is still asked"
    );
    server.world.write("file", "precious");
    second(&format!("--control={}", server.world.name("file")));
    let file = fs::read(server.world.path("file")).expect("it is there");
    assert_eq!(file, b"precious");
    let world = server.world;
    server.server.terminate();
    assert!(
        !world.path("ctl").exists(),
        "a server takes its socket along"
    );
}

#[test]
fn hostile_askers_are_told_what_a_request_is() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    for bytes in [
        &b""[..],
        b"\n",
        b"status\n",
        b"text\n",
        b"text \n",
        b"xml status\n",
        b"text status",
        b"text ban\0 1\n",
        b"text limit 99999999999\n",
        b"\xff\xfe\n",
        &[b'x'; 100_000],
        &[b' '; 300],
    ] {
        let said = server.raw(bytes);
        // It hangs up on who says too much, who may then not hear why.
        assert!(
            said.starts_with("no\n") || said.is_empty() && bytes.len() > 256,
            "{bytes:?}: {said}"
        );
    }
    assert!(server.raw(b"text status\nmore\n").starts_with("ok\n"));
    assert_eq!(server.ask(&["status"]).lines().count(), 2);
    server.server.terminate();
}

#[test]
fn slow_askers_hold_nobody_up() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    // More than are heard at once: they say nothing, or read nothing.
    let slow: Vec<UnixStream> = (0..10).map(|_| server.socket()).collect();
    for mut asker in &slow[..5] {
        asker.write_all(b"text pa").expect("it takes some");
    }
    for _ in 0..3 {
        drop(server.served(FRIEND));
    }
    drop(slow);
    assert!(server.ask(&["status"]).starts_with("tcpserver"));
    server.server.terminate();
}

#[test]
fn asker_that_says_nothing_is_hung_up_on() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    let mut asker = server.socket();
    let mut said = Vec::new();
    asker
        .read_to_end(&mut said)
        .expect("it is hung up on before the deadline");
    assert_eq!(said, b"");
    server.server.terminate();
}

#[test]
fn browser_and_prometheus_get_their_pages_from_a_ucspi_program() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let served = Controlled::start(world, &[], &ECHO);
    let held = served.served(FRIEND);
    let path = served.world.name("ctl");
    let web = served
        .world
        .serve(["-RHl0", "127.0.0.1", "0", "tcpctl", &path, "http"]);
    let get = |request: &str| {
        let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, web.port, |_| false)
            .expect("the server listens");
        net::send(&mut stream, request.as_bytes());
        let answer = lossy(&net::receive_all(&mut stream));
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let length = format!("\r\nContent-Length: {}\r\n", body.len());
        assert!(
            head.contains(&length) || request.starts_with("HEAD"),
            "{head}"
        );
        (head.to_owned(), body.to_owned())
    };
    let (head, page) = get("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(
        page.starts_with("<!doctype html>\n") && page.contains("<b>1</b> of 40 connections"),
        "{page}"
    );
    for elsewhere in ["http://", "https://", "src=", "<script", "url(", "<link"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    let (_, metrics) = get("GET /metrics HTTP/1.0\r\n\r\n");
    assert!(
        metrics.contains("\nucspi_open_connections 1\n") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    let (_, json) = get("GET /status.json HTTP/1.0\r\n\r\n");
    let launch = served.world.program("jq", [".status.open"]).input(&json);
    assert_eq!(served.world.succeed(launch), b"1\n");
    let (head, body) = get("HEAD / HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && body.is_empty());
    drop(held);
    served.server.terminate();
    let (head, _) = get("GET / HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.0 503 "), "{head}");
    web.terminate();
}

#[test]
fn metrics_are_what_promtool_wants() {
    let Some(world) = world::with(&["sh", "cat", "promtool"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    let metrics = server.ask(&["metrics"]);
    let launch = server
        .world
        .program("promtool", ["check", "metrics"])
        .input(&metrics);
    let Outcome {
        stdout,
        stderr,
        status,
    } = server.world.start(launch).outcome();
    assert!(status.success(), "{}{}", lossy(&stdout), lossy(&stderr));
    assert_eq!(lossy(&stdout) + &lossy(&stderr), "");
    server.server.terminate();
}

#[test]
fn nothing_is_left_of_a_server_that_is_killed_but_a_socket_that_the_next_one_replaces() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = Controlled::start(world, &[], &ECHO);
    let Controlled { world, server } = server;
    server.process.signal(Signal::SIGKILL);
    let _ = server.process.outcome();
    assert!(world.path("ctl").exists());
    let next = Controlled::start(world, &[], &ECHO);
    assert!(next.ask(&["status"]).starts_with("tcpserver"));
    next.server.terminate();
}
