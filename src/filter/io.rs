//! Bytes as they are, both ways, between descriptors 0 and 1 and a connection on 6 and 7. Each end is passed on after the
//! last byte before it; the other direction goes on.

use std::io;

use super::pump::{Flow, Observer, pump};
use crate::sys::{fd, socket};

/// Copies until both directions have ended.
///
/// # Errors
/// A descriptor is not open.
pub fn io() -> io::Result<()> {
    let network = fd::inherited(SINKS[0])?.try_clone_to_owned()?;
    let stdout = fd::STDOUT.try_clone_to_owned()?;
    let mut flows = [
        Flow::new(fd::STDIN, network, false)?,
        Flow::new(fd::inherited(6)?, stdout, false)?,
    ];
    pump(&mut flows, &mut Ends)
}

/// Where the bytes of each direction go.
const SINKS: [i32; 2] = [7, 1];

/// Passes on the end of a direction.
struct Ends;

impl Observer for Ends {
    fn packet(&mut self, _: usize, _: &mut Vec<u8>) {}

    fn end(&mut self, way: usize) {
        let number = SINKS[way];
        // A socket is the source of the other direction too, so closing would not tell; of a pipe, closing tells.
        if let Ok(sink) = fd::inherited(number) {
            let _ = socket::send_no_more(sink);
        }
        fd::occupy(number);
    }
}
