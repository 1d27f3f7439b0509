//! Signals: dispositions, the mask, and signals as events to read.
//!
//! No handler of ours ever runs: what a program waits for is blocked and read as an event ([`Events`]).

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

pub use nix::sys::signal::Signal;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{fd, log};

/// Gives `signal` its default action.
pub fn set_default(signal: Signal) {
    dispose(signal, libc::SIG_DFL);
}

/// Ignores `signal`, here and in what this process execs.
pub fn ignore(signal: Signal) {
    dispose(signal, libc::SIG_IGN);
}

fn dispose(signal: Signal, disposition: libc::sighandler_t) {
    // SAFETY: SIG_DFL and SIG_IGN are no functions, so nothing of ours can run in a handler.
    unsafe { libc::signal(signal as c_int, disposition) };
}

/// A set of blocked signals.
#[derive(Clone, Copy, Debug)]
pub struct Mask(pub(super) SigSet);

impl Mask {
    /// True when `signal` is in the set.
    pub fn has(&self, signal: Signal) -> bool {
        self.0.contains(signal)
    }

    /// The signals in the set, as numbers of this system.
    pub fn numbers(&self) -> Vec<u32> {
        self.0
            .iter()
            .map(|signal| (signal as c_int).unsigned_abs())
            .collect()
    }

    /// The set of the signals with these numbers; others are passed over.
    pub fn of(numbers: &[u32]) -> Self {
        let numbers = numbers
            .iter()
            .filter_map(|&number| c_int::try_from(number).ok());
        Self(
            numbers
                .filter_map(|number| Signal::try_from(number).ok())
                .collect(),
        )
    }

    /// The same set without `signal`.
    pub fn without(mut self, signal: Signal) -> Self {
        self.0.remove(signal);
        self
    }
}

/// Blocks `signals` in this thread and gives the mask from before.
pub fn block(signals: &[Signal]) -> io::Result<Mask> {
    let mut before = SigSet::empty();
    sigprocmask(
        SigmaskHow::SIG_BLOCK,
        Some(&signals.iter().copied().collect()),
        Some(&mut before),
    )?;
    Ok(Mask(before))
}

/// Lets `signals` through again in this thread.
pub fn unblock(signals: &[Signal]) -> io::Result<()> {
    Ok(sigprocmask(
        SigmaskHow::SIG_UNBLOCK,
        Some(&signals.iter().copied().collect()),
        None,
    )?)
}

/// Blocked signals as events: its descriptor is readable when one is pending. signalfd(2).
#[derive(Debug)]
pub struct Events(SignalFd);

impl Events {
    /// Events for `signals`, which must be blocked and not ignored.
    pub fn of(signals: &[Signal]) -> io::Result<Self> {
        let set = signals.iter().copied().collect();
        Ok(Self(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?))
    }

    /// From here on, no line waits for room in the log once one of them is pending; see [`log`].
    pub fn are_heard_beside_the_log(&self) {
        log::wait_beside(self.as_raw_fd());
    }

    /// The signals that are pending, each once, with who sent the first of its kind; none when none is.
    pub fn pending(&self) -> io::Result<Vec<Event>> {
        const EVENT_BYTES: usize = size_of::<libc::signalfd_siginfo>();
        let mut room = [0; EVENTS_MAX * EVENT_BYTES];
        match fd::read(self, &mut room) {
            Ok(length) => {
                let events = room[..length].chunks_exact(EVENT_BYTES);
                Ok(events.filter_map(Event::read).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// A signal that has come.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Which one.
    pub signal: Signal,
    /// The process that sent it; of SIGCHLD the child that it is about.
    pub sender: libc::pid_t,
}

impl Event {
    /// The event in a `signalfd_siginfo`: its number is the first field, the process the fourth. signalfd(2)
    fn read(bytes: &[u8]) -> Option<Self> {
        let (fields, _) = bytes.as_chunks::<{ size_of::<c_int>() }>();
        let signal = Signal::try_from(c_int::from_ne_bytes(*fields.first()?)).ok()?;
        let sender = libc::pid_t::from_ne_bytes(*fields.get(3)?);
        Some(Self { signal, sender })
    }
}

/// The most kinds of signals that a program waits for: each is pending at most once, so one read empties the descriptor.
const EVENTS_MAX: usize = 8;

impl Drop for Events {
    fn drop(&mut self) {
        log::forget(self.as_raw_fd());
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
