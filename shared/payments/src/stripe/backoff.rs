//! How long to wait between tries.

use std::time::Duration;

/// The longest wait of our own choice.
const LONGEST: Duration = Duration::from_secs(8);

/// A wait before try `tries + 1`: anywhere from nothing to `base * 2^(tries - 1)`.
///
/// `random` is spread evenly. All of the span is used, so that many who failed together do not
/// come back together.
pub(super) fn backoff(base: Duration, tries: u32, random: u32) -> Duration {
    let doubled = base.saturating_mul(1 << (tries.saturating_sub(1)).min(16));
    doubled.min(LONGEST).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_up_to_the_longest_wait() {
        let base = Duration::from_millis(500);
        let longest = |tries| backoff(base, tries, u32::MAX);
        assert_eq!(
            [1, 2, 3, 4].map(longest).map(|wait| wait.as_millis()),
            [500, 1_000, 2_000, 4_000]
        );
        assert_eq!(longest(6), LONGEST);
        assert_eq!(backoff(base, 3, 0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(base_ms in 0_u64..100_000, tries: u32, random: u32) {
            prop_assert!(backoff(Duration::from_millis(base_ms), tries, random) <= LONGEST);
        }
    }
}
