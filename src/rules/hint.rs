//! Which hashes may be in a large file: one bit for many of them, all bits in a cache. A peer is looked up under a dozen
//! keys and more, of which at most one is there; each of the others costs a walk to main memory without this.

/// A set of hashes that may hold more than was put in.
#[derive(Debug)]
pub(super) struct Hint {
    bits: Box<[u64]>,
    /// What is left of a mixed hash is the place of its bit.
    shift: u32,
}

/// How many bits there are for each hash, at least.
const BITS_OF_A_HASH: usize = 8;
/// How many bits there are at least and at most, as powers of 2.
const BITS: (u32, u32) = (6, 27);

impl Hint {
    /// Room for `count` hashes.
    pub(super) fn new(count: usize) -> Self {
        let wanted = count.saturating_mul(BITS_OF_A_HASH).max(1);
        let power = (usize::BITS - (wanted - 1).leading_zeros()).clamp(BITS.0, BITS.1);
        Self {
            bits: vec![0; 1 << (power - 6)].into(),
            shift: u32::BITS - power,
        }
    }

    pub(super) fn add(&mut self, hash: u32) {
        let (word, bit) = self.place(hash);
        self.bits[word] |= bit;
    }

    /// False if the hash was never put in.
    pub(super) fn may_have(&self, hash: u32) -> bool {
        let (word, bit) = self.place(hash);
        self.bits[word] & bit != 0
    }

    fn place(&self, hash: u32) -> (usize, u64) {
        let place = hash.wrapping_mul(0x9e37_79b1) >> self.shift;
        (place as usize / 64, 1 << (place % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::Hint;

    #[test]
    fn what_was_put_in_is_there_and_most_else_is_not() {
        for count in [0_u32, 1, 7, 1000, 100_000] {
            let mut hint = Hint::new(count as usize);
            let hashes = |from: u32| (from..from + count).map(|n| n.wrapping_mul(2_654_435_789));
            hashes(0).for_each(|hash| hint.add(hash));
            assert!(hashes(0).all(|hash| hint.may_have(hash)), "{count}");
            let more = hashes(count).filter(|&hash| hint.may_have(hash)).count();
            assert!(more <= count as usize / 4, "{count}: {more}");
        }
    }
}
