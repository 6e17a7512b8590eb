//! How often this process may call.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls that may follow each other without a wait after a quiet time.
const BURST: u32 = 3;

/// A token bucket: `rate` calls per second, and a few at once after a quiet time.
///
/// Within any `t` seconds at most `rate * t + BURST` calls begin.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    /// When the next call would begin if all were evenly spaced.
    next: Mutex<Instant>,
}

impl RateLimit {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        Self { interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for this call's turn. Turns are given in the order of asking.
    pub(crate) async fn turn(&self) {
        let at = self.reserve(Instant::now());
        sleep_until(at).await;
    }

    /// Holds all calls back that have no turn yet: the other side asked to slow down.
    pub(crate) fn pause(&self, wait: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(Instant::now() + wait + self.interval * (BURST - 1));
    }

    fn reserve(&self, now: Instant) -> Instant {
        let ahead = self.interval * (BURST - 1);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + self.interval;
        turn.checked_sub(ahead).map_or(now, |earlier| earlier.max(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(20).unwrap();

    /// When each of `calls` concurrent calls begins, in milliseconds.
    async fn begins(limit: &Arc<RateLimit>, calls: usize) -> Vec<u128> {
        let started = Instant::now();
        let waiting: Vec<_> = (0..calls)
            .map(|_| {
                let limit = Arc::clone(limit);
                tokio::spawn(async move {
                    limit.turn().await;
                    started.elapsed().as_millis()
                })
            })
            .collect();
        let mut begun = Vec::new();
        for call in waiting {
            begun.push(call.await.unwrap());
        }
        begun.sort_unstable();
        begun
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_holds_more_calls_than_the_rate_allows() {
        let limit = Arc::new(RateLimit::new(RATE));
        let begun = begins(&limit, 200).await;
        for (first, at) in begun.iter().enumerate() {
            let within = begun[first..].iter().take_while(|&&next| next < at + 1_000).count();
            assert!(within <= (RATE.get() + BURST) as usize, "{within} calls from {at} ms on");
        }
        let last = begun[199];
        assert!((9_700..=10_000).contains(&last), "200 calls at 20 per second took {last} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_hour_saves_up_a_small_burst_only() {
        let limit = Arc::new(RateLimit::new(RATE));
        tokio::time::advance(Duration::from_hours(1)).await;
        let begun = begins(&limit, 10).await;
        assert_eq!(begun.iter().filter(|&&at| at == 0).count(), BURST as usize, "{begun:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_back() {
        let limit = Arc::new(RateLimit::new(RATE));
        limit.pause(Duration::from_secs(5));
        let begun = begins(&limit, 3).await;
        assert!(begun.iter().all(|&at| at >= 5_000), "{begun:?}");
    }
}
