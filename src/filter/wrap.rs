//! Putting an observer around a program: its descriptors 0 and 1 become pipes, and a second process pumps.
//!
//! The program takes over the original process, so that pid, signals and exit status are the program's; the pump is the
//! child, and nobody waits for it.

use std::os::fd::{AsFd, OwnedFd};

use super::pump::{Flow, Observer, pump};
use crate::cli::{During, Error, exec};
use crate::sys::fd;
use crate::sys::process::{self, Fork, Pid};
use crate::sys::signal::{self, Signal};

/// The direction from descriptor 0 into the program.
pub(super) const INTO_PROGRAM: usize = 0;
/// The direction from the program to descriptor 1.
pub(super) const FROM_PROGRAM: usize = 1;

/// Becomes `program` (its name first), with all that it reads and writes on descriptors 0 and 1 passing an observer,
/// which is made for the program's pid. Returns only on failure, or in the pump, when the program has closed its output.
///
/// # Errors
/// No pipe, no process, or a program that cannot be run: 111, with the original's message.
pub fn wrap<O: Observer>(
    program: &[Vec<u8>],
    observer: impl FnOnce(Pid) -> O,
) -> Result<(), Error> {
    let pid = process::id();
    let (input, into_program) = fd::pipe().during("create pipe")?;
    let (from_program, output) = fd::pipe().during("create pipe")?;
    match process::fork().during("fork")? {
        Fork::Parent => {
            drop((into_program, from_program));
            fd::move_to(input, 0).during("move descriptors")?;
            fd::move_to(output, 1).during("move descriptors")?;
            exec(&program[0], program, &process::environment())
        }
        Fork::Child => {
            drop((input, output));
            // A failure to pump ends the pump, quietly, as everything does that happens to it in the original.
            let _ = relay(into_program, &from_program, &mut observer(pid));
            Ok(())
        }
    }
}

fn relay(
    into_program: OwnedFd,
    from_program: &OwnedFd,
    observer: &mut impl Observer,
) -> std::io::Result<()> {
    signal::ignore(Signal::SIGPIPE);
    let stdout = fd::STDOUT.try_clone_to_owned()?;
    let mut flows = [
        Flow::into_own_pipe(fd::STDIN, into_program)?,
        Flow::new(from_program.as_fd(), stdout, true)?,
    ];
    pump(&mut flows, observer)
}
