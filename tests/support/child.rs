//! Between fork and exec: descriptors, signals, limits, ids, and then our own `execve`.
//!
//! Nothing here allocates; what is needed was laid out before the fork.
#![allow(
    unsafe_code,
    reason = "only between fork and exec can a test prepare descriptors, signals and limits"
)]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgid, setuid};

/// One thing to do in the child before it becomes the program.
pub(crate) enum Step {
    Close(i32),
    Inherit(OwnedFd, i32),
    Ignore(Signal),
    Block(Signal),
    Limit(Resource, u64),
    SoftLimit(Resource, u64),
    Umask(Mode),
    Groups(Vec<libc::gid_t>),
    Become(libc::uid_t),
    HideDevices,
}

impl Step {
    pub(crate) fn take(&self) -> io::Result<()> {
        match self {
            Self::Close(fd) => {
                // SAFETY: in the child nothing owns this descriptor; closing one that is not open is harmless.
                unsafe { libc::close(*fd) };
            }
            Self::Inherit(file, fd) => {
                // SAFETY: `file` is open, and the harness keeps none of its own descriptors this low.
                let result = unsafe { libc::dup2(file.as_raw_fd(), *fd) };
                Errno::result(result)?;
            }
            Self::Ignore(signal) => disposition(*signal as i32, libc::SIG_IGN),
            Self::Block(signal) => {
                let mut set = SigSet::empty();
                set.add(*signal);
                sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
            }
            Self::Limit(resource, limit) => setrlimit(*resource, *limit, *limit)?,
            Self::SoftLimit(resource, limit) => {
                let (_, hard) = getrlimit(*resource)?;
                setrlimit(*resource, *limit, hard)?;
            }
            Self::Umask(mask) => {
                umask(*mask);
            }
            Self::Groups(groups) => {
                // SAFETY: the pointer and the count come from the same vector.
                let result = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
                Errno::result(result)?;
            }
            Self::Become(id) => {
                // SAFETY: an empty list needs no memory.
                let result = unsafe { libc::setgroups(0, std::ptr::null()) };
                Errno::result(result)?;
                setgid(Gid::from_raw(*id))?;
                setuid(Uid::from_raw(*id))?;
            }
            Self::HideDevices => {
                const NOTHING: Option<&CStr> = None;
                unshare(CloneFlags::CLONE_NEWNS)?;
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(NOTHING, c"/", NOTHING, private, NOTHING)?;
                mount(NOTHING, c"/dev", Some(c"tmpfs"), MsFlags::empty(), NOTHING)?;
            }
        }
        Ok(())
    }
}

/// What `execve` needs, laid out before the fork.
pub(crate) struct Exec {
    path: CString,
    argv: Pointers,
    env: Pointers,
}

/// A null-terminated array of pointers to strings that it owns.
struct Pointers {
    array: Vec<*const c_char>,
    _strings: Vec<CString>,
}

// SAFETY: the pointers lead to heap memory that the same value owns and nobody writes to.
unsafe impl Send for Pointers {}
// SAFETY: as above: shared reading only.
unsafe impl Sync for Pointers {}

impl Pointers {
    fn new(strings: Vec<CString>) -> Self {
        let array = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        Self {
            array,
            _strings: strings,
        }
    }
}

impl Exec {
    pub(crate) fn new(path: CString, argv: Vec<CString>, env: Vec<CString>) -> Self {
        Self {
            path,
            argv: Pointers::new(argv),
            env: Pointers::new(env),
        }
    }

    /// Becomes the program; returns only when that fails.
    pub(crate) fn run(&self) -> io::Error {
        let path: &CStr = &self.path;
        // SAFETY: path is a C string, and both arrays end in a null pointer and own what they point to.
        unsafe {
            libc::execve(
                path.as_ptr(),
                self.argv.array.as_ptr(),
                self.env.array.as_ptr(),
            )
        };
        io::Error::last_os_error()
    }
}

/// Default dispositions, no signal blocked, umask 022, and above 2 nothing that survives the exec.
pub(crate) fn start_from_defaults() -> io::Result<()> {
    for number in 1..=64 {
        disposition(number, libc::SIG_DFL);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    umask(Mode::from_bits_truncate(0o022));
    let everything_above_2 = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: this only marks descriptors; none is closed before the exec.
    let result =
        unsafe { libc::close_range(3, libc::c_uint::MAX, everything_above_2.cast_signed()) };
    Errno::result(result)?;
    Ok(())
}

fn disposition(number: i32, to: libc::sighandler_t) {
    // SAFETY: SIG_DFL and SIG_IGN install no code; a number without a settable signal is refused, which is fine.
    unsafe { libc::signal(number, to) };
}
