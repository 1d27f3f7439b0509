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
    use super::{places, plainly};

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
