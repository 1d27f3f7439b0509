//! tcprelay beside other relays: haproxy, nginx, and event-driven-servers' tcprelay where `BENCH_TCPRELAY` names it.
//!
//! All do the same work in turn, in the same run. What is compared is the processor time that a relay's processes used for
//! it, because a busy machine does not change it much; only where a row says so is it a rate or a wait.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    unsafe_code,
    dead_code,
    reason = "a program that measures others starts them and prints"
)]

mod load;
mod peers;
#[path = "../compare/process.rs"]
mod process;
mod secure;

use std::path::PathBuf;

use load::{Backend, Way};
use peers::{Front, PEERS, Peer};

/// A work, and the numbers that it gives.
struct Work {
    rows: &'static [&'static str],
    measure: fn(&Peer, &Backend) -> Option<Vec<f64>>,
}

const WORKS: &[Work] = &[
    Work {
        rows: &["bulk, 16 streams: CPU s/GB", "GB/s"],
        measure: |peer, backend| bulk(peer, backend, PLAIN, 16, 6 << 30),
    },
    Work {
        rows: &["bulk, 1 stream: CPU s/GB", "GB/s"],
        measure: |peer, backend| bulk(peer, backend, PLAIN, 1, 3 << 30),
    },
    Work {
        rows: &["request, 64 sessions: CPU us", "p99 us", "requests/s"],
        measure: |peer, backend| requests(peer, backend, 64),
    },
    Work {
        rows: &["request, 1,000 sessions: CPU us", "p99 us", "requests/s"],
        measure: |peer, backend| requests(peer, backend, 1000),
    },
    Work {
        rows: &["session, 16 at once: CPU us", "sessions/s"],
        measure: |peer, backend| sessions(peer, backend, PLAIN, 12_000),
    },
    Work {
        rows: &["idle session: kB", "pipes"],
        measure: |peer, backend| idle(peer, backend, PLAIN),
    },
    Work {
        rows: &[
            "request beside 10 idle sessions: CPU us",
            "beside 1,000",
            "beside 6,500",
        ],
        measure: |peer, backend| {
            let relay = peer.start(backend, PLAIN)?;
            let mut rows = Vec::new();
            let mut idle = Vec::new();
            for count in [10, 1000, 6500] {
                idle.push(load::idle(
                    &Way::Plain,
                    relay.port,
                    count - idle.iter().map(Vec::len).sum::<usize>(),
                    1,
                ));
                let before = relay.cpu();
                load::requests(relay.port, 64, 60_000)?;
                rows.push((relay.cpu() - before) * 1e6 / 60_000.0);
            }
            Some(rows)
        },
    },
    Work {
        rows: &["TLS: bulk, 16 streams: CPU s/GB", "GB/s"],
        measure: |peer, backend| {
            secure::with("ec", false, |front| bulk(peer, backend, front, 16, 4 << 30))
        },
    },
    Work {
        rows: &["TLS: bulk, 1 stream: CPU s/GB", "GB/s"],
        measure: |peer, backend| {
            secure::with("ec", false, |front| bulk(peer, backend, front, 1, 2 << 30))
        },
    },
    Work {
        rows: &["TLS: session with P-256: CPU us", "sessions/s"],
        measure: |peer, backend| {
            secure::with("ec", false, |front| sessions(peer, backend, front, 4000))
        },
    },
    Work {
        rows: &["TLS: session with RSA-2048: CPU us", "sessions/s"],
        measure: |peer, backend| {
            secure::with("rsa", false, |front| sessions(peer, backend, front, 4000))
        },
    },
    Work {
        rows: &["TLS: session resumed: CPU us", "sessions/s"],
        measure: |peer, backend| {
            secure::with("ec", true, |front| sessions(peer, backend, front, 4000))
        },
    },
    Work {
        rows: &["TLS: idle session: kB", "pipes"],
        measure: |peer, backend| secure::with("ec", false, |front| idle(peer, backend, front)),
    },
];

const PLAIN: Front<'_> = Front {
    way: &Way::Plain,
    certificate: None,
};

fn sessions(peer: &Peer, backend: &Backend, front: Front<'_>, count: usize) -> Option<Vec<f64>> {
    let relay = peer.start(backend, front)?;
    load::sessions(front.way, relay.port, 500, 16);
    let before = relay.cpu();
    let seconds = load::sessions(front.way, relay.port, count, 16);
    let cpu = relay.cpu() - before;
    Some(vec![cpu * 1e6 / count as f64, count as f64 / seconds])
}

fn idle(peer: &Peer, backend: &Backend, front: Front<'_>) -> Option<Vec<f64>> {
    let relay = peer.start(backend, front)?;
    load::sessions(front.way, relay.port, 100, 10);
    let before = relay.memory();
    let count = 2000;
    let idle = load::idle(front.way, relay.port, count, 70_000);
    let memory = relay.memory() - before;
    let pipes = relay.pipes();
    drop(idle);
    Some(vec![memory / count as f64, pipes as f64])
}

fn bulk(
    peer: &Peer,
    backend: &Backend,
    front: Front<'_>,
    streams: usize,
    bytes: u64,
) -> Option<Vec<f64>> {
    let relay = peer.start(backend, front)?;
    load::bulk(front.way, relay.port, streams, 64 << 20);
    let before = relay.cpu();
    let seconds = load::bulk(front.way, relay.port, streams, bytes);
    let cpu = relay.cpu() - before;
    let gigabytes = bytes as f64 / 1e9;
    Some(vec![cpu / gigabytes, gigabytes / seconds])
}

fn requests(peer: &Peer, backend: &Backend, sessions: usize) -> Option<Vec<f64>> {
    let relay = peer.start(backend, PLAIN)?;
    load::requests(relay.port, sessions, 5000)?;
    let before = relay.cpu();
    let count = 150_000;
    let (seconds, p99) = load::requests(relay.port, sessions, count)?;
    let cpu = relay.cpu() - before;
    let each = cpu * 1e6 / count as f64;
    Some(vec![each, p99 * 1e6, count as f64 / seconds])
}

fn main() {
    let ours = std::env::var_os("BENCH_OURS").expect("BENCH_OURS is set");
    let ours = PathBuf::from(ours);
    let rounds: usize = std::env::var("BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let backend = Backend::start();
    let peers: Vec<Peer> = PEERS.iter().filter_map(|start| start(&ours)).collect();
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for work in WORKS {
        if only
            .as_ref()
            .is_some_and(|only| !work.rows[0].contains(&**only))
        {
            continue;
        }
        let mut seen: Vec<Vec<Vec<f64>>> = vec![Vec::new(); peers.len()];
        // In turn, so that a busy moment hits all.
        for _ in 0..rounds {
            for (peer, seen) in peers.iter().zip(&mut seen) {
                let numbers = (work.measure)(peer, &backend);
                eprintln!("{}: {}: {numbers:.2?}", work.rows[0], peer.name);
                seen.extend(numbers);
            }
        }
        for (index, row) in work.rows.iter().enumerate() {
            let cells = seen.iter().map(|rounds| {
                let mut numbers: Vec<f64> = rounds.iter().map(|round| round[index]).collect();
                numbers.sort_by(f64::total_cmp);
                numbers
                    .get(numbers.len() / 2)
                    .map_or("-".to_owned(), |number| show(*number))
            });
            println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
}

fn show(number: f64) -> String {
    if number >= 1000.0 {
        format!("{number:.0}")
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}
