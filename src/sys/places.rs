//! Where in a block of bytes a byte is, for programs that look at each byte that they move.

#[cfg(not(target_arch = "x86_64"))]
use plainly as quickly;

/// A bit for each byte of `block` that is `byte`: the lowest for the first.
#[inline]
pub fn places(block: &[u8; 64], byte: u8) -> u64 {
    let parts = block.as_chunks().0.iter().enumerate();
    parts.fold(0, |places, (number, part)| {
        places | u64::from(quickly(part, byte)) << (16 * number)
    })
}

/// Each place in `bytes` where there is a `byte`, in order. For many that stand close: a search that starts anew behind each
/// takes longer to start than to find the next.
pub fn all_places(bytes: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let (blocks, rest) = bytes.as_chunks();
    let mut last = [!byte; 64];
    last[..rest.len()].copy_from_slice(rest);
    let found = blocks.iter().map(move |block| places(block, byte));
    let found = found.chain(std::iter::once_with(move || places(&last, byte)));
    found.enumerate().flat_map(|(number, mut found)| {
        std::iter::from_fn(move || {
            let place = (found != 0).then(|| 64 * number + found.trailing_zeros() as usize);
            found &= found.wrapping_sub(1);
            place
        })
    })
}

/// The places in sixteen bytes, in a handful of instructions.
#[cfg(target_arch = "x86_64")]
#[inline]
fn quickly(part: &[u8; 16], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    #[target_feature(enable = "sse2")]
    #[inline]
    fn compare(part: &[u8; 16], byte: u8) -> u32 {
        let [low, high] = [0, 1].map(|half| i64::from_le_bytes(part.as_chunks().0[half]));
        let is_equal = _mm_cmpeq_epi8(_mm_set_epi64x(high, low), _mm_set1_epi8(byte.cast_signed()));
        _mm_movemask_epi8(is_equal).cast_unsigned()
    }

    // SAFETY: the processor has to have SSE2, and every one of this kind has.
    unsafe { compare(part, byte) }
}

/// The same, one by one.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn plainly(part: &[u8; 16], byte: u8) -> u32 {
    (0..16).fold(0, |places, at| places | u32::from(part[at] == byte) << at)
}

#[cfg(test)]
mod tests {
    use super::{all_places, places, plainly};

    #[test]
    fn all_places_are_told_in_order_and_none_behind_the_end() {
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|at| b"a\nb\n\n"[at * at % 5]).collect();
            let wanted = (0..length).filter(|&at| bytes[at] == b'\n');
            assert!(all_places(&bytes, b'\n').eq(wanted), "{length}");
        }
    }

    #[test]
    fn each_place_is_found_and_no_other() {
        for at in 0..64 {
            let mut block = [b'\n' ^ 0x80; 64];
            block[at] = b'\n';
            assert_eq!(places(&block, b'\n'), 1 << at);
            let part = &block.as_chunks().0[at / 16];
            assert_eq!(plainly(part, b'\n'), 1 << (at % 16));
        }
        assert_eq!(places(&[0xff; 64], 0xff), u64::MAX);
    }
}
