//! The sliding window of a rate: what was started lately, and so what may start now.

use serde::{Deserialize, Serialize};
use values::{Rate, Timestamp};

/// Starts within this fraction of a window are summed up; the window then slides in such steps.
const PARTS: i64 = 32;

/// The starts that a rate still counts, over all workers: at most [`PARTS`] + 1 sums, oldest first.
///
/// **Never more than `tasks` start in any span of length `per`**, and `tasks` may start at once if
/// none did lately. Each sum carries the time of its latest start and counts until that start has
/// left the window, so that a start is counted for `per` at least, and for `per` · 33/32 at most: a
/// steady flow reaches 97% of the rate. (A token bucket would let up to twice the rate pass in a
/// span that begins with a full bucket.)
///
/// Times are those of the store's clock. If it jumps back, starts of the future count as starts of
/// now: they block for one window more, never longer. If it jumps ahead, the window is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Window {
    /// Time of the latest start in microseconds, and the number of starts.
    sums: Vec<(i64, u32)>,
}

impl Window {
    /// Reads what [`Window::to_text`] wrote; what cannot be read is an empty window.
    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::error!(error = %error, "a damaged window of a rate begins anew");
            Self::default()
        })
    }

    /// The text that the store keeps.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(&self.sums).expect("numbers are JSON")
    }

    /// How many tasks may start now.
    pub(crate) fn left(&self, rate: Rate, now: Timestamp) -> u32 {
        let counted = self.counted(rate, now);
        rate.tasks().saturating_sub(counted.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n)))
    }

    /// When the next task may start, if none may now.
    pub(crate) fn next(&self, rate: Rate, now: Timestamp) -> Option<Timestamp> {
        let mut later: u32 = 0;
        // From the latest back: with the first sum that fills the rate gone, there is room.
        for (at, starts) in self.counted(rate, now).into_iter().rev() {
            later = later.saturating_add(starts);
            if later >= rate.tasks() {
                return Some(Timestamp::from_micros(at).after(rate.per()));
            }
        }
        None
    }

    /// The window with tasks that start now.
    pub(crate) fn with(&self, rate: Rate, now: Timestamp, starts: u32) -> Self {
        let mut sums = self.counted(rate, now);
        if starts > 0 {
            join(&mut sums, rate, now.as_micros(), starts);
        }
        Self { sums }
    }

    /// Moves starts of the future to now; tells whether there were any.
    pub(crate) fn follow(&mut self, now: Timestamp) -> bool {
        let future = self.sums.iter_mut().filter(|(at, _)| *at > now.as_micros());
        future.map(|(at, _)| *at = now.as_micros()).count() > 0
    }

    /// The sums that are still in the window, none later than now.
    fn counted(&self, rate: Rate, now: Timestamp) -> Vec<(i64, u32)> {
        let now = now.as_micros();
        let mut counted = Vec::with_capacity(self.sums.len() + 1);
        for (at, starts) in &self.sums {
            let at = (*at).min(now);
            if now.saturating_sub(at) < rate.per().as_micros() {
                join(&mut counted, rate, at, *starts);
            }
        }
        counted
    }
}

/// Adds starts that are not older than the last sum, to that sum if they are of the same part.
fn join(sums: &mut Vec<(i64, u32)>, rate: Rate, at: i64, starts: u32) {
    let part = |at: i64| at.div_euclid((rate.per().as_micros() / PARTS).max(1));
    match sums.last_mut() {
        Some((last, sum)) if part(*last) == part(at) => {
            (*last, *sum) = (at.max(*last), sum.saturating_add(starts));
        }
        _ => sums.push((at, starts)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use values::Span;

    use super::*;

    fn rate(tasks: u32) -> Rate {
        Rate::new(tasks, Span::from_seconds(60)).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_burst_is_free_again_after_one_window() {
        let mut window = Window::default();
        assert_eq!((window.left(rate(100), at(0)), window.next(rate(100), at(0))), (100, None));
        window = window.with(rate(100), at(0), 100);
        assert_eq!(window.left(rate(100), at(59)), 0);
        assert_eq!(window.next(rate(100), at(59)), Some(at(60)));
        assert_eq!((window.left(rate(100), at(60)), window.next(rate(100), at(60))), (100, None));
    }

    #[test]
    fn another_rate_reads_the_same_window() {
        let mut window = Window::default();
        window = window.with(rate(100), at(0), 30);
        window = window.with(rate(100), at(10), 30);
        window = window.with(rate(100), at(20), 30);
        assert_eq!(window.next(rate(40), at(20)), Some(at(70)), "one sum gone is not enough");
        assert_eq!(window.left(rate(40), at(70)), 10);
        assert_eq!(window.left(rate(200), at(20)), 110);
    }

    #[test]
    fn a_clock_that_jumps_back_blocks_for_one_window() {
        let mut window = Window::default();
        window = window.with(rate(2), at(3_600), 2);
        assert_eq!(window.left(rate(2), at(0)), 0);
        assert_eq!(window.next(rate(2), at(0)), Some(at(60)));
        assert!(window.follow(at(0)));
        assert!(!window.follow(at(0)));
        assert_eq!(window.left(rate(2), at(60)), 2);
    }

    #[test]
    fn a_damaged_text_begins_anew() {
        assert_eq!(Window::read("[[1,"), Window::default());
    }

    /// Starts in the span of this length that ends at `now`.
    fn lately(log: &[(i64, u32)], now: i64, span: i64) -> u32 {
        log.iter().filter(|(at, _)| *at > now - span && *at <= now).map(|(_, n)| n).sum()
    }

    proptest! {
        /// The two laws: never above the rate in any window; never below it by more than one part.
        #[test]
        fn keeps_the_rate_in_any_window(
            tasks in 1_u32..50,
            steps in proptest::collection::vec((0_i64..20_000_000, 0_u32..60), 1..200),
        ) {
            let (rate, per) = (rate(tasks), 60_000_000);
            let (mut window, mut log, mut now) = (Window::default(), Vec::new(), 7_i64);
            for (pause, wanted) in steps {
                now += pause;
                let time = Timestamp::from_micros(now);
                let left = window.left(rate, time);
                prop_assert!(left >= tasks.saturating_sub(lately(&log, now, per + per / PARTS)));
                match window.next(rate, time) {
                    None => prop_assert!(left > 0),
                    Some(next) => {
                        let before = Timestamp::from_micros(next.as_micros() - 1);
                        prop_assert_eq!((left, window.left(rate, before)), (0, 0));
                        prop_assert!(window.left(rate, next) > 0);
                    }
                }
                let starts = wanted.min(left);
                if starts > 0 {
                    window = window.with(rate, time, starts);
                    log.push((now, starts));
                }
                prop_assert!(lately(&log, now, per) <= tasks);
                prop_assert!(window.sums.len() <= usize::try_from(PARTS).unwrap() + 1);
                prop_assert_eq!(&Window::read(&window.to_text()), &window);
            }
        }

        /// Whatever the clock does, the window stays small and one window later it is empty.
        #[test]
        fn a_wild_clock_never_blocks_longer_than_a_window(
            steps in proptest::collection::vec((0_i64..200_000_000, 1_u32..5), 1..200),
        ) {
            let (rate, mut window, mut latest) = (rate(10), Window::default(), 0);
            for (now, wanted) in steps {
                let time = Timestamp::from_micros(now);
                let starts = wanted.min(window.left(rate, time));
                window = window.with(rate, time, starts);
                prop_assert!(window.sums.len() <= usize::try_from(PARTS).unwrap() + 1);
                latest = now;
            }
            let later = Timestamp::from_micros(latest).after(rate.per());
            prop_assert_eq!(window.left(rate, later), 10);
        }
    }
}
