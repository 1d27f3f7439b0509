//! A process that lives by itself: in the background, with its pid in a file, and its log with the system.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::plan::Daemon;
use crate::cli::{During, Error, Syslog};
use crate::sys::process::{self, Fork};

/// Makes this process one, as `daemon` says. Before anything that a fork would break: the runtime, threads. One that
/// continues another, in the same process, is in the background already.
///
/// # Errors
/// 111: something could not be done. In the process that stays in the foreground, 0 in silence: the other one goes on.
pub(super) fn begin(daemon: &Daemon, is_continued: bool) -> Result<(), Error> {
    if daemon.is_background && !is_continued {
        if process::fork().during("fork")? == Fork::Parent {
            return Err(Error::silent(0));
        }
        process::leave_terminal().during("leave the terminal")?;
    }
    if let Some(folder) = &daemon.folder {
        let doing = [b"change to ", &folder[..]].concat();
        std::env::set_current_dir(path(folder)).during(doing)?;
    }
    if let Some(pidfile) = &daemon.pidfile {
        let doing = [b"write ", &pidfile[..]].concat();
        std::fs::write(path(pidfile), format!("{}\n", process::id())).during(doing)?;
    }
    if let Some((facility, severity, ident)) = daemon.syslog.clone() {
        Syslog::new(facility, severity, ident)
            .during("use the system's log")?
            .take_over();
    }
    Ok(())
}

/// Removes the file with the pid.
pub(super) fn end(pidfile: &[u8]) {
    let _ = std::fs::remove_file(path(pidfile));
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}
