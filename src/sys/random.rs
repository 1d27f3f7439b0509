//! Randomness from the kernel.

use std::io;

/// 16 random bits.
///
/// # Errors
/// The kernel has none to give, which Linux says only before it has started up.
pub fn u16() -> io::Result<u16> {
    bytes().map(u16::from_ne_bytes)
}

/// Puts `items` into a random order (Fisher-Yates). Without randomness they stay as they are.
pub fn shuffle<T>(items: &mut [T]) {
    for length in (2..=items.len()).rev() {
        let Ok(random) = bytes().map(u64::from_ne_bytes) else {
            return;
        };
        // Of 64 bits so few are used that the remainder is as good as even.
        let other = usize::try_from(random % length as u64).unwrap_or(0);
        items.swap(length - 1, other);
    }
}

/// `N` random bytes. getrandom(2).
fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    super::fd::retry(|| {
        // By its number: the function of that name is weak in Rust's library, and so a static program that is optimized as a
        // whole has none where the C library is musl.
        // SAFETY: pointer and length are of the same array, which the call fills.
        let filled = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), N, 0) };
        if usize::try_from(filled) == Ok(N) {
            Ok(bytes)
        } else {
            Err(io::Error::last_os_error())
        }
    })
}
