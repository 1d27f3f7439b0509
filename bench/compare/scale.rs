//! What one more costs when there are many already.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::load::{NAMELESS, open};
use crate::process::{Server, children, memory_of, run_time_of};
use crate::works::{Place, RULES, Unit, compile, serve};

/// What is measured at growing sizes, in the same runs.
pub(crate) struct Scale {
    pub rows: &'static [(&'static str, Unit)],
    pub sizes: &'static [u32],
    /// A number for each row, at a size, for the programs in a folder.
    pub measure: fn(&Place, &Path, u32) -> Vec<f64>,
}

/// Connections that are measured at each size.
const MORE: u32 = 200;

pub(crate) const SCALES: &[Scale] = &[
    Scale {
        rows: &[
            (
                "connections open: the server's CPU for one more, opened and closed",
                Unit::Microseconds,
            ),
            ("connections open: memory of the server", Unit::Kilobytes),
        ],
        sizes: &[10, 100, 1_000, 10_000],
        measure: with_open,
    },
    Scale {
        rows: &[
            (
                "look-ups waiting: the server's CPU for one more that is answered",
                Unit::Microseconds,
            ),
            (
                "look-ups waiting: memory of the server and its processes",
                Unit::Kilobytes,
            ),
        ],
        sizes: &[0, 50, 500, 5_000],
        measure: with_pending,
    },
    Scale {
        rows: &[
            ("rules: CPU of a connection", Unit::Microseconds),
            ("rules: CPU to compile one", Unit::Microseconds),
        ],
        sizes: &RULES,
        measure: |place, folder, rules| {
            let compiled = place.file(&format!("{rules}.cdb"));
            let cpu = serve(place, folder, &["-HRl0", "-x", &compiled], 2000, 16).cpu;
            vec![
                cpu,
                compile(place, folder, &rules.to_string()) / f64::from(rules),
            ]
        },
    },
];

fn with_open(place: &Place, folder: &Path, count: u32) -> Vec<f64> {
    let options = ["-HRl0", "-b", "1000", "-c", "20000"];
    let server = Server::start(folder, &options, &[&place.hold], Stdio::null());
    let held = open_many(Ipv4Addr::LOCALHOST, server.port, count, true);
    await_children(&server, count);
    let memory = memory_of(server.pid());
    let before = run_time_of(server.pid());
    drop(open_many(Ipv4Addr::LOCALHOST, server.port, MORE, true));
    await_children(&server, count);
    let more = (run_time_of(server.pid()) - before) / f64::from(MORE);
    drop(held);
    await_children(&server, 0);
    server.end();
    vec![more, memory]
}

fn with_pending(place: &Place, folder: &Path, count: u32) -> Vec<f64> {
    let options = ["-Rl0", "-b", "1000", "-c", "20000"];
    let server = Server::start(folder, &options, &[&place.hold], Stdio::null());
    let held = open_many(NAMELESS, server.port, count, false);
    // Those that wait are children in the original, and none in ours: answered ones come after them in the queue.
    drop(open_many(Ipv4Addr::LOCALHOST, server.port, 1, true));
    let waiting = children(server.pid());
    let memory = memory_of(server.pid()) + waiting.iter().copied().map(memory_of).sum::<f64>();
    let waiting = u32::try_from(waiting.len()).expect("thousands");
    let before = run_time_of(server.pid());
    drop(open_many(Ipv4Addr::LOCALHOST, server.port, MORE, true));
    await_children(&server, waiting.min(count));
    let more = (run_time_of(server.pid()) - before) / f64::from(MORE);
    server.kill();
    drop(held);
    vec![more, memory]
}

fn open_many(from: Ipv4Addr, port: u16, count: u32, answers: bool) -> Vec<TcpStream> {
    (0..count).map(|_| open(from, port, answers)).collect()
}

/// Waits until the server has no more than `count` children: it must have collected them, of which the system tells nobody
/// else, so this looks again and again.
fn await_children(server: &Server, count: u32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while children(server.pid()).len() > count as usize {
        assert!(Instant::now() < deadline, "children do not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
