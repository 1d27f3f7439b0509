//! How long a port is closed when `svc -t` restarts its server, while peers keep it waiting.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::crowd::{number, tell};
use crate::network::{self, HeldNames};
use crate::service::FRIEND;
use crate::support::deadline;
use crate::support::net;
use crate::support::process::Process;
use crate::support::programs::Programs;
use crate::world::{self, World, eventually};

/// How many peers wait for a look-up that is never answered.
const PENDING: usize = 5;

/// A server that `supervise` keeps.
struct Service<'w> {
    world: &'w World,
    folder: String,
    supervise: Process,
    port: u16,
}

impl<'w> Service<'w> {
    fn start(world: &'w World, folder: &str, tcpserver: &str) -> Self {
        let (holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let options = "-v -Rl0 -c 1000 -b 100";
        let cache = network::NAME_SERVER;
        world.script(
            &format!("{folder}/run"),
            &format!(
                "#!/bin/sh\nDNSCACHEIP={cache} exec {tcpserver} {options} 127.0.0.1 {port} true\n"
            ),
        );
        let supervise = world.start(world.program("supervise", [folder]));
        drop(holder);
        let service = Self {
            world,
            folder: folder.to_owned(),
            supervise,
            port,
        };
        eventually("the server listens", || listener(port).is_some());
        service
    }

    /// What `svc` does with these letters, without a process that would take its time. supervise(8), `control`.
    fn control(&self, letters: &str) {
        let control = format!("{}/supervise/control", self.folder);
        let fifo = File::options().write(true).open(self.world.path(&control));
        fifo.and_then(|mut fifo| fifo.write_all(letters.as_bytes()))
            .expect("supervise reads it");
    }

    /// Restarts the server while peers wait; gives how long nobody listened.
    fn restart(&self, names: &HeldNames) -> Duration {
        names.hold();
        let before = listener(self.port);
        let connect = |_| net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, self.port, |_| false);
        let pending: Vec<TcpStream> = (0..PENDING)
            .map(|number| connect(number).expect("the server listens"))
            .collect();
        // Ours asks once for all who come from one address.
        names.wait_for(1);
        eventually("all are accepted", || waiting(self.port) == 0);
        self.control("t");
        let limit = Instant::now() + deadline();
        let mut closed = None;
        loop {
            let now = listener(self.port);
            match now {
                None => {
                    closed.get_or_insert_with(Instant::now);
                }
                Some(_) if now != before => break,
                Some(_) => {}
            }
            assert!(Instant::now() < limit, "the port stays closed");
            std::thread::sleep(Duration::from_micros(200));
        }
        drop(pending);
        closed.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn end(mut self) {
        self.control("dx");
        self.supervise.wait();
        // What still looks names up is of the same group.
        let group = i32::try_from(self.supervise.pid()).expect("a pid");
        let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
    }
}

/// The inode of the socket that listens on `port` in this network. proc(5), /proc/net/tcp.
fn listener(port: u16) -> Option<String> {
    Some(fields(port)?[9].clone())
}

/// How many connections wait to be accepted there.
fn waiting(port: u16) -> u32 {
    let queues = fields(port).map(|fields| fields[4].clone());
    let queues = queues.unwrap_or_default();
    let (_, waiting) = queues.split_once(':').unwrap_or_default();
    u32::from_str_radix(waiting, 16).unwrap_or(0)
}

fn fields(port: u16) -> Option<Vec<String>> {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("this system has TCP");
    let address = format!(":{port:04X}");
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect());
    lines.find(|fields: &Vec<String>| fields[1].ends_with(&address) && fields[3] == "0A")
}

/// The median and the longest of `count` restarts, which has been said.
fn measure(
    world: &World,
    names: &HeldNames,
    what: &str,
    tcpserver: &str,
    count: usize,
) -> Duration {
    let service = Service::start(world, what, tcpserver);
    let mut closed: Vec<Duration> = (0..count).map(|_| service.restart(names)).collect();
    service.end();
    closed.sort();
    let (median, longest) = (closed[count / 2], closed[count - 1]);
    tell(&format!(
        "{what}: {count} restarts, port closed for {median:.1?} (median), {longest:.1?} (longest)"
    ));
    median
}

/// Before, nobody listened for half a minute: the deadline of a test.
#[test]
fn restarted_server_listens_while_peers_keep_its_predecessor_waiting() {
    let Some(world) = world::with(&["supervise", "sh", "true"]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    let names = HeldNames::new();
    let count = number("UCSPI_RESTARTS");
    let ours = measure(
        &world,
        &names,
        "ours",
        &world.our("tcpserver"),
        count.unwrap_or(2),
    );
    let original = Programs::oracle("ucspi-tcp").expect("the original is where it should be");
    if let (Some(count), Some(original)) = (count, original) {
        let tcpserver = original.path("tcpserver").display().to_string();
        let original = measure(&world, &names, "original", &tcpserver, count);
        // A restart takes some milliseconds, and the machine has others to serve.
        assert!(ours <= original + Duration::from_millis(20), "{ours:?}");
    }
}
