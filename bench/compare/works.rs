//! What is compared: each work is done once by the programs of a folder and gives one number.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::load::{connect, name_server};
use crate::process::{Server, children, cost, memory_of, resident_size_of, run_time_of};

/// Where everything is.
pub(crate) struct Place {
    pub ours: PathBuf,
    pub original: PathBuf,
    /// A static program that answers and ends.
    pub answer: PathBuf,
    /// The same, which ends when its client does.
    pub hold: PathBuf,
    /// A static program that repeats what it is told.
    pub echo: PathBuf,
    /// For rules and compiled rules.
    pub scratch: PathBuf,
}

/// What the numbers of a row count, and how they are shown.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    PerSecond,
    /// Seconds, shown as microseconds.
    Microseconds,
    /// Seconds, shown as milliseconds.
    Milliseconds,
    /// Bytes a second, shown as megabytes.
    MegabytesPerSecond,
    Kilobytes,
}

impl Unit {
    /// A number with its unit.
    pub(crate) fn show(self, number: f64) -> String {
        match self {
            Self::PerSecond => format!("{number:.0}/s"),
            Self::Microseconds if number < 1e-5 => format!("{:.2} us", number * 1e6),
            Self::Microseconds => format!("{:.1} us", number * 1e6),
            Self::Milliseconds => format!("{:.1} ms", number * 1e3),
            Self::MegabytesPerSecond => format!("{:.0} MB/s", number / 1e6),
            Self::Kilobytes => format!("{number:.0} kB"),
        }
    }
}

/// What a row is to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// More is better: so many times the original's number.
    AtLeast(f64),
    /// Less is better: so many times the original's number.
    AtMost(f64),
    /// Less is better: our number itself, whatever the original's is.
    Ours(f64),
    /// More is better, and the program that is served decides.
    Open,
}

/// One row of the table.
pub(crate) struct Work {
    pub name: &'static str,
    pub unit: Unit,
    pub target: Target,
    /// The number, for the programs in a folder.
    pub measure: fn(&Place, &Path) -> f64,
}

pub(crate) const fn work(
    name: &'static str,
    unit: Unit,
    target: Target,
    measure: fn(&Place, &Path) -> f64,
) -> Work {
    Work {
        name,
        unit,
        target,
        measure,
    }
}

use Target::{AtLeast, AtMost, Open, Ours};
use Unit::{Kilobytes, Microseconds, Milliseconds, PerSecond};

pub(crate) const SERVED: &str = "connections a second, -HRl0, 16 at once";
pub(crate) const SERVED_CPU: &str = "CPU of a connection, -HRl0";
pub(crate) const REFUSED: &str = "refused connections a second";

/// Limits that nobody reaches.
const LIMITS: &[&str] = &[
    "--source-limit=1000",
    "--source-rate=1000000/1",
    "--rate=1000000/1",
    "--rule-limits",
    "--penalty=1-255:1",
    "--refusal=no",
];

pub(crate) const WORKS: &[Work] = &[
    work(SERVED, PerSecond, AtLeast(1.75), |place, folder| {
        serve(place, folder, &["-HRl0"], 3000, 16).rate
    }),
    work(SERVED_CPU, Microseconds, AtMost(0.55), |place, folder| {
        serve(place, folder, &["-HRl0"], 3000, 16).cpu
    }),
    work(
        "connections a second, -vHRl0, log to a pipe",
        PerSecond,
        AtLeast(1.6),
        |place, folder| serve(place, folder, &["-vHRl0"], 3000, 16).rate,
    ),
    work(
        "connections a second, -HRl0, /bin/cat",
        PerSecond,
        Open,
        |_, folder| {
            let server = Server::start(folder, &["-HRl0"], &["/bin/cat"], Stdio::null());
            let seen = connect(server.port, 2000, 16, b"hello\n");
            server.end();
            seen.rate
        },
    ),
    work(
        "connections a second, -HRl0, sh -c",
        PerSecond,
        Open,
        |_, folder| {
            let program = ["/bin/sh", "-c", "echo ok"];
            let server = Server::start(folder, &["-HRl0"], &program, Stdio::null());
            let seen = connect(server.port, 2000, 16, b"");
            server.end();
            seen.rate
        },
    ),
    work(REFUSED, PerSecond, AtLeast(4.0), |place, folder| {
        let rules = place.file("deny.cdb");
        serve(place, folder, &["-HRl0", "-x", &rules], 6000, 16).rate
    }),
    work(
        "CPU of a connection, 1,000,000 rules",
        Microseconds,
        AtMost(0.45),
        |place, folder| {
            let rules = place.file("1000000.cdb");
            serve(place, folder, &["-HRl0", "-x", &rules], 3000, 16).cpu
        },
    ),
    work(
        "CPU of a connection, look-ups on",
        Microseconds,
        AtMost(0.7),
        |place, folder| serve(place, folder, &[], 1500, 16).cpu,
    ),
    work(
        "p99 from connecting to the first byte, 64 at once",
        Milliseconds,
        AtMost(1.0),
        |place, folder| {
            let waits = serve(
                place,
                folder,
                &["-HRl0", "-c", "100", "-b", "100"],
                3000,
                64,
            )
            .waits;
            waits[waits.len() * 99 / 100]
        },
    ),
    work(
        "CPU of a connection, -HRl0, limits and control socket on (the original has none)",
        Microseconds,
        AtMost(0.6),
        |place, folder| {
            let control = format!("--control={}", place.file("ctl"));
            let options = [&["-HRl0", &control], LIMITS].concat();
            let is_ours = folder == place.ours;
            let options = if is_ours { &options[..] } else { &["-HRl0"] };
            serve(place, folder, options, 3000, 16).cpu
        },
    ),
    work(
        "CPU of tcpclient, start to connection",
        Microseconds,
        AtMost(0.3),
        |place, folder| {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let address = listener.local_addr().expect("an address");
            let port = address.port().to_string();
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
        Microseconds,
        AtMost(0.15),
        |place, folder| repeat(50, || check(folder, &place.file("deny.cdb"))),
    ),
    work(
        "CPU of argv0, start to the program's end",
        Microseconds,
        AtMost(1.0),
        |place, folder| {
            repeat(50, || {
                let mut argv0 = Command::new(folder.join("argv0"));
                cost(
                    argv0
                        .args([&place.answer, &place.answer])
                        .stdout(Stdio::null()),
                )
            })
        },
    ),
    work(
        "CPU of recordio, start to the program's end",
        Microseconds,
        AtMost(1.0),
        |place, folder| {
            repeat(50, || {
                let mut recordio = Command::new(folder.join("recordio"));
                recordio.stdin(Stdio::null()).stdout(Stdio::null());
                cost(recordio.arg(&place.answer).stderr(Stdio::null()))
            })
        },
    ),
    work(
        "CPU of addcr, start to end",
        Microseconds,
        AtMost(1.0),
        |_, folder| {
            repeat(50, || {
                let mut addcr = Command::new(folder.join("addcr"));
                cost(addcr.stdin(Stdio::null()).stdout(Stdio::null()))
            })
        },
    ),
    work(
        "CPU of tcprules, 1,000 rules",
        Milliseconds,
        AtMost(0.5),
        |place, folder| repeat(50, || compile(place, folder, "1000")),
    ),
    work(
        "CPU of tcprules, 100,000 rules",
        Milliseconds,
        AtMost(0.5),
        |place, folder| compile(place, folder, "100000"),
    ),
    work(
        "CPU of tcprules, 1,000,000 rules",
        Milliseconds,
        AtMost(0.5),
        |place, folder| compile(place, folder, "1000000"),
    ),
    work(
        "memory of an idle tcpserver, look-ups off",
        Kilobytes,
        Ours(300.0),
        |place, folder| with_idle(place, folder, &["-HRl0"], memory_of),
    ),
    work(
        "memory of an idle tcpserver, look-ups on",
        Kilobytes,
        Ours(600.0),
        |place, folder| with_idle(place, folder, &[], memory_of),
    ),
    work(
        "resident size of an idle tcpserver",
        Kilobytes,
        Ours(500.0),
        |place, folder| with_idle(place, folder, &["-HRl0"], resident_size_of),
    ),
    work("size of recordio", Kilobytes, Ours(350.0), |_, folder| {
        size(folder, "recordio")
    }),
    work("size of tcprules", Kilobytes, Ours(400.0), |_, folder| {
        size(folder, "tcprules")
    }),
    work("size of tcpserver", Kilobytes, Ours(1000.0), |_, folder| {
        size(folder, "tcpserver")
    }),
    work(
        "memory of a running recordio",
        Kilobytes,
        AtMost(1.0),
        |_, folder| memory_of_wrapper(folder, "recordio"),
    ),
    work(
        "memory of a running fixcrio",
        Kilobytes,
        AtMost(1.0),
        |_, folder| memory_of_wrapper(folder, "fixcrio"),
    ),
];

/// How many rules there are in the files of that name.
pub(crate) const RULES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

pub(crate) struct Served {
    pub rate: f64,
    /// Seconds for each connection.
    pub cpu: f64,
    waits: Vec<f64>,
}

/// Serves `count` connections, `at_once` at a time.
pub(crate) fn serve(
    place: &Place,
    folder: &Path,
    options: &[&str],
    count: usize,
    at_once: usize,
) -> Served {
    let logs = options.iter().any(|option| option.contains('v'));
    let log = if logs { Stdio::piped() } else { Stdio::null() };
    let mut server = Server::start(folder, options, &[&place.answer], log);
    let reader = logs.then(|| {
        let mut log = server.log();
        std::thread::spawn(move || {
            let mut room = [0; 65536];
            while log.read(&mut room).is_ok_and(|length| length > 0) {}
        })
    });
    // The first connection does what is done once, as a look at all of new rules.
    connect(server.port, 1, 1, b"");
    let once = run_time_of(server.pid());
    let seen = connect(server.port, count, at_once, b"");
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let cpu = (server.end() - once) / count as f64;
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

pub(crate) fn compile(place: &Place, folder: &Path, rules: &str) -> f64 {
    let mut compile = Command::new(folder.join("tcprules"));
    compile.args([place.file("out.cdb"), place.file("out.tmp")]);
    cost(compile.stdin(File::open(place.file(rules)).expect("the rules are there")))
}

/// What `measure` says of a tcpserver that has nothing to do.
fn with_idle(place: &Place, folder: &Path, options: &[&str], measure: fn(u32) -> f64) -> f64 {
    let server = Server::start(folder, options, &[&place.answer], Stdio::null());
    // What one connection touches is part of what an instance costs.
    connect(server.port, 5, 1, b"");
    let measured = measure(server.pid());
    server.end();
    measured
}

/// The size of a program's file, in kilobytes.
pub(crate) fn size(folder: &Path, name: &str) -> f64 {
    let metadata = std::fs::metadata(folder.join(name)).expect("it is there");
    #[allow(clippy::cast_precision_loss, reason = "a file of some kilobytes")]
    let bytes = metadata.len() as f64;
    bytes / 1000.0
}

/// Of the process that moves the bytes: the child of the one that becomes the program.
fn memory_of_wrapper(folder: &Path, name: &str) -> f64 {
    let mut wrapper = Command::new(folder.join(name));
    wrapper.arg("cat").stderr(Stdio::null());
    wrapper.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = wrapper.spawn().expect("the wrapper starts");
    let mut stdin = program.stdin.take().expect("stdin is a pipe");
    let mut stdout = program.stdout.take().expect("stdout is a pipe");
    // A line there and back: what moving bytes touches is part of what a copy costs.
    let mut line = [0; 6];
    stdin.write_all(b"hello\n").expect("it reads");
    stdout.read_exact(&mut line).expect("it writes");
    let [pump] = children(program.id())[..] else {
        panic!("{name} has one child")
    };
    let memory = memory_of(pump);
    drop(stdin);
    stdout.read_to_end(&mut Vec::new()).expect("it ends");
    program.wait().expect("the program ends");
    memory
}

pub(crate) fn repeat(times: u32, mut once: impl FnMut() -> f64) -> f64 {
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
        let write = |name: &str, rules: String| {
            std::fs::write(self.file(name), rules).expect("the rules can be written");
            let mut compile = Command::new(self.ours.join("tcprules"));
            compile.args([self.file(&format!("{name}.cdb")), self.file("out.tmp")]);
            cost(compile.stdin(File::open(self.file(name)).expect("the rules are there")));
        };
        for count in RULES {
            write(&count.to_string(), rules(count));
        }
        write("deny", "127.:deny\n".to_owned());
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
