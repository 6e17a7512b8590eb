//! How long a failed attempt waits: exponential backoff with full jitter.

use values::Span;

/// Bounds of the wait after failed attempts.
///
/// Attempt `n` (counted from 1) waits a uniformly random time in
/// `[base, base + min(max - base, base * (2^n - 1))]`: full jitter above a floor of `base`, so that
/// tasks that failed together do not come back together, and none comes back at once.
///
/// Source: "full jitter" as in Brooker, "Exponential Backoff and Jitter" (2015), with a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The shortest wait.
    pub base: Span,
    /// The longest wait; at least `base`.
    pub max: Span,
}

impl Backoff {
    /// The wait after a failed attempt; `random` is uniform over all of `u64`.
    pub fn wait(self, attempt: u32, random: u64) -> Span {
        let base = self.base.as_micros();
        let room = self.max.as_micros().saturating_sub(base).max(0);
        let doublings = attempt.clamp(1, 62);
        let grown = base.saturating_mul((1_i64 << doublings) - 1);
        let spread = u128::from(grown.min(room).unsigned_abs());
        let jitter = (u128::from(random) * (spread + 1)) >> 64;
        Span::from_micros(base.saturating_add(i64::try_from(jitter).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stays_between_its_bounds(
            base in 0_i64..10_000_000_000,
            more in 0_i64..10_000_000_000_000,
            attempt in 0_u32..2_000,
            random: u64,
        ) {
            let backoff = Backoff { base: Span::from_micros(base), max: Span::from_micros(base + more) };
            let wait = backoff.wait(attempt, random);
            prop_assert!(wait >= backoff.base && wait <= backoff.max);
        }

        #[test]
        fn never_shrinks_with_the_attempt_for_the_same_chance(attempt in 1_u32..40, random: u64) {
            let backoff = Backoff { base: Span::from_seconds(10), max: Span::from_hours(1) };
            prop_assert!(backoff.wait(attempt, random) <= backoff.wait(attempt + 1, random));
        }
    }

    #[test]
    fn uses_the_whole_range() {
        let backoff = Backoff { base: Span::from_seconds(10), max: Span::from_hours(1) };
        assert_eq!(backoff.wait(1, 0), Span::from_seconds(10));
        assert_eq!(backoff.wait(1, u64::MAX), Span::from_seconds(20));
        assert_eq!(backoff.wait(30, u64::MAX), Span::from_hours(1));
    }
}
