//! Randomness from the kernel.

use std::io;

/// A number below `limit`, which must not be 0; the bias is below 2^-32 for any limit that a `u32` holds.
///
/// # Errors
/// The kernel has none to give, which Linux says only before it has started up.
fn below(limit: u32) -> io::Result<u32> {
    let mut bytes = [0; 8];
    super::fd::retry(|| {
        // SAFETY: pointer and length are of the same array, which the call fills.
        let length = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if length == 8 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    })?;
    let number = u64::from_ne_bytes(bytes) % u64::from(limit);
    Ok(u32::try_from(number).unwrap_or(0))
}

/// Puts `items` into a random order (Fisher-Yates). Without randomness they stay as they are.
pub fn shuffle<T>(items: &mut [T]) {
    for length in (2..=items.len()).rev() {
        let Ok(limit) = u32::try_from(length) else {
            return;
        };
        let Ok(other) = below(limit) else { return };
        items.swap(length - 1, other as usize);
    }
}
