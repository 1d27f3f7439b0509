//! Numbers that look random and are the same in every run.

use std::net::{Ipv4Addr, Ipv6Addr};

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 0, below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).expect("it is smaller than a usize")
    }

    /// True one time in `times`.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        std::array::from_fn(|_| self.number().to_le_bytes()[0])
    }

    /// An IPv4 address; half of them from a few neighbourhoods, so that rules meet.
    pub(crate) fn ipv4(&mut self) -> Ipv4Addr {
        let [a, b, c, d] = self.bytes();
        let near = |byte: u8| byte % 3;
        match self.below(4) {
            0 => Ipv4Addr::new(10, near(b), near(c), d),
            1 => Ipv4Addr::new(192, 168, near(c), near(d)),
            _ => Ipv4Addr::new(a, b, c, d),
        }
    }

    /// An IPv6 address; most from a few neighbourhoods, many with runs of zeros, some of them mapped IPv4 addresses.
    pub(crate) fn ipv6(&mut self) -> Ipv6Addr {
        let mut groups: [u16; 8] = std::array::from_fn(|_| u16::from_le_bytes(self.bytes()));
        for group in &mut groups {
            match self.below(4) {
                0 | 1 => *group = 0,
                2 => *group %= 3,
                _ => {}
            }
        }
        match self.below(5) {
            0 => return self.ipv4().to_ipv6_mapped(),
            1 => groups[0] = 0xfe80,
            2 | 3 => (groups[0], groups[1]) = (0x2001, 0xdb8),
            _ => {}
        }
        groups.into()
    }
}
