//! The course of a seed: faults, then quiet, then the question whether anything is left.

use values::{Span, Timestamp};

use crate::handler::refuses;
use crate::releases::{EVERY_TICK, JOBS, releases};
use crate::store::State;
use crate::world::World;

/// Simulated time after which what waits for its time is made due.
const SKIP_AFTER: Span = Span::from_seconds(15);
/// Simulated time from the beginning of the quiet to when every due tick must be there.
const TICKED_AFTER: Span = Span::from_seconds(55);
/// Simulated time after the last fault by which everything accepted must have ended.
const CALM_WITHIN: Span = Span::from_seconds(600);
/// Simulated time within which drained workers end.
const DRAINED_WITHIN: Span = Span::from_seconds(40);
/// Events between two looks at whether everything has ended.
const LOOK_EVERY: u64 = 64;
/// Events of one seed at the most.
const MOST_EVENTS: u64 = 2_000_000;

impl World {
    /// Lives through the whole seed, or until something is wrong.
    pub(crate) fn live(&mut self) {
        while self.steps < self.plan.steps && self.checks.violation.is_none() {
            self.step();
        }
        self.calm_down();
        let (quiet, rows) = (self.now, self.store.tasks.len());
        let mut skipped = false;
        for event in 0..MOST_EVENTS {
            if self.checks.violation.is_some() {
                return;
            }
            self.step();
            if event % LOOK_EVERY != 0 {
                continue;
            }
            if !skipped && self.now.since(quiet) >= SKIP_AFTER {
                skipped = true;
                self.skip();
            }
            let left = self.left_over(rows);
            if left.is_none() && self.now.since(quiet) >= TICKED_AFTER {
                break;
            }
            if self.now.since(quiet) >= CALM_WITHIN {
                let left = left.unwrap_or_default();
                return self.wrong(format!("{left} after {CALM_WITHIN} without faults"));
            }
        }
        self.check_ticks();
        self.drain_all();
        let drained = self.now;
        while self.now.since(drained) < DRAINED_WITHIN && self.checks.violation.is_none() {
            if !self.step() {
                break;
            }
        }
        self.check_end();
    }

    /// Sets the store's clock to when the last scheduled task is due and the last held one was
    /// held, where a wrong clock put that far ahead: waiting is no deadlock.
    fn skip(&mut self) {
        let due = self.store.tasks.iter().filter_map(|task| match task.state {
            State::Scheduled => Some(task.run_at),
            _ => task.held_since,
        });
        if let Some(last) = due.max() {
            self.off += last.since(self.wall()).as_micros();
            self.checks.clock_was_set();
        }
    }

    /// An accepted task that has not ended although a worker accepts its job, or a request for
    /// tasks that nobody has answered.
    fn left_over(&self, rows: usize) -> Option<String> {
        if !self.clients.is_empty() {
            return Some("a request for tasks is still unanswered".to_owned());
        }
        let stuck = self.store.tasks[..rows].iter().find(|task| {
            let known = self
                .processes
                .iter()
                .any(|process| process.up && releases()[process.release].knows(task.new.job));
            !task.state.is_final() && known
        })?;
        let accepts = self.processes.iter().any(|process| {
            refuses(&releases()[process.release], &stuck.new, Timestamp::EPOCH).is_none()
        });
        Some(format!(
            "task {} of {} is {:?} (accepted: {accepts})",
            stuck.new.id, JOBS[stuck.new.job], stuck.state
        ))
    }

    /// Every tick of the schedule that wants them all is there.
    fn check_ticks(&mut self) {
        let Some(schedule) =
            releases()[0].schedules.iter().find(|schedule| schedule.name == EVERY_TICK)
        else {
            return;
        };
        let Some(begun) = self.store.begun.get(EVERY_TICK) else { return };
        // What became due in the last minute may still be on its way.
        let until = self.wall().before(Span::from_minutes(1));
        let mut at = *begun;
        while let Some(tick) = schedule.cron.next_after(at).filter(|tick| *tick <= until) {
            if !self.store.ticks.contains_key(&(EVERY_TICK.to_owned(), tick)) {
                return self.wrong(format!("tick {tick} of {EVERY_TICK} is missing"));
            }
            at = tick;
        }
    }
}
