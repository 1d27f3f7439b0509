//! Descriptors: the three standard ones, pipes, moving one to a number, reading and writing.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use std::time::{Duration, Instant};

use nix::fcntl::FdFlag;
use nix::poll::PollTimeout;
pub use nix::poll::{PollFd, PollFlags};

use super::check;

/// Descriptor 0.
pub const STDIN: BorrowedFd<'static> = standard(0);
/// Descriptor 1.
pub const STDOUT: BorrowedFd<'static> = standard(1);
/// Descriptor 2.
pub const STDERR: BorrowedFd<'static> = standard(2);

const fn standard(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the number must stay open: the runtime opens 0, 1 and 2 before `main` where they are closed, and this
    // crate replaces them (`occupy`, `move_to`) but never closes them before the process ends or execs.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// The inherited descriptor `number`, which must not be one that a value of ours owns.
///
/// # Errors
/// It is not open (EBADF).
pub fn inherited(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: F_GETFD takes no pointer.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, as the call above has shown, and stays so: no value owns it that could close it.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// True when `fd` is a file in the narrow sense: no pipe, socket or device. fstat(2).
pub fn is_file(fd: impl AsFd) -> bool {
    use nix::sys::stat::{SFlag, fstat};
    fstat(fd).is_ok_and(|status| status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits())
}

/// Reads once into `buffer`, again when interrupted; 0 is the end. read(2).
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    retry(|| Ok(nix::unistd::read(&fd, buffer)?))
}

/// Reads once, at most `max` bytes, to behind those in `bytes`, again when interrupted; 0 is the end. Of the room for them
/// no more is touched than they take, so there is no harm in asking for much. read(2).
pub fn read_behind(fd: impl AsFd, bytes: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    bytes.reserve(max);
    let room = &mut bytes.spare_capacity_mut()[..max];
    let length = retry(|| {
        // SAFETY: the room can be written, all of it: pointer and length are of one slice.
        let answer =
            unsafe { libc::read(fd.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
        usize::try_from(answer).map_err(|_| io::Error::last_os_error())
    })?;
    // SAFETY: no more than the room that there was, and read(2) has written so many bytes to it.
    unsafe { bytes.set_len(bytes.len() + length) };
    Ok(length)
}

/// Writes once from `bytes`, again when interrupted; may take fewer than all. write(2).
pub fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    retry(|| Ok(nix::unistd::write(&fd, bytes)?))
}

/// Writes all of `bytes`: one write(2) where the descriptor takes them at once, and it waits where a non-blocking one
/// is full.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(&fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)])?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many bytes wait in the pipe behind `fd`, whichever of its ends that is. FIONREAD, pipe(7).
pub fn unread(fd: impl AsFd) -> io::Result<usize> {
    let mut bytes: c_int = 0;
    // SAFETY: FIONREAD writes one int, to a local that is one.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Makes exec close every descriptor from 3 on that is open now, also those that were inherited. close_range(2), or one
/// by one on a kernel without it (before 5.11).
pub fn inherit_none() {
    const FIRST: RawFd = 3;
    // SAFETY: takes no pointer, and closes nothing: the flag is all that changes.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST,
            c_int::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if answer == 0 {
        return;
    }
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = open.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<RawFd>().ok()
    });
    for number in numbers.filter(|&number| number >= FIRST) {
        // SAFETY: takes no pointer; the flag is all that changes.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Closes every descriptor from 3 on that is not `kept`, whoever owns it. For a process that does nothing any more but with
/// that one. close_range(2), or one by one on a kernel without it (before 5.9).
pub fn keep_only(kept: BorrowedFd<'_>) {
    const FIRST: RawFd = 3;
    let kept = kept.as_raw_fd();
    let close = |first: RawFd, last: RawFd| {
        // SAFETY: takes no pointer. Who owns one of them does not use it any more, as the caller promises.
        first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0
    };
    if close(FIRST, kept - 1) && close(FIRST.max(kept + 1), RawFd::MAX) {
        return;
    }
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers: Vec<RawFd> = open
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers {
        if number >= FIRST && number != kept {
            close_inherited(number);
        }
    }
}

/// A descriptor as a stream. Unlike the standard library's stdin and stdout, a closed one is an error (EBADF).
#[derive(Debug)]
pub struct Stream<'fd>(pub BorrowedFd<'fd>);

impl io::Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(self.0, buffer)
    }
}

/// A pipe, as (read end, write end). pipe2(2).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// Makes the open file description behind `fd` non-blocking, for all who share it.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Moves `fd` to `number`, closing what was there; it survives exec, also when it already had that number. It then
/// stays open for as long as the process lives.
pub fn move_to(fd: OwnedFd, number: RawFd) -> io::Result<BorrowedFd<'static>> {
    if fd.as_raw_fd() == number {
        survive_exec(fd.as_fd())?;
        std::mem::forget(fd);
    } else {
        copy_to(fd.as_fd(), number)?;
    }
    // SAFETY: `number` is open, and no value owns it that could close it.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Makes `number` a second name of `fd` that survives exec, closing what was there. dup2(2).
pub fn copy_to(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        return survive_exec(fd);
    }
    let answer = retry(|| {
        // SAFETY: dup2 takes no pointer. Whoever owned `number` loses it: callers give standard descriptors or 6 and
        // 7, which belong to the UCSPI contract and to no value of ours.
        check(unsafe { libc::dup2(fd.as_raw_fd(), number) })
    });
    match answer {
        // `fd` is open, so it is `number` that is beyond the limit. fcntl(2) calls that EINVAL, and so does the original.
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        }
        answer => answer.map(drop),
    }
}

/// Lets `fd` stay open across exec.
pub fn survive_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_flags(fd, FdFlag::empty())
}

/// Has exec close `fd`.
pub fn close_on_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_flags(fd, FdFlag::FD_CLOEXEC)
}

fn set_flags(fd: BorrowedFd<'_>, flags: FdFlag) -> io::Result<()> {
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// The inherited descriptor `number` as our own from now on, which exec closes. It must not be one that a value of ours
/// owns.
///
/// # Errors
/// It is not open (EBADF).
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    close_on_exec(inherited(number)?)?;
    // SAFETY: it is open, as the call above has shown, and no value owns it: the caller names one that was inherited.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes `number`, whatever it is; a number that is not open is no error. For inherited descriptors only.
pub fn close_inherited(number: RawFd) {
    // SAFETY: close takes no pointer; the caller names a descriptor that no value of ours owns.
    unsafe { libc::close(number) };
}

/// Closes `number` by putting a descriptor there that can neither be read nor written and that exec closes.
///
/// Programs that see the end of a pipe see it as after close(2), and nothing opened later gets the number.
pub fn occupy(number: RawFd) {
    // SAFETY: the path is a NUL-terminated literal that the call only reads.
    let placeholder = unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if placeholder == -1 {
        return;
    }
    // SAFETY: open gave this descriptor just now, so nothing else owns it.
    let placeholder = unsafe { OwnedFd::from_raw_fd(placeholder) };
    if placeholder.as_raw_fd() == number {
        std::mem::forget(placeholder);
        return;
    }
    // SAFETY: dup3 takes no pointer; callers name standard descriptors, which no value of ours owns.
    unsafe { libc::dup3(placeholder.as_raw_fd(), number, libc::O_CLOEXEC) };
}

/// Waits, without a limit, until one of `fds` is ready; each then says what for (`any`, `revents`). poll(2).
pub fn poll(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    retry(|| Ok(nix::poll::poll(fds, PollTimeout::NONE)?))?;
    Ok(())
}

/// Waits until one of `fds` is ready, at most for `limit`; false when nothing came. poll(2).
pub fn poll_within(fds: &mut [PollFd<'_>], limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    retry(|| {
        // Rounded up: a wait that ends a moment early would be followed by one of no length.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        Ok(nix::poll::poll(fds, left)? > 0)
    })
}

/// Calls again as long as a signal interrupts.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.raw_os_error() == Some(libc::EINTR as c_int) => {}
            answer => return answer,
        }
    }
}
