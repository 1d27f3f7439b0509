//! Descriptors at which programs fail, and streams that are long.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;

use crate::support::launch::{Input, Output};
use crate::support::process::{Process, describe};
use crate::support::scene::Scene;

/// Takes no byte: no space left on device.
pub(crate) fn full() -> Output {
    let full = OpenOptions::new().write(true).open("/dev/full");
    Output::File(full.expect("the system has /dev/full"))
}

/// A pipe whose reader has gone.
pub(crate) fn unread() -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Output::File(File::from(OwnedFd::from(writer)))
}

/// Opens, but cannot be read.
pub(crate) fn directory() -> Input {
    Input::File(File::open("/").expect("the root is a directory"))
}

pub(crate) fn write_only() -> Input {
    let null = OpenOptions::new().write(true).open("/dev/null");
    Input::File(null.expect("the system has /dev/null"))
}

/// `length` bytes of all values, among them many CRs and LFs, alone and together; the same in each run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [choice, byte, ..] = state.to_le_bytes();
        match choice {
            0..16 => b'\r',
            16..32 => b'\n',
            _ => byte,
        }
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// What a stream of 10 MB is here.
pub(crate) const LONG_BYTES: usize = 10 << 20;

/// A shell program that hears nothing: it closes its input, says `ready`, waits for the fifo `go`, and prints more than any
/// pipe holds.
pub(crate) const DEAF: &str = "exec <&-; echo ready; read x <go; exec head -c 300000 /dev/zero";

/// Waits for the end of the program [`DEAF`], whose first line came as `ready`, and notes whether its output came too.
pub(crate) fn note_end_of_deaf(s: &mut Scene, process: Process, ready: &str) {
    let outcome = process.outcome();
    s.note(&format!(
        "all of the output came: {}",
        outcome.stdout.len() == ready.len() + 300_000
    ));
    s.note(&describe(outcome.status));
}
