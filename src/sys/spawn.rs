//! Making the child that serves one connection.
//!
//! fork(2) copies page tables, which costs more than all the rest of a connection's life. So the child shares our
//! memory until it execs, and the thread that made it sleeps until then (CLONE_VM, CLONE_VFORK). The contract of such
//! a child, kept by `child` alone:
//!
//! * everything it needs was prepared before: argument and environment arrays, program files, log lines with room for
//!   the pid;
//! * it allocates, locks and drops nothing, panics nowhere, and calls only async-signal-safe functions;
//! * it runs on a stack of its own and ends by execve(2) or _exit(2), never by returning;
//! * no handler of ours runs in it: what we wait for is blocked and read as events. Rust's runtime has one for SIGSEGV
//!   and SIGBUS, which a child that keeps to this contract never gets.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::check;
use super::exec::{Program, pointers};
use super::limit::Descriptors;
use super::process::Pid;
use super::signal::Mask;

/// What all children of one server have in common.
#[derive(Debug)]
pub struct Spawner {
    program: Program,
    /// The signal mask of the program.
    mask: Mask,
    /// The program's descriptor limits, where they are not ours.
    limits: Option<libc::rlimit>,
    /// Each child leads a process group of its own.
    own_groups: bool,
    /// The exit status of a child that cannot become the program, 0-255.
    failed: u8,
    stack: Stack,
}

/// What a child could not do before it became the program, and why.
#[derive(Debug)]
pub struct Failure {
    /// What it was doing.
    pub step: Step,
    /// What the system said.
    pub error: io::Error,
}

/// A step of a child on its way to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the connection descriptors 0 and 1.
    Descriptors,
    /// Run the program.
    Run,
}

/// A line with gaps that the child fills with its own pid.
#[derive(Debug)]
pub struct PidLine {
    /// The line, with a NUL for each gap.
    text: Vec<u8>,
    /// Room for the line when its gaps are filled.
    filled: Vec<u8>,
}

/// Decimal digits of the largest pid: an `int`.
const PID_DIGITS: usize = 10;

impl PidLine {
    /// The line `text`, of which each NUL stands for the pid.
    pub fn new(text: Vec<u8>) -> Self {
        let gaps = text.iter().filter(|&&byte| byte == 0).count();
        let filled = Vec::with_capacity(text.len() + gaps * PID_DIGITS);
        Self { text, filled }
    }

    /// Puts `pid` into the gaps and gives the finished line. Allocates nothing: there is room for it.
    pub fn fill(&mut self, mut pid: Pid) -> &[u8] {
        let mut digits = [b'0'; PID_DIGITS];
        let mut start = PID_DIGITS;
        while start > 0 {
            start -= 1;
            digits[start] = b'0' + u8::try_from(pid.rem_euclid(10)).unwrap_or(0);
            pid = pid.div_euclid(10);
            if pid <= 0 {
                break;
            }
        }
        let digits = &digits[start..];
        self.filled.clear();
        for &byte in &self.text {
            match byte {
                0 => self.filled.extend_from_slice(digits),
                byte => self.filled.push(byte),
            }
        }
        &self.filled
    }
}

impl Spawner {
    /// A spawner of `program`, whose children get the signal mask `mask`, and `limits` unless they may keep ours, and exit
    /// with `failed` when they cannot become the program.
    ///
    /// # Errors
    /// No memory for the child's stack.
    pub fn new(
        program: Program,
        mask: Mask,
        limits: Option<Descriptors>,
        failed: u8,
    ) -> io::Result<Self> {
        Ok(Self {
            program,
            mask,
            limits: limits.map(Descriptors::raw),
            own_groups: false,
            failed,
            stack: Stack::new()?,
        })
    }

    /// Makes each child the leader of a process group of its own, whose number is the child's. setpgid(2).
    #[must_use]
    pub fn with_own_groups(mut self, own_groups: bool) -> Self {
        self.own_groups = own_groups;
        self
    }

    /// True when each child leads a process group.
    pub fn has_own_groups(&self) -> bool {
        self.own_groups
    }

    /// Makes a child with `streams` as its first descriptors, which writes `lines` to descriptor 2, each with one
    /// write(2), and becomes the program with `environment`. Returns when the program runs, or has failed to, and why.
    /// The child enters the control group whose file of processes `cgroup` is.
    ///
    /// # Errors
    /// No child could be made (EAGAIN, ENOMEM). A program that cannot be run is no error here: there is a child, which
    /// ends at once.
    pub fn spawn<'a>(
        &mut self,
        streams: Streams<'_>,
        environment: impl IntoIterator<Item = &'a CStr>,
        lines: &mut [PidLine],
        cgroup: Option<BorrowedFd<'_>>,
    ) -> io::Result<(Pid, Option<Failure>)> {
        let arguments = self.program.arguments();
        let environment = pointers(environment);
        let mut job = Job {
            streams: streams.raw(),
            lines,
            arguments: &arguments,
            environment: &environment,
            program: &self.program,
            mask: &self.mask,
            limits: self.limits.as_ref(),
            own_group: self.own_groups,
            cgroup: cgroup.map(|fd| fd.as_raw_fd()),
            failed: self.failed,
            failure: None,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let shared: *mut Job<'_> = &raw mut job;
        // SAFETY: the child needs a stack of its own that stays valid, and its argument too: both outlive this call,
        // which CLONE_VFORK holds until the child has left our memory by execve or _exit. `&mut self` keeps a second
        // child off the stack. `child` keeps the contract at the top of this file.
        let pid = unsafe { libc::clone(child, self.stack.top(), flags, shared.cast::<c_void>()) };
        let pid = check(pid)?;
        // The child has left our memory, and this is what it left there.
        let failure = job.failure.map(|(step, errno)| Failure {
            step,
            error: io::Error::from_raw_os_error(errno),
        });
        Ok((pid, failure))
    }
}

/// What becomes a child's descriptors 0, 1 and 2. None of them may be one of these numbers already, but in its own place.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'fd> {
    /// Descriptor 0.
    pub stdin: BorrowedFd<'fd>,
    /// Descriptor 1.
    pub stdout: BorrowedFd<'fd>,
    /// Descriptor 2, if it is to be another than ours.
    pub stderr: Option<BorrowedFd<'fd>>,
}

impl<'fd> Streams<'fd> {
    /// One connection for both directions.
    pub fn both(connection: BorrowedFd<'fd>) -> Self {
        Self {
            stdin: connection,
            stdout: connection,
            stderr: None,
        }
    }

    fn raw(self) -> [Option<RawFd>; 3] {
        [Some(self.stdin), Some(self.stdout), self.stderr]
            .map(|stream| stream.map(|stream| stream.as_raw_fd()))
    }
}

/// What one child needs, borrowed from the sleeping parent.
struct Job<'a> {
    streams: [Option<RawFd>; 3],
    lines: &'a mut [PidLine],
    arguments: &'a [*const c_char],
    environment: &'a [*const c_char],
    program: &'a Program,
    mask: &'a Mask,
    limits: Option<&'a libc::rlimit>,
    own_group: bool,
    /// The file to write to in order to be in a control group.
    cgroup: Option<RawFd>,
    failed: u8,
    /// What the child could not do, and why.
    failure: Option<(Step, c_int)>,
}

/// The child, from clone to exec.
extern "C" fn child(job: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a valid `Job` that nothing else uses while the parent sleeps.
    let job = unsafe { &mut *job.cast::<Job<'_>>() };
    let pid = match job.lines {
        [] => 0,
        // SAFETY: takes nothing, cannot fail.
        _ => unsafe { libc::getpid() },
    };
    if job.own_group {
        // SAFETY: takes no pointer. It cannot fail: this process is new, and has not exec'd.
        unsafe { libc::setpgid(0, 0) };
    }
    if let Some(file) = job.cgroup {
        // Where that fails, the process group has to do.
        // SAFETY: pointer and length are of the same literal. 0 is the process that writes it: cgroups(7).
        unsafe { libc::write(file, b"0".as_ptr().cast(), 1) };
    }
    for line in &mut *job.lines {
        if !write(line.fill(pid)) {
            // A log without a reader left SIGPIPE pending, behind the mask; ignoring it discards it.
            set_sigpipe(libc::SIG_IGN);
            set_sigpipe(libc::SIG_DFL);
        }
    }
    for (target, stream) in (0..).zip(job.streams) {
        if let Some(stream) = stream
            && let Err(errno) = place(stream, target)
        {
            job.fail(Step::Descriptors, errno);
        }
    }
    if let Some(limits) = job.limits {
        // SAFETY: a valid rlimit borrowed from the parent, which the call only reads. Limits are a process's own.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limits) };
    }
    // SAFETY: the new mask is a valid sigset_t borrowed from the parent; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, job.mask.0.as_ref(), std::ptr::null_mut()) };
    // SAFETY: both arrays come from `pointers`: ended by null, with strings that the sleeping parent keeps alive.
    let errno = unsafe { job.program.execute(job.arguments, job.environment) };
    job.fail(Step::Run, errno)
}

/// Gives `fd` the number `target` too; the copy survives exec. Fails with an errno.
fn place(fd: RawFd, target: RawFd) -> Result<(), c_int> {
    loop {
        let answer = if fd == target {
            // SAFETY: takes no pointer; clears close-on-exec, which dup2 onto itself would not.
            unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }
        } else {
            // SAFETY: takes no pointer. The descriptor table is the child's own, so nobody loses the old `target`.
            unsafe { libc::dup2(fd, target) }
        };
        if answer != -1 {
            return Ok(());
        }
        match errno() {
            libc::EINTR => {}
            errno => return Err(errno),
        }
    }
}

impl Job<'_> {
    /// Ends the child, and leaves word of why.
    fn fail(&mut self, step: Step, errno: c_int) -> ! {
        self.failure = Some((step, errno));
        super::process::exit_now(c_int::from(self.failed))
    }
}

/// Writes one line in one call; there is nobody to tell when that fails. Gives false then.
fn write(line: &[u8]) -> bool {
    written(|| {
        // SAFETY: pointer and length are of the same slice.
        unsafe { libc::write(2, line.as_ptr().cast(), line.len()) }
    })
}

/// Calls `write` until it has written, waiting where a non-blocking descriptor is full. False when it cannot.
fn written(write: impl Fn() -> libc::ssize_t) -> bool {
    loop {
        if write() != -1 {
            return true;
        }
        if errno() != libc::EAGAIN || !wait_for_room(-1) {
            return false;
        }
    }
}

/// Waits until the log takes a line, at most for `limit` milliseconds, or without end for -1. False when it does not.
fn wait_for_room(limit: c_int) -> bool {
    let mut log = libc::pollfd {
        fd: 2,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one structure, which lives through the call.
    unsafe { libc::poll(&raw mut log, 1, limit) > 0 }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn set_sigpipe(disposition: libc::sighandler_t) {
    // SAFETY: no function is installed, and dispositions are the child's own: CLONE_SIGHAND is not asked for.
    unsafe { libc::signal(libc::SIGPIPE, disposition) };
}

/// The child's stack: a mapping with a page below that faults.
#[derive(Debug)]
struct Stack {
    base: *mut c_void,
    /// The whole mapping.
    bytes: usize,
}

/// Ample for `child`: it and what it calls keep less than 4 KiB of locals.
const STACK_BYTES: usize = 32 * 1024;

/// The size of a page, of which protection is made; 64 KiB on some machines. sysconf(3)
fn page_bytes() -> usize {
    // SAFETY: takes no pointer; a name that it does not know gives -1.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let guard = page_bytes();
        let bytes = guard + STACK_BYTES.next_multiple_of(guard);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base, bytes };
        // SAFETY: the first page of the mapping just made, which has more; nothing uses it yet.
        check(unsafe { libc::mprotect(base, guard, libc::PROT_NONE) })?;
        Ok(stack)
    }

    /// One past the highest byte: stacks grow down on every platform this runs on.
    fn top(&mut self) -> *mut c_void {
        // SAFETY: the result is one past the end of the same mapping, which pointer arithmetic allows.
        unsafe { self.base.byte_add(self.bytes) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: `base` and the length are those of the mapping made in `new`, which no child uses: `spawn` has
        // returned, as it borrows the spawner exclusively.
        unsafe { libc::munmap(self.base, self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::PidLine;

    #[test]
    fn pid_fills_each_gap_whatever_its_length() {
        for (pid, line) in [
            (1, "pid 1 from 1\n"),
            (40_123, "pid 40123 from 40123\n"),
            (i32::MAX, "pid 2147483647 from 2147483647\n"),
        ] {
            let mut gaps = PidLine::new(b"pid \0 from \0\n".to_vec());
            let room = gaps.filled.capacity();
            assert_eq!(gaps.fill(pid), line.as_bytes());
            assert_eq!(gaps.filled.capacity(), room, "nothing was allocated");
        }
    }
}
