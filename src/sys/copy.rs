//! Copies of bytes, where the C library's are slow: musl's memcpy for x86-64 is one `rep movsq` for all lengths. That takes
//! longer to start than most copies here take in all, and where one of the places is no multiple of eight it takes up to
//! seven times as long to the end. (glibc's and musl's for other processors do well.)
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
        unsafe { copy_blocks_back(to, from, length) };
    }
}

/// Copies up to 64 bytes by the two ends, which meet or overlap, and more by blocks, or by words where that is fast.
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
        WORDS_MIN.. if (to.addr() | from.addr()).is_multiple_of(8) => {
            // SAFETY: as above.
            unsafe { copy_words(to, from, length) };
        }
        // SAFETY: as above.
        _ => unsafe { copy_blocks(to, from, length) },
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

/// From how many bytes on words are faster than blocks, if both places are multiples of theirs.
const WORDS_MIN: usize = 1024;

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

/// What is copied at a time of more than 64 bytes.
type Block = [u8; 32];
const BLOCK_BYTES: usize = size_of::<Block>();

/// Copies blocks from the front on, and the last one, which is read first.
///
/// # Safety
/// As [`memmove`], `length` is at least that of a block, and `to` is not among the bytes behind `from`.
#[inline]
unsafe fn copy_blocks(to: *mut u8, from: *const u8, length: usize) {
    let last_at = length - BLOCK_BYTES;
    // SAFETY: the last block of what the caller promised.
    let last = unsafe { block_at(from, last_at) };
    let mut at = 0;
    while at < last_at {
        // SAFETY: inside of what the caller promised, as it begins before the last block.
        let block = unsafe { block_at(from, at) };
        // SAFETY: as above.
        unsafe { put_block(to, at, block) };
        at += BLOCK_BYTES;
    }
    // SAFETY: as for the last block that was read.
    unsafe { put_block(to, last_at, last) };
}

/// Copies blocks from the back on, and the first one, which is read first.
///
/// # Safety
/// As [`memmove`], and `length` is at least that of a block.
#[inline]
unsafe fn copy_blocks_back(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the first block of what the caller promised.
    let first = unsafe { block_at(from, 0) };
    let mut at = length;
    while at > BLOCK_BYTES {
        at -= BLOCK_BYTES;
        // SAFETY: inside of what the caller promised: it ends where the one before it began.
        let block = unsafe { block_at(from, at) };
        // SAFETY: as above.
        unsafe { put_block(to, at, block) };
    }
    // SAFETY: as for the first block that was read.
    unsafe { put_block(to, 0, first) };
}

/// The block `at` bytes behind `from`.
///
/// # Safety
/// It can be read.
#[inline]
unsafe fn block_at(from: *const u8, at: usize) -> Block {
    // SAFETY: the caller promised the block there.
    let place = unsafe { from.add(at) };
    // SAFETY: as above, and an array of bytes may lie anywhere.
    unsafe { place.cast::<Block>().read() }
}

/// Puts a block `at` bytes behind `to`.
///
/// # Safety
/// It can be written.
#[inline]
unsafe fn put_block(to: *mut u8, at: usize, block: Block) {
    // SAFETY: the caller promised the block there.
    let place = unsafe { to.add(at) };
    // SAFETY: as above, and an array of bytes may lie anywhere.
    unsafe { place.cast::<Block>().write(block) };
    // Of a loop of such copies the compiler would make a call of memcpy, which is this one.
    // SAFETY: it does nothing.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

#[cfg(test)]
mod tests {
    use super::{WORDS_MIN, copy, shift};

    #[test]
    fn copies_of_every_length_to_and_from_every_place_are_whole_and_touch_nothing_else() {
        let from: Vec<u8> = (0..=255).cycle().skip(1).take(1100).collect();
        for length in (0..300).chain(WORDS_MIN - 10..WORDS_MIN + 10) {
            for (start, place) in [(0, 0), (1, 0), (0, 3), (7, 5), (8, 8), (31, 33)] {
                let mut to = [0xee; 1100];
                let (source, target) = (&from[start..], &mut to[place..]);
                // SAFETY: at least 1067 bytes are there, if few more than 1024 are copied, and they are two objects.
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
