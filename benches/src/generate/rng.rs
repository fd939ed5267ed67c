//! Counter-based random numbers: any row can be drawn without drawing those before it.

/// A small generator seeded by a few numbers. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// Finalizer of the 64-bit variant 13 mix (Stafford), as SplitMix uses it.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream `stream` of item `item` under `seed`.
    pub const fn new(seed: u64, stream: u64, item: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ mix(item.wrapping_mul(0xd1b5_4a32_d192_ed03).wrapping_add(stream))))
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, 0 when `n` is 0. The bias of at most n / 2^32 does not matter here.
    pub const fn below(&mut self, n: u64) -> u64 {
        (self.bits() >> 32).wrapping_mul(n) >> 32
    }

    /// True in `n` of 10,000 cases.
    pub const fn chance(&mut self, n: u64) -> bool {
        self.below(10_000) < n
    }

    /// An element of a table that must not be empty.
    pub fn pick<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        at(table, self.bits() >> 32)
    }
}

/// The element of a table for any number. Tables are constants of this crate and never empty.
pub fn at<T>(table: &[T], n: u64) -> &T {
    let len = table.len().max(1) as u64;
    &table[(n % len) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, stream, item| Rng::new(seed, stream, item).bits();
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        assert_ne!(draw(1, 2, 3), draw(1, 2, 4));
        assert_ne!(draw(1, 2, 3), draw(1, 3, 3));
        assert_ne!(draw(1, 2, 3), draw(2, 2, 3));
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(1, 1, 1);
        let mut seen = [false; 7];
        for _ in 0..1_000 {
            seen[rng.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
        assert_eq!(rng.below(0), 0);
    }
}
