//! Where the programs under test are: ours (the subject) and the original's (the oracle).
//!
//! Both are plain directories of executables, so that a scenario cannot tell which one it runs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A directory of programs, and whether they are ours.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) side: Side,
    dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Subject,
    Oracle,
}

impl Programs {
    /// Our programs: `$UCSPI_SUBJECT_DIR`, else where cargo has built them for this test.
    pub(crate) fn subject() -> Self {
        let dir = std::env::var_os("UCSPI_SUBJECT_DIR").map_or_else(built_by_cargo, absolute);
        Self {
            side: Side::Subject,
            dir,
        }
    }

    /// The original programs below `$UCSPI_ORACLE_DIR`, the folder that `ci/oracle` fills.
    ///
    /// # Errors
    ///
    /// A sentence when `$UCSPI_ORACLE_REQUIRED` is 1 and the programs are not there. Otherwise a missing oracle is `None`.
    pub(crate) fn oracle(package: &str) -> Result<Option<Self>, String> {
        let required =
            std::env::var_os("UCSPI_ORACLE_REQUIRED").as_deref() == Some(OsStr::new("1"));
        let dir = std::env::var_os("UCSPI_ORACLE_DIR")
            .filter(|dir| !dir.is_empty())
            .map(|dir| absolute(dir).join(package).join("usr/bin"));
        match dir {
            Some(dir) if dir.join("tcpserver").is_file() => Ok(Some(Self {
                side: Side::Oracle,
                dir,
            })),
            Some(dir) if required => Err(format!(
                "UCSPI_ORACLE_REQUIRED=1, but there is no tcpserver in {}",
                dir.display()
            )),
            None if required => {
                Err("UCSPI_ORACLE_REQUIRED=1, but UCSPI_ORACLE_DIR is not set".to_owned())
            }
            _ => Ok(None),
        }
    }

    pub(crate) fn contain(&self, program: &Path) -> bool {
        program.parent() == Some(&self.dir)
    }

    /// Where `program` is, which cargo builds under another name where it does not like the installed one.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        let installed = self.dir.join(program);
        let built = self.dir.join(built_as(program));
        if built.is_file() && !installed.is_file() {
            built
        } else {
            installed
        }
    }
}

/// The name of the file that cargo builds for a program: `who_at` for `who@`, `mconnect_io` for `mconnect-io`.
pub(crate) fn built_as(program: &str) -> String {
    program.replace('@', "_at").replace('-', "_")
}

/// Scenarios have working directories of their own.
fn absolute(dir: OsString) -> PathBuf {
    std::path::absolute(&dir).unwrap_or_else(|_| PathBuf::from(dir))
}

/// The test binary is `target/<profile>/deps/<name>`, the programs are in `target/<profile>`.
fn built_by_cargo() -> PathBuf {
    this_test()
        .parent()
        .and_then(Path::parent)
        .expect("cargo puts test binaries two folders deep")
        .to_path_buf()
}

/// This test binary. In another world than the one in which it was started, and below another root than the machine's, the
/// kernel tells a path that leads nowhere: so the first call is made before.
pub(crate) fn this_test() -> &'static Path {
    static PATH: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::current_exe().expect("a test binary knows its own path"));
    &PATH
}
