//! What operators do, and what becomes of held tasks.

use values::Timestamp;

use super::{State, Store, index};

impl Store {
    /// Offers held tasks to a release that did not hold them; returns the rows whose limit has
    /// passed.
    pub(crate) fn review_held(&mut self, release: usize, limit: Timestamp) -> Vec<i64> {
        let mut over = Vec::new();
        for (row, task) in (1_i64..).zip(&mut self.tasks) {
            // One that was offered again counts as well: whoever would take it may be gone.
            let waits = matches!(task.state, State::Held | State::Available);
            if waits && task.held_since.is_some_and(|since| since < limit) {
                over.push(row);
            } else if task.state == State::Held && task.held_by & (1 << release) == 0 {
                task.state = State::Available;
                self.woken = true;
            }
        }
        over
    }

    /// Discards held tasks; returns those that still were held.
    pub(crate) fn discard_held(&mut self, mut rows: Vec<i64>) -> Vec<i64> {
        rows.retain(|row| {
            let task = self.task(*row);
            matches!(task.state, State::Held | State::Available) && task.held_since.is_some()
        });
        for row in &rows {
            self.finish(*row, State::Discarded);
        }
        rows
    }

    /// Cancels a waiting task, asks a running one to stop; whether there was something to do.
    pub(crate) fn cancel(&mut self, row: i64) -> bool {
        match self.task(row).state {
            State::Running => self.tasks[index(row)].cancel = true,
            State::Scheduled | State::Available | State::Held => {
                self.finish(row, State::Cancelled);
            }
            State::Completed | State::Discarded | State::Cancelled => return false,
        }
        true
    }

    /// Makes a scheduled, held or ended task available with at least one more attempt; whether
    /// it could be done.
    pub(crate) fn retry(&mut self, row: i64, now: Timestamp) -> bool {
        let state = self.task(row).state;
        if state == State::Running {
            return false;
        }
        if state.is_final() {
            if let Some(key) = self.task(row).new.key
                && *self.keys.entry(key).or_insert(row) != row
            {
                return false;
            }
            self.tally.revived += 1;
        }
        let task = &mut self.tasks[index(row)];
        task.state = State::Available;
        task.run_at = if state.is_final() { now } else { now.min(task.run_at) };
        task.max_attempts = task.max_attempts.max(task.attempt + 1);
        task.held_by = 0;
        task.held_since = None;
        self.woken = true;
        true
    }

    /// Moves a waiting task to the dead letters; whether it was waiting.
    pub(crate) fn discard(&mut self, row: i64) -> bool {
        let state = self.task(row).state;
        let waits = !state.is_final() && state != State::Running;
        if waits {
            self.finish(row, State::Discarded);
        }
        waits
    }
}
