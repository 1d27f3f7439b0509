//! A pool with workers that do what they are asked, and its clients.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::capture::Capture;
use crate::support::net;
use crate::support::process::Outcome;
use crate::world::{self, Server, World, eventually, lossy};

/// What the workers of these tests are written in.
const PERL: &str = "perl";
const WORKER: &str = include_str!("worker.pl");

/// A world with the worker in it; `None` where there is no perl, which has been said.
pub(crate) fn world() -> Option<World> {
    let world = world::with(&[PERL])?;
    world.write("worker.pl", WORKER);
    Some(world)
}

/// What workers wait for that are asked `gate NAME TEXT`, before they answer `TEXT`, or `late NAME TEXT`, after it and
/// before another line.
pub(crate) struct Gate(PathBuf);

impl Gate {
    /// A gate that is closed.
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let path = world.path(name);
        mkfifo(&path, Mode::S_IRWXU).expect("the folder is ours");
        Self(path)
    }

    /// Opens it, for as long as what is given is kept.
    pub(crate) fn open(&self) -> File {
        let both = File::options().read(true).write(true).open(&self.0);
        both.expect("a pipe that both ends are opened of does not wait")
    }
}

/// A tcppool that listens.
pub(crate) struct Pool {
    server: Server,
}

impl Pool {
    /// Starts `tcppool -1 -v -HRl0 options 127.0.0.1 0` with the worker.
    pub(crate) fn start(world: &World, options: &[&str]) -> Self {
        Self::start_with(world, options, &["perl", "worker.pl"])
    }

    pub(crate) fn start_with(world: &World, options: &[&str], program: &[&str]) -> Self {
        let mut args = vec!["-1", "-v", "-HRl0"];
        args.extend_from_slice(options);
        args.extend(["127.0.0.1", "0"]);
        args.extend_from_slice(program);
        let server = Server::on(world.start(world.program("tcppool", args)));
        Self { server }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.process.pid()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn log(&self) -> &Capture {
        self.server.log()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        net::connect_from(
            Ipv4Addr::LOCALHOST,
            Ipv4Addr::LOCALHOST,
            self.server.port,
            |_| false,
        )
        .expect("the pool listens")
    }

    /// A client that asks `query` and hears all that comes.
    pub(crate) fn ask(&self, query: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        net::send(&mut client, query.as_ref());
        lossy(&net::receive_all(&mut client))
    }

    /// A client that has asked `query`.
    pub(crate) fn asking(&self, query: impl AsRef<[u8]>) -> TcpStream {
        let mut client = self.connect();
        net::send(&mut client, query.as_ref());
        client
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.server.process.signal(signal);
    }

    /// The processes of the workers.
    pub(crate) fn workers(&self) -> Vec<i32> {
        world::children(self.pid())
    }

    /// The newest block of statistics, by name.
    pub(crate) fn statistics(&self) -> BTreeMap<String, f64> {
        let blocks = self.log().count(STATISTICS_END);
        self.signal(Signal::SIGUSR1);
        self.log().wait_for(STATISTICS_END, blocks + 1);
        statistics_of(&lossy(&self.log().so_far()))
    }

    /// Waits until the statistics have `name` at `number`.
    pub(crate) fn wait_for(&self, name: &str, number: f64) {
        eventually(&format!("{name} is {number}"), || {
            self.statistics()[name] == number
        });
    }

    /// Ends it by SIGTERM; gives the whole log.
    pub(crate) fn terminate(self) -> String {
        self.server.terminate()
    }

    /// What is left of it when it has ended by itself.
    pub(crate) fn outcome(self) -> Outcome {
        self.server.process.outcome()
    }
}

const STATISTICS_END: &str = " --- statistics ---- 8< -------";

/// The last block of statistics in `log`: names and numbers.
pub(crate) fn statistics_of(log: &str) -> BTreeMap<String, f64> {
    let (_, block) = log
        .rsplit_once(" --- statistics ---- >8 -------\n")
        .expect("a block");
    let (block, _) = block.split_once(STATISTICS_END).expect("a whole block");
    let lines = block.lines().filter(|line| !line.starts_with("tcppool: "));
    let numbers = lines.filter_map(|line| {
        let (name, number) = line.trim_end().rsplit_once(' ')?;
        Some((name.trim_end().to_owned(), number.parse().ok()?))
    });
    numbers.collect()
}

/// Where total = replied + failed + in flight is to hold when nothing is in flight.
pub(crate) fn assert_sums(statistics: &BTreeMap<String, f64>) {
    let number = |name: &str| statistics[name];
    assert_eq!(
        number("queries total"),
        number("queries replied") + number("queries failed"),
        "{statistics:?}"
    );
    let buckets = [
        "0-100", "100-250", "250-500", "500-750", "750-1000", "1000-",
    ];
    let buckets = buckets
        .iter()
        .map(|name| number(&format!("queries {name}")));
    assert_eq!(
        buckets.sum::<f64>(),
        number("queries replied"),
        "{statistics:?}"
    );
}
