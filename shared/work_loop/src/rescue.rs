//! Watching other workers: whose counter has stood still for too long.

use std::collections::BTreeMap;

use values::Span;

use crate::Moment;

/// A worker whose counter stands still for so long is dead.
pub const SILENCE: Span = Span::from_seconds(8);
/// How often others' counters are looked at.
pub const LOOK_EVERY: Span = Span::from_millis(500);
/// How long one look may take before it counts as failed.
pub const LOOK_LIMIT: Span = Span::from_seconds(3);
/// A watcher that saw nothing for longer than this starts over: the machine, the network or the
/// store may have stood still for those it watches, too.
pub const UNSEEN: Span = Span::from_seconds(4);

/// What one watcher has seen of the others, by its own monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// When the latest look was answered.
    latest: Option<Moment>,
    /// By worker: its counter, and when the look was answered that found it first.
    seen: BTreeMap<i64, (i64, Moment)>,
}

impl Watch {
    /// Takes the counters of all workers, as asked for at `sent` and answered at `answered`;
    /// returns the silent ones but `myself`, each with the counter it stands at.
    ///
    /// A counter was read at some time between the two moments. Silence is therefore counted from
    /// when it was first known to when the latest look was sent, so that no delay adds to it.
    pub fn looked(
        &mut self,
        sent: Moment,
        answered: Moment,
        myself: i64,
        beats: &[(i64, i64)],
    ) -> Vec<(i64, i64)> {
        let gap = self.latest.map_or(Span::ZERO, |latest| answered.since(latest));
        self.latest = Some(answered);
        if gap > UNSEEN {
            self.seen.clear();
        }
        let before = std::mem::take(&mut self.seen);
        let mut silent = Vec::new();
        for &(worker, beat) in beats {
            let since = match before.get(&worker) {
                Some(&(known, since)) if known == beat => since,
                _ => answered,
            };
            self.seen.insert(worker, (beat, since));
            if worker != myself && sent.since(since) >= SILENCE {
                silent.push((worker, beat));
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u32) -> Moment {
        Moment::default().after(Span::from_millis(millis))
    }

    #[test]
    fn a_counter_that_stands_still_for_eight_seconds_is_silent() {
        let mut watch = Watch::default();
        for look in 0..16 {
            let now = at(look * 500);
            assert_eq!(watch.looked(now, now, 1, &[(1, 3), (2, 5)]), [], "at {now:?}");
        }
        assert_eq!(watch.looked(at(8_000), at(8_000), 1, &[(1, 3), (2, 5)]), [(2, 5)]);
        assert_eq!(watch.looked(at(8_500), at(8_500), 1, &[(1, 3), (2, 6)]), []);
    }

    #[test]
    fn a_killed_worker_is_found_within_ten_seconds_and_a_living_one_never() {
        for phase in (0..1_000).step_by(37) {
            let (mut watch, mut found) = (Watch::default(), None);
            for look in 0..60_u32 {
                let sent = at(look * 500);
                // Killed right after the beat of second 5; the other beats every three seconds.
                let beat = |every: i64, last: i64| {
                    sent.since(at(phase)).as_micros().min(last * 1_000_000) / (every * 1_000_000)
                };
                let beats = [(2, beat(1, 5)), (3, beat(3, 1_000))];
                let silent = watch.looked(sent, sent.after(Span::from_millis(100)), 1, &beats);
                assert!(silent.iter().all(|(worker, _)| *worker == 2), "{silent:?}");
                found = found.or_else(|| (!silent.is_empty()).then_some(sent));
            }
            let killed = at(phase + 5_000);
            assert!(found.unwrap().since(killed) <= Span::from_millis(9_500), "phase {phase}");
        }
    }

    #[test]
    fn slow_answers_do_not_count_as_silence() {
        let mut watch = Watch::default();
        for look in 0..4 {
            let sent = at(look * 2_500);
            let answered = sent.after(Span::from_millis(2_400));
            // Read at once the first time and at the very end later on, it may look older.
            assert_eq!(watch.looked(sent, answered, 1, &[(2, 5)]), []);
        }
        assert_eq!(watch.looked(at(10_400), at(12_000), 1, &[(2, 5)]), [(2, 5)]);
    }

    #[test]
    fn starts_over_after_it_saw_nothing_for_a_while() {
        let mut watch = Watch::default();
        for look in 0..10 {
            watch.looked(at(look * 500), at(look * 500), 1, &[(2, 5)]);
        }
        assert_eq!(watch.looked(at(30_000), at(30_000), 1, &[(2, 5)]), []);
        for look in 61..76 {
            assert_eq!(watch.looked(at(look * 500), at(look * 500), 1, &[(2, 5)]), []);
        }
        assert_eq!(watch.looked(at(38_000), at(38_000), 1, &[(2, 5)]), [(2, 5)]);
    }

    #[test]
    fn forgets_workers_that_are_gone() {
        let mut watch = Watch::default();
        watch.looked(at(0), at(0), 1, &[(2, 5)]);
        watch.looked(at(1_000), at(1_000), 1, &[]);
        for look in 2..10 {
            assert_eq!(watch.looked(at(look * 1_000), at(look * 1_000), 1, &[(2, 5)]), []);
        }
    }
}
