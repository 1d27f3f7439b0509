//! Two network namespaces and the wire between them.
//!
//! | | here (clients) | there (servers) |
//! |---|---|---|
//! | interface | `c0` | `s0` |
//! | link-local | `fe80::2` | `fe80::1` |
//! | global | `2001:db8::2` | `2001:db8::1` |
//! | IPv4 | `10.0.0.2` | `10.0.0.1` |
//!
//! Namespaces belong to threads: the test's own is here, and what it starts inherits that.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};

use super::Test;
use crate::support::launch::Launch;
pub(super) use crate::support::own_net::cannot;
use crate::support::trials::Verdict;

/// Two networks; this thread is in the first.
pub(crate) struct World {
    here: File,
    there: File,
}

/// Runs `test` in a new world.
pub(crate) fn within(test: Test) -> Verdict {
    match World::new() {
        Ok(world) => test(&world),
        Err(why) => cannot(why),
    }
}

impl World {
    fn new() -> Result<Self, String> {
        let there = new_network()?;
        let here = new_network()?;
        let other = format!("/proc/{}/fd/{}", std::process::id(), there.as_raw_fd());
        ip(&format!(
            "link set lo up\n\
             link add c0 type veth peer name s0\n\
             link set c0 addrgenmode none\n\
             link set s0 addrgenmode none\n\
             link set s0 netns {other}\n\
             link set c0 up\n\
             addr add 10.0.0.2/24 dev c0\n\
             addr add fe80::2/64 dev c0 nodad\n\
             addr add 2001:db8::2/64 dev c0 nodad\n"
        ))?;
        let world = Self { here, there };
        world.there(|| {
            ip("link set lo up\n\
                link set s0 up\n\
                addr add 10.0.0.1/24 dev s0\n\
                addr add fe80::1/64 dev s0 nodad\n\
                addr add 2001:db8::1/64 dev s0 nodad\n")
        })?;
        Ok(world)
    }

    /// Does `act` in the network of the servers.
    pub(super) fn there<T>(&self, act: impl FnOnce() -> T) -> T {
        enter(&self.there);
        let result = act();
        enter(&self.here);
        result
    }

    /// Writes `value` to net.ipv6.`name` in the network of the servers.
    pub(super) fn set(&self, name: &str, value: &str) -> Result<(), String> {
        let file = format!("/proc/sys/net/ipv6/{name}");
        self.there(|| fs::write(&file, value))
            .map_err(|error| format!("{file}: {error}"))
    }
}

fn new_network() -> Result<File, String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespaces here: {}", error.desc()))?;
    File::open("/proc/thread-self/ns/net").map_err(|error| format!("no /proc here: {error}"))
}

fn enter(network: &File) {
    setns(network, CloneFlags::CLONE_NEWNET).expect("this thread made the network");
}

/// Runs these commands of ip(8).
fn ip(commands: &str) -> Result<(), String> {
    let places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
    let path = places
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file())
        .ok_or("no ip(8) here")?;
    let launch = Launch::new(path, "ip", ["-batch", "-"]).input(commands);
    let outcome = launch
        .spawn(Path::new("/"))
        .map_err(|error| format!("ip: {error}"))?
        .outcome();
    if outcome.status.success() {
        return Ok(());
    }
    Err(format!("ip: {}", String::from_utf8_lossy(&outcome.stderr)))
}
