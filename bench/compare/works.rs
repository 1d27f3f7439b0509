//! What is compared: each work is done once by the programs of a folder and gives one number.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::load::{connect, name_server};
use crate::process::{Server, cost};

/// Where everything is.
pub(crate) struct Place {
    pub ours: PathBuf,
    pub original: PathBuf,
    /// A static program that answers and ends.
    pub answer: PathBuf,
    /// For rules and compiled rules.
    pub scratch: PathBuf,
}

/// Which way is better.
#[derive(Clone, Copy)]
pub(crate) enum Better {
    More,
    Less,
}

/// One row of the table.
pub(crate) struct Work {
    pub name: &'static str,
    pub better: Better,
    pub target: f64,
    /// The number, for the programs in a folder.
    pub measure: fn(&Place, &Path) -> f64,
}

pub(crate) const fn work(
    name: &'static str,
    better: Better,
    target: f64,
    measure: fn(&Place, &Path) -> f64,
) -> Work {
    Work {
        name,
        better,
        target,
        measure,
    }
}

use Better::{Less, More};

pub(crate) const WORKS: &[Work] = &[
    work(
        "connections a second, -HRl0, 16 at once",
        More,
        1.75,
        |place, folder| serve(place, folder, &["-HRl0"], 3000, 16).rate,
    ),
    work("CPU of a connection, -HRl0", Less, 0.57, |place, folder| {
        serve(place, folder, &["-HRl0"], 3000, 16).cpu
    }),
    work(
        "connections a second, -vHRl0, log to a pipe",
        More,
        1.6,
        |place, folder| serve(place, folder, &["-vHRl0"], 3000, 16).rate,
    ),
    work(
        "refused connections a second",
        More,
        4.0,
        |place, folder| {
            let rules = place.file("deny.cdb");
            serve(place, folder, &["-HRl0", "-x", &rules], 6000, 16).rate
        },
    ),
    work(
        "CPU of a connection, 1,000,000 rules",
        Less,
        0.45,
        |place, folder| {
            let rules = place.file("million.cdb");
            serve(place, folder, &["-HRl0", "-x", &rules], 3000, 16).cpu
        },
    ),
    work(
        "CPU of a connection, look-ups on",
        Less,
        0.7,
        |place, folder| serve(place, folder, &[], 1500, 16).cpu,
    ),
    work(
        "p99 from connecting to the first byte, 64 at once",
        Less,
        1.0,
        |place, folder| {
            let waits = serve(place, folder, &["-HRl0", "-c", "100"], 3000, 64).waits;
            waits[waits.len() * 99 / 100]
        },
    ),
    work(
        "CPU of tcpclient, start to connection",
        Less,
        0.36,
        |place, folder| {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let port = listener
                .local_addr()
                .expect("an address")
                .port()
                .to_string();
            repeat(50, || {
                let mut client = Command::new(folder.join("tcpclient"));
                client
                    .args(["-RHl0", "127.0.0.1", &port])
                    .arg(&place.answer);
                let cpu = cost(client.stdout(Stdio::null()));
                drop(listener.accept());
                cpu
            })
        },
    ),
    work(
        "CPU of tcprulescheck, start to end",
        Less,
        0.25,
        |place, folder| repeat(50, || check(folder, &place.file("deny.cdb"))),
    ),
    work(
        "CPU of tcprules, 100,000 rules",
        Less,
        0.5,
        |place, folder| compile(place, folder, "hundred-thousand"),
    ),
    work(
        "CPU of tcprules, 1,000,000 rules",
        Less,
        0.5,
        |place, folder| compile(place, folder, "million"),
    ),
    work(
        "memory of an idle tcpserver, look-ups off",
        Less,
        3.0,
        |place, folder| memory(place, folder, &["-HRl0"]),
    ),
    work(
        "memory of an idle tcpserver, look-ups on",
        Less,
        6.0,
        |place, folder| memory(place, folder, &[]),
    ),
];

struct Served {
    rate: f64,
    /// Seconds for each connection.
    cpu: f64,
    waits: Vec<f64>,
}

/// Serves `count` connections, `at_once` at a time.
fn serve(place: &Place, folder: &Path, options: &[&str], count: usize, at_once: usize) -> Served {
    let logs = options.iter().any(|option| option.contains('v'));
    let log = if logs { Stdio::piped() } else { Stdio::null() };
    let mut server = Server::start(folder, options, &place.answer, log);
    let reader = logs.then(|| {
        let mut log = server.log();
        std::thread::spawn(move || {
            let mut room = [0; 65536];
            while log.read(&mut room).is_ok_and(|length| length > 0) {}
        })
    });
    let seen = connect(server.port, count, at_once);
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let cpu = server.end() / count as f64;
    if let Some(reader) = reader {
        reader.join().expect("the log ends");
    }
    Served {
        rate: seen.rate,
        cpu,
        waits: seen.waits,
    }
}

fn check(folder: &Path, rules: &str) -> f64 {
    let mut check = Command::new(folder.join("tcprulescheck"));
    cost(
        check
            .arg(rules)
            .env("TCPREMOTEIP", "1.2.3.4")
            .stdout(Stdio::null()),
    )
}

fn compile(place: &Place, folder: &Path, rules: &str) -> f64 {
    let mut compile = Command::new(folder.join("tcprules"));
    compile.args([place.file("out.cdb"), place.file("out.tmp")]);
    cost(compile.stdin(File::open(place.file(rules)).expect("the rules are there")))
}

fn memory(place: &Place, folder: &Path, options: &[&str]) -> f64 {
    let server = Server::start(folder, options, &place.answer, Stdio::null());
    // What one connection touches is part of what an instance costs.
    connect(server.port, 5, 1);
    let memory = server.memory();
    server.end();
    memory
}

fn repeat(times: u32, mut once: impl FnMut() -> f64) -> f64 {
    (0..times).map(|_| once()).sum::<f64>() / f64::from(times)
}

impl Place {
    /// The path of a file in the scratch folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.scratch
            .join(name)
            .to_str()
            .expect("a plain path")
            .to_owned()
    }

    /// Makes the rules, and starts what answers questions.
    pub(crate) fn prepare(&self) {
        for (name, count) in [("hundred-thousand", 100_000), ("million", 1_000_000)] {
            std::fs::write(self.file(name), rules(count)).expect("the rules can be written");
        }
        std::fs::write(self.file("deny"), "127.:deny\n").expect("the rules can be written");
        for name in ["deny", "million"] {
            let mut compile = Command::new(self.ours.join("tcprules"));
            compile.args([self.file(&format!("{name}.cdb")), self.file("out.tmp")]);
            cost(compile.stdin(File::open(self.file(name)).expect("the rules are there")));
        }
        name_server();
        std::io::stdout().flush().expect("stdout is open");
    }
}

/// Rules for `count` addresses, the same each time.
fn rules(count: u32) -> String {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut text = String::new();
    for _ in 0..count {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let [a, b, c, d, action, ..] = seed.to_le_bytes();
        let action = match action % 4 {
            0 => "deny",
            1 => "allow,RELAYCLIENT=\"\"",
            _ => "allow",
        };
        // Never 127: those are served.
        text += &format!("{}.{b}.{c}.{d}:{action}\n", a % 120);
    }
    text
}
