//! The files, in a folder of a test's own, with the permissions that git does not keep.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::programs::Programs;
use super::temp::TempDir;

pub(crate) const KINDS: [&str; 6] = ["inetd", "xinetd", "hosts", "systemd", "ipsvd", "s6"];

/// What every kind has.
const CASES: usize = 10;

/// A copy of `files`.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new();
        copy(&source("files"), folder.path());
        let modes = fs::read_to_string(source("files/ipsvd/MODES")).expect("it is there");
        for line in modes.lines() {
            let (file, mode) = line.split_once(' ').expect("a file and its mode");
            let mode = u32::from_str_radix(mode, 8).expect("an octal number");
            let path = folder.path().join("ipsvd").join(file);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our file");
        }
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Kind and name of each case.
    pub(crate) fn cases(&self) -> Vec<(&'static str, String)> {
        let mut cases = Vec::new();
        for kind in KINDS {
            let entries = fs::read_dir(self.path().join(kind)).expect("a folder for each kind");
            let folders = entries.map(|entry| entry.expect("our folder"));
            let folders = folders.filter(|entry| entry.path().is_dir());
            let mut names: Vec<String> = folders
                .map(|entry| entry.file_name().into_string().expect("plain"))
                .collect();
            names.sort();
            assert_eq!(names.len(), CASES, "{kind}");
            cases.extend(names.into_iter().map(|name| (kind, name)));
        }
        cases
    }

    /// Runs inetd2tcp in the folder of a kind.
    pub(crate) fn run(&self, kind: &str, words: &[&str]) -> Output {
        Command::new(Programs::subject().path("inetd2tcp"))
            .args(words)
            .current_dir(self.path().join(kind))
            .stdin(Stdio::null())
            .output()
            .expect("cargo has built it")
    }
}

pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("our folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("our folder");
        }
    }
}
