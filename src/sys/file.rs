//! Files that others change while we run: versions, and a lock.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::{check, clock};

/// Opens the file `path` to read. A fifo without a writer is not waited for. open(2).
///
/// # Errors
/// The system says no.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Opens the file `path` to write, and creates it (mode 0644 less the umask) where there is none. What it holds stays. A
/// fifo without a reader fails at once. open(2).
///
/// # Errors
/// The system says no.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(libc::O_NONBLOCK).open(path)
}

/// What tells one version of a file from another: which file it is, its size, and when it was last touched. stat(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// The version that `metadata` was read from.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether every change from now on makes another version. The kernel stamps files with the time of its last tick
    /// (1 to 10 ms): what is touched twice within one tick may look as if it had been touched once.
    pub fn is_settled(&self) -> bool {
        self.changed < clock::tick()
    }
}

/// How often [`settled`] looks, a millisecond apart: for longer than two ticks.
const LOOKS: u32 = 20;

/// The version of `file` when it has been left alone for one tick; the present one where that does not come about in 20
/// ms, because somebody goes on writing or the clock of the file system is ahead of ours.
///
/// # Errors
/// The system does not say.
pub fn settled(file: &File) -> io::Result<Version> {
    for _ in 0..LOOKS {
        let version = Version::of(&file.metadata()?);
        if version.is_settled() {
            return Ok(version);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(Version::of(&file.metadata()?))
}

/// Locks `file` against all others who lock it, until it is closed or the process ends; false when somebody else has
/// done so. On a file system without locks nobody has. flock(2).
pub fn try_lock(file: &File) -> bool {
    let number = file.as_raw_fd();
    // SAFETY: the call takes a descriptor, which `file` keeps open, and no pointer.
    let answer = check(unsafe { libc::flock(number, libc::LOCK_EX | libc::LOCK_NB) });
    !answer.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Gives the file `path` this mode, user and group, as far as they are there. chmod(2), chown(2).
pub fn own(
    path: &[u8],
    mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
) -> io::Result<()> {
    let path = std::path::Path::new(OsStr::from_bytes(path));
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    if user.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, user, group)?;
    }
    Ok(())
}
