//! A new version of the relay: it is tried first, sessions go on in the old one.

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::files::{Running, free_port};
use crate::signals::Load;
use crate::temp::TempDir;
use crate::world::{Relay, Remote, program, size, until};

/// A relay that was started by a link, which may lead elsewhere later.
struct Upgradable {
    relay: Relay,
    folder: PathBuf,
}

impl Upgradable {
    /// `tcprelay -1vRHl0 --upgrade options 127.0.0.1 0 remote`
    fn start(options: &[&str], remote: &Remote) -> Self {
        let folder = TempDir::new();
        let path = folder.path().to_owned();
        symlink(program("tcprelay"), path.join("current")).expect("a folder of our own");
        let mut command = Command::new(path.join("current"));
        command.args(["-1vRHl0", "-b1000", "--upgrade"]);
        command
            .args(options)
            .args(["127.0.0.1", "0", &remote.operand()]);
        Self {
            relay: Relay::run(folder, command),
            folder: path,
        }
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a folder of our own");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it is ours");
        path
    }

    fn replace(&self, file: &Path) {
        let next = self.folder.join("next");
        symlink(file, &next).expect("a folder of our own");
        std::fs::rename(next, self.folder.join("current")).expect("a folder of our own");
    }

    /// Has it replaced by the same program, and waits until the old one drains.
    fn upgrade(&self) {
        let before = self.relay.said("tcprelay: draining ");
        self.relay.signal(Signal::SIGUSR2);
        self.relay.wait_for("tcprelay: draining ", before + 1);
    }

    /// Tries to have it replaced by `file`, which cannot be.
    fn fail_to_upgrade(&self, file: &Path) {
        const SAID: &str = "tcprelay: warning: not upgraded: ";
        let before = self.relay.said(SAID);
        self.replace(file);
        self.relay.signal(Signal::SIGUSR2);
        self.relay.wait_for(SAID, before + 1);
        self.replace(&program("tcprelay"));
    }
}

#[test]
fn upgrades_under_load_lose_nothing() {
    let a = Remote::new("A");
    let it = Upgradable::start(&["--threads=2", "-c1000"], &a);
    let pid = it.relay.pid();
    let mut lasting = it.relay.connect();
    lasting.read_exact(&mut [0]).expect("a remote has it");
    let load = Load::start(&it.relay);
    let upgrades = size("UCSPI_UPGRADES", 10);
    let each = size("UCSPI_UPGRADE_SESSIONS", 30) / upgrades;
    let broken = |number: &usize| number % 10 == 5;
    for number in 0..upgrades {
        load.pass(each);
        if broken(&number) {
            it.fail_to_upgrade(Path::new("/bin/true"));
        } else {
            it.upgrade();
        }
    }
    load.pass(each);
    let sessions = load.stop();
    // The first one has gone on in another process all the time.
    lasting.write_all(b"?").expect("it is still there");
    lasting.read_exact(&mut [0]).expect("it is still there");
    drop(lasting);
    assert_eq!(it.relay.pid(), pid);
    assert_eq!(it.relay.ask(b"!"), b"A!");
    let log = it.relay.log();
    let failed = (0..upgrades).filter(broken).count();
    assert_eq!(it.relay.said("warning"), failed, "{log}");
    assert_eq!(
        it.relay.said("tcprelay: open "),
        it.relay.said("tcprelay: ok "),
        "{log}"
    );
    let text = format!(
        "tcprelay: {sessions} sessions, replaced {upgrades} times, {failed} of them by a file that cannot serve: each whole\n"
    );
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[test]
fn retirement_is_tried_before_and_the_old_one_serves_on() {
    let a = Remote::new("A");
    let it = Upgradable::start(&["--retire=3"], &a);
    it.replace(Path::new("/bin/true"));
    let why = "warning: not upgraded: it does not say that it is ready";
    for failures in 1..=2 {
        until("it is tried", || {
            assert_eq!(it.relay.ask(b"!"), b"A!");
            (it.relay.said(why) >= failures).then_some(())
        });
    }
    assert_eq!(it.relay.said("draining"), 0);
    it.replace(&program("tcprelay"));
    until("it is replaced", || {
        assert_eq!(it.relay.ask(b"!"), b"A!");
        (it.relay.said("draining") > 0).then_some(())
    });
}

#[test]
fn file_is_found_where_it_was_after_a_change_of_folder() {
    let a = Remote::new("A");
    let (folder, port) = (TempDir::new(), free_port());
    let path = folder.path().to_owned();
    let lead = |file: &Path| {
        symlink(file, path.join("next")).expect("a folder of our own");
        std::fs::rename(path.join("next"), path.join("current")).expect("a folder of our own");
    };
    lead(&program("spawnd"));
    let config = format!(
        "id = spawnd {{ listen {{ address = 127.0.0.1 port = {port} }} spawn {{ working directory = / }} }}\n\
         id = tcprelay {{ retire limit = 2 remote = {{ address = 127.0.0.1 port = {} }} }}\n",
        a.address.port()
    );
    std::fs::write(path.join("config"), config).expect("a folder of our own");
    let log = std::fs::File::create(path.join("log")).expect("a folder of our own");
    let mut command = Command::new("./current");
    command
        .arg("-D")
        .arg(path.join("config"))
        .current_dir(&path)
        .stderr(log);
    let relay = Running {
        child: command.spawn().expect("it starts"),
        folder,
        port,
    };
    let said = |text: &str, count: usize| {
        until(text, || {
            assert_eq!(relay.ask(b"!"), b"A!");
            (relay.log().matches(text).count() >= count).then_some(())
        });
    };
    // The next one is executed where the first one has gone.
    said("draining", 2);
    lead(Path::new("/bin/true"));
    said("warning: not upgraded: ", 1);
}

#[test]
fn signal_that_comes_while_the_next_one_starts_waits_for_it() {
    let a = Remote::new("A");
    for _ in 0..10 {
        let mut it = Upgradable::start(&[], &a);
        it.upgrade();
        it.relay.signal(Signal::SIGTERM);
        assert_eq!(it.relay.ended().code(), Some(0));
    }
}

#[test]
fn file_that_cannot_serve_leaves_the_old_one_serving() {
    let a = Remote::new("A");
    let it = Upgradable::start(&["--threads=2"], &a);
    let mut client = it.relay.connect();
    client.read_exact(&mut [0]).expect("a remote has it");
    let never = "it does not say that it is ready";
    let other = "#!/bin/sh\necho ucspi-tcp ready 2\n";
    for (file, why) in [
        (PathBuf::from("/no/such/file"), "file does not exist"),
        (PathBuf::from("/bin/true"), never),
        (it.script("crashes", "#!/bin/sh\nkill -SEGV $$\n"), never),
        (it.script("other", other), never),
    ] {
        it.fail_to_upgrade(&file);
        let log = it.relay.log();
        let last = log.lines().rfind(|line| line.contains("not upgraded"));
        assert!(last.is_some_and(|line| line.ends_with(why)), "{log}");
        client.write_all(b"?").expect("it is carried");
        client.read_exact(&mut [0]).expect("it is carried");
        assert_eq!(it.relay.ask(b"!"), b"A!");
    }
    assert_eq!(it.relay.said("draining"), 0);
    it.upgrade();
    assert_eq!(it.relay.ask(b"!"), b"A!");
}

#[test]
fn trial_ends_with_its_relay_and_the_port_is_closed_at_once() {
    let a = Remote::new("A");
    let mut it = Upgradable::start(&[], &a);
    let mut client = it.relay.connect();
    client.read_exact(&mut [0]).expect("a remote has it");
    let hangs = "#!/bin/sh\necho $$ > pid\nmv pid trial\nexec sleep 100000\n";
    let hangs = it.script("hangs", hangs);
    it.replace(&hangs);
    it.relay.signal(Signal::SIGUSR2);
    let pid = until("there is a trial", || {
        std::fs::read_to_string(it.folder.join("trial")).ok()
    });
    // Signals are heard meanwhile.
    it.relay.signal(Signal::SIGUSR1);
    it.relay.wait_for("tcprelay: session 1 to ", 1);
    it.relay.signal(Signal::SIGTERM);
    it.relay.wait_for("tcprelay: draining 1", 1);
    assert!(std::net::TcpStream::connect(("127.0.0.1", it.relay.port)).is_err());
    let exe = format!("/proc/{}/exe", pid.trim());
    until("the trial is gone", || std::fs::read_link(&exe).err());
    drop(client);
    assert_eq!(it.relay.ended().code(), Some(0));
    assert_eq!(it.relay.said("not upgraded"), 0);
}

#[test]
fn signal_that_upgrades_does_not_list_and_the_other_one_does() {
    let a = Remote::new("A");
    let relay = Relay::start(&[], &[&a.operand()]);
    let mut client = relay.connect();
    client.read_exact(&mut [0]).expect("a remote has it");
    relay.signal(Signal::SIGUSR1);
    relay.wait_for("tcprelay: remote ", 1);
    assert_eq!(relay.said("tcprelay: session "), 0);
    relay.signal(Signal::SIGUSR2);
    relay.wait_for("tcprelay: session 1 to ", 1);
    let it = Upgradable::start(&[], &a);
    let mut client = it.relay.connect();
    client.read_exact(&mut [0]).expect("a remote has it");
    it.relay.signal(Signal::SIGUSR1);
    it.relay.wait_for("tcprelay: session 1 to ", 1);
    assert_eq!(it.relay.said("tcprelay: remote "), 1);
    it.upgrade();
    assert_eq!(it.relay.said("tcprelay: session "), 1);
}
