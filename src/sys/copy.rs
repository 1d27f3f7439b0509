//! Copies of bytes, where the C library's are slow: musl's memcpy for x86-64 is one `rep movsq` for all lengths, which
//! takes longer to start than most copies here take in all. (glibc's and musl's for other processors do well.)
//!
//! A program that is linked with musl has `memcpy` and `memmove` from here instead, for all that the compiler makes a copy
//! of.

use std::arch::asm;

/// memcpy(3).
///
/// # Safety
/// `length` bytes can be read at `from` and written at `to`, and the two do not overlap.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: what this asks for is what the caller promised.
    unsafe { copy(to, from, length) };
    to
}

/// memmove(3): in musl the two are one object, so that only both can be had from elsewhere.
///
/// # Safety
/// `length` bytes can be read at `from` and written at `to`.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: what this asks for is what the caller promised.
    unsafe { shift(to, from, length) };
    to
}

/// Copies between places that may overlap.
///
/// # Safety
/// As [`memmove`].
#[cfg_attr(
    not(target_env = "musl"),
    allow(dead_code, reason = "only musl needs it; its tests run everywhere")
)]
#[inline]
unsafe fn shift(to: *mut u8, from: *const u8, length: usize) {
    // Up to 64 bytes are read before any is written; and the front first is right for all but a place further on.
    if length <= 64 || to.addr().wrapping_sub(from.addr()) >= length {
        // SAFETY: the caller promised the bytes, and for what overlaps see above.
        unsafe { copy(to, from, length) };
    } else {
        // SAFETY: the caller promised the bytes, of which there are more than 64.
        unsafe { copy_words_back(to, from, length) };
    }
}

/// Copies up to 64 bytes by the two ends, which meet or overlap, and more by words.
///
/// # Safety
/// As [`memcpy`].
#[cfg_attr(
    not(target_env = "musl"),
    allow(dead_code, reason = "only musl needs it; its tests run everywhere")
)]
#[inline]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    match length {
        0 => {}
        // SAFETY: each has at least as many bytes as its ends, and the caller promised them.
        1 => unsafe { copy_ends::<1>(to, from, length) },
        // SAFETY: as above.
        2..4 => unsafe { copy_ends::<2>(to, from, length) },
        // SAFETY: as above.
        4..8 => unsafe { copy_ends::<4>(to, from, length) },
        // SAFETY: as above.
        8..16 => unsafe { copy_ends::<8>(to, from, length) },
        // SAFETY: as above.
        16..32 => unsafe { copy_ends::<16>(to, from, length) },
        // SAFETY: as above.
        32..=64 => unsafe { copy_ends::<32>(to, from, length) },
        // SAFETY: as above.
        _ => unsafe { copy_words(to, from, length) },
    }
}

/// Copies the first and the last `N` bytes of what has `N` to 2 `N` bytes.
///
/// # Safety
/// As [`memcpy`], and `length` is at least `N`.
#[inline]
unsafe fn copy_ends<const N: usize>(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: inside of what the caller promised, or one past it: `length` is at least `N`.
    let last_from = unsafe { from.add(length - N) };
    // SAFETY: as above.
    let last_to = unsafe { to.add(length - N) };
    // SAFETY: `N` bytes from there on are the caller's, and an array of bytes may lie anywhere.
    let first = unsafe { from.cast::<[u8; N]>().read() };
    // SAFETY: as above.
    let last = unsafe { last_from.cast::<[u8; N]>().read() };
    // SAFETY: as above.
    unsafe { to.cast::<[u8; N]>().write(first) };
    // SAFETY: as above.
    unsafe { last_to.cast::<[u8; N]>().write(last) };
}

/// Copies words of eight bytes from the front on, and the last eight bytes, which are read first.
///
/// # Safety
/// As [`memmove`], `length` is at least 8, and `to` is not among the bytes behind `from`.
#[inline]
unsafe fn copy_words(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: inside of what the caller promised: `length` is at least 8.
    let last_from = unsafe { from.add(length - 8) };
    // SAFETY: as above.
    let last_to = unsafe { to.add(length - 8) };
    // SAFETY: eight bytes from there on are the caller's, and an array of bytes may lie anywhere.
    let last = unsafe { last_from.cast::<[u8; 8]>().read() };
    // SAFETY: the caller promised so many bytes at both ends; rcx words are at most as many. The direction flag is clear,
    // as everywhere between functions (System V ABI).
    unsafe {
        asm!("rep movsq", inout("rcx") length / 8 => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    // SAFETY: as for the last bytes that were read.
    unsafe { last_to.cast::<[u8; 8]>().write(last) };
}

/// Copies words of eight bytes from the back on, and the first eight bytes, which are read first.
///
/// # Safety
/// As [`memmove`], and `length` is at least 8.
#[inline]
unsafe fn copy_words_back(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: eight bytes are there, and an array of bytes may lie anywhere.
    let first = unsafe { from.cast::<[u8; 8]>().read() };
    // SAFETY: inside of what the caller promised.
    let last_from = unsafe { from.add(length - 8) };
    // SAFETY: as above.
    let last_to = unsafe { to.add(length - 8) };
    // SAFETY: the caller promised so many bytes at both ends; rcx words are at most as many. The direction flag is clear
    // again when it ends, as it must be between functions (System V ABI).
    unsafe {
        asm!("std", "rep movsq", "cld", inout("rcx") length / 8 => _, inout("rdi") last_to => _,
            inout("rsi") last_from => _, options(nostack));
    }
    // SAFETY: as for the first bytes that were read.
    unsafe { to.cast::<[u8; 8]>().write(first) };
}

#[cfg(test)]
mod tests {
    use super::{copy, shift};

    #[test]
    fn copies_of_every_length_to_and_from_every_place_are_whole_and_touch_nothing_else() {
        let from: Vec<u8> = (0..=255).cycle().skip(1).take(400).collect();
        for length in 0..300 {
            for (start, place) in [(0, 0), (1, 0), (0, 3), (7, 5), (8, 8), (31, 33)] {
                let mut to = [0xee; 400];
                let (source, target) = (&from[start..], &mut to[place..]);
                // SAFETY: at least 367 bytes are there, and they are two objects.
                unsafe { copy(target.as_mut_ptr(), source.as_ptr(), length) };
                assert_eq!(to[place..place + length], from[start..start + length]);
                let around = to[..place].iter().chain(&to[place + length..]);
                assert!(around.into_iter().all(|&byte| byte == 0xee), "{length}");
            }
        }
    }

    #[test]
    fn bytes_that_are_shifted_over_themselves_are_as_if_they_had_been_read_first() {
        let from: Vec<u8> = (0..=255).cycle().take(700).collect();
        for length in [0, 1, 7, 31, 32, 63, 64, 65, 71, 72, 128, 200, 255, 300] {
            for (start, place) in [
                (0, 0),
                (0, 1),
                (1, 0),
                (0, 7),
                (9, 0),
                (0, 64),
                (100, 3),
                (3, 250),
            ] {
                let mut bytes = from.clone();
                let all = bytes.as_mut_ptr();
                let (source, target) = (all.wrapping_add(start), all.wrapping_add(place));
                // SAFETY: 250 and 300 are less than 700.
                unsafe { shift(target, source, length) };
                let mut wanted = from.clone();
                wanted.copy_within(start..start + length, place);
                assert!(bytes == wanted, "{length} bytes from {start} to {place}");
            }
        }
    }
}
