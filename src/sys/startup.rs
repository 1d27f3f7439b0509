//! What the process inherited, before Rust's runtime changed it.
//!
//! Ahead of `main` the runtime ignores SIGPIPE and opens `/dev/null` on each of the descriptors 0, 1 and 2 that is
//! closed; where there is no `/dev/null`, in an empty root say, it aborts. A program that is a link in a chain must hand
//! both on as it got them, and a filter must fail, not lose bytes in silence, when its output is closed. So both are
//! recorded before the runtime starts, which then finds no descriptor closed, and settled by [`settle`].

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::fd;
use super::signal::{self, Signal};

/// Bit `n` is set when descriptor `n` (0, 1 or 2) was closed at the start.
static CLOSED: AtomicU8 = AtomicU8::new(0);
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

// SAFETY: the C library calls each entry of this section once, as a function of the C calling convention, before
// `main`; `record` is one, and touches only atomics and system calls that need no initialised runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    if cfg!(miri) {
        // Which knows no sigaction, and whose programs inherit nothing.
        return;
    }
    for fd in 0..=2 {
        // SAFETY: F_GETFD takes no pointer; a closed descriptor gives -1.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Relaxed);
            // It gets the lowest number that is free: this one. It needs no file, and it passes for open with the runtime,
            // which polls, where what `settle` puts there would not.
            // SAFETY: takes a flag; nothing of ours has been opened yet that could own the number.
            unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        }
    }
    SIGPIPE_IGNORED.store(signal::is_ignored(Signal::SIGPIPE), Relaxed);
}

/// Undoes what the runtime changed; called once, first thing, by `cli::main`.
///
/// SIGPIPE gets its inherited disposition back. A standard descriptor that was closed is held by one that can neither
/// be read nor written (EBADF, as if closed) and vanishes at exec: no file opened later can land there by accident.
pub fn settle() {
    if !SIGPIPE_IGNORED.load(Relaxed) {
        signal::set_default(Signal::SIGPIPE);
    }
    for number in 0..=2 {
        if was_closed(number) {
            fd::occupy(number);
        }
    }
}

/// True when the standard descriptor `number` (0, 1 or 2) was closed when the process started.
fn was_closed(number: RawFd) -> bool {
    CLOSED.load(Relaxed) & (1 << number) != 0
}
