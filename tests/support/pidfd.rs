//! Other processes than our own children: their end, and their descriptors. pidfd_open(2), pidfd_getfd(2); and what can be
//! seen of a socket that is one. IP_OPTIONS, ip(7).
#![allow(unsafe_code, reason = "neither std nor nix has these calls")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

use super::deadline;

/// Waits until the process has ended, whether or not somebody has reaped it.
pub(crate) fn wait_for_end_of(pid: u32) {
    let process = match open(pid) {
        Err(Errno::ESRCH) => return,
        process => process.expect("any process can be watched"),
    };
    let mut waiting = libc::pollfd {
        fd: process.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let limit = i32::try_from(deadline().as_millis()).expect("the deadline is short");
    // SAFETY: the pointer leads to one pollfd, which outlives the call.
    let ready = unsafe { libc::poll(&raw mut waiting, 1, limit) };
    assert_eq!(ready, 1, "process {pid} did not end in time");
}

/// A duplicate of another process's descriptor.
pub(crate) fn descriptor_of(pid: u32, fd: i32) -> nix::Result<OwnedFd> {
    let process = open(pid)?;
    // SAFETY: pidfd_getfd takes three numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

/// The IP options that `socket` sends with every packet.
pub(crate) fn ip_options(socket: &OwnedFd) -> Vec<u8> {
    // RFC 791: a header has room for 40 bytes of them.
    let mut options = vec![0; 40];
    let mut length = 40;
    // SAFETY: `options` has room for `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            options.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "a TCP socket has IP options");
    options.truncate(length as usize);
    options
}

/// Lets every packet of `socket` carry these IP options.
pub(crate) fn set_ip_options(socket: &OwnedFd, options: &[u8]) {
    let length = libc::socklen_t::try_from(options.len()).expect("they are few");
    // SAFETY: pointer and length are of the same slice, which the call only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            options.as_ptr().cast(),
            length,
        )
    };
    assert_eq!(result, 0, "a socket takes well-formed IP options");
}

/// Makes this thread, and no other, a process of the user and group `id` in the eyes of the system, for good.
pub(crate) fn become_on_this_thread(id: u32) {
    // The calls of the C library change all threads.
    for call in [libc::SYS_setresgid, libc::SYS_setresuid] {
        // SAFETY: both calls take three numbers.
        let result = unsafe { libc::syscall(call, id, id, id) };
        assert_eq!(result, 0, "root becomes whom it likes");
    }
}

fn open(pid: u32) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// The descriptor that a system call has just returned, or its error.
fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = i32::try_from(Errno::result(result)?).expect("descriptors are small");
    // SAFETY: both callers pass the descriptor that their call has just made, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
