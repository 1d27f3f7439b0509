//! What a scenario can do, each act written into its transcript.
//!
//! Every scene has a fresh directory as its working directory. Failing to prepare or a deadline that passes is a
//! panic, which the runner reports as the failure of that scenario.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::inspect;
use super::launch::{Launch, no_fork_meets_an_open_file};
use super::net;
use super::process::{Outcome, Process};
use super::programs::{Programs, Side};
use super::server::{Listener, Peer, Server};
use super::temp::TempDir;
use super::transcript::{Transcript, quote};

pub(crate) struct Scene {
    program: &'static str,
    programs: Programs,
    temp: TempDir,
    work: PathBuf,
    transcript: Rc<RefCell<Transcript>>,
}

impl Scene {
    pub(crate) fn new(program: &'static str, programs: &Programs) -> Self {
        let temp = TempDir::new();
        let work = temp.path().join("work");
        fs::create_dir(&work).expect("a fresh directory takes a subdirectory");
        // Not inherited from the umask of whoever runs the tests.
        fs::set_permissions(&work, fs::Permissions::from_mode(0o755))
            .expect("the directory is ours");
        let mut transcript = Transcript::default();
        transcript.names.path(
            work.to_str().expect("temporary paths are plain text"),
            "WORK",
        );
        Self {
            program,
            programs: programs.clone(),
            temp,
            work,
            transcript: Rc::new(RefCell::new(transcript)),
        }
    }

    pub(crate) fn into_transcript(self) -> String {
        self.transcript.take().into_text()
    }

    pub(crate) fn is_subject(&self) -> bool {
        self.programs.side == Side::Subject
    }

    // Programs

    /// The program that the scenario is about, not yet started.
    pub(crate) fn program<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Launch {
        self.sibling(self.program, args)
    }

    /// Another program of the suite.
    pub(crate) fn sibling<A: AsRef<OsStr>>(
        &self,
        name: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Launch {
        Launch::new(self.programs.path(name), name, args)
    }

    /// Starts the program, waits for its end and writes all of it down.
    pub(crate) fn run(&mut self, launch: Launch) {
        let process = self.start(launch);
        self.finish(process);
    }

    /// Starts the program and writes down how.
    pub(crate) fn start(&mut self, launch: Launch) -> Process {
        self.record_start(&launch);
        self.spawn(launch)
    }

    /// Waits for the program's end and writes down what it left.
    pub(crate) fn finish(&mut self, process: Process) {
        let outcome = process.outcome();
        self.record(&outcome);
    }

    pub(crate) fn record(&mut self, outcome: &Outcome) {
        let mut transcript = self.transcript.borrow_mut();
        transcript.bytes("stdout", &outcome.stdout);
        transcript.bytes("stderr", &outcome.stderr);
        transcript.status(outcome.status);
    }

    /// Writes down how the program ended and what it complained of, not what it printed, which may be cut anywhere.
    pub(crate) fn record_but_stdout(&mut self, outcome: &Outcome) {
        let mut transcript = self.transcript.borrow_mut();
        transcript.bytes("stderr", &outcome.stderr);
        transcript.status(outcome.status);
    }

    /// Starts tcpserver, which must have been given `-1`, and learns its port.
    pub(crate) fn serve(&mut self, launch: Launch) -> Server {
        self.serve_if_it_can(launch).unwrap_or_else(|process| {
            let outcome = process.outcome();
            panic!(
                "the server did not start: {}",
                String::from_utf8_lossy(&outcome.stderr)
            );
        })
    }

    /// As `serve`; a server that ends without having listened is given back as a mere process.
    pub(crate) fn serve_if_it_can(&mut self, launch: Launch) -> Result<Server, Process> {
        let process = self.start(launch);
        let line = process
            .stdout
            .as_ref()
            .expect("the port comes on stdout")
            .first_line();
        let port = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| line.trim_end().parse().ok());
        let Some(port) = port else {
            return Err(process);
        };
        self.transcript.borrow_mut().names.port(port, "PORT");
        self.transcript.borrow_mut().bytes("stdout", &line);
        Ok(Server::new(
            process,
            port,
            line.len(),
            Rc::clone(&self.transcript),
        ))
    }

    /// Starts tcpserver on a port that is known beforehand.
    pub(crate) fn serve_on(&mut self, port: u16, launch: Launch) -> Server {
        self.transcript.borrow_mut().names.port(port, "PORT");
        let process = self.start(launch);
        Server::new(process, port, 0, Rc::clone(&self.transcript))
    }

    /// Listens on `ip` for the program's connections.
    pub(crate) fn listen(&mut self, ip: Ipv4Addr) -> Listener {
        let (listener, held) = net::listener_alone(ip);
        let listener = Listener::new(listener, Some(held), Rc::clone(&self.transcript));
        self.name_port(listener.port, "PORT");
        listener
    }

    /// Listens on a port that the program knows by itself. Only in a network of our own.
    pub(crate) fn listen_at(&mut self, ip: Ipv4Addr, port: u16) -> Listener {
        Listener::new(
            net::listener_at(ip, port),
            None,
            Rc::clone(&self.transcript),
        )
    }

    /// Writes `name` wherever this port appears.
    pub(crate) fn name_port(&mut self, port: u16, name: &str) {
        self.transcript.borrow_mut().names.port(port, name);
    }

    /// Writes `name` for this word of a command line.
    pub(crate) fn name_word(&mut self, word: &str, name: &str) {
        self.transcript.borrow_mut().names.word_is(word, name);
    }

    /// A loopback address that only this run of the tests uses; `OWNIP` in the transcript.
    pub(crate) fn own_address(&mut self) -> Ipv4Addr {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 128 | (high & 0x7f), middle, low);
        self.transcript
            .borrow_mut()
            .names
            .path(&ip.to_string(), "OWNIP");
        ip
    }

    pub(crate) fn peer(&mut self, stream: std::net::TcpStream, label: &str) -> Peer {
        Peer::new(stream, label.to_owned(), Rc::clone(&self.transcript))
    }

    // Files

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    pub(crate) fn write(&mut self, name: &str, content: impl AsRef<[u8]>) {
        let _no_fork = no_fork_meets_an_open_file();
        fs::write(self.path(name), content).expect("the scenario's directory is writable");
        self.set_mode(name, 0o644);
    }

    /// An executable file with this text.
    pub(crate) fn script(&mut self, name: &str, text: &str) {
        self.write(name, text);
        self.set_mode(name, 0o755);
    }

    pub(crate) fn directory(&mut self, name: &str) {
        fs::create_dir(self.path(name)).expect("the scenario's directory is writable");
        self.set_mode(name, 0o755);
    }

    /// A fifo on which a program can wait for the scenario: `read x <name`.
    pub(crate) fn fifo(&mut self, name: &str) -> Gate {
        let path = self.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)
            .expect("the scenario's directory takes a fifo");
        // Open in both directions at once: opening it never waits for the other side.
        let fifo = fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .expect("the fifo is ours");
        Gate { fifo }
    }

    pub(crate) fn set_mode(&mut self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))
            .expect("the file is ours");
    }

    /// Makes the working directory writable for everybody.
    pub(crate) fn open_to_all(&mut self) {
        self.set_mode("", 0o777);
    }

    /// Compiles `rules` with the suite's own tcprules.
    pub(crate) fn rules(&mut self, cdb: &str, rules: impl AsRef<[u8]>) {
        let rules = rules.as_ref();
        let launch = self.sibling("tcprules", [cdb, "rules.tmp"]).input(rules);
        let outcome = self.spawn(launch).outcome();
        assert!(
            outcome.status.success(),
            "tcprules: {}",
            String::from_utf8_lossy(&outcome.stderr)
        );
        let mut transcript = self.transcript.borrow_mut();
        transcript.line(&format!("rules in {cdb}"));
        transcript.bytes("rule", rules);
    }

    // What stands between the acts

    pub(crate) fn note(&mut self, text: &str) {
        self.transcript.borrow_mut().line(text);
    }

    pub(crate) fn note_lines(&mut self, label: &str, lines: &[String]) {
        for line in lines {
            self.note(&format!("{label}: {line}"));
        }
    }

    /// Whether a file is there, but not its size, which depends on when buffers were flushed.
    pub(crate) fn note_leftover(&mut self, name: &str) {
        let fate = if self.path(name).exists() {
            "is left behind"
        } else {
            "is gone"
        };
        self.note(&format!("{name} {fate}"));
    }

    /// Size and content of a file.
    pub(crate) fn show_file(&mut self, name: &str) {
        const DUMPED_MAX_BYTES: usize = 4096;
        let Ok(bytes) = fs::read(self.path(name)) else {
            self.note(&format!("no file {name}"));
            return;
        };
        self.note(&format!("file {name}: {}", inspect::summary(&bytes)));
        if bytes.len() <= DUMPED_MAX_BYTES {
            for line in inspect::hex_dump(&bytes).lines() {
                self.note(&format!("  {line}"));
            }
        }
    }

    /// Every entry of the working directory, with mode and size.
    pub(crate) fn show_directory(&mut self) {
        let lines = inspect::listing(&self.work);
        self.note_lines("left", &lines);
    }

    fn record_start(&mut self, launch: &Launch) {
        let mut transcript = self.transcript.borrow_mut();
        let word = |bytes: &[u8]| transcript.names.word(bytes).unwrap_or_else(|| quote(bytes));
        let words: Vec<String> = launch.extra_env().chain(launch.argv()).map(word).collect();
        let remarks = launch.description();
        let remarks = if remarks.is_empty() {
            String::new()
        } else {
            format!("   ({})", remarks.join(", "))
        };
        transcript.line(&format!("$ {}{remarks}", words.join(" ")));
        if let Some(bytes) = launch.stdin_bytes() {
            transcript.bytes("stdin", bytes);
        }
    }

    fn spawn(&self, mut launch: Launch) -> Process {
        if launch.is_unprivileged() && super::is_root() {
            launch = self.within_reach(launch);
        }
        if !self.is_subject() {
            launch = self.with_programs_of_its_own(launch);
        }
        let path = launch.path().display().to_string();
        launch
            .spawn(&self.work)
            .unwrap_or_else(|error| panic!("cannot start {path}: {error}"))
    }

    /// The original's shell scripts run programs of /usr/bin; a copy runs those beside the script.
    fn with_programs_of_its_own(&self, launch: Launch) -> Launch {
        let program = launch.path().to_path_buf();
        let is_script = fs::read(&program).is_ok_and(|text| text.starts_with(b"#!"));
        let Some(folder) = program.parent().and_then(Path::to_str) else {
            return launch;
        };
        if !is_script || !self.programs.contain(&program) {
            return launch;
        }
        let copy = self.temp.path().join(file_name(&program));
        if !copy.exists() {
            let text = fs::read_to_string(&program).expect("a shell script is text");
            let _no_fork = no_fork_meets_an_open_file();
            fs::write(&copy, text.replace("/usr/bin/", &format!("{folder}/")))
                .and_then(|()| fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)))
                .expect("the scenario's directory is writable");
        }
        launch.relocated(copy)
    }

    /// Copies the program to where an ordinary user may run it: root's build folder need not be such a place.
    fn within_reach(&self, launch: Launch) -> Launch {
        let program = launch.path().to_path_buf();
        let copy = self.temp.path().join(file_name(&program));
        if !copy.exists() {
            let _no_fork = no_fork_meets_an_open_file();
            fs::copy(&program, &copy)
                .unwrap_or_else(|error| panic!("cannot copy {}: {error}", program.display()));
        }
        launch.relocated(copy)
    }
}

/// Holds up a program until the scenario lets it go on.
pub(crate) struct Gate {
    fifo: fs::File,
}

impl Gate {
    pub(crate) fn open(mut self) -> Self {
        self.fifo
            .write_all(b"go on\n")
            .expect("a fifo takes a line");
        self
    }
}

fn file_name(path: &Path) -> String {
    String::from_utf8_lossy(path.file_name().map_or(b"program", OsStr::as_bytes)).into_owned()
}
