//! tcppool beside iotcpd (where `$BENCH_IOTCPD` names one), beside tcpserver with a process for each query, and beside a
//! loop that makes the same system calls and does nothing else. All serve the same program, which repeats a line.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::process::{Clock, children, descriptors_of, memory_of, run_time_of};
use crate::report::median_of;
use crate::works::{Place, Unit};

const WORKERS: usize = 4;
const LINE: &[u8] = b"http://www.example.org/index.html 127.0.0.1/- - GET\n";

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Tcppool,
    Iotcpd,
    Tcpserver,
    Bare,
}

const ALL: [(Who, &str); 4] = [
    (Who::Tcppool, "tcppool"),
    (Who::Iotcpd, "iotcpd"),
    (Who::Tcpserver, "tcpserver"),
    (Who::Bare, "bare epoll"),
];

/// How clients ask.
#[derive(Clone, Copy)]
enum Manner {
    /// A connection for each query.
    One,
    /// So many queries at a time on a connection that stays.
    Kept(usize),
}

/// What is measured of a run.
#[derive(Clone, Copy)]
enum Measure {
    Rate,
    /// Of the server's process alone.
    Cpu,
}

/// A work: its name, how clients ask, how many of them there are, how many queries, and of whom it can be asked.
struct Work {
    name: &'static str,
    manner: Manner,
    clients: usize,
    queries: usize,
    measure: Measure,
    of: &'static [Who],
}

const WORKS: &[Work] = &[
    Work {
        name: "queries a second, a connection each, 1 client",
        manner: Manner::One,
        clients: 1,
        queries: 3000,
        measure: Measure::Rate,
        of: &[Who::Tcppool, Who::Iotcpd, Who::Tcpserver, Who::Bare],
    },
    Work {
        name: "queries a second, a connection each, 4 clients",
        manner: Manner::One,
        clients: 4,
        queries: 6000,
        measure: Measure::Rate,
        of: &[Who::Tcppool, Who::Iotcpd, Who::Tcpserver, Who::Bare],
    },
    Work {
        name: "CPU of a query, a connection each, 1 client",
        manner: Manner::One,
        clients: 1,
        queries: 3000,
        measure: Measure::Cpu,
        of: &[Who::Tcppool, Who::Bare],
    },
    Work {
        name: "CPU of a query, a connection each, 4 clients",
        manner: Manner::One,
        clients: 4,
        queries: 6000,
        measure: Measure::Cpu,
        of: &[Who::Tcppool, Who::Bare],
    },
    Work {
        name: "CPU of a query, kept connections, 4 clients",
        manner: Manner::Kept(1),
        clients: 4,
        queries: 12_000,
        measure: Measure::Cpu,
        of: &[Who::Tcppool, Who::Bare],
    },
    Work {
        name: "CPU of a query, kept connections, 4 clients, 8 deep",
        manner: Manner::Kept(8),
        clients: 4,
        queries: 24_000,
        measure: Measure::Cpu,
        of: &[Who::Tcppool, Who::Bare],
    },
];

/// Prints the table of those works whose names are wanted.
pub(crate) fn print(place: &Place, rounds: usize, is_wanted: impl Fn(&str) -> bool) {
    let iotcpd = std::env::var_os("BENCH_IOTCPD");
    let is_here = |who: Who| who != Who::Iotcpd || iotcpd.is_some();
    println!(
        "\n| pool | {} | {} | {} | {} |",
        ALL[0].1, ALL[1].1, ALL[2].1, ALL[3].1
    );
    println!("|---|---|---|---|---|");
    for work in WORKS.iter().filter(|work| is_wanted(work.name)) {
        let mut measured: Vec<Vec<f64>> = vec![Vec::new(); ALL.len()];
        for round in 0..=rounds {
            for (numbers, (who, _)) in measured.iter_mut().zip(ALL) {
                if work.of.contains(&who) && is_here(who) {
                    let number = run(place, who, work);
                    // A round that does not count warms the caches up.
                    numbers.extend((round > 0).then_some(number));
                }
            }
        }
        eprintln!("{}: {measured:.6?}", work.name);
        let unit = match work.measure {
            Measure::Rate => Unit::PerSecond,
            Measure::Cpu => Unit::Microseconds,
        };
        print_row(work.name, unit, measured);
    }
    if is_wanted(HONEST) {
        let idle = (0..rounds).map(|_| p99(place, false)).collect();
        let full = (0..rounds).map(|_| p99(place, true)).collect();
        let (idle, full) = (median_of(idle), median_of(full));
        let show = |seconds| Unit::Microseconds.show(seconds);
        println!("| {HONEST} | {} (idle {}) | | | |", show(full), show(idle));
    }
    if is_wanted(MEMORY) {
        let memory = memory_of_waiting(place);
        println!("| {MEMORY} | {memory:.2} kB | | | |");
    }
}

const HONEST: &str = "p99 of an honest client while a worker hangs and 100 clients wait";
const MEMORY: &str = "memory of a client that waits for a worker";

fn print_row(name: &str, unit: Unit, measured: Vec<Vec<f64>>) {
    let medians: Vec<Option<f64>> = measured
        .into_iter()
        .map(|numbers| (!numbers.is_empty()).then(|| median_of(numbers)))
        .collect();
    let ours = medians[0].unwrap_or(f64::NAN);
    let cells = medians.iter().map(|number| match number {
        None => String::new(),
        Some(number) => format!("{} ({:.2})", unit.show(*number), ours / number),
    });
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}

fn run(place: &Place, who: Who, work: &Work) -> f64 {
    let program = &place.echo;
    match who {
        Who::Bare => {
            let bare = Bare::start(program);
            let rate = load(bare.port, work);
            let cpu = bare.end();
            chosen(work, rate, cpu)
        }
        _ => {
            let server = Server::start(place, who, work.manner);
            // What is done once is not counted.
            ask(server.port, LINE, 1);
            let before = run_time_of(server.child.id());
            let rate = load(server.port, work);
            let cpu = run_time_of(server.child.id()) - before;
            server.end();
            chosen(work, rate, cpu)
        }
    }
}

fn chosen(work: &Work, rate: f64, cpu: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let queries = work.queries as f64;
    match work.measure {
        Measure::Rate => rate,
        Measure::Cpu => cpu / queries,
    }
}

/// Has the clients of `work` ask, each on a thread of its own; gives queries a second.
fn load(port: u16, work: &Work) -> f64 {
    let left = AtomicUsize::new(work.queries);
    let take = |count| {
        let less = |left: usize| left.checked_sub(count);
        left.fetch_update(Relaxed, Relaxed, less).is_ok()
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..work.clients {
            scope.spawn(|| match work.manner {
                Manner::One => {
                    while take(1) {
                        ask(port, LINE, 1);
                    }
                }
                Manner::Kept(deep) => {
                    let mut stream = connect(port);
                    let queries = LINE.repeat(deep);
                    while take(deep) {
                        stream.write_all(&queries).expect("it reads");
                        read_lines(&mut stream, deep);
                    }
                }
            });
        }
    });
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let queries = work.queries as f64;
    queries / start.elapsed().as_secs_f64()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a limit can be set");
    stream
}

/// Asks on a connection of its own, and waits for its end.
fn ask(port: u16, line: &[u8], lines: usize) -> Vec<u8> {
    let mut stream = connect(port);
    stream.write_all(line).expect("it reads");
    let mut reply = Vec::new();
    // iotcpd's clients may be reset.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut reply);
    assert!(reply.is_empty() || reply.ends_with(b"\n") && lines == 1);
    reply
}

fn read_lines(stream: &mut TcpStream, mut lines: usize) {
    let mut room = [0; 4096];
    while lines > 0 {
        let length = stream.read(&mut room).expect("it answers");
        assert!(length > 0, "the end comes with {lines} lines missing");
        lines -= room[..length].iter().filter(|&&byte| byte == b'\n').count();
    }
}

/// A server as a process.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(place: &Place, who: Who, manner: Manner) -> Self {
        let mut pool_options = vec!["-HRl0", "-c2000", "-b2000", "--queue=2000:60"];
        if matches!(manner, Manner::Kept(_)) {
            pool_options.push("--queries=0");
        }
        match who {
            Who::Tcppool => Self::start_ours(place, "tcppool", &pool_options, &[&place.echo]),
            Who::Tcpserver => {
                let options = ["-HRl0", "-c2000", "-b2000"];
                Self::start_ours(place, "tcpserver", &options, &[&place.echo])
            }
            _ => Self::start_iotcpd(&place.echo),
        }
    }

    fn start_ours(
        place: &Place,
        name: &str,
        options: &[&str],
        worker: &[impl AsRef<OsStr>],
    ) -> Self {
        let mut command = Command::new(place.ours.join(name));
        command
            .arg("-1")
            .args(options)
            .args(["127.0.0.1", "0"])
            .args(worker);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let mut stdout = child.stdout.take().expect("stdout is a pipe");
        stdout.read_to_string(&mut line).expect("it says its port");
        Self {
            child,
            port: line.trim().parse().expect("a port"),
        }
    }

    /// It cannot choose a port, and answers nothing before its second alarm.
    fn start_iotcpd(worker: &Path) -> Self {
        let program = std::env::var_os("BENCH_IOTCPD").expect("it was asked for");
        let holder = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = holder.local_addr().expect("an address").port();
        drop(holder);
        let mut command = Command::new(program);
        command.args([
            "-a",
            "1",
            "-n",
            &WORKERS.to_string(),
            "-p",
            &port.to_string(),
            "-d",
        ]);
        command
            .arg(worker)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self {
            child: command.spawn().expect("it starts"),
            port,
        };
        // Who comes before may be inherited by a worker, and then never sees the end.
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(ask(port, LINE, 1), LINE, "iotcpd answers after two alarms");
        server
    }

    fn end(mut self) {
        let workers = children(self.child.id());
        for pid in workers.into_iter().chain([self.child.id()]) {
            let pid = i32::try_from(pid).expect("a pid");
            // SAFETY: takes no pointer; the processes are the server that we started and its children.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        let _ = self.child.wait();
    }
}

/// The 99th of 100 times of one client, a connection each; in the worst case one of the workers hangs, and 100 clients
/// wait, each with half a query.
fn p99(place: &Place, is_full: bool) -> f64 {
    let script =
        "while read -r line; do case $line in hang) sleep 60 ;; esac; echo \"$line\"; done";
    let options = ["-HRl0", "-c2000", "--busy-timeout=60"];
    let server = Server::start_ours(place, "tcppool", &options, &["sh", "-c", script]);
    let mut others = Vec::new();
    if is_full {
        others = (0..=100).map(|_| connect(server.port)).collect();
        let (hanging, waiting) = others.split_first_mut().expect("there are 101");
        hanging.write_all(b"hang\n").expect("it reads");
        for client in waiting {
            client.write_all(b"half a quer").expect("it reads");
        }
    }
    let mut times: Vec<f64> = (0..1100)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(ask(server.port, LINE, 1), LINE);
            start.elapsed().as_secs_f64()
        })
        .skip(100)
        .collect();
    times.sort_by(f64::total_cmp);
    drop(others);
    server.end();
    times[times.len() * 99 / 100]
}

/// What each of 1,000 clients more costs whose query waits for a worker, in kilobytes.
fn memory_of_waiting(place: &Place) -> f64 {
    const MORE: u32 = 1000;
    let options = [
        "-HRl0",
        "-c5000",
        "-b5000",
        "--queue=5000:600",
        "--busy-timeout=600",
    ];
    let server = Server::start_ours(place, "tcppool", &options, &["sleep", "1000"]);
    let open = |count: u32| -> Vec<TcpStream> {
        let asked = (0..count).map(|_| {
            let mut stream = connect(server.port);
            stream.write_all(LINE).expect("it is connected");
            stream
        });
        asked.collect()
    };
    let settled = |held: u32| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while descriptors_of(server.child.id()) < held as usize {
            assert!(Instant::now() < deadline, "they are not all accepted");
            std::thread::sleep(Duration::from_millis(10));
        }
        memory_of(server.child.id())
    };
    let first = open(100);
    let before = settled(100);
    let more = open(MORE);
    let after = settled(100 + MORE);
    drop((first, more));
    server.end();
    (after - before) / f64::from(MORE)
}

/// A loop that makes the system calls of a pool, and no other.
struct Bare {
    port: u16,
    ended: mpsc::Receiver<f64>,
}

impl Bare {
    fn start(program: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (end, ended) = mpsc::channel();
        let program = program.to_owned();
        std::thread::spawn(move || {
            let clock = Clock::start();
            serve(&listener, &program);
            let _ = end.send(clock.seconds());
        });
        Self { port, ended }
    }

    /// Ends it, and gives the CPU time of its thread.
    fn end(self) -> f64 {
        // The one query that ends it.
        let mut stream = connect(self.port);
        stream.write_all(b"end").expect("it reads");
        self.ended.recv().expect("the loop ends")
    }
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    client: Option<usize>,
}

struct Client {
    stream: TcpStream,
    /// What is to be asked yet.
    rest: VecDeque<u8>,
}

/// Accepts, reads, asks a worker, answers, until a client says what is no line.
fn serve(listener: &TcpListener, program: &Path) {
    const LISTENER: u64 = 0;
    const FIRST_CLIENT: u64 = 100;
    listener.set_nonblocking(true).expect("a socket");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("a descriptor");
    let watch = |fd: &dyn AsFd, number: u64| {
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, number);
        epoll.add(fd, event).expect("it can be watched");
    };
    watch(&listener, LISTENER);
    let mut workers: Vec<Worker> = (1..=WORKERS as u64)
        .map(|number| {
            let mut command = Command::new(program);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("it starts");
            let stdin = child.stdin.take().expect("a pipe");
            let stdout = child.stdout.take().expect("a pipe");
            set_nonblocking(&stdout);
            watch(&stdout, number);
            Worker {
                child,
                stdin,
                stdout,
                client: None,
            }
        })
        .collect();
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut room = [0; 65536];
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE).expect("events");
        for event in &events[..count] {
            let number = event.data();
            if number == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).expect("a socket");
                    clear_ip_options(&stream);
                    let at = clients
                        .iter()
                        .position(Option::is_none)
                        .unwrap_or(clients.len());
                    watch(&stream, FIRST_CLIENT + at as u64);
                    let client = Client {
                        stream,
                        rest: VecDeque::new(),
                    };
                    if at == clients.len() {
                        clients.push(Some(client));
                    } else {
                        clients[at] = Some(client);
                    }
                }
            } else if number >= FIRST_CLIENT {
                let at = usize::try_from(number - FIRST_CLIENT).expect("a small number");
                let Some(client) = &mut clients[at] else {
                    continue;
                };
                let Ok(length) = client.stream.read(&mut room) else {
                    continue;
                };
                if length == 0 {
                    if workers.iter().all(|worker| worker.client != Some(at))
                        && client.rest.is_empty()
                    {
                        clients[at] = None;
                    }
                    continue;
                }
                if room[..length] == *b"end" {
                    for worker in &mut workers {
                        let _ = worker.child.kill();
                        let _ = worker.child.wait();
                    }
                    return;
                }
                client.rest.extend(&room[..length]);
                waiting.push_back(at);
            } else {
                let worker = &mut workers[usize::try_from(number).expect("a small number") - 1];
                let Ok(length) = worker.stdout.read(&mut room) else {
                    continue;
                };
                let Some(at) = worker.client.take() else {
                    continue;
                };
                if let Some(client) = &mut clients[at] {
                    let _ = client.stream.write(&room[..length]);
                    if !client.rest.is_empty() {
                        waiting.push_back(at);
                    } else if has_ended(client) {
                        clients[at] = None;
                    }
                }
            }
        }
        while let Some(worker) = workers.iter_mut().find(|worker| worker.client.is_none())
            && let Some(at) = waiting.pop_front()
        {
            let Some(client) = &mut clients[at] else {
                continue;
            };
            let end = client
                .rest
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(0, |end| end + 1);
            let query: Vec<u8> = client.rest.drain(..end).collect();
            assert!(is_quiet(worker), "the program answers with one line");
            worker.stdin.write_all(&query).expect("it reads");
            worker.client = Some(at);
        }
    }
}

/// A client that wants one answer says so by ending what it sends.
fn has_ended(client: &Client) -> bool {
    let mut byte = [0];
    matches!(client.stream.peek(&mut byte), Ok(0))
}

fn set_nonblocking(fd: &impl AsRawFd) {
    // SAFETY: takes no pointer; the pipe is ours.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
}

fn clear_ip_options(stream: &TcpStream) {
    let (level, option) = (libc::IPPROTO_IP, libc::IP_OPTIONS);
    // SAFETY: a null pointer is valid for a length of 0.
    unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, std::ptr::null(), 0) };
}

/// The two looks at a worker that a pool takes before each query.
fn is_quiet(worker: &mut Worker) -> bool {
    let mut unread: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to a local that is one.
    unsafe { libc::ioctl(worker.stdin.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
    worker.stdout.read(&mut [0]).is_err() && unread == 0
}
