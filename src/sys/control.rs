//! A UNIX socket that only one user can open.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chown};

/// A non-blocking listener at `path`, mode 0600, which belongs to `uid` and `gid` where they are given. A socket file that
/// nobody listens at is replaced; nothing else is. unix(7)
///
/// # Errors
/// EADDRINUSE: somebody listens there, or it is no socket. Else what the system says.
pub fn listen(path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<UnixListener> {
    let listener = match bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    chown(path, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?;
    Ok(listener)
}

/// Binds with mode 0600 from the first moment on. The umask is the process's: no other thread may make files meanwhile.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    bound
}

fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let nobody = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(nobody)
}
