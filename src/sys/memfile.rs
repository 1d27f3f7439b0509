//! Memory that one process hands to another as a file, sealed: whoever has it, nobody changes it any more.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use super::check;

const SEALS: libc::c_int =
    libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// A file that holds `bytes`. memfd_create(2)
///
/// # Errors
/// No descriptor, no memory.
pub fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a NUL-terminated literal that the call only reads.
    let file = check(unsafe { libc::memfd_create(c"handover".as_ptr(), flags) })?;
    // SAFETY: memfd_create gave this descriptor just now, so nothing else owns it.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    let mut file = File::from(file);
    file.write_all(bytes)?;
    // SAFETY: takes a number and no pointer.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })?;
    Ok(file.into())
}

/// What the sealed file behind `file` holds.
///
/// # Errors
/// It is no such file (EINVAL, EPERM).
pub fn read(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    // SAFETY: takes no pointer.
    let seals = check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) })?;
    if seals & SEALS != SEALS {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let file = File::from(file.try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::{read, sealed};

    #[test]
    #[cfg_attr(miri, ignore = "miri knows no memory files")]
    fn what_is_sealed_is_read_and_stays() {
        let file = sealed(b"state").unwrap();
        assert_eq!(read(file.as_fd()).unwrap(), b"state");
        let mut copy = File::from(file.try_clone().unwrap());
        assert!(copy.write_all(b"other").is_err());
        assert!(copy.set_len(0).is_err());
        assert_eq!(read(file.as_fd()).unwrap(), b"state");
        let pipe = super::super::fd::pipe().unwrap();
        assert!(read(pipe.0.as_fd()).is_err());
    }
}
