//! What these tests share: compiling, opening, asking.

mod asked;
mod bytes;
mod checked;
mod damaged;
mod dice;
mod hostile;
mod known;
mod laws;
mod lookup;
mod model;
mod originals;
mod others;
mod overwritten;
mod reader;
mod written;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;
use ucspi_tcp::rules::{Instruction, Lengths, Peer, Reader, Sets, compile, instructions, search};

/// A folder for compiled files, in memory where there is such a file system: tcprules waits for the disk.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let made = mkdtemp(&memory.join("ucspi-tcp-test.XXXXXX"));
        let made = made.or_else(|_| mkdtemp(&std::env::temp_dir().join("ucspi-tcp-test.XXXXXX")));
        Self(made.expect("there is a place for temporary files"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Compiles `text` with our library; the path of the database.
    fn compile(&self, text: &str) -> PathBuf {
        self.compile_with(text, &Sets::default())
    }

    /// The same with text that names `sets`.
    fn compile_with(&self, text: &str, sets: &Sets) -> PathBuf {
        let (cdb, tmp) = (self.path("rules.cdb"), self.path("rules.tmp"));
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        compile(text.as_bytes(), sets, &bytes(&cdb), &bytes(&tmp), |_| {})
            .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        cdb
    }

    /// The bytes that our library compiles `text` to.
    fn compiled(&self, text: &str) -> Vec<u8> {
        fs::read(self.compile(text)).expect("it was just written")
    }

    /// The open database of `text`.
    fn reader(&self, text: &str) -> Reader {
        Reader::open(&self.compile(text)).expect("it was just written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind harms no later test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A peer without a name.
fn at(ip: &str) -> Peer<'_> {
    Peer {
        ip: ip.as_bytes(),
        host: None,
        info: None,
    }
}

/// The data of the rule that `peer` obeys, with the lengths that a server reads and with all that there are: there is
/// no difference.
fn found(reader: &Reader, peer: Peer<'_>) -> Option<Vec<u8>> {
    let some = reader.inspect().expect("the file is whole");
    let hit = |lengths: &Lengths| {
        let end = search(peer, lengths, |key| {
            let data = reader.find(&key.bytes).expect("the file is whole");
            data.map_or(ControlFlow::Continue(()), ControlFlow::Break)
        });
        end.break_value()
    };
    let found = hit(&some);
    assert_eq!(found, hit(&Lengths::ALL), "{peer:?}");
    found
}

/// The first setting of the rule that `peer` obeys.
fn setting(reader: &Reader, peer: Peer<'_>) -> Option<String> {
    let data = found(reader, peer)?;
    instructions(&data).find_map(|instruction| match instruction {
        Instruction::Set(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Instruction::Deny => None,
    })
}
