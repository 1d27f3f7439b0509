//! Where a test with real programs runs: a directory of its own, our programs first in `$PATH`, Debian's after them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::capture::Capture;
use crate::support::launch::{Launch, no_fork_meets_an_open_file, occupy_low_descriptors};
use crate::support::process::{Outcome, Process};
use crate::support::programs::Programs;
use crate::support::temp::TempDir;
use crate::support::{is_root, is_set, place};

pub(crate) use crate::support::place::text as lossy;
pub(crate) use crate::support::proc::{children, open_files};
pub(crate) use crate::support::wait::eventually;

/// Where distributions put programs, in this order.
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

pub(crate) struct World {
    temp: TempDir,
    ours: Programs,
}

/// A world in which all `programs` exist; `None` when one of them does not, which has been said.
pub(crate) fn with(programs: &[&str]) -> Option<World> {
    // Before the test has any of its own.
    occupy_low_descriptors();
    for program in programs {
        if find(program).is_none() {
            skip(&format!("there is no {program}"));
            return None;
        }
    }
    Some(World {
        temp: TempDir::new(),
        ours: Programs::subject(),
    })
}

/// Like [`with`], for tests that change user ids or look into a server, which is closed to its own user.
pub(crate) fn with_root_and(programs: &[&str]) -> Option<World> {
    if !is_root() {
        skip("it needs root");
        return None;
    }
    with(programs)
}

/// Says that the running test is skipped, and why.
///
/// # Panics
///
/// When nothing may be skipped.
pub(crate) fn skip(why: &str) {
    assert!(
        !is_set("UCSPI_COMPONENTS_REQUIRED"),
        "UCSPI_COMPONENTS_REQUIRED=1, but {why}"
    );
    let test = std::thread::current();
    let line = format!("skipped {}: {why}\n", test.name().unwrap_or("a test"));
    // Not by a macro, whose output the test runner would keep to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The path of a program of the system.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    place::find(program).ok().map(PathBuf::from)
}

/// The path of a program of the system that is there, as text for a command line.
pub(crate) fn path_of(program: &str) -> String {
    text(&find(program).unwrap_or_else(|| panic!("there is no {program}")))
}

impl World {
    /// The file `name` in the directory of this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The same, as text for a command line.
    pub(crate) fn name(&self, name: &str) -> String {
        text(&self.path(name))
    }

    /// One of our programs.
    pub(crate) fn our(&self, program: &str) -> String {
        text(&self.ours.path(program))
    }

    /// A program, ours or the system's, ready to start.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    pub(crate) fn program<A: AsRef<OsStr>>(
        &self,
        name: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Launch {
        let our = self.ours.path(name);
        let path = if our.is_file() {
            our
        } else {
            find(name).unwrap_or_else(|| panic!("there is no {name}"))
        };
        Launch::new(path, name, args)
            .empty_env()
            .env("PATH", self.search_path())
            .env("HOME", self.name("."))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LC_ALL", "C")
    }

    fn search_path(&self) -> String {
        let ours = text(
            self.ours
                .path("tcpserver")
                .parent()
                .expect("programs live in a folder"),
        );
        format!("{ours}:{}", FOLDERS.join(":"))
    }

    pub(crate) fn start(&self, launch: Launch) -> Process {
        let path = launch.path().display().to_string();
        launch
            .spawn(self.temp.path())
            .unwrap_or_else(|error| panic!("cannot start {path}: {error}"))
    }

    /// Runs a program to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        name: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.start(self.program(name, args)).outcome()
    }

    /// Runs a program that must succeed, and gives its stdout.
    pub(crate) fn succeed(&self, launch: Launch) -> Vec<u8> {
        let words: Vec<String> = launch.argv().map(lossy).collect();
        success(self.start(launch).outcome(), &words.join(" "))
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let _no_fork = no_fork_meets_an_open_file();
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("files live in a folder"))
            .expect("the test's directory is writable");
        fs::write(path, content).expect("the test's directory is writable");
    }

    /// An executable file with this text.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))
            .expect("the file is ours");
    }

    /// Compiles `rules` into `rules.cdb`, and gives its path.
    pub(crate) fn rules(&self, rules: &str) -> String {
        self.succeed(
            self.program("tcprules", ["rules.cdb", "rules.tmp"])
                .input(rules),
        );
        self.name("rules.cdb")
    }

    /// Starts `tcpserver -1 ...`, whose log is kept and can be waited for.
    pub(crate) fn serve<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Server {
        let one = std::ffi::OsString::from("-1");
        let args = std::iter::once(one).chain(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        Server::on(self.start(self.program("tcpserver", args)))
    }
}

/// A tcpserver that listens; killed with its children when it goes out of scope.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Server {
    /// Takes over a tcpserver that was started with `-1`.
    pub(crate) fn on(process: Process) -> Self {
        let port = process.port();
        Self { process, port }
    }

    /// The log so far can be waited for, and is complete when the server and its children have ended.
    pub(crate) fn log(&self) -> &Capture {
        self.process.stderr.as_ref().expect("the log is a pipe")
    }

    /// Ends the server by SIGTERM and gives the whole log.
    pub(crate) fn terminate(self) -> String {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        let outcome = self.process.outcome();
        assert_eq!(outcome.status.code(), Some(0), "{:?}", outcome.status);
        lossy(&outcome.stderr)
    }
}

/// The stdout of a program that must have succeeded.
pub(crate) fn success(outcome: Outcome, what: &str) -> Vec<u8> {
    assert!(
        outcome.status.success(),
        "{what}: {:?}\n{}{}",
        outcome.status,
        lossy(&outcome.stdout),
        lossy(&outcome.stderr)
    );
    outcome.stdout
}

/// Lines of `log` that begin with `start`.
pub(crate) fn count(log: &str, start: &str) -> usize {
    log.lines().filter(|line| line.starts_with(start)).count()
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("temporary and build folders are plain text")
        .to_owned()
}
