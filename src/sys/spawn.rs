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
    /// What the child says when the program cannot be run, before the reason and after it.
    complaint: Complaint,
    stack: Stack,
}

/// The line a child writes when it cannot become its program, and its exit status then.
#[derive(Debug)]
pub struct Complaint {
    /// The line when the program cannot be run, up to the reason; empty for silence.
    pub line: Vec<u8>,
    /// The same when the connection cannot be made descriptors 0 and 1.
    pub descriptors: Vec<u8>,
    /// The words for an errno; must neither allocate nor lock.
    pub reason: fn(c_int) -> &'static str,
    /// The child's exit status, 0-255.
    pub status: u8,
}

/// A line with a gap that the child fills with its own pid.
#[derive(Debug)]
pub struct PidLine {
    /// The line, with `PID_DIGITS` bytes of room at `gap`.
    bytes: Vec<u8>,
    gap: usize,
}

/// Decimal digits of the largest pid: an `int`.
const PID_DIGITS: usize = 10;

impl PidLine {
    /// The line `before`, the pid, `after`.
    pub fn new(before: &[u8], after: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(before.len() + PID_DIGITS + after.len());
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(&[b'0'; PID_DIGITS]);
        bytes.extend_from_slice(after);
        Self {
            bytes,
            gap: before.len(),
        }
    }

    /// Puts `pid` into the gap and gives the finished line.
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
        let after = self.gap + PID_DIGITS;
        let end = self.gap + (PID_DIGITS - start);
        let length = self.bytes.len() - after;
        self.bytes[self.gap..end].copy_from_slice(&digits[start..]);
        self.bytes.copy_within(after.., end);
        &self.bytes[..end + length]
    }
}

impl Spawner {
    /// A spawner of `program`, whose children get the signal mask `mask`, and `limits` unless they may keep ours.
    ///
    /// # Errors
    /// No memory for the child's stack.
    pub fn new(
        program: Program,
        mask: Mask,
        limits: Option<Descriptors>,
        complaint: Complaint,
    ) -> io::Result<Self> {
        Ok(Self {
            program,
            mask,
            limits: limits.map(Descriptors::raw),
            own_groups: false,
            complaint,
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

    /// Makes a child with `connection` as descriptors 0 and 1, which writes `lines` to descriptor 2, each with one
    /// write(2), and becomes the program with `environment`. Returns when the program runs or has failed to.
    ///
    /// # Errors
    /// No child could be made (EAGAIN, ENOMEM). A program that cannot be run is no error here: the child says so and
    /// ends with the complaint's status.
    pub fn spawn<'a>(
        &mut self,
        connection: BorrowedFd<'_>,
        environment: impl IntoIterator<Item = &'a CStr>,
        lines: &mut [PidLine],
    ) -> io::Result<Pid> {
        let arguments = self.program.arguments();
        let environment = pointers(environment);
        let mut job = Job {
            connection: connection.as_raw_fd(),
            lines,
            arguments: &arguments,
            environment: &environment,
            program: &self.program,
            mask: &self.mask,
            limits: self.limits.as_ref(),
            own_group: self.own_groups,
            complaint: &self.complaint,
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let job: *mut Job<'_> = &raw mut job;
        // SAFETY: the child needs a stack of its own that stays valid, and its argument too: both outlive this call,
        // which CLONE_VFORK holds until the child has left our memory by execve or _exit. `&mut self` keeps a second
        // child off the stack. `child` keeps the contract at the top of this file.
        check(unsafe { libc::clone(child, self.stack.top(), flags, job.cast::<c_void>()) })
    }
}

/// What one child needs, borrowed from the sleeping parent.
struct Job<'a> {
    connection: RawFd,
    lines: &'a mut [PidLine],
    arguments: &'a [*const c_char],
    environment: &'a [*const c_char],
    program: &'a Program,
    mask: &'a Mask,
    limits: Option<&'a libc::rlimit>,
    own_group: bool,
    complaint: &'a Complaint,
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
    for line in &mut *job.lines {
        if !write(line.fill(pid)) {
            // A log without a reader left SIGPIPE pending, behind the mask; ignoring it discards it.
            set_sigpipe(libc::SIG_IGN);
            set_sigpipe(libc::SIG_DFL);
        }
    }
    for target in 0..=1 {
        if let Err(errno) = place(job.connection, target) {
            job.complaint.end(&job.complaint.descriptors, errno);
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
    job.complaint.end(&job.complaint.line, errno)
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

impl Complaint {
    /// Ends the child with `line` and the words for `errno`.
    fn end(&self, line: &[u8], errno: c_int) -> ! {
        if !line.is_empty() {
            complain(line, (self.reason)(errno));
        }
        super::process::exit_now(c_int::from(self.status))
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

/// How long a complaint waits for room, in milliseconds: the server sleeps meanwhile.
const COMPLAINT_LIMIT: c_int = 1000;

/// Writes `line`, `reason` and a line end in one call, if the log takes them.
fn complain(line: &[u8], reason: &str) {
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let parts = [part(line), part(reason.as_bytes()), part(b"\n")];
    if wait_for_room(COMPLAINT_LIMIT) {
        written(|| {
            // SAFETY: three vectors, each pointer and length of the same slice; writev only reads them.
            unsafe { libc::writev(2, parts.as_ptr(), 3) }
        });
    }
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
    fn pid_fills_the_gap_whatever_its_length() {
        for (pid, line) in [
            (1, "pid 1 from x\n"),
            (40_123, "pid 40123 from x\n"),
            (i32::MAX, "pid 2147483647 from x\n"),
        ] {
            assert_eq!(
                PidLine::new(b"pid ", b" from x\n").fill(pid),
                line.as_bytes()
            );
        }
    }
}
