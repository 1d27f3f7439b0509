//! Servers that may have little memory: `softlimit -m` and `ulimit -d` of real run scripts.
//!
//! Whatever the limit is, as long as the server starts at all: it does not end, and everybody is served, if need be after
//! others. `cargo test` tries two limits with a small crowd; `ci/memory` tries many, on the installed binaries.

use std::net::{Ipv4Addr, TcpStream};

use nix::sys::resource::Resource;

use crate::crowd::tell;
use crate::network;
use crate::service::FRIEND;
use crate::support::launch::Launch;
use crate::support::net;
use crate::world::{self, Server, World, count, lossy};

/// What is limited.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// As `ulimit -d` does.
    Data,
    /// As `softlimit -m` does, but for locked memory, of which there is none.
    All,
}

impl Kind {
    fn resources(self) -> &'static [Resource] {
        match self {
            Self::Data => &[Resource::RLIMIT_DATA],
            Self::All => &[
                Resource::RLIMIT_AS,
                Resource::RLIMIT_DATA,
                Resource::RLIMIT_STACK,
            ],
        }
    }
}

const KIB: u64 = 1024;
/// No server needs more.
const BYTES_MAX: u64 = 16 * KIB * KIB;
/// How exactly the least limit is found.
const STEP: u64 = 4 * KIB;

/// What is looked up, in vain, for each visitor: nothing, or its name.
const LOOKUPS: [&[&str]; 2] = [&["-HRl0"], &["-Rl0", "--lookup-timeout=0.2"]];

/// What is tried.
struct Matrix {
    visitors: u8,
    /// How much more than the least limit there is, in bytes.
    beyond: Vec<u64>,
    /// The largest limit.
    most: u64,
}

fn matrix() -> Matrix {
    if std::env::var_os("UCSPI_MEMORY").is_some_and(|which| which == "full") {
        let doubled = (3..=13).map(|power| KIB << power);
        return Matrix {
            visitors: 200,
            beyond: std::iter::once(0).chain(doubled).collect(),
            most: 8 * KIB * KIB,
        };
    }
    Matrix {
        visitors: 20,
        beyond: vec![64 * KIB, 512 * KIB],
        most: BYTES_MAX,
    }
}

/// Two visitors come from each address of each network, so that none is looked up for another.
const NETWORKS: u8 = 2;

#[test]
fn server_with_little_memory_serves_everybody() {
    let Some(world) = world::with(&[]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    // Nobody is ever answered.
    let names = network::HeldNames::new();
    names.hold();
    let matrix = matrix();
    let (world, matrix) = (&world, &matrix);
    std::thread::scope(|scope| {
        for lookups in LOOKUPS {
            for kind in [Kind::Data, Kind::All] {
                scope.spawn(move || {
                    let least = least_limit(world, kind, lookups);
                    for beyond in &matrix.beyond {
                        let limit = (least + beyond).min(matrix.most);
                        crowd_is_served(world, kind, limit, lookups, matrix.visitors);
                    }
                });
            }
        }
    });
}

/// An open one takes less than a KiB. With `ulimit -d 293`, which is so much and some more, the server ended at about 90.
#[test]
fn hundred_open_connections_need_little_memory() {
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let limit = least_limit(&world, Kind::Data, LOOKUPS[0]) + 100 * KIB;
    let program = ["sh", "-c", "echo served; read line"];
    let launch = tcpserver(&world, Kind::Data, limit, LOOKUPS[0], &program);
    let server = Server::on(world.start(launch));
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, server.port, |_| false)
            .expect("the server listens");
        assert_eq!(net::receive_line(&mut stream), b"served\n");
        streams.push(stream);
    }
    server.log().wait_for("tcpserver: status: 100/400", 1);
    drop(streams);
    let log = server.terminate();
    assert!(!log.contains("warning"), "{log}");
}

/// The least limit with which the server starts.
fn least_limit(world: &World, kind: Kind, lookups: &[&str]) -> u64 {
    let starts = |limit| {
        let process = world.start(tcpserver(world, kind, limit, lookups, &["true"]));
        let stdout = process.stdout.as_ref().expect("the port comes on stdout");
        !stdout.first_line().is_empty()
    };
    let (mut not_enough, mut enough) = (0, BYTES_MAX);
    assert!(starts(enough), "it does not start with {enough} bytes");
    while enough - not_enough > STEP {
        let middle = u64::midpoint(not_enough, enough);
        if starts(middle) {
            enough = middle;
        } else {
            not_enough = middle;
        }
    }
    enough
}

fn tcpserver(world: &World, kind: Kind, limit: u64, lookups: &[&str], program: &[&str]) -> Launch {
    let words = [
        &["-1v", "-c400", "-b1000"][..],
        lookups,
        &["127.0.0.1", "0"],
        program,
    ];
    let launch = world.program("tcpserver", words.concat());
    let launch = launch.env("DNSCACHEIP", network::NAME_SERVER.to_string());
    kind.resources()
        .iter()
        .fold(launch, |launch, &resource| launch.limit(resource, limit))
}

/// All come at once, and wait to be served.
fn crowd_is_served(world: &World, kind: Kind, limit: u64, lookups: &[&str], visitors: u8) {
    let what = format!("{kind:?} {limit} {}", lookups[0]);
    // It says one line, and needs less memory for that than the server.
    let program = [&world.our("tcprulescheck"), "--version"];
    let server = Server::on(world.start(tcpserver(world, kind, limit, lookups, &program)));
    let mut streams: Vec<TcpStream> = (0..NETWORKS)
        .flat_map(|network| {
            (1..=visitors).map(move |host| Ipv4Addr::new(127, 0, 1 + network, host))
        })
        .map(|source| {
            net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
                .unwrap_or_else(|error| panic!("{what}: {error}"))
        })
        .collect();
    for stream in &mut streams {
        let said = lossy(&net::receive_all(stream));
        let log = lossy(&server.log().so_far());
        assert!(
            said.starts_with("tcprulescheck "),
            "{what}: {said:?}\n{log}"
        );
    }
    let log = server.terminate();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    let wait = "tcpserver: warning: unable to accept connections: out of memory; trying again";
    assert!(
        warnings.iter().all(|&line| line == wait),
        "{what}: {warnings:?}"
    );
    assert_eq!(count(&log, "tcpserver: ok "), streams.len(), "{what}");
    let open = log.lines().filter_map(|line| {
        let status = line.strip_prefix("tcpserver: status: ")?;
        status.split('/').next()?.parse::<usize>().ok()
    });
    let most = open.max().unwrap_or(0);
    tell(&format!(
        "{kind:?} {} KiB, {}: {} served, {most} at once, {} warnings",
        limit / KIB,
        lookups.join(" "),
        streams.len(),
        warnings.len()
    ));
}
