//! Descriptor 2 as a log: a line waits for room, but not for longer than the process itself may.
//!
//! A signal that is blocked, to be read as an event, interrupts no write(2): behind a log that nobody reads it would not
//! be heard. So room is waited for beside the events that end the process (`Events::are_heard_beside_the_log`), by one more call of poll(2)
//! for each line.
//!
//! What this leaves out: room that another process takes between the two calls. Then the write waits for the next room.

use std::io::{self, IsTerminal as _};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use nix::poll::PollTimeout;

use super::fd::{self, PollFd, PollFlags, STDERR};

/// The descriptor of the events beside which room is waited for, or one of the two numbers below.
static BESIDE: AtomicI32 = AtomicI32::new(NOTHING);
/// Room is waited for without end.
const NOTHING: RawFd = -1;
/// Room is not waited for.
const NO_TIME: RawFd = -2;

/// From here on, nothing waits for room any more once `events` can be read, which must be open until [`forget`].
pub(super) fn wait_beside(events: RawFd) {
    BESIDE.store(events, Relaxed);
}

/// From here on, nothing waits for room.
pub fn wait_no_more() {
    BESIDE.store(NO_TIME, Relaxed);
}

/// `events` are about to be closed, and the descriptor may soon be another's.
pub(super) fn forget(events: RawFd) {
    let _ = BESIDE.compare_exchange(events, NOTHING, Relaxed, Relaxed);
}

/// True if a person reads along: descriptor 2 is a terminal. isatty(3)
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Waits until the log takes a line. False when it does not, and there is no time to wait. Where nothing is waited for
/// beside it, that is left to write(2). A log that is closed, or has no reader, takes a line: writing says what is wrong.
pub fn has_room() -> bool {
    let beside = BESIDE.load(Relaxed);
    if beside == NOTHING {
        return true;
    }
    let mut fds = [
        PollFd::new(STDERR, PollFlags::POLLOUT),
        PollFd::new(STDERR, PollFlags::empty()),
    ];
    let answer = if beside == NO_TIME {
        fd::retry(|| Ok(nix::poll::poll(&mut fds[..1], PollTimeout::ZERO)?))
    } else {
        // SAFETY: it stays open until `forget`, which its drop calls; and it is not kept beyond this call.
        let events = unsafe { BorrowedFd::borrow_raw(beside) };
        fds[1] = PollFd::new(events, PollFlags::POLLIN);
        fd::retry(|| Ok(nix::poll::poll(&mut fds, PollTimeout::NONE)?))
    };
    // Where poll itself fails, write(2) is as good as ever.
    answer.is_err() || fds[0].any() == Some(true)
}

/// Writes `line` by one write(2), when there is room.
///
/// # Errors
/// It is lost: WouldBlock where there was no time to wait for room, else what write(2) says.
pub fn write(mut line: &[u8]) -> io::Result<()> {
    if BESIDE.load(Relaxed) == NOTHING {
        return fd::write_all(STDERR, line);
    }
    while !line.is_empty() {
        if !has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match fd::write(STDERR, line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => line = &line[taken..],
            // Somebody else was faster, and the descriptor is a non-blocking one.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
