//! A new version in the place of the old one, while it serves: nothing is lost, doubled or forgotten.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::support::launch::Launch;
use crate::support::net;
use crate::world::{self, Server, World, count, eventually, find, lossy};

/// A server that was started by a link, which may lead elsewhere later.
pub(crate) struct Upgradable {
    pub(crate) world: World,
    pub(crate) server: Server,
    name: &'static str,
    upgrades: AtomicUsize,
    failures: AtomicUsize,
}

impl Upgradable {
    /// `tcpserver -1vRHl0 --upgrade options 127.0.0.1 0 program`
    fn start(options: &[&str], program: &[&str]) -> Option<Self> {
        let world = world::with(&["sh", "cat", "true"])?;
        Some(Self::start_in(world, "tcpserver", options, program))
    }

    /// `name -1vRHl0 --upgrade options 127.0.0.1 0 program`
    pub(crate) fn start_in(
        world: World,
        name: &'static str,
        options: &[&str],
        program: &[&str],
    ) -> Self {
        Self::start_with(world, name, options, program, |launch| launch)
    }

    /// The same, started as `with` changes that.
    pub(crate) fn start_with(
        world: World,
        name: &'static str,
        options: &[&str],
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let link = world.name("current");
        symlink(world.our(name), &link).expect("a folder of our own");
        let fixed = ["-1vRHl0", "--upgrade"];
        let words = [&fixed[..], options, &["127.0.0.1", "0"], program].concat();
        let launch = with(world.program(name, words)).called(&link);
        let server = Server::on(world.start(launch.relocated(PathBuf::from(&link))));
        Self {
            world,
            server,
            name,
            upgrades: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        }
    }

    /// Puts `file` in the place of the program.
    pub(crate) fn replace(&self, file: &str) {
        let next = self.world.path("next");
        symlink(file, &next).expect("a folder of our own");
        std::fs::rename(next, self.world.path("current")).expect("a folder of our own");
    }

    /// Has it replaced by the same program, and waits until it is.
    pub(crate) fn upgrade(&self) {
        let before = self.upgrades.fetch_add(1, Ordering::Relaxed);
        self.server.process.signal(Signal::SIGUSR2);
        let said = format!("{}: upgraded, ", self.name);
        self.server.log().wait_for(&said, before + 1);
    }

    /// Tries to have it replaced by `file`, which cannot be.
    pub(crate) fn fail_to_upgrade(&self, file: &str) {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        self.replace(file);
        self.server.process.signal(Signal::SIGUSR2);
        let said = format!("{}: warning: not upgraded: ", self.name);
        self.server.log().wait_for(&said, before + 1);
        self.replace(&self.world.our(self.name));
    }

    pub(crate) fn connect(&self) -> TcpStream {
        net::connect_to(self.server.port).expect("it listens")
    }
}

fn hears(stream: &mut TcpStream, line: &[u8]) {
    net::send(stream, line);
    assert_eq!(lossy(&net::receive_line(stream)), lossy(line));
}

fn ends(mut stream: TcpStream) {
    net::half_close(&stream);
    assert_eq!(net::receive_all(&mut stream), b"");
}

/// The pids behind lines that begin so, in order of their size.
fn numbers(log: &str, start: &str) -> Vec<u32> {
    let lines = log.lines().filter_map(|line| line.strip_prefix(start));
    let words = lines.filter_map(|rest| rest.split(' ').next()?.parse().ok());
    let mut numbers: Vec<u32> = words.collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn programs_run_on_and_their_ends_are_told_by_the_next_version() {
    let Some(it) = Upgradable::start(&["-c5"], &["cat"]) else {
        return;
    };
    let mut first = it.connect();
    hears(&mut first, b"one\n");
    let pid = it.server.process.pid();
    it.upgrade();
    hears(&mut first, b"two\n");
    let mut second = it.connect();
    hears(&mut second, b"three\n");
    it.upgrade();
    hears(&mut second, b"four\n");
    ends(first);
    it.server.log().wait_for("tcpserver: end ", 1);
    ends(second);
    it.server.log().wait_for("tcpserver: status: 0/5", 2);
    assert_eq!(it.server.process.pid(), pid);
    let log = it.server.terminate();
    assert_eq!(
        numbers(&log, "tcpserver: ok "),
        numbers(&log, "tcpserver: end "),
        "{log}"
    );
    assert_eq!(count(&log, "tcpserver: ok "), 2, "{log}");
    assert!(log.contains("upgraded, 1 connections go on\n"), "{log}");
    assert!(log.contains("upgraded, 2 connections go on\n"), "{log}");
    assert_eq!(count(&log, "tcpserver: warning"), 0, "{log}");
}

#[test]
fn nobody_can_connect_while_the_last_version_drains() {
    for upgrades in [0, 1] {
        let Some(it) = Upgradable::start(&["--drain=60"], &["cat"]) else {
            return;
        };
        let mut stream = it.connect();
        hears(&mut stream, b"one\n");
        (0..upgrades).for_each(|_| it.upgrade());
        it.server.process.signal(Signal::SIGTERM);
        it.server.log().wait_for("tcpserver: draining 1\n", 1);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, it.server.port));
        assert!(refused.is_err(), "after {upgrades} upgrades");
        hears(&mut stream, b"two\n");
        ends(stream);
        assert_eq!(it.server.process.outcome().status.code(), Some(0));
    }
}

/// A file that tries for ever; it writes its pid to the file `trial`.
fn hanging(world: &World) -> String {
    world.script(
        "hangs",
        "#!/bin/sh\necho $$ > pid\nmv pid trial\nexec sleep 100000\n",
    );
    world.name("hangs")
}

#[test]
fn trial_does_not_outlive_its_server() {
    for (name, options) in [
        ("tcpserver", &["--drain=60"][..]),
        ("tcpserver", &[]),
        ("tcppool", &["--queries=0"]),
    ] {
        let Some(world) = world::with(&["sh", "cat", "sleep"]) else {
            return;
        };
        let it = Upgradable::start_in(world, name, options, &["cat"]);
        let mut stream = it.connect();
        hears(&mut stream, b"one\n");
        it.replace(&hanging(&it.world));
        it.server.process.signal(Signal::SIGUSR2);
        let mut trial = String::new();
        eventually("there is a trial", || {
            trial = std::fs::read_to_string(it.world.path("trial")).unwrap_or_default();
            !trial.is_empty()
        });
        hears(&mut stream, b"still\n");
        it.server.process.signal(Signal::SIGTERM);
        if !options.is_empty() {
            it.server.log().wait_for(": draining 1\n", 1);
            let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, it.server.port));
            assert!(refused.is_err(), "{name} {options:?}");
        }
        let proc = format!("/proc/{}/exe", trial.trim());
        eventually("the trial is gone", || std::fs::read_link(&proc).is_err());
        ends(stream);
        let outcome = it.server.process.outcome();
        assert_eq!(outcome.status.code(), Some(0));
        assert!(!lossy(&outcome.stderr).contains("not upgraded"));
    }
}

#[test]
fn trial_has_5_seconds_and_the_old_one_serves_meanwhile() {
    let Some(it) = Upgradable::start(&[], &["cat"]) else {
        return;
    };
    let Some(other) = Upgradable::start(&[], &["cat"]) else {
        return;
    };
    other.world.script(
        "stays",
        "#!/bin/sh\necho ucspi-tcp ready 1\nexec sleep 100000 >&-\n",
    );
    let mut stream = it.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| it.fail_to_upgrade(&hanging(&it.world)));
        scope.spawn(|| other.fail_to_upgrade(&other.world.name("stays")));
        eventually("there is a trial", || it.world.path("trial").exists());
        hears(&mut stream, b"one\n");
    });
    let said = |it: &Upgradable, why: &str| {
        let log = lossy(&it.server.log().so_far());
        assert!(log.contains(&format!("not upgraded: {why}\n")), "{log}");
    };
    said(&it, "it is not ready in 5 seconds");
    said(&other, "it does not end");
    it.upgrade();
    hears(&mut stream, b"two\n");
    other.upgrade();
    ends(stream);
    it.server.terminate();
    other.server.terminate();
}

#[test]
fn next_version_is_who_the_first_one_has_become() {
    let Some(world) = world::with_root_and(&["id", "cat"]) else {
        return;
    };
    let allow = |name: &str| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(world.path(name), mode).expect("it is ours");
    };
    allow(".");
    std::fs::copy(world.our("tcpserver"), world.path("copy")).expect("a folder of our own");
    allow("copy");
    let copy = world.name("copy");
    let options = ["-u65533", "-g65532"];
    let it = Upgradable::start_in(world, "tcpserver", &options, &["id"]);
    it.replace(&copy);
    let id = || lossy(&net::receive_all(&mut it.connect()));
    let before = id();
    assert!(before.starts_with("uid=65533 gid=65532"), "{before}");
    it.upgrade();
    assert_eq!(id(), before);
    it.upgrade();
    assert_eq!(id(), before);
    it.server.log().wait_for("tcpserver: end ", 3);
    it.server.terminate();
}

#[test]
fn all_listeners_are_handed_over_and_programs_end_in_their_time() {
    let at = Ipv4Addr::new(127, 0, 0, 9);
    let (_held, port) = net::reserve_port(at);
    let also = format!("--also={at}:{port}");
    let options = [&also, "--max-time=1", "--kill=100000"];
    let Some(it) = Upgradable::start(&options, &["cat"]) else {
        return;
    };
    let there = || net::connect_from(at, at, port, |_| false).expect("it listens");
    let mut streams = [it.connect(), there()];
    it.server.log().wait_for("tcpserver: ok ", 2);
    it.upgrade();
    // A control group, where there is one, is theirs again.
    for stream in &mut streams {
        assert_eq!(net::receive_all(stream), b"");
    }
    for mut stream in [it.connect(), there()] {
        hears(&mut stream, b"three\n");
        ends(stream);
    }
    it.server.log().wait_for("tcpserver: end ", 4);
    let log = it.server.terminate();
    assert_eq!(log.matches(" status 15\n").count(), 2, "{log}");
    assert_eq!(log.matches(" status 0\n").count(), 2, "{log}");
}

#[test]
fn whoever_waits_at_the_gate_goes_on_waiting_there_and_is_greeted_once() {
    let options = ["--proxy=127.0.0.1", "-B", "hello\n"];
    let Some(it) = Upgradable::start(&options, &["sh", "-c", "echo $TCPREMOTEIP; exec cat"]) else {
        return;
    };
    let mut stream = it.connect();
    net::send(&mut stream, b"PROXY TCP4 192.0.2.1 ");
    it.server.log().wait_for("tcpserver: status: 1/40", 1);
    it.upgrade();
    net::send(&mut stream, b"198.51.100.2 1 2\r\nrest");
    net::half_close(&stream);
    assert_eq!(
        lossy(&net::receive_all(&mut stream)),
        "hello\n192.0.2.1\nrest"
    );
    it.server.log().wait_for("tcpserver: end ", 1);
    let log = it.server.terminate();
    // One line, as for nobody else either.
    assert_eq!(count(&log, "tcpserver: status: 1/40"), 2, "{log}");
    assert_eq!(count(&log, "tcpserver: ok "), 1, "{log}");
    assert_eq!(count(&log, "tcpserver: end "), 1, "{log}");
}

#[test]
fn file_that_cannot_go_on_leaves_the_old_one_serving() {
    let Some(it) = Upgradable::start(&[], &["cat"]) else {
        return;
    };
    let mut stream = it.connect();
    hears(&mut stream, b"one\n");
    let system = |name: &str| find(name).map(|path| path.to_string_lossy().into_owned());
    it.world.script("crashes", "#!/bin/sh\nkill -SEGV $$\n");
    it.world
        .script("other-version", "#!/bin/sh\necho ucspi-tcp ready 2\n");
    it.world.write("no-program", "");
    it.world.script(
        "usage",
        &format!(
            "#!/bin/sh\nexec {} --no-such-option\n",
            it.world.our("tcpserver")
        ),
    );
    let never = "it does not say that it is ready";
    let broken = [
        (Some("/no/such/file".to_owned()), "file does not exist"),
        (Some(it.world.name("no-program")), "access denied"),
        (system("true"), never),
        (system("cat"), never),
        (Some(it.world.name("crashes")), never),
        (Some(it.world.name("other-version")), never),
        (Some(it.world.name("usage")), never),
    ];
    for (file, why) in broken {
        it.fail_to_upgrade(&file.expect("world::with has found it"));
        let log = lossy(&it.server.log().so_far());
        let last = log
            .lines()
            .rfind(|line| line.contains("not upgraded"))
            .unwrap_or_default();
        assert!(last.ends_with(why), "{last}");
        hears(&mut stream, b"still\n");
        let mut other = it.connect();
        hears(&mut other, b"here\n");
    }
    it.upgrade();
    hears(&mut stream, b"two\n");
    ends(stream);
    eventually("all have ended", || {
        it.server.log().count("tcpserver: end ") == 8
    });
    let log = it.server.terminate();
    assert_eq!(
        numbers(&log, "tcpserver: ok "),
        numbers(&log, "tcpserver: end "),
        "{log}"
    );
}

#[test]
fn sources_limits_bans_and_counters_go_on() {
    let options = ["--source-limit=1", "--control=ctl"];
    let Some(it) = Upgradable::start(&options, &["cat"]) else {
        return;
    };
    let ctl = |words: &[&str]| {
        let words = [&["ctl"][..], words].concat();
        lossy(&it.world.succeed(it.world.program("tcpctl", words)))
    };
    let mut first = it.connect();
    hears(&mut first, b"one\n");
    ctl(&["limit", "7"]);
    ctl(&["ban", "127.0.0.9", "1000"]);
    let listed = ctl(&["list"]);
    it.upgrade();
    let refused = |source: Ipv4Addr| {
        let stream = net::connect_from(source, Ipv4Addr::LOCALHOST, it.server.port, |_| false);
        assert_eq!(
            net::receive_all(&mut stream.expect("it listens")),
            b"",
            "{source}"
        );
    };
    refused(Ipv4Addr::LOCALHOST);
    refused(Ipv4Addr::new(127, 0, 0, 9));
    assert_eq!(
        ctl(&["list"]).lines().count(),
        listed.lines().count(),
        "{listed}"
    );
    let status = ctl(&["status"]);
    assert!(
        status.contains("1/7") || status.contains("1 of 7"),
        "{status}"
    );
    let counters = ctl(&["counters"]);
    assert!(
        counters.contains("accepted 3") || counters.contains("accepted: 3"),
        "{counters}"
    );
    ends(first);
    it.server.log().wait_for("tcpserver: status: 0/7", 1);
    let mut next = it.connect();
    hears(&mut next, b"two\n");
    ends(next);
    it.server.log().wait_for("tcpserver: end ", 4);
    it.server.terminate();
}
