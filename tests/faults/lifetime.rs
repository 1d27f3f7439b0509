//! How long a connection may last, and that all that it started ends with it.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::service::FRIEND;
use crate::support::net;
use crate::world::{self, Server, World, eventually, lossy};

/// Ignores SIGTERM, as does what it starts; says who they are.
const STUBBORN: &str = "trap '' TERM; sleep 100000 & echo $!; (sleep 100000 & echo $!)";

fn serve(world: &World, options: &[&str], program: &str) -> Server {
    let fixed = ["-v", "-RHl0"];
    let words = [
        &fixed[..],
        options,
        &["127.0.0.1", "0", "sh", "-c", program],
    ]
    .concat();
    world.serve(words)
}

fn connect(server: &Server) -> TcpStream {
    net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens")
}

fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// The pid in the next line.
fn pid(stream: &mut TcpStream) -> String {
    let line = lossy(&net::receive_line(stream));
    let pid = line.trim_end().to_owned();
    assert!(pid.parse::<u32>().is_ok(), "{line:?} is no pid");
    pid
}

#[test]
fn program_that_lasts_too_long_is_asked_to_end() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let server = serve(
        &world,
        &["--max-time=1", "--kill=100000"],
        "echo ready; exec cat",
    );
    let mut stream = connect(&server);
    assert_eq!(net::receive_all(&mut stream), b"ready\n");
    server.log().wait_for(" status 15\n", 1);
    server.terminate();
}

#[test]
fn program_that_does_not_listen_is_ended_with_all_that_it_started() {
    let Some(world) = world::with(&["sh", "cat", "sleep"]) else {
        return;
    };
    let program = format!("{STUBBORN}; exec cat");
    let server = serve(&world, &["--max-time=1", "--kill=0.1"], &program);
    let mut stream = connect(&server);
    let started = [pid(&mut stream), pid(&mut stream)];
    assert_eq!(net::receive_all(&mut stream), b"");
    server.log().wait_for(" status 9\n", 1);
    eventually("all that it started has ended", || {
        !started.iter().any(|pid| is_there(pid))
    });
    server.log().wait_for("status: 0/40", 2);
    server.terminate();
}

#[test]
fn program_that_ends_at_sigterm_leaves_nobody_who_does_not() {
    let Some(world) = world::with(&["sh", "cat", "sleep"]) else {
        return;
    };
    let program = format!("{STUBBORN}; trap - TERM; exec cat");
    // Long enough for it to become cat.
    let server = serve(&world, &["--max-time=2", "--kill=0.1"], &program);
    let mut stream = connect(&server);
    let started = [pid(&mut stream), pid(&mut stream)];
    server.log().wait_for(" status 15\n", 1);
    eventually("all that it started has ended", || {
        !started.iter().any(|pid| is_there(pid))
    });
    drop(stream);
    server.terminate();
}

#[test]
fn what_a_program_leaves_behind_lasts_no_longer() {
    let Some(world) = world::with(&["sh", "sleep"]) else {
        return;
    };
    // Forks twice and is gone; nobody hears of what is left.
    let server = serve(&world, &["--max-time=3", "--kill=0.1"], STUBBORN);
    let mut stream = connect(&server);
    let started = [pid(&mut stream), pid(&mut stream)];
    server.log().wait_for(" status 0\n", 1);
    server.log().wait_for("status: 0/40", 2);
    assert!(
        started.iter().all(|pid| is_there(pid)),
        "their slot is free"
    );
    eventually("all that it started has ended", || {
        !started.iter().any(|pid| is_there(pid))
    });
    server.terminate();
}

/// Starts another process group, of two that are deaf, and tells their numbers.
const LEAVES: &str =
    "trap '' TERM; setsid sh -c 'echo $$; sleep 100000 & echo $!; wait' & exec cat";

#[test]
fn who_leaves_the_process_group_is_ended_where_control_groups_are_ours() {
    let Some(world) = world::with_root_and(&["sh", "cat", "setsid", "sleep"]) else {
        return;
    };
    let Some(group) = own_group() else {
        world::skip("control groups are not ours to divide");
        return;
    };
    let server = serve(&world, &["--max-time=1", "--kill=0.1"], LEAVES);
    let mut stream = connect(&server);
    let started = [pid(&mut stream), pid(&mut stream)];
    let folder = group.join(format!("ucspi-{}", server.process.pid()));
    assert!(folder.exists(), "{}", folder.display());
    server.log().wait_for(" status 9\n", 1);
    eventually("all that it started has ended", || {
        !started.iter().any(|pid| is_there(pid))
    });
    drop(stream);
    server.log().wait_for("status: 0/40", 2);
    server.terminate();
    assert!(!folder.exists(), "nothing is left of its groups");
}

#[test]
fn next_version_knows_the_control_groups_of_the_one_before() {
    let Some(world) = world::with_root_and(&["sh", "cat", "setsid", "sleep"]) else {
        return;
    };
    let Some(group) = own_group() else {
        world::skip("control groups are not ours to divide");
        return;
    };
    let program = format!("read -r line; test \"$line\" || exit 0; {LEAVES}");
    let options = ["--upgrade", "--max-time=4", "--kill=0.1"];
    let server = serve(&world, &options, &program);
    // One group is free by then, which nobody is told of.
    let (mut brief, mut stream) = (connect(&server), connect(&server));
    server.log().wait_for("tcpserver: ok ", 2);
    net::send(&mut brief, b"\n");
    assert_eq!(net::receive_all(&mut brief), b"");
    server.log().wait_for("tcpserver: end ", 1);
    net::send(&mut stream, b"go\n");
    let started = [pid(&mut stream), pid(&mut stream)];
    let folder = group.join(format!("ucspi-{}", server.process.pid()));
    for upgrades in 1..=2 {
        server.process.signal(Signal::SIGUSR2);
        server.log().wait_for("tcpserver: upgraded, ", upgrades);
        assert!(folder.exists(), "{}", folder.display());
    }
    server.log().wait_for(" status 9\n", 1);
    eventually("all that it started has ended", || {
        !started.iter().any(|pid| is_there(pid))
    });
    server.log().wait_for("status: 0/40", 2);
    // And goes on with them.
    let mut other = connect(&server);
    net::send(&mut other, b"\n");
    assert_eq!(net::receive_all(&mut other), b"");
    server.log().wait_for("tcpserver: end ", 3);
    server.terminate();
    assert!(!folder.exists(), "nothing is left of its groups");
}

/// The folder of this process's control group, if groups can be made in it.
fn own_group() -> Option<std::path::PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" cgroup2 "))?;
    let folder = Path::new(mount.split(' ').nth(1)?).join(path);
    // Not the root's: that has no such file.
    let trial = folder.join("ucspi-trial");
    std::fs::create_dir(&trial).ok()?;
    let can_kill = trial.join("cgroup.kill").exists();
    std::fs::remove_dir(&trial).expect("it is empty");
    (path.is_empty() && can_kill).then_some(folder)
}

#[test]
fn program_that_ends_in_time_is_left_alone() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let server = serve(&world, &["--max-time=100000"], "echo done");
    assert_eq!(net::receive_all(&mut connect(&server)), b"done\n");
    server.log().wait_for(" status 0\n", 1);
    server.terminate();
}
