//! `git daemon --inetd`, cloned by the real git client.

use std::fmt::Write as _;

use crate::support::process::Process;
use crate::world::{self, Server, World, count, eventually, lossy};

const COMMITS: usize = 1200;

/// A world with a repository of many commits, `repos/project`; `None` without git and its daemon.
pub(crate) fn repository() -> Option<World> {
    filled(world::with(&["git"])?)
}

/// The same in a world that is there.
fn filled(world: World) -> Option<World> {
    let folder = lossy(&world.succeed(world.program("git", ["--exec-path"])));
    if !std::path::Path::new(folder.trim_end())
        .join("git-daemon")
        .is_file()
    {
        world::skip("there is no git daemon");
        return None;
    }
    let init = ["init", "--quiet", "--bare", "repos/project"];
    world.succeed(world.program("git", init));
    let import = ["-C", "repos/project", "fast-import", "--quiet"];
    world.succeed(world.program("git", import).input(history()));
    Some(world)
}

/// A stream for git fast-import: every commit changes one of fifty files.
fn history() -> String {
    let mut stream = String::new();
    for number in 1..=COMMITS {
        let (file, message) = (number % 50, format!("change {number}"));
        let text = format!("line {number}\n").repeat(number % 40 + 1);
        write!(
            stream,
            "commit refs/heads/main\nmark :{number}\ncommitter A U Thor <author@example.org> {} +0000\n\
             data {}\n{message}\n",
            1_700_000_000 + number,
            message.len()
        )
        .expect("a String takes all text");
        if number > 1 {
            writeln!(stream, "from :{}", number - 1).expect("a String takes all text");
        }
        write!(
            stream,
            "M 100644 inline file-{file}.txt\ndata {}\n{text}\n",
            text.len()
        )
        .expect("a String takes all text");
    }
    stream + "reset HEAD\nfrom refs/heads/main\n\ndone\n"
}

/// `tcpserver -v -x rules.cdb` with git daemon, behind a shell that waits for the file `gate`.
fn serve(world: &World) -> Server {
    let rules = world.rules("127.0.0.2:deny\n127.:allow\n:deny\n");
    let daemon = "while ! test -e gate; do sleep 0.05; done\n\
                  exec git daemon --inetd --export-all --base-path=repos";
    world.serve([
        "-v",
        "-x",
        &rules,
        "-HRl0",
        "-c",
        "5",
        "-b",
        "50",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        daemon,
    ])
}

pub(crate) fn clone(world: &World, options: &[&str], port: u16, folder: &str) -> Process {
    let url = format!("git://127.0.0.1:{port}/project");
    let args = ["clone", "--quiet", &url, folder];
    world.start(world.program("git", options.iter().chain(&args)))
}

pub(crate) fn assert_complete(world: &World, folder: &str) {
    let args = ["-C", folder, "rev-list", "--count", "HEAD"];
    let commits = lossy(&world.succeed(world.program("git", args)));
    assert_eq!(commits.trim_end(), COMMITS.to_string(), "{folder}");
    let args = ["-C", folder, "status", "--porcelain"];
    assert_eq!(
        lossy(&world.succeed(world.program("git", args))),
        "",
        "{folder}"
    );
}

/// How many connections to `port` the kernel has, accepted or waiting.
fn established(port: u16) -> usize {
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the system has /proc");
    let rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 3 && row[1].ends_with(&local) && row[3] == "01")
        .count()
}

#[test]
fn twenty_clones_at_once_share_five_slots_and_none_fails() {
    let Some(world) = repository() else { return };
    let server = serve(&world);
    let clones: Vec<Process> = (0..20)
        .map(|number| clone(&world, &[], server.port, &format!("clone-{number}")))
        .collect();
    server.log().wait_for("status: 5/5", 1);
    server.log().wait_for(" ok ", 5);
    eventually("twenty clients are connected", || {
        established(server.port) == 20
    });
    world.write("gate", "");
    for (number, clone) in clones.into_iter().enumerate() {
        world::success(clone.outcome(), &format!("clone {number}"));
        assert_complete(&world, &format!("clone-{number}"));
    }
    server.log().wait_for(" end ", 20);
    server.log().wait_for("status: 0/5", 2);
    let log = server.terminate();
    let before_the_first_end = log.split("tcpserver: end").next().expect("a first part");
    assert_eq!(
        count(before_the_first_end, "tcpserver: ok "),
        5,
        "fifteen wait:\n{log}"
    );
    assert_eq!(count(&log, "tcpserver: ok "), 20, "{log}");
    let statuses = log
        .lines()
        .filter(|line| line.starts_with("tcpserver: end "));
    assert!(
        statuses.clone().all(|line| line.ends_with(" status 0")),
        "{log}"
    );
    assert_eq!(statuses.count(), 20, "{log}");
    assert!(!log.contains("status: 6/5"), "{log}");
}

#[test]
fn git_client_behind_tcpclient_is_served_or_refused_by_its_address() {
    let Some(world) = repository() else { return };
    world.write("gate", "");
    let server = serve(&world);
    for address in ["127.0.0.2", "127.0.0.3"] {
        // git runs this with host and port, and speaks with its descriptors 0 and 1.
        let proxy = format!(
            "#!/bin/sh\nexec tcpclient -HRl0 -i {address} \"$1\" \"$2\" sh -c 'cat <&6 & exec cat >&7'\n"
        );
        world.script(&format!("through-{address}"), &proxy);
    }
    let clone_from = |address: &str, folder: &str| {
        let proxy = format!(
            "core.gitProxy={}",
            world.name(&format!("through-{address}"))
        );
        // In version 0 the server closes first, without waiting for a half-close that two cats cannot make.
        let options = ["-c", &proxy, "-c", "protocol.version=0"];
        clone(&world, &options, server.port, folder).outcome()
    };
    let refused = clone_from("127.0.0.2", "refused");
    assert_eq!(
        refused.status.code(),
        Some(128),
        "{}",
        lossy(&refused.stderr)
    );
    world::success(
        clone_from("127.0.0.3", "served"),
        "the clone from 127.0.0.3",
    );
    assert_complete(&world, "served");
    server.log().wait_for(" end ", 2);
    let log = server.terminate();
    let deny: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("127.0.0.2"))
        .collect();
    assert!(deny[0].starts_with("tcpserver: pid "), "{log}");
    assert!(
        deny[1].starts_with("tcpserver: deny ") && deny[1].contains(" :127.0.0.2::"),
        "{log}"
    );
    assert_eq!(deny.len(), 2, "{log}");
    assert_eq!(count(&log, "tcpserver: ok "), 1, "{log}");
    let end = log.lines().find(|line| line.starts_with("tcpserver: end "));
    assert!(
        end.is_some_and(|line| line.ends_with(" status 25600")),
        "{log}"
    );
}

#[test]
fn line_of_the_overview_serves_the_repositories_of_another_user() {
    let Some(world) = world::with_root_and(&["git"]).and_then(filled) else {
        return;
    };
    let root = env!("CARGO_MANIFEST_DIR");
    let page = std::fs::read_to_string(format!("{root}/man/ucspi-tcp.7")).expect("it is there");
    let (_, section) = page.split_once(".Ss Git\n").expect("it is about git");
    let (_, line) = section
        .split_once(".Bd -literal -offset indent\n")
        .expect("it has an example");
    let (line, _) = line.split_once(".Ed").expect("the example ends");
    let line = line
        .replace("\\(aq", "'")
        .replace("\\e", "\\")
        .replace("/srv/git", &world.name("repos"))
        .replace(
            "-v -RHl0 -u nobody 0 git",
            "-1v -RHl0 -u nobody 127.0.0.1 0",
        );
    let server = Server::on(world.start(world.program("sh", ["-c", &format!("exec env {line}")])));
    world::success(
        clone(&world, &[], server.port, "clone").outcome(),
        "the clone",
    );
    assert_complete(&world, "clone");
    server.log().wait_for(" end ", 1);
    let log = server.terminate();
    assert!(log.contains(" status 0\n"), "{log}");
}
