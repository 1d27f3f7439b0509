//! Replacing the process by a new one of the same program under the same pid: no connection is refused, and no session is
//! lost.
//!
//! The process doubles itself. The copy closes the listeners, carries the sessions to their end and is gone; the
//! supervisor's process executes the program anew, which finds the listeners open, with whoever waits in their queues. A
//! `trial` has shown before that it can serve.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::carriers::Carriers;
use super::log::Log;
use crate::cli::{number, reason};
use crate::service::Place;
use crate::sys::exec::Program;
use crate::sys::fd::{self, Stream};
use crate::sys::process::{self, Fork};
use crate::sys::signal::Mask;
use crate::sys::socket;
use crate::ucspi::environ;

/// Who returns from a retirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retired {
    /// Nothing has happened: it could not be done, which was said.
    Not,
    /// The copy that has the sessions: it must accept no more.
    Old,
}

/// The variable by which the new process learns which descriptors listen: their numbers, with commas.
const LISTENERS: &str = "TCPRELAY_LISTENERS";
/// The same of the signals that were blocked when the first process was started. All that are blocked now stay so, and wait
/// for the new one.
const BLOCKED: &str = "TCPRELAY_BLOCKED";

/// Replaces the process, which was started with the signal mask `mask`, by one of `file`, which never returns here.
pub(super) fn retire(
    carriers: &Carriers,
    file: &[u8],
    listeners: &[&OwnedFd],
    mask: Mask,
    log: Log,
) -> Retired {
    // A copy has one thread only.
    carriers.pause();
    let retired = double(file, listeners, mask).unwrap_or_else(|error| {
        let why = reason(&error).as_bytes();
        log.say(&[b"warning: unable to retire: ", why].concat());
        Retired::Not
    });
    if let Err(error) = carriers.go_on() {
        log.say(error.text());
    }
    retired
}

fn double(file: &[u8], listeners: &[&OwnedFd], mask: Mask) -> io::Result<Retired> {
    // It ends without a byte when the program was executed: then the sessions are the copy's.
    let (news, told) = fd::pipe()?;
    match process::fork()? {
        Fork::Parent => {
            drop(news);
            let error = execute(file, listeners, mask);
            // The copy must not go on: the sessions are ours.
            let _ = fd::write_all(&told, b"!");
            Err(error)
        }
        Fork::Child => {
            drop(told);
            let mut byte = [0];
            if Stream(news.as_fd()).read(&mut byte)? != 0 {
                process::exit_now(0);
            }
            Ok(Retired::Old)
        }
    }
}

/// Executes `file` with the arguments of this process; returns only with the reason why not.
fn execute(file: &[u8], listeners: &[&OwnedFd], mask: Mask) -> io::Error {
    let attempt = || -> io::Result<()> {
        let mut arguments = vec![process::invoked_as().unwrap_or_default()];
        arguments.extend(process::arguments());
        let program = Program::new(file, &arguments, None);
        let listening = listeners.iter().map(|listener| listener.as_raw_fd());
        let environment = process::environment();
        let environment = environ::with(&environment, LISTENERS, &written(listening));
        let environment = environ::with(&environment, BLOCKED, &written(mask.numbers()));
        for listener in listeners {
            fd::survive_exec(listener.as_fd())?;
        }
        match program.exec(environment.iter().map(CString::as_c_str))? {}
    };
    let error = attempt()
        .err()
        .unwrap_or_else(|| io::ErrorKind::Other.into());
    // As before, for who goes on.
    for listener in listeners {
        let _ = fd::close_on_exec(listener.as_fd());
    }
    error
}

/// `numbers` with commas.
fn written(numbers: impl IntoIterator<Item = impl ToString>) -> Vec<u8> {
    let numbers = numbers.into_iter().map(|number| number.to_string());
    numbers.collect::<Vec<_>>().join(",").into_bytes()
}

/// The numbers in `variable`.
fn read<T: TryFrom<u32>>(variable: &[u8]) -> impl Iterator<Item = T> {
    let numbers = variable.split(|&byte| byte == b',').filter_map(number);
    numbers.filter_map(|number| T::try_from(number).ok())
}

/// True when this process replaces another one.
pub(super) fn is_next() -> bool {
    process::variable(LISTENERS).is_some()
}

/// The signal mask that the first process was started with, if this one replaces another.
pub(super) fn mask() -> Option<Mask> {
    let numbers: Vec<u32> = read(&process::variable(BLOCKED)?).collect();
    Some(Mask::of(&numbers))
}

/// The listeners that were handed over to this process, if it replaces another one.
pub(super) fn inherited() -> Vec<OwnedFd> {
    let numbers = process::variable(LISTENERS).unwrap_or_default();
    let listeners = read(&numbers).filter_map(|number| {
        // Somebody may have set the variable: what does not listen is not ours.
        let is_ours = socket::is_listening(fd::inherited(number).ok()?);
        is_ours.then(|| fd::take_inherited(number).ok()).flatten()
    });
    listeners.collect()
}

/// The one of `inherited` that listens at `place`.
pub(super) fn take(inherited: &mut Vec<OwnedFd>, place: &Place) -> Option<OwnedFd> {
    let at = inherited.iter().position(|socket| place.is_of(socket))?;
    Some(inherited.swap_remove(at))
}
