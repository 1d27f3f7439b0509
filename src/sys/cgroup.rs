//! Control groups: what a program starts stays in its group, whatever it does to get away. cgroups(7), version 2.
//!
//! They are used where ours was given to us: in the root of a hierarchy that nobody else manages (a container, or a system
//! whose first process does not know of them), or where the manager says so by the attribute `user.delegate` or
//! `trusted.delegate`, as systemd does for `Delegate=yes`.

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::process::{self, Pid};
use super::signal::Signal;

/// Our own group, in which we may make others.
#[derive(Debug)]
pub struct Cgroups {
    /// A group in it, which holds those that we make.
    folder: PathBuf,
    made: u64,
}

/// A group that was made for one program, and all that it starts. Its folder goes when nobody is left in it and this is
/// dropped.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// Where a process is written that shall be in it.
    processes: File,
}

impl Cgroups {
    /// Those that may be made in our own group; nothing where it is not ours to divide, or the kernel cannot end a group
    /// (before Linux 5.14).
    pub fn ours() -> Option<Self> {
        let (path, mount) = own_group()?;
        let folder = mount.join(path.strip_prefix("/").ok()?);
        let is_delegated = path == Path::new("/")
            || [c"user.delegate", c"trusted.delegate"]
                .iter()
                .any(|name| has_attribute(&folder, name));
        if !is_delegated {
            return None;
        }
        sweep(&folder);
        let folder = folder.join(format!("{NAME}{}", process::id()));
        fs::create_dir(&folder).ok()?;
        let ours = Self { folder, made: 0 };
        ours.folder.join("cgroup.kill").exists().then_some(ours)
    }

    /// A group for one program.
    ///
    /// # Errors
    /// What the system says; there is a limit of groups, see cgroup.max.descendants.
    pub fn make(&mut self) -> io::Result<Cgroup> {
        self.made += 1;
        let folder = self.folder.join(self.made.to_string());
        fs::create_dir(&folder)?;
        let processes = OpenOptions::new()
            .write(true)
            .open(folder.join("cgroup.procs"));
        match processes {
            Ok(processes) => Ok(Cgroup { folder, processes }),
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                Err(error)
            }
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // Programs that go on keep it.
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Cgroup {
    /// The file in which a process is written that shall be in it.
    pub fn entrance(&self) -> BorrowedFd<'_> {
        self.processes.as_fd()
    }

    /// True when somebody is in it.
    pub fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("cgroup.events"));
        events.is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    /// Sends `signal` to all who are in it; to SIGKILL nobody escapes, also who is being started.
    pub fn send(&self, signal: Signal) {
        if signal == Signal::SIGKILL {
            let _ = fs::write(self.folder.join("cgroup.kill"), "1");
            return;
        }
        let members = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines().filter_map(|line| line.parse::<Pid>().ok()) {
            let _ = process::send(member, signal);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever is left keeps it.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// How the name of a group begins that holds those of one server; its pid follows.
const NAME: &str = "ucspi-";

/// Removes what servers have left that are gone, as far as nobody is in it.
fn sweep(folder: &Path) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries(folder) {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            for group in entries(&entry.path()) {
                let _ = fs::remove_dir(group.path());
            }
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The path of our group in its hierarchy, and where that is mounted. proc(5): /proc/pid/cgroup, /proc/pid/mountinfo
fn own_group() -> Option<(PathBuf, PathBuf)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let place = before.split(' ').nth(4)?;
        after.starts_with("cgroup2 ").then(|| place.to_owned())
    })?;
    Some((path.into(), mount.into()))
}

/// True when the extended attribute `name` of `folder` is `1`. getxattr(2)
fn has_attribute(folder: &Path, name: &CStr) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else {
        return false;
    };
    let mut value = [0_u8; 2];
    // SAFETY: both strings are NUL-terminated and only read; pointer and length are of the same array, which the call fills.
    let length = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    length == 1 && value[0] == b'1'
}
