//! Which ticks of a schedule are due: pure, with the times as arguments.

use std::collections::BTreeMap;

use manifest::{Missed, Schedule};
use values::{Span, Timestamp};

/// How late a tick may be noticed and still count as in time for `missed = "skip"`.
const IN_TIME: Span = Span::from_minutes(1);
/// Ticks looked at in one go; a gap longer than that is caught up with the latest ones.
const MAX_LOOK: usize = 100_000;

/// The ticks that one worker has dealt with, by schedule.
#[derive(Debug, Clone, Default)]
pub struct Ticked {
    latest: BTreeMap<String, Timestamp>,
}

impl Ticked {
    /// Whether the store has been asked for the latest tick of a schedule.
    pub fn knows(&self, schedule: &Schedule) -> bool {
        self.latest.contains_key(&schedule.name)
    }

    /// Takes from the store which tick of a schedule was the latest.
    pub fn begin(&mut self, schedule: &Schedule, latest: Timestamp) {
        self.latest.insert(schedule.name.clone(), latest);
    }

    /// The ticks to enqueue at `now` by the store's clock, oldest first, as [`due_ticks`] says;
    /// none of a schedule that is not known.
    ///
    /// A clock that was set back begins there again: what was ticked ahead of time is known to the
    /// store by its nominal time, and the schedule is not silent until the clock gets there.
    pub fn due(&mut self, schedule: &Schedule, now: Timestamp) -> Vec<Timestamp> {
        let Some(latest) = self.latest.get_mut(&schedule.name) else { return Vec::new() };
        *latest = now.min(*latest);
        due_ticks(schedule, *latest, now)
    }

    /// Takes that the store has a tick.
    pub fn done(&mut self, schedule: &Schedule, tick: Timestamp) {
        self.latest.insert(schedule.name.clone(), tick);
    }
}

/// The ticks to enqueue now, oldest first: those after `last` up to `now`, as the schedule's
/// missed-run policy asks.
///
/// - `run_once`: only the latest; it stands for those before it.
/// - `run_all`: all, but at most `missed_limit` of the latest.
/// - `skip`: only one that is noticed within a minute.
pub fn due_ticks(schedule: &Schedule, last: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut due = Vec::new();
    let mut at = last;
    for _ in 0..MAX_LOOK {
        match schedule.cron.next_after(at) {
            Some(next) if next <= now => {
                due.push(next);
                at = next;
            }
            _ => break,
        }
    }
    match schedule.missed {
        Missed::RunOnce => due.split_off(due.len().saturating_sub(1)),
        Missed::RunAll => {
            let limit = usize::try_from(schedule.missed_limit).unwrap_or(usize::MAX);
            due.split_off(due.len().saturating_sub(limit))
        }
        Missed::Skip => {
            let latest = due.split_off(due.len().saturating_sub(1));
            latest.into_iter().filter(|tick| now.since(*tick) <= IN_TIME).collect()
        }
    }
}

/// When the next tick of any schedule is due.
pub fn next_tick<'a>(
    schedules: impl IntoIterator<Item = &'a Schedule>,
    now: Timestamp,
) -> Option<Timestamp> {
    schedules.into_iter().filter_map(|schedule| schedule.cron.next_after(now)).min()
}

#[cfg(test)]
mod tests {
    use manifest::Cron;

    use super::*;

    fn schedule(missed: Missed) -> Schedule {
        Schedule {
            name: "hourly".to_owned(),
            job: "logs/discover_logs".parse().unwrap(),
            source: "scheduler".parse().unwrap(),
            cron: Cron::parse("0 0 * * * *", "UTC".parse().unwrap()).unwrap(),
            missed,
            missed_limit: 3,
            payload: serde_json::Map::new(),
            priority: 0,
        }
    }

    fn check(missed: Missed, last: &str, now: &str, expected: &[&str]) {
        let due = due_ticks(&schedule(missed), last.parse().unwrap(), now.parse().unwrap());
        let due: Vec<String> = due.iter().map(ToString::to_string).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn is_not_silent_after_the_clock_was_set_back() {
        let (schedule, mut ticked) = (schedule(Missed::RunOnce), Ticked::default());
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(!ticked.knows(&schedule));
        ticked.begin(&schedule, at("2026-10-01T00:10:00Z"));
        let ahead = ticked.due(&schedule, at("2026-10-01T09:10:00Z"));
        assert_eq!(ahead, [at("2026-10-01T09:00:00Z")]);
        ticked.done(&schedule, ahead[0]);
        assert_eq!(ticked.due(&schedule, at("2026-10-01T00:20:00Z")), []);
        let next = ticked.due(&schedule, at("2026-10-01T01:00:10Z"));
        assert_eq!(next, [at("2026-10-01T01:00:00Z")]);
    }

    #[test]
    fn catches_up_as_the_policy_says() {
        let (last, now) = ("2026-10-01T00:00:00Z", "2026-10-01T05:30:00Z");
        check(Missed::RunOnce, last, now, &["2026-10-01T05:00:00Z"]);
        check(
            Missed::RunAll,
            last,
            now,
            &["2026-10-01T03:00:00Z", "2026-10-01T04:00:00Z", "2026-10-01T05:00:00Z"],
        );
        check(Missed::Skip, last, now, &[]);
        check(Missed::Skip, last, "2026-10-01T05:00:10Z", &["2026-10-01T05:00:00Z"]);
        check(Missed::RunAll, last, last, &[]);
    }
}
