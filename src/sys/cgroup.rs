//! Control groups: what a program starts stays in its group, whatever it does to get away. cgroups(7), version 2.
//!
//! They are used where ours was given to us: in the root of a hierarchy that nobody else manages (a container, or a system
//! whose first process does not know of them), or where the manager says so by the attribute `user.delegate` or
//! `trusted.delegate`, as systemd does for `Delegate=yes`.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::process::{self, Pid};
use super::signal::Signal;

/// Our own group, in which others are made. A group that nobody is in any more is used again: making one costs more than
/// all the rest of a connection.
#[derive(Debug)]
pub struct Cgroups(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A group in ours, which holds those that we make.
    folder: PathBuf,
    made: Cell<u64>,
    free: RefCell<Vec<Group>>,
}

/// A group for one program, and all that it starts, until this is dropped.
#[derive(Debug)]
pub struct Cgroup {
    ours: Rc<Shared>,
    /// Taken out when it is dropped.
    group: Option<Group>,
}

/// A group. Its folder goes when nobody is left in it and this is dropped. It holds no descriptor: there may be many.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
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
        match fs::create_dir(&folder) {
            // Of an earlier version of this process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.ok()?,
        }
        let can_kill = folder.join("cgroup.kill").exists();
        let ours = Self(Rc::new(Shared {
            folder,
            made: Cell::default(),
            free: RefCell::default(),
        }));
        can_kill.then_some(ours)
    }

    /// A group for one program, and the file in which a process is written that shall be in it.
    ///
    /// # Errors
    /// What the system says; there is a limit of groups, see cgroup.max.descendants.
    pub fn make(&self) -> io::Result<(Cgroup, File)> {
        let free = self.0.free.borrow_mut().pop();
        let group = match free {
            Some(group) => group,
            None => loop {
                let number = self.0.made.get() + 1;
                self.0.made.set(number);
                match Group::make(self.0.folder.join(number.to_string())) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => break made?,
                }
            },
        };
        let processes = group.folder.join("cgroup.procs");
        let processes = OpenOptions::new().write(true).open(processes)?;
        let cgroup = Cgroup {
            ours: Rc::clone(&self.0),
            group: Some(group),
        };
        Ok((cgroup, processes))
    }

    /// The group in the folder `folder`, which [`Cgroup::folder`] gave to an earlier version of this process.
    pub fn again(&self, folder: PathBuf) -> Cgroup {
        Cgroup {
            ours: Rc::clone(&self.0),
            group: Some(Group { folder }),
        }
    }

    /// Removes the groups that nobody is in. A later version of this process would not know of them.
    pub fn sweep(&self) {
        self.0.free.borrow_mut().clear();
    }

    /// Removes what nobody is in, before this process ends.
    pub fn tidy(&self) {
        self.sweep();
        // Programs that go on keep it.
        let _ = fs::remove_dir(&self.0.folder);
    }
}

impl Cgroup {
    /// Where it is.
    pub fn folder(&self) -> Option<&Path> {
        self.group.as_ref().map(|group| &*group.folder)
    }

    /// True when somebody is in it.
    pub fn is_populated(&self) -> bool {
        self.group.as_ref().is_some_and(Group::is_populated)
    }

    /// Sends `signal` to all who are in it; to SIGKILL nobody escapes, also who is being started.
    pub fn send(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.send(signal);
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Some(group) = self.group.take_if(|group| !group.is_populated()) {
            self.ours.free.borrow_mut().push(group);
        }
    }
}

impl Group {
    fn make(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir(&folder)?;
        Ok(Self { folder })
    }

    fn is_populated(&self) -> bool {
        let events = fs::read(self.folder.join("cgroup.events"));
        events.is_ok_and(|text| text.starts_with(b"populated 1\n"))
    }

    fn send(&self, signal: Signal) {
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

impl Drop for Group {
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
