//! How much the machine has to do.

use std::io;

use nix::sys::sysinfo::sysinfo;

/// The load average of the last minute, in hundredths. sysinfo(2)
pub fn hundredths() -> io::Result<u64> {
    let (minute, _, _) = sysinfo()?.load_average();
    // The kernel's fixed point gives 0.35 as a little less.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a load is not negative, and saturates"
    )]
    let hundredths = (minute * 100.0).round() as u64;
    Ok(hundredths)
}
