//! Starting our programs and those of others.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use super::launch::Launch;
use super::process::{Outcome, Process};
use super::programs::Programs;
use super::temp::TempDir;
use super::wait::eventually;

/// Where a program of another package is.
///
/// # Errors
/// It is nowhere.
pub(crate) fn find(program: &str) -> Result<String, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from))
        .filter(|folder| folder.is_absolute());
    folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .map(|path| path.to_string_lossy().into_owned())
        .ok_or_else(|| format!("there is no {program}"))
}

/// Where a program of ours is.
pub(crate) fn ours(program: &str) -> String {
    let path = Programs::subject().path(program);
    path.to_string_lossy().into_owned()
}

/// A folder with files in it, in which programs are started.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).expect("the folder is ours");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts a program of ours or of others by its path.
    pub(crate) fn start(&self, words: &[&str], with: impl FnOnce(Launch) -> Launch) -> Process {
        let (program, args) = words.split_first().expect("a program");
        let name = program.rsplit('/').next().unwrap_or(program);
        let launch = with(Launch::new(PathBuf::from(program), name, args));
        let started = launch.spawn(self.path());
        started.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, words: &[&str], with: impl FnOnce(Launch) -> Launch) -> Outcome {
        self.start(words, with).outcome()
    }

    /// Runs a program of ours that must have nothing to complain of, and gives what it prints.
    pub(crate) fn shown(&self, words: &[&str]) -> String {
        let program = ours(words[0]);
        let words = [&[&program[..]], &words[1..]].concat();
        let outcome = self.run(&words, |launch| launch.env("TZ", "UTC0"));
        assert_eq!(text(&outcome.stderr), "");
        assert_eq!(outcome.status.code(), Some(0));
        text(&outcome.stdout)
    }

    /// Starts `tcpserver -1RHl0 127.0.0.1 port words` and waits until it listens.
    pub(crate) fn serve(
        &self,
        port: u16,
        words: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> (Process, u16) {
        let tcpserver = ours("tcpserver");
        let port = port.to_string();
        let before = [&tcpserver[..], "-1RHl0", "127.0.0.1", &port];
        let process = self.start(&[&before[..], words].concat(), with);
        let port = process.port();
        (process, port)
    }
}

/// Waits until `program` listens.
pub(crate) fn wait_for_port(program: &Process, ip: Ipv4Addr, port: u16) {
    let what = format!("process {} listens", program.pid());
    eventually(&what, || TcpStream::connect((ip, port)).is_ok());
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
