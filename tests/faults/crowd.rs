//! A server whose log is counted as it comes, and its visitors, good and bad.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use nix::sys::socket::{setsockopt, sockopt};

use crate::service::{at_rest, descriptors};
use crate::support::launch::{Launch, Output};
use crate::support::{is_root, net};
use crate::world::{self, Server, World, children, eventually};

/// What a log has said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) from: usize,
    pub(crate) ok: usize,
    pub(crate) deny: usize,
    pub(crate) end: usize,
    pub(crate) warnings: usize,
    /// The most connections that were open at once.
    pub(crate) most: usize,
    /// Lines that are none of tcpserver's.
    pub(crate) broken: Vec<String>,
    /// Ends with another status than 0 and 100.
    pub(crate) failed: usize,
    pub(crate) last: String,
}

impl Tally {
    fn take(&mut self, line: &str) {
        let rest = line.strip_prefix("tcpserver: ").unwrap_or_default();
        match rest.split(' ').next().unwrap_or_default() {
            "pid" => self.from += 1,
            "ok" => self.ok += 1,
            "deny" => self.deny += 1,
            "end" => {
                self.end += 1;
                let is_usual = rest.ends_with(" status 0") || rest.ends_with(" status 25600");
                self.failed += usize::from(!is_usual);
            }
            "warning:" => self.warnings += 1,
            "status:" => {
                let open = rest.trim_start_matches("status: ").split('/').next();
                let open = open.and_then(|open| open.parse().ok()).unwrap_or(0);
                self.most = self.most.max(open);
            }
            "draining" | "waiting" => {}
            _ => self.broken.push(line.to_owned()),
        }
        line.clone_into(&mut self.last);
    }
}

/// A server whose log is counted.
pub(crate) struct Crowd {
    pub(crate) server: Server,
    tally: Arc<Mutex<Tally>>,
    limit: usize,
    /// Listening sockets that it has besides its port.
    others: usize,
}

impl Crowd {
    /// Starts `tcpserver -1 -v -cLIMIT options 127.0.0.1 0 program`, whose log goes into a pipe that is read and counted.
    pub(crate) fn start(
        world: &World,
        limit: usize,
        options: &[&str],
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        let tally = Arc::<Mutex<Tally>>::default();
        let counted = Arc::clone(&tally);
        std::thread::spawn(move || {
            for line in BufReader::new(File::from(reader)).lines() {
                let line = line.unwrap_or_else(|error| error.to_string());
                counted.lock().expect("nobody panics").take(&line);
            }
        });
        let limit_option = format!("-c{limit}");
        let words = [
            &["-1", "-v", &limit_option][..],
            options,
            &["127.0.0.1", "0"],
            program,
        ]
        .concat();
        let launch = world.program("tcpserver", words);
        let launch = with(launch.stderr(Output::File(File::from(writer))));
        let crowd = Self {
            server: Server::on(world.start(launch)),
            tally,
            limit,
            others: usize::from(options.iter().any(|it| it.starts_with("--control="))),
        };
        crowd.rest();
        crowd
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.process.pid()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().expect("nobody panics").clone()
    }

    /// Waits until the log says so.
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Tally) -> bool) {
        eventually(what, || done(&self.tally.lock().expect("nobody panics")));
    }

    /// A connection from `source`, if the server takes it.
    pub(crate) fn connect(&self, source: Ipv4Addr) -> TcpStream {
        net::connect_from(source, Ipv4Addr::LOCALHOST, self.server.port, |_| false)
            .expect("the server listens")
    }

    /// Waits until nothing is open.
    pub(crate) fn rest(&self) {
        let rest = format!("tcpserver: status: 0/{}", self.limit);
        self.wait("no connection is open", |tally| {
            // One that is killed before its program runs has an end, and no beginning.
            tally.last == rest && tally.from <= tally.end
        });
    }

    /// Waits until `count` connections have begun and ended, and nothing is open; then the server is as at the start.
    pub(crate) fn assert_at_rest_after(&self, count: usize) -> Tally {
        self.wait("all connections have ended", |tally| tally.end >= count);
        self.rest();
        let pid = self.pid();
        // The rules are opened by the first connection, and stay; also when their file has been replaced since the last.
        let without_rules = |mut open: Vec<String>| {
            open.retain(|name| name != "rules.cdb" && name != "rules.cdb (deleted)");
            open
        };
        let mut at_first = without_rules(at_rest());
        at_first.extend(vec!["socket".to_owned(); self.others]);
        // Somebody who has gone may still be in the queue.
        eventually("the server is as at the start", || {
            let is_all_closed = !is_root() || without_rules(descriptors(pid)) == at_first;
            children(pid).is_empty() && is_all_closed
        });
        let tally = self.tally();
        assert_eq!(tally.broken, [""; 0], "the log is not whole");
        assert!(tally.most <= self.limit, "{} open", tally.most);
        tally
    }

    /// Ends the server by SIGTERM.
    pub(crate) fn terminate(mut self) {
        let process = &mut self.server.process;
        process.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(process.wait().code(), Some(0));
    }
}

/// Closes a connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &linger).expect("a socket takes SO_LINGER");
    drop(OwnedFd::from(stream));
}

/// The state letter of a process. proc(5), /proc/pid/stat.
pub(crate) fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    rest.chars().next().unwrap_or('X')
}

/// A whole number from the environment.
pub(crate) fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Says a line on the real stderr: the test runner keeps what macros print to itself.
pub(crate) fn tell(line: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Raises this process's limit of descriptors; false where it may not be that high, which has been said.
pub(crate) fn may_open(count: u64) -> bool {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    if hard < count {
        world::skip("it may not open enough descriptors");
        return false;
    }
    if soft < count {
        setrlimit(Resource::RLIMIT_NOFILE, count, hard).expect("up to the hard limit");
    }
    true
}
