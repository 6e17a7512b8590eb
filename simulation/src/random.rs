//! Chance, reproducible: the same seed gives the same numbers for ever.

use values::Span;

/// A small generator of pseudo-random numbers.
///
/// Source: SplitMix64, Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators"
/// (2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins at a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let scaled = (u128::from(self.next()) * end as u128) >> 64;
        usize::try_from(scaled).expect("below a usize")
    }

    /// True in so many of 1,000 cases.
    pub(crate) fn chance(&mut self, of_1000: usize) -> bool {
        self.below(1_000) < of_1000
    }

    /// A span of `from` to `to` milliseconds.
    pub(crate) fn millis(&mut self, from: usize, to: usize) -> Span {
        let micros = from * 1_000 + self.below((to - from) * 1_000 + 1);
        Span::from_micros(i64::try_from(micros).expect("minutes at the most"))
    }
}

/// Scatters a number over all of `u64`; equal numbers stay equal.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_published_generator() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut random = Random::new(7);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            let span = random.millis(5, 6);
            assert!(span >= Span::from_millis(5) && span <= Span::from_millis(6));
        }
    }
}
