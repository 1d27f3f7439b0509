//! The only room with `unsafe`: one safe function per system call, descriptors as types, `io::Result` as the answer.
//!
//! What a caller outside may rely on: every descriptor made here is close-on-exec; descriptors 0, 1 and 2 are always
//! occupied (see [`startup`]); an interrupted call is repeated unless the item says otherwise. Nothing here knows an
//! option, a message or a protocol.
#![allow(
    unsafe_code,
    reason = "system calls have no other form; every block names its obligation and the fact that meets it"
)]

pub mod bell;
pub mod cgroup;
pub mod clock;
pub mod control;
#[cfg(target_arch = "x86_64")]
mod copy;
pub mod epoll;
pub mod errno;
pub mod exec;
pub mod fd;
pub mod file;
mod heap;
pub mod limit;
pub mod load;
pub mod log;
pub mod memfile;
pub mod memory;
pub mod outlet;
pub mod places;
pub mod privilege;
pub mod process;
pub mod random;
pub mod runtime;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod splice;
pub mod startup;
pub mod watch;

use std::ffi::c_int;
use std::io;

/// The answer of a system call that returns -1 and sets errno when it fails.
fn check(answer: c_int) -> io::Result<c_int> {
    if answer == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}
