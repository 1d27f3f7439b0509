//! Descriptors at which programs fail, and streams that are long.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;

use crate::support::launch::{Input, Output};

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
