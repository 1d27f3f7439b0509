//! The process itself: its arguments and environment as bytes, forking, waiting, ending.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use std::time::Duration;

use super::signal::Signal;
use super::{check, fd, startup};

/// A process id.
pub type Pid = libc::pid_t;

/// The arguments after the program's own name, as bytes.
pub fn arguments() -> Vec<Vec<u8>> {
    let arguments = startup::arguments().skip(1);
    arguments.map(|text| text.to_bytes().to_vec()).collect()
}

/// The name under which the program was started: all bytes of argv\[0\].
pub fn invoked_as() -> Option<Vec<u8>> {
    let name = startup::arguments().next()?;
    Some(name.to_bytes().to_vec())
}

/// The path by which the program's file was executed, whatever argv\[0\] is. AT_EXECFN, getauxval(3).
pub fn executed_as() -> Option<Vec<u8>> {
    // SAFETY: takes a number.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if path.is_null() {
        return None;
    }
    // SAFETY: it is not null, so the address of the NUL-terminated path that the kernel has put above the stack, where it
    // stays, and where nobody writes.
    Some(unsafe { CStr::from_ptr(path) }.to_bytes().to_vec())
}

/// The value of an environment variable, as bytes.
pub fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(OsStr::from_bytes(name.as_bytes())).map(OsString::into_vec)
}

/// The whole environment in its order, each entry as it was given, one without `=` too.
pub fn environment() -> Vec<CString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: the C library sets `environ` before main, and no code of this crate changes the environment.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return entries;
    }
    loop {
        // SAFETY: the array is ended by a null pointer, and the loop stops there, so `entry` is inside it.
        let text = unsafe { *entry };
        if text.is_null() {
            return entries;
        }
        // SAFETY: each pointer of the array before its end is a NUL-terminated string that lives as long as the process.
        entries.push(unsafe { CStr::from_ptr(text) }.to_owned());
        // SAFETY: `entry` is before the end of the array, so the next one is at most its end.
        entry = unsafe { entry.add(1) };
    }
}

/// What this machine is called. gethostname(2).
pub fn host_name() -> io::Result<Vec<u8>> {
    Ok(nix::unistd::gethostname()?.into_vec())
}

/// This process's id.
pub fn id() -> Pid {
    nix::unistd::getpid().as_raw()
}

/// Which of the two processes returned from [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The process that called.
    Parent,
    /// The copy.
    Child,
}

/// Doubles the process, which must have one thread at that moment. fork(2).
///
/// Where a runtime lives, both have one, and one set of descriptors that it waits for: one of the two must leave at once
/// ([`exit_now`]). The other then waits as before, but for signals: those of [`super::signal::Events`] wake only the
/// process that made them.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the child of a process with one thread may do anything, and the relay, which has more, ends them before.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        _ => Ok(Fork::Parent),
    }
}

/// Makes this process the leader of a session of its own, without a terminal, with descriptors 0, 1 and 2 at `/dev/null`.
/// setsid(2)
///
/// # Errors
/// It leads a group already; `/dev/null` cannot be opened.
pub fn leave_terminal() -> io::Result<()> {
    nix::unistd::setsid()?;
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for number in 0..=2 {
        fd::copy_to(null.as_fd(), number)?;
    }
    Ok(())
}

/// How a child ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The raw wait status.
    pub status: c_int,
    /// The processor time that it took, and those of its own children that it waited for.
    pub cpu: Duration,
    /// The most memory that it had at once, in KiB.
    pub max_rss_kb: u64,
}

/// A finished child and how it ended, or `None` when none is left that finished: `child`, or any, for which the kernel
/// looks at all of them. wait4(2).
pub fn reap(child: Option<Pid>) -> io::Result<Option<(Pid, Ended)>> {
    // Anything that is no process id would mean a group, or any child.
    let which = child.filter(|&pid| pid > 0).unwrap_or(-1);
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let answer = fd::retry(|| {
        // SAFETY: `status` is one int and `usage` has room for one rusage; the call fills both.
        let answer =
            unsafe { libc::wait4(which, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
        check(answer)
    });
    match answer {
        Ok(0) => Ok(None),
        Ok(pid) => {
            // SAFETY: zeroed bytes are a valid rusage, whatever the call wrote of it.
            let usage = unsafe { usage.assume_init() };
            let ended = Ended {
                status,
                cpu: time(usage.ru_utime) + time(usage.ru_stime),
                max_rss_kb: usage.ru_maxrss.try_into().unwrap_or_default(),
            };
            Ok(Some((pid, ended)))
        }
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends `signal` to all processes of the group `group`. killpg(3).
///
/// # Errors
/// ESRCH: there is none.
pub fn send_to_group(group: Pid, signal: impl Into<Option<Signal>>) -> io::Result<()> {
    Ok(nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(group),
        signal,
    )?)
}

fn time(time: libc::timeval) -> Duration {
    let seconds = time.tv_sec.try_into().unwrap_or_default();
    let microseconds = time.tv_usec.try_into().unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

/// True when a process with this wait status was ended by a signal. wait(2).
pub fn was_killed(status: c_int) -> bool {
    libc::WIFSIGNALED(status)
}

/// Sends `signal` to the process `pid`. kill(2).
pub fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    Ok(nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        signal,
    )?)
}

/// Ends the process by SIGALRM after `time`, rounded up to seconds, whatever it does then. alarm(2), signal(7).
pub fn end_after(time: Duration) -> io::Result<()> {
    super::signal::set_default(Signal::SIGALRM);
    super::signal::unblock(&[Signal::SIGALRM])?;
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    nix::unistd::alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX));
    Ok(())
}

/// Keeps other processes of the same user out of this one: they can neither trace it nor take its descriptors or its
/// memory (pidfd_getfd(2), `/proc/PID`), and it leaves no core. Ends at exec. PR_SET_DUMPABLE, prctl(2).
///
/// # Errors
/// None that Linux has for these arguments.
pub fn keep_others_out() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    Ok(())
}

/// Ends this process as another has ended: with its exit code, or by its signal. wait(2)
pub fn end_like(ended: Ended) -> ! {
    if libc::WIFSIGNALED(ended.status)
        && let Ok(signal) = Signal::try_from(libc::WTERMSIG(ended.status))
    {
        super::signal::set_default(signal);
        let _ = super::signal::unblock(&[signal]);
        let _ = send(id(), signal);
    }
    exit_now(libc::WEXITSTATUS(ended.status))
}

/// Ends the process at once, without destructors or buffers. _exit(2).
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: the call takes no pointer and does not return.
    unsafe { libc::_exit(status) }
}
