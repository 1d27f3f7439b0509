//! A person, or a script, on descriptors 0 and 1, and a line-based server on the network.
//!
//! Source: mconnect-io of the original, and observed runs: a CR is put before every LF on the way out; the end of
//! descriptor 0 is not passed on, so the server's last answer is not lost; the server's end ends all. Answers that nobody
//! can see do not keep what is said from the server.

use std::io;
use std::os::fd::AsFd;

use crate::filter::carriage_return::AddOneWay;
use crate::filter::{Flow, pump};
use crate::sys::fd;

const OUT: usize = 0;

/// Talks until the server closes. `input` is what comes from the network, `output` what goes there.
///
/// # Errors
/// A descriptor is not open.
pub fn mconnect(input: impl AsFd, output: impl AsFd) -> io::Result<()> {
    let output = output.as_fd().try_clone_to_owned()?;
    let stdout = fd::STDOUT.try_clone_to_owned()?;
    let mut flows = [
        Flow::new(fd::STDIN, output, false)?,
        Flow::new(input.as_fd(), stdout, true)?.lossy(),
    ];
    pump(&mut flows, &mut AddOneWay { way: OUT })
}
