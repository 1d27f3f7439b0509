//! Giving up privileges, in the one order that works: group list, group, user, then the check.

use std::io;

use nix::unistd::{
    Gid, Uid, getegid, geteuid, getgid, getgroups, getuid, setgid, setgroups, setuid,
};

use super::process;

/// Makes `gid` the only group of the process. setgroups(2), setgid(2).
///
/// # Errors
/// What the system says, or EPERM when the process is in another group afterwards.
pub fn set_group(gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    setgroups(&[gid])?;
    setgid(gid)?;
    verify(getgroups()? == [gid] && getgid() == gid && getegid() == gid)
}

/// Makes `uid` the user of the process for good, and keeps the user's other processes out of it. setuid(2).
///
/// # Errors
/// What the system says, or EPERM when the user is not the wanted one afterwards or root could be had again.
pub fn set_user(uid: u32) -> io::Result<()> {
    let uid = Uid::from_raw(uid);
    setuid(uid)?;
    // A new user makes a process dumpable where fs.suid_dumpable says so. proc(5)
    process::keep_others_out()?;
    verify(getuid() == uid && geteuid() == uid && setuid(Uid::from_raw(0)).is_err())
}

fn verify(held: bool) -> io::Result<()> {
    if held {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}
