//! What workers write to descriptor 2, line by line, each with its worker's pid before it.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::cli::Voice;
use crate::sys::process::Pid;
use crate::sys::{fd, watch};

/// A longer line is cut into several.
const LINE_MAX: usize = 1000;

/// Starts a task that passes on what comes from `stderr`: `name: worker PID: ` and the line. A pipe that cannot be watched
/// is closed, and what the worker writes then is lost.
pub(super) fn pass_on(stderr: OwnedFd, pid: Pid, voice: Voice) {
    if let Ok(stderr) = fd::set_nonblocking(&stderr).and_then(|()| watch::readable(stderr)) {
        tokio::task::spawn_local(copy(stderr, pid, voice));
    }
}

async fn copy(stderr: AsyncFd<OwnedFd>, pid: Pid, voice: Voice) {
    let before = format!("worker {pid}: ");
    let mut line = Vec::new();
    let mut room = [0; LINE_MAX];
    while let Ok(mut ready) = stderr.readable().await {
        let Ok(read) = ready.try_io(|stderr| fd::read(stderr.get_ref(), &mut room)) else {
            continue;
        };
        let Ok(length @ 1..) = read else { break };
        for &byte in &room[..length] {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() == LINE_MAX {
                voice.warn(&[before.as_bytes(), &line]);
                line.clear();
            }
        }
        // Another takes its turn, whatever this one has to say.
        tokio::task::yield_now().await;
    }
    if !line.is_empty() {
        voice.warn(&[before.as_bytes(), &line]);
    }
}
