//! What the kernel alone costs: no server of this kind can do better, and the table says how near ours comes.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::filters::{ADDCR, bytes_per_second, text};
use crate::load::connect;
use crate::process::{Clock, Server, cost};
use crate::works::Unit::{MegabytesPerSecond, Microseconds, PerSecond};
use crate::works::{Place, REFUSED, SERVED, SERVED_CPU, Unit};

/// One bare limit.
pub(crate) struct Limit {
    pub name: &'static str,
    pub unit: Unit,
    /// The work that it bounds.
    pub bounds: Option<&'static str>,
    pub measure: fn(&Place) -> f64,
}

pub(crate) const LIMITS: &[Limit] = &[
    Limit {
        name: "accept and close, one thread, 16 clients",
        unit: PerSecond,
        bounds: Some(REFUSED),
        measure: |_| accept_and_close(6000),
    },
    Limit {
        name: "vfork and exec of the served program, one thread",
        unit: PerSecond,
        bounds: Some(SERVED),
        measure: |place| executions(place, 1).0,
    },
    Limit {
        name: "vfork and exec of the served program, two threads",
        unit: PerSecond,
        bounds: None,
        measure: |place| executions(place, 2).0,
    },
    // What a second thread could give at best.
    Limit {
        name: "connections a second of two of our tcpservers at once, 8 clients each",
        unit: PerSecond,
        bounds: Some(SERVED),
        measure: two_servers,
    },
    Limit {
        name: "CPU of a vfork and exec of the served program",
        unit: Microseconds,
        bounds: Some(SERVED_CPU),
        measure: |place| executions(place, 1).1,
    },
    Limit {
        name: "read of a file in the page cache, 64 kB at a time",
        unit: MegabytesPerSecond,
        bounds: Some(ADDCR),
        measure: read_of_file,
    },
    // The goal of the filters is two thirds of it.
    Limit {
        name: "bytes cat moves in a CPU second",
        unit: MegabytesPerSecond,
        bounds: Some(ADDCR),
        measure: cat,
    },
    Limit {
        name: "copy of memory",
        unit: MegabytesPerSecond,
        bounds: None,
        measure: |_| copy_of_memory(),
    },
];

fn accept_and_close(count: usize) -> f64 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|_| drop(listener.accept())));
        connect(port, count, 16, b"").rate
    })
}

/// How many a second, and the CPU time of one.
fn executions(place: &Place, threads: u32) -> (f64, f64) {
    const COUNT: u32 = 2000;
    let run = || {
        let nowhere = File::create("/dev/null").expect("it is there");
        (0..COUNT / threads)
            .map(|_| {
                let nowhere = nowhere.try_clone().expect("a descriptor");
                cost(Command::new(&place.answer).stdout(Stdio::from(nowhere)))
            })
            .sum::<f64>()
    };
    let (start, own) = (Instant::now(), Clock::start());
    let theirs: f64 = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let costs = runs.into_iter().map(|run| run.join().expect("it runs"));
        costs.sum()
    });
    let count = f64::from(COUNT);
    let rate = count / start.elapsed().as_secs_f64();
    (rate, (own.seconds() + theirs) / count)
}

fn two_servers(place: &Place) -> f64 {
    let serve = || {
        let program = [&place.answer];
        let server = Server::start(&place.ours, &["-HRl0"], &program, Stdio::null());
        let rate = connect(server.port, 3000, 8, b"").rate;
        server.end();
        rate
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(serve);
        serve() + other.join().expect("it serves")
    })
}

fn read_of_file(place: &Place) -> f64 {
    let mut file = File::open(text(place, "\n")).expect("it was just written");
    let mut room = vec![0; 65536];
    let (mut bytes, clock) = (0, Clock::start());
    while let Ok(length @ 1..) = file.read(&mut room) {
        bytes += length;
    }
    per_second(bytes, &clock)
}

fn cat(place: &Place) -> f64 {
    let text = text(place, "\n");
    let file = File::open(&text).expect("it was just written");
    bytes_per_second(
        &text,
        cost(Command::new("cat").stdin(file).stdout(Stdio::null())),
    )
}

fn copy_of_memory() -> f64 {
    const ROUNDS: usize = 2000;
    let (from, mut to) = (vec![1_u8; 65536], vec![0; 65536]);
    let clock = Clock::start();
    for _ in 0..ROUNDS {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    per_second(ROUNDS * from.len(), &clock)
}

fn per_second(bytes: usize, clock: &Clock) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    let bytes = bytes as f64;
    bytes / clock.seconds()
}
