//! A relay that runs, clients of it, and remotes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    self, Backlog, SockFlag, SockType, SockaddrLike as _, SockaddrStorage, getsockname, sockopt,
};
use nix::unistd::Pid;

use crate::programs::Programs;
use crate::temp::TempDir;

/// No wait is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done` gives something.
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(Instant::now() < deadline, "it does not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the variable says, or `small`: a test is quick by itself, and as large as ci/relay wants it.
pub(crate) fn size(variable: &str, small: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(small, |text| text.parse().expect("a number"))
}

pub(crate) fn program(name: &str) -> PathBuf {
    Programs::subject().path(name)
}

/// A tcprelay that listens; killed when it goes out of scope.
pub(crate) struct Relay {
    child: Child,
    pub(crate) port: u16,
    log: PathBuf,
    /// Its working directory.
    _folder: TempDir,
}

impl Relay {
    /// `tcprelay -1vRHl0 options 127.0.0.1 0 remotes`
    pub(crate) fn start(options: &[&str], remotes: &[&str]) -> Self {
        Self::start_in(TempDir::new(), options, remotes)
    }

    pub(crate) fn start_in(folder: TempDir, options: &[&str], remotes: &[&str]) -> Self {
        let mut command = Command::new(program("tcprelay"));
        command.args(["-1vRHl0", "-b1000"]).args(options);
        command.args(["127.0.0.1", "0"]).args(remotes);
        Self::run(folder, command)
    }

    pub(crate) fn run(folder: TempDir, mut command: Command) -> Self {
        let log = folder.path().join("log");
        let file = std::fs::File::create(&log).expect("a folder of our own");
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file);
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut line).expect("text");
        let mut relay = Self {
            child,
            port: 0,
            log,
            _folder: folder,
        };
        let port = line.trim().parse();
        relay.port = port.unwrap_or_else(|_| panic!("no port: {}", relay.log()));
        relay
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("it is there");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How often `text` stands in the log.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        until(&format!("{count} x {text} in\n{}", self.log()), || {
            (self.said(text) >= count).then_some(())
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
        kill(pid, signal).expect("it runs");
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// What a client gets that sends `bytes` and then its end.
    pub(crate) fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        talk(self.connect(), bytes).unwrap_or_default()
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("it ends", || child.try_wait().expect("it is ours"))
    }

    /// The memory that it has, in kB.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("/proc");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.expect("a line").trim_end_matches("kB").trim();
        number.parse().expect("a number")
    }

    /// What the descriptors of the process are.
    pub(crate) fn descriptors(&self) -> Vec<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("/proc");
        let links = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links
            .map(|link| link.to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `bytes` and the end, and gives all that comes.
pub(crate) fn talk(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A remote that tells its name to each client, then gives back what it gets until the end; it can go away and come back.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    name: &'static str,
    taken: Arc<AtomicUsize>,
    /// By their numbers.
    open: Arc<Mutex<BTreeMap<usize, TcpStream>>>,
    is_closing: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Bound to the address, so that nobody else gets it while this one is away.
    _place: OwnedFd,
}

/// A socket at `place` that does not listen, and its address.
pub(crate) fn bound(place: &str) -> nix::Result<(OwnedFd, SocketAddr)> {
    let place: SocketAddr = place.parse().expect("an address and a port");
    let place = SockaddrStorage::from(place);
    let family = place.family().expect("one of the internet");
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    socket::setsockopt(&socket, sockopt::ReusePort, &true)?;
    socket::bind(socket.as_raw_fd(), &place)?;
    let address: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    Ok((
        socket,
        address.to_string().parse().expect("as it was given"),
    ))
}

impl Remote {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::at(name, "127.0.0.1:0").expect("a port")
    }

    /// One that closes each connection as soon as it has it.
    pub(crate) fn hasty() -> Self {
        Self::new("")
    }

    /// One that listens there; `None` when that cannot be had.
    pub(crate) fn at(name: &'static str, place: &str) -> Option<Self> {
        let (place, address) = bound(place).ok()?;
        let mut remote = Self {
            address,
            name,
            taken: Arc::default(),
            open: Arc::default(),
            is_closing: Arc::default(),
            thread: None,
            _place: place,
        };
        remote.come_back();
        Some(remote)
    }

    /// One at an address where nobody listens yet.
    pub(crate) fn absent(name: &'static str) -> Self {
        let mut remote = Self::new(name);
        remote.leave();
        remote
    }

    /// Listens, again at the same address.
    pub(crate) fn come_back(&mut self) {
        let (listener, _) = bound(&self.operand()).expect("the place is ours");
        socket::listen(&listener, Backlog::MAXCONN).expect("it listens");
        let listener = TcpListener::from(listener);
        self.is_closing.store(false, Ordering::SeqCst);
        let (taken, open, is_closing) = (
            Arc::clone(&self.taken),
            Arc::clone(&self.open),
            Arc::clone(&self.is_closing),
        );
        let name = self.name;
        self.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_closing.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = taken.fetch_add(1, Ordering::SeqCst);
                if name.is_empty() {
                    continue;
                }
                let copy = stream.try_clone().expect("descriptors");
                open.lock().expect("no panic").insert(number, copy);
                let open = Arc::clone(&open);
                std::thread::spawn(move || {
                    give_back(stream, name);
                    open.lock().expect("no panic").remove(&number);
                });
            }
        }));
    }

    /// Stops listening; who is connected stays.
    pub(crate) fn leave(&mut self) {
        self.is_closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
        // A program that another test starts may hold a copy of the listener until it is executed.
        until("nobody listens", || TcpStream::connect(self.address).err());
    }

    /// How many connections it took.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// As an operand.
    pub(crate) fn operand(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.leave();
        let open = std::mem::take(&mut *self.open.lock().expect("no panic"));
        for stream in open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn give_back(mut stream: TcpStream, name: &str) {
    let _ = stream.write_all(name.as_bytes());
    let mut room = vec![0; 64 << 10];
    while let Ok(length) = stream.read(&mut room) {
        if length == 0 || stream.write_all(&room[..length]).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % limit
    }
}
